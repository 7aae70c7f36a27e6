"""What is to be read can be read, in light and dark: WCAG 2.2, 1.4.3 (texts) and 1.4.11 (fields)."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

TEXT, FIELD = 4.5, 3.0
PILL, MARK = 0.13, 0.09
Colour = tuple[float, float, float]


def colours(scheme: int) -> dict[str, Colour]:
    """The console's colours by name; scheme 0 is light, 1 dark."""
    text = Path(str(finders.find("console/console.css"))).read_text()
    found = re.findall(r"--([a-z-]+): light-dark\(#([0-9a-f]+), #([0-9a-f]+)\)", text)
    return {name: _colour(pair[scheme]) for name, *pair in found}


def _colour(text: str) -> Colour:
    whole = text if len(text) == 6 else "".join(2 * digit for digit in text)
    red, green, blue = (int(whole[place : place + 2], 16) / 255 for place in (0, 2, 4))
    return red, green, blue


def contrast(one: Colour, other: Colour) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (a * share + b * (1 - share) for a, b in zip(one, other, strict=True))
    return red, green, blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_and_fields_stand_out(scheme: int) -> None:
    known = colours(scheme)
    for name in ("ink", "soft", "blue", "green", "amber", "red"):
        for behind in ("page", "card"):
            assert contrast(known[name], known[behind]) >= TEXT, (name, behind)
    for name in ("soft", "green", "amber", "red"):
        for behind in ("page", "card"):
            pill = _mixed(known[name], known[behind], PILL)
            assert contrast(known[name], pill) >= TEXT, f"a pill that is {name} on the {behind}"
    assert contrast(known["on-blue"], known["blue"]) >= TEXT
    marked = _mixed(known["blue"], known["card"], MARK)
    for name in ("ink", "soft", "amber"):
        assert contrast(known[name], marked) >= TEXT, f"{name} in the entry at the playhead"
    for behind in ("page", "card"):
        assert contrast(known["edge"], known[behind]) >= FIELD, behind


def test_other_sheets_have_no_colours_but_these() -> None:
    sheets = Path(str(finders.find("console/console.css"))).parent.glob("*.css")
    others = [path for path in sheets if path.name not in ("console.css", "schema.css")]
    assert others
    for path in others:
        for value in re.findall(r"(?:color|background|border|outline)[a-z-]*: ([^;]+);", path.read_text()):
            words = set(re.sub(r"var\(--[a-z-]+\)", "", value).split())
            assert all(re.fullmatch(r"\d+(px|%)?|solid|none", word) for word in words), (path.name, value)
