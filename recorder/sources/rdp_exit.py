"""Why xfreerdp ended, in words that tell an operator what to do, and whether to connect again.

FreeRDP 2 and 3 number alike, but for two: of a connection that breaks 2 says 131 and 3 says 147, and told
to end (SIGTERM) 2 dies of the signal and 3 exits with 145.
"""

from __future__ import annotations

import re
import signal
from contextlib import suppress

from recorder.errors import BadSource, RecorderError, SourceAway, SourceLost, SourceOver

_NAMES = re.compile(r"\b(?:ERRCONNECT|ERRINFO|ERRBASE|STATUS|SEC_E)_[A-Z0-9_]+")
TAKEN_OVER = 5
# How NLA servers other than Windows refuse a password, and how a connection breaks: wrong at the first
# attempt, worth another where the same password has worked before.
CUT_OFF = 147
TOLD_TO_END = 145
# While logging on (client/X11/xfreerdp.h).
REFUSED = {
    132: "refused the user name or the password",
    134: "refused the user name or the password",
    154: "refused the password",
    135: "has locked the account",
    148: "says that the password has expired",
    149: "wants the password to be changed first",
    152: "says that the password has expired",
    151: "has disabled the account",
    157: "says that the account has expired",
    155: "denies access to this account",
    144: "denies access: the account lacks the right to log on remotely",
    9: "denies access: the account lacks the right to log on remotely",
    156: "denies access: restrictions of the account",
    158: "does not grant this kind of logon",
    7: "denies the connection",
    142: "refused the connection's settings",
    143: "showed another certificate than a moment before",
}
# Once connected: what the server says in a Set Error Info PDU (MS-RDPBCGR 2.2.5.1.1).
ENDED = {
    1: "an administrator disconnected the session",
    2: "an administrator logged the session off",
    3: "the server's limit for idle sessions was reached",
    4: "the server's limit for the length of sessions was reached",
    11: "the user disconnected the session",
    12: "the session was logged off or its desktop ended",
}


def why_ended(code: int, output: str, *, place: str, connected: bool) -> RecorderError:
    """The error to raise for an exit code and the client's last output, of which only names are repeated."""
    named = _NAMES.findall(output)
    detail = f" ({named[-1]})" if named else ""
    if code == TAKEN_OVER or "ERRINFO_DISCONNECTED_BY_OTHER_CONNECTION" in named:
        return BadSource(
            f"Another logon took over the session on {place}. Recording does not take it back; "
            "record that logon instead."
        )
    if code < 0:
        return SourceLost(f"The RDP client for {place} was killed by {_signal(-code)}.")
    if connected:
        if code == TOLD_TO_END:
            return SourceLost(f"The RDP client for {place} was told to end.")
        if code in ENDED:
            return SourceOver(f"{place}: {ENDED[code]}")
        return SourceLost(f"{place} ended the connection (xfreerdp exit code {code}){detail}.")
    if code in REFUSED:
        return BadSource(f"{place} {REFUSED[code]}{detail}. Nothing is tried again by itself.")
    if code == CUT_OFF:
        return SourceAway(
            f"{place} ended the connection while logging on{detail}, "
            "as servers do when user name or password are wrong."
        )
    return SourceAway(f"{place} could not be logged on to: xfreerdp exit code {code}{detail}.")


def _signal(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
