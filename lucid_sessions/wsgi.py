"""The WSGI application that granian serves."""

import gc
import os
from importlib import import_module

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lucid_sessions.settings")
application = get_wsgi_application()

from django.conf import settings  # noqa: E402  once Django is set up

from lucid_sessions.access.incoming import Incoming  # noqa: E402
from lucid_sessions.access.turns import Turns  # noqa: E402
from lucid_sessions.recordings import hints  # noqa: E402

# Outside of the turns: who sends slowly keeps nobody waiting.
application = Incoming(Turns(application))  # type: ignore[assignment]

# What clients ask for is announced to the workers at once.
hints.connect()

# All views are loaded now instead of by the first request, and the garbage collector never looks at them
# again: its walk through all that is loaded held up every request for a tenth of a second, every few seconds.
import_module(settings.ROOT_URLCONF)
gc.collect()
gc.freeze()
