"""What was done in a session: keys, clicks, windows and the clipboard, for those who may export."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from .. import account, playback
from ..doings import BUTTONS, MALFORMED, WHEEL
from ..lifecycle import ENDED
from .documents import CONFIGURATION_ERRORS, ONE_SESSION_ERRORS, Described, problem
from .filmstrip import LATEST_US
from .ownership import session_of
from .permissions import Allowed
from .problems import MEDIA_TYPE, SEALED, refused_as
from .ranges import UNCACHED
from .strict import Digits, asked
from .witnessed import Witnessed

UNTOLD = (
    "`damaged`: it does not verify. An alarm. `malformed`: it verifies, and these lines are nothing that "
    "a sound recorder writes; what lies before and behind them is told."
)
NOT_TOLD = (account.PENDING, account.QUARANTINED, account.SHREDDED, account.DAMAGED, MALFORMED)


def _always(value: str) -> Any:
    """A field that says what kind of entry this is."""
    kind = type("Kind", (serializers.CharField,), {})
    return extend_schema_field({"type": "string", "const": value})(kind)()


class Wanted(serializers.Serializer[Any]):
    """Which part of the session."""

    from_us = Digits(min_value=0, max_value=LATEST_US, default=0, help_text="From this time on.")
    to_us = Digits(min_value=0, max_value=LATEST_US, required=False, help_text="Before this time.")


class Timed(serializers.Serializer[Any]):
    """Where an entry lies on the session's timeline, in microseconds."""

    from_us = serializers.IntegerField()
    to_us = serializers.IntegerField()


class Window(serializers.Serializer[Any]):
    """A window that has the input."""

    id = serializers.IntegerField(allow_null=True, help_text="Tells windows of the same title apart.")
    title = serializers.CharField()
    secret = serializers.BooleanField(help_text="It is known to ask for a password: its keys are never kept.")

    def get_fields(self) -> dict[str, Any]:
        """With `class`, which Python keeps for itself."""
        named = serializers.CharField(help_text="Which program it is of, such as XTerm.")
        return {**super().get_fields(), "class": named}


class TypedEntry(Timed):
    """Characters typed one after the other, without anything else or a rest between them."""

    kind = _always("typed")
    text = serializers.CharField(
        help_text="As recorded: • stands for what is masked, and for any key where a password is asked for."
    )
    count = serializers.IntegerField()


class KeyEntry(Timed):
    """A key that prints nothing, or a command."""

    kind = _always("key")
    key = serializers.CharField(help_text="Such as Return or Control-C.")
    count = serializers.IntegerField(help_text="How often, one after the other.")


class ClickEntry(Timed):
    """A button of the pointer, pressed and let go."""

    kind = _always("click")
    button = serializers.CharField(help_text=f"{', '.join(BUTTONS.values())}, or its number.")
    x = serializers.IntegerField(allow_null=True)
    y = serializers.IntegerField(allow_null=True)
    to_x = serializers.IntegerField(allow_null=True, help_text="Where it was let go, if elsewhere.")
    to_y = serializers.IntegerField(allow_null=True)
    count = serializers.IntegerField(help_text="2 for a double click.")


class ScrollEntry(Timed):
    """The wheel, turned."""

    kind = _always("scroll")
    direction = serializers.ChoiceField(choices=list(WHEEL.values()))
    x = serializers.IntegerField(allow_null=True)
    y = serializers.IntegerField(allow_null=True)
    count = serializers.IntegerField()


class WindowEntry(Timed, Window):
    """The input went to this window, or its title changed."""

    kind = _always("window")


class ClipboardEntry(Timed):
    """Something was copied. What it was is not kept."""

    kind = _always("clipboard")
    text = serializers.BooleanField(allow_null=True, help_text="Whether it is text.")
    length = serializers.IntegerField(allow_null=True, help_text="In bytes of UTF-8; null: not known.")
    sha256 = serializers.CharField(allow_null=True)


class GapEntry(Timed):
    """Nothing was heard, and why."""

    kind = _always("gap")
    reason = serializers.CharField()
    uncertain = serializers.BooleanField(help_text="Its ends are not exactly known.")


class UnreadEntry(Timed):
    """A part of the track that was recorded and cannot be told, and why."""

    kind = _always("unread")
    chunk = serializers.UUIDField()
    state = serializers.ChoiceField(choices=NOT_TOLD, help_text=UNTOLD)
    reason = serializers.CharField()


class OtherEntry(Timed):
    """Something that a later recorder has written, and this release does not know."""

    kind = _always("other")
    name = serializers.CharField()


KINDS: dict[str, serializers.Serializer[Any] | type[serializers.Serializer[Any]]] = {
    "typed": TypedEntry,
    "key": KeyEntry,
    "click": ClickEntry,
    "scroll": ScrollEntry,
    "window": WindowEntry,
    "clipboard": ClipboardEntry,
    "gap": GapEntry,
    "unread": UnreadEntry,
    "other": OtherEntry,
}


@extend_schema_field(
    PolymorphicProxySerializer("InputEntry", serializers=KINDS, resource_type_field_name="kind", many=True)
)
class Entries(serializers.ListField):
    """What was done, in the order of time."""


class InputBody(serializers.Serializer[Any]):
    """A stretch of the session, told. Times are microseconds of the timeline."""

    session = serializers.UUIDField()
    growing = serializers.BooleanField(help_text="True while more may come: ask again from `to_us`.")
    from_us = serializers.IntegerField()
    to_us = serializers.IntegerField(help_text="How far this answer tells.")
    next_from_us = serializers.IntegerField(
        allow_null=True, help_text="Where the next stretch begins; null when all that was asked for is here."
    )
    hears = serializers.CharField(
        allow_null=True,
        help_text="Whose doing was heard: `display` everybody's; `client` only what passes through the "
        "recorder's own client, and no windows; `server` only the clipboard. null: nothing was opened.",
    )
    keys = serializers.CharField(
        allow_null=True, help_text="`masked` or `full`, as the session was recorded."
    )
    window = Window(allow_null=True, help_text="The window that has the input at `from_us`; null: not known.")
    entries = Entries()


class Input(Witnessed, ViewSet):
    """What was done, for those who may have what was recorded."""

    permission_classes = [Allowed]
    schema = Described()
    needs = {"index": "export"}
    rates = {"index": "status"}
    deeds = {"index": "session.input-read"}

    @extend_schema(
        parameters=[Wanted],
        responses={
            200: InputBody,
            (409, MEDIA_TYPE): problem(
                "LUCID_ERR_3009: it was shredded, or there is no password to open it."
            ),
            **CONFIGURATION_ERRORS,
            **ONE_SESSION_ERRORS,
        },
    )
    def index(self, request: Request, session_id: UUID) -> Response:
        """Read what was done in a stretch of a session: keys, clicks, windows, the clipboard.

        Only moves of the pointer are left out. A long session comes in stretches: go on from `next_from_us`.
        """
        session = session_of(request.user, session_id)
        part = asked(Wanted, request.query_params)
        with refused_as(SEALED):
            playback.must_be_kept(session)
            told = account.account(session, **part)
        growing = session.status not in ENDED
        # What was typed is not to stay on the disk of whoever reads it.
        body = {"session": session.pk, "growing": growing, **vars(told)}
        return Response(body, headers={"Cache-Control": UNCACHED})
