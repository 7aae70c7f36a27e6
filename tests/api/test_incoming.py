"""What the server hands over reaches the views whole, whatever its headers say or leave out."""

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory

from lucid_sessions.access.incoming import Incoming
from lucid_sessions.access.turns import AT_ONCE, Turns
from lucid_sessions.recordings.installation import Installation
from tests.waiting import PATIENCE

from .people import client_of, person

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1/sessions"
MOST = 4096
Answer = tuple[int, dict[str, str], Any]


class Dribble(io.BytesIO):
    """A body that arrives two bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(2 if size is None or size < 0 else min(size, 2))


@pytest.fixture
def ask(world: Installation, settings: Any) -> Callable[..., Answer]:
    """A function that asks the application as a server does: the path, the method and what is sent."""
    assert world.spool.identity
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = MOST
    application = Incoming(WSGIHandler())
    token = client_of(person("session_manager"))._credentials["HTTP_AUTHORIZATION"]

    def asked(path: str, *, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        environ = RequestFactory().generic(method, path, HTTP_AUTHORIZATION=token).environ
        environ |= {"wsgi.input": body or Dribble(b""), **headers}
        said: dict[str, Any] = {}
        answer = application(environ, lambda status, sent: said.update(status=status, headers=dict(sent)))
        content = b"".join(answer)
        return int(said["status"][:3]), said["headers"], json.loads(content or b"null")

    return asked


def created(ask: Callable[..., Answer]) -> str:
    body = json.dumps({"name": "n", "source": {"kind": "synthetic"}}).encode()
    status, _, session = ask(URL, method="POST", body=Dribble(body), CONTENT_TYPE="application/json")
    assert status == 201, session
    return f"{URL}/{session['id']}"


UNSAID: list[dict[str, str]] = [
    {"HTTP_TRANSFER_ENCODING": "chunked"},
    {"SERVER_PROTOCOL": "HTTP/2"},
    {"CONTENT_LENGTH": ""},
    {"method": "patch"},  # to Django it is one in any case
]


@pytest.mark.parametrize("more", UNSAID)
def test_a_body_of_unsaid_length_is_read(ask: Callable[..., Answer], more: dict[str, str]) -> None:
    said = {"method": "PATCH", "CONTENT_TYPE": "application/json", **more}
    status, _, session = ask(created(ask), body=Dribble(b'{"description": "in pieces"}'), **said)
    assert (status, session["description"], session["version"]) == (200, "in pieces", 2)


def test_a_body_of_unsaid_length_may_be_empty(ask: Callable[..., Answer]) -> None:
    status, _, body = ask(f"{created(ask)}/start", method="POST", HTTP_TRANSFER_ENCODING="chunked")
    assert status in (200, 503), body


@pytest.mark.parametrize("said", [True, False])
def test_a_body_that_is_too_large_is_413_and_not_read_to_its_end(
    ask: Callable[..., Answer], said: bool
) -> None:
    text = json.dumps({"name": "n" * 10 * MOST, "source": {"kind": "synthetic"}}).encode()
    body, more = Dribble(text), {"CONTENT_LENGTH": str(len(text))} if said else {}
    status, headers, answer = ask(URL, method="POST", body=body, CONTENT_TYPE="application/json", **more)
    assert (status, answer["code"]) == (413, "LUCID_ERR_1013")
    assert headers["Content-Type"] == "application/problem+json"
    assert str(MOST) in answer["detail"]
    assert body.tell() < 2 * MOST


CHARSETS = [
    "zlib",
    "rot13",
    "bz2",
    "hex",
    "uu",
    "punycode",
    "undefined",
    "utf-16",
    "utf-8",
    '"',
    "x" * 20_000,
]


@pytest.mark.parametrize("path", [f"{URL}?limit=1", "/health/live?x=1"])
def test_no_charset_keeps_a_query_from_being_read(ask: Callable[..., Answer], path: str) -> None:
    for charset in CHARSETS:
        for parameter in (
            f"charset={charset}",
            f"CHARSET={charset}",
            f"charset*={charset}''x",
            f"x*={charset}''x",
        ):
            status, headers, body = ask(path, CONTENT_TYPE=f"text/plain; {parameter}")
            assert (status, "X-Request-ID" in headers) == (200, True), (parameter[:40], body)


def test_json_is_utf_8_whatever_its_charset_says(ask: Callable[..., Answer]) -> None:
    one, text = created(ask), json.dumps({"description": "größer"}, ensure_ascii=False)
    for charset in ("utf-8", "iso-8859-1", "punycode"):
        kind = f"application/json; charset={charset}"
        status, _, body = ask(one, method="PATCH", body=Dribble(text.encode()), CONTENT_TYPE=kind)
        assert (status, body["description"]) == (200, "größer"), charset
    body = Dribble(text.encode("latin-1"))
    status, _, _ = ask(one, method="PATCH", body=body, CONTENT_TYPE="application/json; charset=latin-1")
    assert status == 400


def test_nobody_waits_for_who_sends_slowly() -> None:
    begun, done = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            begun.set()
            done.wait(PATIENCE)
            return b""

    # Nobody else would get in, were it waited for in a turn.
    turns = Turns(lambda _environ, _start: [b"done"], patience=10 * PATIENCE)
    application = Incoming(turns)
    senders = [
        threading.Thread(target=application, args=({"REQUEST_METHOD": "POST", "wsgi.input": Slow()}, None))
        for _ in range(AT_ONCE)
    ]
    for one in senders:
        one.start()
    assert begun.wait(PATIENCE)
    assert application({"REQUEST_METHOD": "GET"}, None) == [b"done"]
    done.set()
    for one in senders:
        one.join()


@pytest.mark.parametrize("boundary", ["b", '"b"', "b; charset=zlib"])
def test_a_form_keeps_its_boundary(boundary: str) -> None:
    seen: dict[str, Any] = {}
    application = Incoming(lambda environ, _start: seen.update(environ) or [])
    application(
        {"REQUEST_METHOD": "GET", "CONTENT_TYPE": f"multipart/form-data; boundary={boundary}"},
        lambda *_: None,
    )
    assert seen["CONTENT_TYPE"] == "multipart/form-data; boundary=b"
