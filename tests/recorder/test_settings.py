"""Settings out of range are refused in one line that says what to choose."""

import pytest

from recorder.errors import BadSettings
from recorder.settings import Settings


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"frame_rate": 0}, "Frame rate 0 is out of range. Choose 1 to 60"),
        ({"frame_rate": 500}, "Frame rate 500 is out of range. Choose 1 to 60"),
        ({"frame_rate": 29.97}, "no whole number"),
        ({"frame_rate": True}, "out of range"),
        ({"width": 4}, "Width 4"),
        ({"height": 100_000}, "Height 100000"),
        ({"quality": "best"}, "low, medium, high, ultra"),
        ({"segment_seconds": 0}, "Segment length"),
        ({"maximum_seconds": 0}, "Maximum duration 0"),
        ({"maximum_seconds": float("nan")}, "Maximum duration nan"),
    ],
)
def test_a_setting_out_of_range_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        Settings(**wrong)  # type: ignore[arg-type]


def test_settings_survive_the_way_to_the_child() -> None:
    settings = Settings(frame_rate=12, width=640, height=480, quality="ultra", maximum_seconds=5)
    assert Settings.from_json(settings.to_json()) == settings


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(BadSettings, match="frames_per_fortnight"):
        Settings.from_json({"frames_per_fortnight": 1})
