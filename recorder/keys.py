"""What a key is called in the input track, and which keys are never named.

A key is named only when it is known to print nothing; every other one is a dot unless the policy says
`full`. So a keyboard that we do not know, or that changes while somebody types, hides too much, never too
little.
"""

from __future__ import annotations

import re
from typing import Literal

from recorder.keysyms import character

InputPolicy = Literal["none", "masked", "full"]
MASK = "•"
MODIFIERS = ("Shift", "Lock", "Control", "Alt", "Mod2", "Mod3", "Super", "AltGr")  # bits 0 to 7 of a state
SHIFT, LOCK, CONTROL, ALT, SUPER, ALT_GR = 1, 2, 4, 8, 64, 128

_NAMES = {
    0xFF08: "BackSpace",
    0xFF09: "Tab",
    0xFF0A: "Linefeed",
    0xFF0B: "Clear",
    0xFF0D: "Return",
    0xFF13: "Pause",
    0xFF14: "Scroll_Lock",
    0xFF15: "Sys_Req",
    0xFF1B: "Escape",
    0xFF50: "Home",
    0xFF51: "Left",
    0xFF52: "Up",
    0xFF53: "Right",
    0xFF54: "Down",
    0xFF55: "Page_Up",
    0xFF56: "Page_Down",
    0xFF57: "End",
    0xFF61: "Print",
    0xFF63: "Insert",
    0xFF67: "Menu",
    0xFF6B: "Break",
    0xFF7F: "Num_Lock",
    0xFF8D: "KP_Enter",
    0xFFFF: "Delete",
    0xFE03: "AltGr",
    0xFE20: "Tab",  # with shift
    0xFF7E: "AltGr",
    0xFFE1: "Shift",
    0xFFE2: "Shift",
    0xFFE3: "Control",
    0xFFE4: "Control",
    0xFFE5: "Caps_Lock",
    0xFFE6: "Shift_Lock",
    0xFFE7: "Meta",
    0xFFE8: "Meta",
    0xFFE9: "Alt",
    0xFFEA: "Alt",
    0xFFEB: "Super",
    0xFFEC: "Super",
    0xFFED: "Hyper",
    0xFFEE: "Hyper",
    **{0xFFBE + number: f"F{number + 1}" for number in range(24)},
}
_UNICODE = 0x01000000
# Half a character: whoever sits at a display may give a key such a symbol, and no text can hold it.
_SURROGATES = range(0xD800, 0xE000)

# Windows that ask for a secret: what is typed into them is never kept, whatever the policy.
_SECRET_CLASS = re.compile(
    r"pinentry|askpass|polkit|gksu|kdesu|kwallet|keepass|seahorse|greeter"
    r"|screensaver|i3lock|slock|light-locker|screenlocker",
    re.IGNORECASE,
)
_SECRET_TITLE = re.compile(
    r"password|passphrase|passwort|mot de passe|contraseñ|\bpin\b|credential|authenticat|unlock",
    re.IGNORECASE,
)


def silent_name(keysym: int) -> str | None:
    """The name of a key that prints nothing; None for any other."""
    return _NAMES.get(keysym)


def printed(keysym: int) -> str:
    """What a key prints, for the policy `full`: one character, or the number of the symbol."""
    if 0x20 <= keysym <= 0x7E or 0xA0 <= keysym <= 0xFF:
        return chr(keysym)
    if _UNICODE < keysym <= _UNICODE + 0x10FFFF and keysym - _UNICODE not in _SURROGATES:
        return chr(keysym - _UNICODE)
    if 0xFFAA <= keysym <= 0xFFB9:  # the keypad: its symbols follow ASCII
        return chr(keysym - 0xFF80)
    return character(keysym) or (f"0x{keysym:x}" if keysym else MASK)


def is_command(state: int) -> bool:
    """Whether the modifiers make a printing key a command, as in Control-C, that enters no text.

    Control and Alt together are AltGr on many keyboards and remote desktops: then the key may print.
    """
    held = state & (CONTROL | ALT | SUPER)
    return held in (CONTROL, SUPER, CONTROL | SUPER) and not state & ALT_GR


def modifiers(state: int) -> list[str]:
    """The names of the modifiers held down; the locks are not among them."""
    return [name for bit, name in enumerate(MODIFIERS) if state >> bit & 1 and bit not in (1, 4, 5)]


def asks_for_secret(title: str, window_class: str) -> bool:
    """Whether a window is known to ask for a password."""
    return bool(_SECRET_CLASS.search(window_class) or _SECRET_TITLE.search(title))
