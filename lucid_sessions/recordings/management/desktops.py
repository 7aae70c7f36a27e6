"""Another machine's desktop on the command line: whose certificate it is, and a password that nobody sees."""

import sys
from dataclasses import replace
from getpass import getpass
from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.errors import Refused
from recorder.sources.target import Target, fingerprint_of, parse

KINDS = ("rdp", "vnc", "rtsp")


def add_arguments(parser: CommandParser) -> None:
    """What says which server is meant and how its password comes."""
    desktop = parser.add_argument_group("other machines (rdp://user@host, vnc://host, rtsp://host)")
    desktop.add_argument("--fingerprint", default="", help="SHA-256 of the RDP server's certificate")
    desktop.add_argument("--ignore-cert", action="store_true", help="accept any; written into the evidence")
    desktop.add_argument("--domain", default="", help="of the user, for RDP")
    desktop.add_argument(
        "--password-stdin",
        action="store_true",
        help="the password is the first line of the input",
    )


def is_desktop(source: str) -> bool:
    """Whether a source is another machine's desktop."""
    return source.partition(":")[0].lower() in KINDS


def target_of(source: str, options: dict[str, Any]) -> Target:
    """The desktop that is meant; `BadSource` naming what is wrong with it."""
    target = parse(source)
    given = {"fingerprint": fingerprint_of(options["fingerprint"]), "domain": options["domain"]}
    if options["ignore_cert"]:
        given["ignore_cert"] = True
    target = replace(target, **{name: value for name, value in given.items() if value})
    return parse(target.url)


def password_for(target: Target, options: dict[str, Any]) -> str:
    """The password: from standard input, or asked for on the terminal; Refused where there is neither."""
    if target.kind == "rtsp" and not target.username:
        return ""
    if options["password_stdin"]:
        return sys.stdin.readline().rstrip("\r\n")
    if sys.stdin.isatty():
        user = f"{target.username}@" if target.username else ""
        empty = " (empty: none)" if target.kind == "vnc" else ""
        return getpass(f"Password of {user}{target.place}{empty}: ")
    if target.kind == "vnc":
        return ""
    raise Refused(
        f"The password of {target.username} on {target.place} is needed and there is no terminal to ask on: "
        "give --password-stdin and write it to standard input."
    )
