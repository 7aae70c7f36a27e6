"""Which character an X keysym of before Unicode stands for: Cyrillic, Greek, Polish and other keyboards.

Taken from X11/keysymdef.h of x11proto 2022.1, where the character is exact. Where a codec is named here, a
block follows that standard; the others are listed.
"""

from __future__ import annotations

_CODECS = {
    0x01: "iso8859_2",
    0x02: "iso8859_3",
    0x03: "iso8859_4",
    0x05: "iso8859_6",
    0x06: "koi8_u",
    0x0C: "iso8859_8",
    0x0D: "iso8859_11",
    0x13: "iso8859_15",
}
_RUNS = {
    0x47E: "‾",
    0x4A1: "。「」、・ヲァィゥェォャュョッー"
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン゛゜",
    0x6A1: "ђѓёєѕіїјљњћќґўџ№ЂЃЁЄЅІЇЈЉЊЋЌҐЎЏ",
    0x7A1: "ΆΈΉΊΪ",
    0x7A7: "ΌΎΫ",
    0x7AB: "Ώ",
    0x7AE: "΅―",
    0x7B1: "άέήίϊΐόύϋΰώ",
    0x7C1: "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣ",
    0x7D4: "ΤΥΦΧΨΩ",
    0x7E1: "αβγδεζηθικλμνξοπρσςτυφχψω",
    0x8A1: "⎷",
    0x8A4: "⌠⌡",
    0x8A7: "⎡⎣⎤⎦⎛⎝⎞⎠⎨⎬",
    0x8BC: "≤≠≥∫∴∝∞",
    0x8C5: "∇",
    0x8C8: "∼≃",
    0x8CD: "⇔⇒≡",
    0x8D6: "√",
    0x8DA: "⊂⊃∩∪∧∨",
    0x8EF: "∂",
    0x8F6: "ƒ",
    0x8FB: "←↑→↓",
    0xAA1: "\u2003\u2002\u2004\u2005\u2007\u2008\u2009\u200a—–",
    0xAAE: "…‥⅓⅔⅕⅖⅗⅘⅙⅚℅",
    0xABB: "‒",
    0xAC3: "⅛⅜⅝⅞",
    0xAC9: "™",
    0xAD0: "‘’“”℞‰′″",
    0xAD9: "✝",
    0xAEC: "♣♦♥",
    0xAF0: "✠†‡✓✗♯♭♂♀☎⌕℗‸‚„",
    0xEA1: "".join(map(chr, range(0x3131, 0x3164))),
    0xED4: "".join(map(chr, range(0x11A8, 0x11C3))),
    0x20A0: "".join(map(chr, range(0x20A0, 0x20AD))),
}
_LISTED = {first + place: one for first, run in _RUNS.items() for place, one in enumerate(run)}


def character(keysym: int) -> str | None:
    """The character of a keysym; None for those that have none, or that are not known here."""
    if keysym in _LISTED:
        return _LISTED[keysym]
    block, place = divmod(keysym, 0x100)
    if block not in _CODECS or place < 0xA0:
        return None
    found = bytes([place]).decode(_CODECS[block], "ignore")
    return found or None
