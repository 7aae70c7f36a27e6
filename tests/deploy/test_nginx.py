"""nginx with the deployment's own files, started for real before two small APIs.

Changed in the copy that runs here: names of containers become 127.0.0.1 (they would not resolve), ports
become free ones, the secrets' directory is the test's, and `resolve` goes, which Debian's nginx 1.22 does
not know (1.27.3 and later do; the image is 1.28).
"""

import contextlib
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.deploy.parts import DEPLOY, ROOT, run, said, system_tool, tool
from tests.deploy.serving import await_ready, started
from tests.ports import free_port
from tests.waiting import PATIENCE

# A load balancer before nginx.
PROXY = "127.0.0.9"


@dataclass(frozen=True)
class Reply:
    status: int
    body: str
    location: str

    @property
    def told(self) -> dict[str, dict[str, str]]:
        """What the upstream saw."""
        return dict(json.loads(self.body))


@dataclass
class Front:
    plain: int
    secure: int
    ports: list[int]
    apis: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def get(self, path: str, **headers: str) -> Reply:
        """The reply over TLS; underscores in header names stand for hyphens."""
        # The certificate is the test's own.
        trusting = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection("127.0.0.1", self.secure, timeout=PATIENCE, context=trusting)
        return _reply(connection, path=path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def get_plain(self, path: str) -> Reply:
        return _reply(
            http.client.HTTPConnection("127.0.0.1", self.plain, timeout=PATIENCE), path=path, headers={}
        )


def _reply(connection: http.client.HTTPConnection, *, path: str, headers: dict[str, str]) -> Reply:
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return Reply(response.status, response.read().decode(), response.getheader("Location", ""))


def _copy(home: Path, *, front: Front, flower: int) -> Path:
    """The configuration's main file, in a copy that can run here."""
    shutil.copytree(DEPLOY / "nginx", home, dirs_exist_ok=True)
    system_tool("openssl", package="openssl")
    ended = run(sys.executable, DEPLOY / "make_secrets.py", "--into", home / "secrets")
    assert ended.returncode == 0, said(ended)
    upstreams = (home / "upstreams.conf").read_text().replace(" resolve", "")
    one = "server 127.0.0.1:{} max_fails=3 fail_timeout=30s;"
    several = "\n".join(one.format(port) for port in front.ports)
    upstreams = re.sub(r"server session-api:8087[^;]*;", several, upstreams)
    (home / "upstreams.conf").write_text(upstreams.replace("flower:5555", f"127.0.0.1:{flower}"))
    with (home / "trusted-proxies.conf").open("a") as trusted:
        trusted.write(f"set_real_ip_from {PROXY};\n")
    tls = (home / "tls.conf").read_text().replace("/run/secrets", str(home / "secrets"))
    (home / "tls.conf").write_text(tls)
    main = (
        (home / "nginx.conf")
        .read_text()
        .replace("/tmp/", f"{home}/")
        .replace("/dev/stdout", f"{home}/access.log")
    )
    main = main.replace("listen 8080", f"listen 127.0.0.1:{front.plain}")
    (home / "nginx.conf").write_text(main.replace("listen 8443", f"listen 127.0.0.1:{front.secure}"))
    return home / "nginx.conf"


@contextlib.contextmanager
def _nginx(home: Path) -> Iterator[Front]:
    nginx = tool("nginx", package="nginx-light")
    front = Front(plain=free_port(), secure=free_port(), ports=[free_port(), free_port()])
    flower = free_port()
    main = _copy(home, front=front, flower=flower)
    checked = run(nginx, "-t", "-c", main)
    assert checked.returncode == 0, said(checked)
    with contextlib.ExitStack() as stack:
        upstreams = [("one", front.ports[0]), ("two", front.ports[1]), ("flower", flower)]
        front.apis = [stack.enter_context(_upstream(name, port=port, home=home)) for name, port in upstreams]
        log = home / "nginx.log"
        program = stack.enter_context(started(nginx, "-c", main, "-g", "daemon off;", log=log))
        await_ready(lambda: _healthy(front), program=program, log=log)
        yield front


@contextlib.contextmanager
def _upstream(name: str, *, port: int, home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    log = home / f"{name}.log"
    script = ROOT / "tests/deploy/upstream.py"
    with started(sys.executable, script, name, str(port), log=log) as program:
        await_ready(lambda: _accepts(port), program=program, log=log)
        yield program


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _healthy(front: Front) -> bool:
    with contextlib.suppress(OSError):
        return front.get_plain("/nginx-health").status == 200
    return False


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with _nginx(tmp_path_factory.mktemp("nginx")) as running:
        yield running


def test_plain_http_is_sent_to_https(front: Front) -> None:
    reply = front.get_plain("/api/v1/sessions?limit=3")
    assert (reply.status, reply.location) == (308, "https://127.0.0.1/api/v1/sessions?limit=3")


def test_the_api_answers_over_tls_from_both_processes(front: Front) -> None:
    assert {str(front.get("/api/v1/sessions").told["name"]) for _ in range(8)} == {"one", "two"}


def test_the_clients_address_cannot_be_forged(front: Front) -> None:
    headers = front.get("/api/v1/sessions", X_Forwarded_For="203.0.113.9", X_Real_IP="203.0.113.9").told[
        "headers"
    ]
    assert (headers["X-Forwarded-For"], headers["X-Real-IP"]) == ("127.0.0.1", "127.0.0.1")
    assert headers["X-Forwarded-Proto"] == "https"


def test_a_proxy_that_is_listed_is_believed_about_its_client(front: Front) -> None:
    trusting = ssl._create_unverified_context()  # noqa: S323 - the certificate is the test's own
    listed = http.client.HTTPSConnection(
        "127.0.0.1", front.secure, timeout=PATIENCE, context=trusting, source_address=(PROXY, 0)
    )
    told = _reply(listed, path="/", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}).told["headers"]
    assert told["X-Forwarded-For"] == "203.0.113.9"


def test_browsers_speak_http_2_with_it(front: Front) -> None:
    curl = system_tool("curl", package="curl")
    asked = ("--http2", "--insecure", "--silent", "--output", "/dev/null", "--write-out")
    told = run(
        curl, *asked, "%{http_version} %{http_code}", f"https://127.0.0.1:{front.secure}/api/v1/sessions"
    )
    assert told.stdout == "2 200"


@pytest.mark.parametrize(
    "path",
    [
        "sessions/7/playback.m3u8",
        "sessions/7/posters/8.webp",
        "audit/export.csv",
        "audit/export.ndjson",
    ],
)
def test_what_is_decrypted_or_long_is_passed_on_as_it_comes(path: str, front: Front) -> None:
    trusting = ssl._create_unverified_context()  # noqa: S323 - the certificate is the test's own
    player = http.client.HTTPSConnection("127.0.0.1", front.secure, timeout=PATIENCE, context=trusting)
    with contextlib.closing(player):
        player.request("GET", f"/api/v1/{path}")
        answer = player.getresponse()
        assert answer.read(4) == b"half"
        # Whichever of the two it is that waits with the rest.
        for port in front.ports:
            _reply(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE), path="/go-on", headers={})
        assert answer.read() == b"rest"


def test_no_answer_lies_in_a_file_while_its_client_is_slow(tmp_path: Path) -> None:
    trusting = ssl._create_unverified_context()  # noqa: S323 - the certificate is the test's own
    with _nginx(tmp_path) as front:
        slow = http.client.HTTPSConnection("127.0.0.1", front.secure, timeout=PATIENCE, context=trusting)
        with contextlib.closing(slow):
            slow.request("GET", "/much")
            answer = slow.getresponse()
            time.sleep(1)
            assert len(answer.read()) == 32 << 20
    assert "temporary file" not in (tmp_path / "nginx.log").read_text()


def test_a_request_id_of_the_client_is_kept_and_nonsense_is_replaced(front: Front) -> None:
    assert front.get("/", X_Request_ID="client-0001").told["headers"]["X-Request-ID"] == "client-0001"
    assert re.fullmatch(r"[0-9a-f]{32}", front.get("/", X_Request_ID='a"b').told["headers"]["X-Request-ID"])


def test_a_range_reaches_the_api_on_playback(front: Front) -> None:
    reply = front.get("/api/v1/sessions/7/segments/1", Range="bytes=0-99")
    assert reply.told["headers"]["Range"] == "bytes=0-99"


@pytest.mark.parametrize("path", ["/metrics", "/health/ready", "/health/startup"])
def test_what_is_for_prometheus_and_probes_is_not_reached_from_outside(path: str, front: Front) -> None:
    assert front.get(path).status == 404


def test_flower_is_seen_by_those_whom_the_api_lets(front: Front) -> None:
    reply = front.get("/flower/workers", Cookie="may")
    assert (reply.status, reply.told["name"], reply.told["path"]) == (200, "flower", "/flower/workers")


@pytest.mark.parametrize(("cookie", "status"), [("may-not", 403), ("broken", 403), ("", 302)])
def test_flower_is_not_seen_by_anybody_else(cookie: str, status: int, front: Front) -> None:
    assert front.get("/flower/", Cookie=cookie).status == status


def test_the_question_to_the_api_cannot_be_asked_from_outside(front: Front) -> None:
    assert front.get("/_may-see-flower", Cookie="may").status == 404


def test_a_flood_of_logins_is_refused(front: Front) -> None:
    assert 429 in {front.get("/api/v1/auth/token").status for _ in range(30)}


def test_no_request_fails_when_one_api_process_is_killed_under_load(tmp_path: Path) -> None:
    with _nginx(tmp_path) as front, ThreadPoolExecutor(4) as clients:
        replies = [clients.submit(front.get, "/api/v1/sessions") for _ in range(120)]
        # Killed only once both have answered, and with many requests still to come.
        names = {str(reply.result().told["name"]) for reply in replies[:30]}
        front.apis[0].kill()
        assert names == {"one", "two"}
        assert {reply.result().status for reply in replies} == {200}
        assert {str(front.get("/api/v1/sessions").told["name"]) for _ in range(5)} == {"two"}


def test_the_log_is_json_and_has_no_query_string(tmp_path: Path) -> None:
    with _nginx(tmp_path) as front:
        front.get("/api/v1/sessions?token=do-not-keep-this")
    lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    assert "/api/v1/sessions" in {line["path"] for line in lines}
    assert "do-not-keep-this" not in (tmp_path / "access.log").read_text()
