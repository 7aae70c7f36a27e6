"""Forms of deeds, and why one that is sent twice, such as by a double click, makes one thing."""

import json
from typing import Any
from uuid import UUID, uuid5

from django import forms

from lucid_sessions.errors import Refused


class Deed(forms.Form):
    """What is sent to have something done."""

    def require_valid(self) -> None:
        """Refused, with what is wrong with it, unless it can be understood."""
        faults = [f"{name}: {' '.join(map(str, said))}" for name, said in self.errors.items()]
        if faults:
            raise Refused(f"Nothing was done. {' '.join(faults)}")


class Once(Deed):
    """A form with an id that its page drew for it."""

    id = forms.UUIDField()

    def id_of(self, *asked: Any) -> UUID:
        """The id of what is made: the same for the same asked again by this form, another for all else.

        Who asks belongs into it: then nobody comes by an id of another's.
        """
        return uuid5(self.cleaned_data["id"], json.dumps(asked, default=str))
