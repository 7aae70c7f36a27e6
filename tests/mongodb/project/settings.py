"""The smallest site that has what ours has on MongoDB: contrib apps, a user of its own, some models."""

import os

from lucid_sessions.mongodb import settings as mongodb

SECRET_KEY = "a-secret-that-guards-nothing"
USE_TZ = True
TIME_ZONE = "UTC"
DATABASES = {"default": mongodb.database(os.environ["MONGODB_URL"])}
DATABASE_ROUTERS = mongodb.ROUTERS
DEFAULT_AUTO_FIELD = mongodb.AUTO_FIELD
MIGRATION_MODULES = mongodb.MIGRATION_MODULES
INSTALLED_APPS = [*mongodb.CONTRIB_APPS, "django.contrib.messages", "tests.mongodb.project.shelf"]
AUTH_USER_MODEL = "shelf.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
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
ROOT_URLCONF = "tests.mongodb.project.urls"
STATIC_URL = "/static/"
