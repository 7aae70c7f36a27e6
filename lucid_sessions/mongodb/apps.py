"""Django's contrib apps with keys that MongoDB has. Their labels and tables stay Django's own."""

from __future__ import annotations

from django.contrib.admin import apps as admin
from django.contrib.auth import apps as auth
from django.contrib.contenttypes import apps as contenttypes

from lucid_sessions.mongodb.settings import AUTO_FIELD


class AdminConfig(admin.SimpleAdminConfig):
    default_auto_field = AUTO_FIELD


class AuthConfig(auth.AuthConfig):
    default_auto_field = AUTO_FIELD


class ContentTypesConfig(contenttypes.ContentTypesConfig):
    default_auto_field = AUTO_FIELD
