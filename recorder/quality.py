"""The qualities of a picture: which encoder makes it, and how."""

from __future__ import annotations

from dataclasses import dataclass

# Primaries, transfer, matrix (ITU-T H.273) and range (FFmpeg's numbers: 1 video's, 2 all values).
# BT.601's matrix weighs red, green and blue more evenly than BT.709's, so a screen keeps more (decision 32).
BT601, SRGB = (1, 1, 6, 1), (1, 13, 0, 2)


@dataclass(frozen=True)
class Preset:
    """One quality: encoder, its options, the pixels that it takes and what their numbers mean."""

    encoder: str
    pixels: str
    options: dict[str, str]
    search: str = ""
    more: str = ""
    colours: tuple[int, int, int, int] = BT601


PRESETS = {
    "low": Preset("libx264", "yuv420p", {"preset": "ultrafast", "crf": "30"}),
    "medium": Preset("libx264", "yuv420p", {"preset": "superfast", "crf": "26"}),
    # Letters are as fine as what surrounds them, and less of what is little is left out than by default: a
    # picture is encoded when it changes, and not thirty times a second. A tenth more bytes of what moves.
    "high": Preset(
        "libx264",
        "yuv420p",
        {"preset": "veryfast", "crf": "18"},
        search="me=dia:subme=1:partitions=i8x8,i4x4",
        more="deadzone-inter=15:deadzone-intra=8:aq-strength=0.7",
    ),
    # Red, green and blue as they are: any conversion to luma and chroma would lose some of the screen.
    "ultra": Preset("libx264rgb", "bgr0", {"preset": "ultrafast", "qp": "0"}, colours=SRGB),
}
