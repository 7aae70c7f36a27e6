"""The WSGI application that granian serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lucid_sessions.settings")
application = get_wsgi_application()

from lucid_sessions.access.turns import Turns  # noqa: E402  once Django is set up
from lucid_sessions.recordings import hints  # noqa: E402

application = Turns(application)  # type: ignore[assignment]

# What clients ask for is announced to the workers at once.
hints.connect()
