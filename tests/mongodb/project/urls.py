from django.contrib import admin
from django.urls import path

# The project's configuration of the admin leaves that to the addresses.
admin.autodiscover()
urlpatterns = [path("admin/", admin.site.urls)]
