"""Every setting, read once from the environment, typed, with no insecure default.

`LUCID_PROFILE=embedded` (the default) is one machine, one user: secrets are random files under
`LUCID_HOME`, made by `manage.py keys init`. `LUCID_PROFILE=production` takes every secret from the
environment or from the file that `NAME_FILE` names, and refuses to start with a placeholder.
"""

import secrets
import socket
from datetime import timedelta
from pathlib import Path

from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from lucid_sessions import lean as lean
from lucid_sessions.anchor_settings import *  # noqa: F403  all of them are Django's settings
from lucid_sessions.environment import (
    DEFAULT_REDIS_URL,
    EMBEDDED,
    LUCID_HOME,
    ROOT,
    address,
    choice,
    env,
    networks,
    number,
    pairs,
    path,
    secret,
    whole,
)
from lucid_sessions.environment import LUCID_KEYS_PATH as LUCID_KEYS_PATH
from lucid_sessions.mongodb import settings as mongodb
from lucid_sessions.storage_settings import *  # noqa: F403  all of them are Django's settings

BASE_DIR: Path = ROOT

# Before `keys init` a key of this process's own serves: nothing that it signs is believed later.
SECRET_KEY = secret("SECRET_KEY") or secrets.token_urlsafe(48)
JWT_SECRET_KEY = secret("JWT_SECRET_KEY") or SECRET_KEY
# Only playback, deep verification, export and restore need these two; workers run without.
ENCRYPTION_PASSWORD = secret("ENCRYPTION_PASSWORD", needed=bool(env.str("ENCRYPTION_PASSWORD", "")))
ENCRYPTION_SALT = secret("ENCRYPTION_SALT", needed=bool(env.str("ENCRYPTION_SALT", "")))

DEBUG = env.bool("DEBUG", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if EMBEDDED else [])
ALLOWED_ORIGINS = env.list("ALLOWED_ORIGINS", default=[])
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
APP_NAME = env.str("APP_NAME", "Lucid Sessions")
SERVICE = env.str("LUCID_SERVICE", "session-api")
# Where the other services answer for themselves, for /api/v1/health: name=http://host:port.
LUCID_SERVICES: dict[str, str] = pairs("LUCID_SERVICES")
HOST_NAME = env.str("LUCID_HOST", socket.gethostname())

# --- Metadata store -------------------------------------------------------------------------
MONGODB_URL = env.str("MONGODB_URL", "")
DATABASE_URL = env.str("DATABASE_URL", f"sqlite:///{LUCID_HOME / 'lucid.sqlite3'}")
MONGO = bool(MONGODB_URL)
DATABASE_ROUTERS: list[str] = []
MIGRATION_MODULES: dict[str, str] = {}
if MONGO:
    try:
        DATABASES = {"default": mongodb.database(MONGODB_URL)}
    except ValueError as error:
        raise ImproperlyConfigured(str(error)) from None
    DEFAULT_AUTO_FIELD = mongodb.AUTO_FIELD
    DATABASE_ROUTERS = mongodb.ROUTERS
    MIGRATION_MODULES = mongodb.MIGRATION_MODULES
    _CONTRIB = mongodb.CONTRIB_APPS
else:
    DATABASES = {"default": env.db_url_config(DATABASE_URL)}
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    # "Simple": urls.py looks for the admin's pages, not every command that starts.
    _CONTRIB = [f"django.contrib.{name}" for name in ("admin.apps.SimpleAdminConfig", "auth", "contenttypes")]
    if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        DATABASES["default"] |= {
            # Opening the file and leaving it as the last one (a checkpoint) costs more than most queries.
            "CONN_MAX_AGE": whole("CONN_MAX_AGE", 600),
            # A file, in tests too: the tests' workers are other processes and threads.
            "TEST": {"NAME": env.str("LUCID_TEST_DATABASE", "") or None},
            "OPTIONS": {
                "timeout": 20,
                # A transaction that begins by reading cannot upgrade while another writes.
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
                "PRAGMA temp_store=MEMORY;PRAGMA journal_size_limit=67108864;",
            },
        }

# --- Applications ---------------------------------------------------------------------------
INSTALLED_APPS = [
    *_CONTRIB,
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_prometheus",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "lucid_sessions.access.apps.AccessConfig",
    "lucid_sessions.recordings.apps.RecordingsConfig",
    "lucid_sessions.operations.apps.OperationsConfig",
    "lucid_sessions.console.apps.ConsoleConfig",
]
AUTH_USER_MODEL = "access.User"
SESSION_ENGINE = "lucid_sessions.access.web_sessions"
MIDDLEWARE = [
    "lucid_sessions.operations.middleware.ApiMetrics",
    "lucid_sessions.access.request_identity.RequestIdentity",
    "lucid_sessions.access.cors.Cors",
    "lucid_sessions.operations.query_log.QueryLog",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "lucid_sessions.access.bearers.BearersPass",  # what follows is for browsers
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "lucid_sessions.access.page_audit.PageAudit",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
    "lucid_sessions.access.bearers.BearersJoin",
]
ROOT_URLCONF = "lucid_sessions.urls"
WSGI_APPLICATION = "lucid_sessions.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
LANGUAGE_CODE, TIME_ZONE = "en", "UTC"
FORMAT_MODULE_PATH = "lucid_sessions.formats"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = path("STATIC_ROOT", LUCID_HOME / "static")
WHITENOISE_USE_FINDERS = EMBEDDED

LUCID_LEDGER_ORIGIN = env.str("LUCID_LEDGER_ORIGIN", f"{HOST_NAME}/lucid-sessions" if EMBEDDED else "")

# --- Recording defaults ---------------------------------------------------------------------
DEFAULT_FRAME_RATE = whole("DEFAULT_FRAME_RATE", 30)
DEFAULT_RESOLUTION = env.str("DEFAULT_RESOLUTION", "1920x1080")
DEFAULT_QUALITY = choice("DEFAULT_QUALITY", "high", "low", "medium", "high", "ultra")
DEFAULT_COMPRESSION = choice("DEFAULT_COMPRESSION", "zstd", "none", "zstd", "lz4", "gzip")
LUCID_SEGMENT_SECONDS = number("LUCID_SEGMENT_SECONDS", 4.0)
LUCID_MAX_SESSIONS = whole("LUCID_MAX_SESSIONS", 32)
# Cores that a recorder's host may spend on recordings; 0: most of those that it may use.
LUCID_RECORDER_CORES = number("LUCID_RECORDER_CORES", 0.0)
# Networks that recorders may connect to although only this machine, or its cloud, should reach them.
LUCID_TARGET_ALLOW = networks("LUCID_TARGET_ALLOW")
# Sealed passwords of desktops: the API writes, recorders open and remove. Empty: `targets` beside the keys.
LUCID_TARGETS_PATH = env.str("LUCID_TARGETS_PATH", "")

# --- Pipeline -------------------------------------------------------------------------------
PIPELINE_BUFFER_SIZE = whole("PIPELINE_BUFFER_SIZE", 1000)
PIPELINE_WORKER_COUNT = whole("PIPELINE_WORKER_COUNT", 4)
PIPELINE_TIMEOUT_SECONDS = whole("PIPELINE_TIMEOUT_SECONDS", 30)
# Stages that a worker runs inline when the stage before has just run in it.
LUCID_FUSE = env.list("LUCID_FUSE", default=["compress", "encrypt", "store"])
# On several hosts: queues that need the spool are named `<stage>.<spool>`.
LUCID_QUEUE_PER_SPOOL = env.bool("LUCID_QUEUE_PER_SPOOL", False)
# The module that registers who takes hints; nothing below it is imported from here.
LUCID_PUBLISHER = env.str("LUCID_PUBLISHER", "tasks.pipeline")
REDIS_URL = address("REDIS_URL", DEFAULT_REDIS_URL, "redis", "rediss")
CACHE_URL = address("CACHE_URL", "", "redis", "rediss")

# --- REST API -------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["lucid_sessions.access.lockout.GuardedBackend"]
# Networks of the proxies in front of us: only what these say of a client's address is believed.
LUCID_TRUSTED_PROXIES = networks("LUCID_TRUSTED_PROXIES", strict=False)
# So many failed sign-ins on one name, or ten times as many from one address, close it for so long.
LUCID_SIGN_IN_FAILURES = whole("LUCID_SIGN_IN_FAILURES", 5)
LUCID_SIGN_IN_LOCK_SECONDS = whole("LUCID_SIGN_IN_LOCK_SECONDS", 900)
# Deeds that need a reason, by their names in the audit, such as session.played or session.exported.
LUCID_REASON_REQUIRED: list[str] = env.list("LUCID_REASON_REQUIRED", default=[])
# How long a token that was found good is believed without asking the database again; 0: asked each time.
LUCID_TOKEN_CACHE_SECONDS = number("LUCID_TOKEN_CACHE_SECONDS", 5.0)
# Requests are counted in the cache Redis (CACHE_URL); without one nothing is limited.
RATE_LIMIT_ENABLED = env.bool("RATE_LIMIT_ENABLED", bool(CACHE_URL))
# What was just decrypted for players stays in memory for some seconds, so much at most in a process.
LUCID_PLAYBACK_CACHE_MIB = number("LUCID_PLAYBACK_CACHE_MIB", 24.0)
# Private networks that webhooks may go to (plain http only there); when a dead endpoint is disabled; how
# long the log of deliveries is kept; how long before a session goes webhooks are told of it (0: not at all).
LUCID_WEBHOOK_ALLOW = networks("LUCID_WEBHOOK_ALLOW")
LUCID_WEBHOOK_GIVE_UP_DAYS = number("LUCID_WEBHOOK_GIVE_UP_DAYS", 5.0)
LUCID_WEBHOOK_LOG_DAYS = number("LUCID_WEBHOOK_LOG_DAYS", 30.0)
LUCID_RETENTION_WARNING_DAYS = number("LUCID_RETENTION_WARNING_DAYS", 7.0)
# Results of jobs (exports, evidence, reports), shared by the API and whatever runs the queue `export`.
LUCID_RESULTS_PATH = path("LUCID_RESULTS_PATH", LUCID_HOME / "results")
LUCID_RESULT_HOURS = number("LUCID_RESULT_HOURS", 24.0)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "lucid_sessions.access.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["lucid_sessions.recordings.api.methods.Json"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    # OPTIONS says nothing that the OpenAPI document does not say better.
    "DEFAULT_METADATA_CLASS": "lucid_sessions.recordings.api.methods.Methods",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "lucid_sessions.recordings.api.methods.Usual",
    "EXCEPTION_HANDLER": "lucid_sessions.recordings.api.problems.as_problem",
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=10),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=1),
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SECRET_KEY,
    "AUDIENCE": "lucid-sessions-api",
    "ISSUER": "lucid-sessions",
    "USER_ID_CLAIM": "sub",
    "UPDATE_LAST_LOGIN": True,
    # A change of password ends every token.
    "CHECK_REVOKE_TOKEN": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": APP_NAME,
    "DESCRIPTION": "Record, archive, prove and play remote-desktop sessions.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    # What is sent is refused more strictly than what is answered.
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "lucid_sessions.recordings.api.schema_rules.complete",
    ],
    # Two things have a status: each gets its own name.
    "ENUM_NAME_OVERRIDES": {
        "SessionStatus": "lucid_sessions.recordings.api.bodies.STATUSES",
        "JobStatus": "lucid_sessions.access.models.JobStatus",
    },
}

# --- Browser security -----------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "media-src": [SELF, "blob:"],
        "worker-src": [SELF, "blob:"],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
LOGIN_URL = "/admin/login/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
if not EMBEDDED:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # nginx, or the ingress, redirects to https. Probes and Prometheus ask this process by plain http.
    SILENCED_SYSTEM_CHECKS = ["security.W008"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- Observation ----------------------------------------------------------------------------
PROMETHEUS_ENABLED = env.bool("PROMETHEUS_ENABLED", True)
LOG_LEVEL = choice("LOG_LEVEL", "INFO", "DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMAT = choice("LOG_FORMAT", "console" if EMBEDDED else "json", "json", "console")
LUCID_DEBUG_USERS: list[str] = env.list("LUCID_DEBUG_USERS", default=[])  # their queries are logged
LOGGING_CONFIG = "lucid_sessions.operations.logs.configure"
LOGGING = {"level": LOG_LEVEL, "form": LOG_FORMAT, "host": HOST_NAME, "service": SERVICE}
