"""Initial migrations of Django's contrib apps, with ObjectId keys. See MIGRATION_MODULES in settings.py."""
