from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from tests.mongodb.project.shelf.models import Tape, User

admin.site.register(User, UserAdmin)
admin.site.register(Tape)
