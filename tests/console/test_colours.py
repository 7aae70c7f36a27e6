"""What a browser shows of a recorded screen has the colours that the screen had."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder.clock import Timeline
from recorder.export import write_mp4
from recorder.screen import Segmenter
from recorder.settings import Settings
from recorder.spool import Spool
from recorder.take import Take
from tests.recorder.stage import WHOLE, segments

PATCH, HEIGHT = 40, 80
COLOURS = [
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (128, 128, 128),
    (255, 255, 255),
    (200, 100, 50),
    (30, 60, 220),
]
NEAR = 4  # of 255: what eight bits of luma and chroma leave of a colour
SHOWN = """
async ([video, colours]) => {
  const shown = document.createElement("video");
  shown.src = "data:video/mp4;base64," + video;
  await new Promise((done) => { shown.onloadeddata = done; });
  shown.currentTime = 0.4;
  await new Promise((done) => { shown.onseeked = done; });
  const canvas = document.createElement("canvas").getContext("2d");
  // A picture that was sought may be there a moment later: until then there is no red in the first patch.
  const until = performance.now() + 60000;
  while (canvas.getImageData(20, 40, 1, 1).data[0] === 0 && performance.now() < until) {
    canvas.drawImage(shown, 0, 0);
    await new Promise((done) => { setTimeout(done, 20); });
  }
  return [...Array(colours).keys()]
    .map((n) => [...canvas.getImageData(n * 40 + 20, 40, 1, 1).data].slice(0, 3));
}
"""


@pytest.mark.parametrize("quality", ["low", "high", "ultra"])
def test_colours_of_a_screen_are_those_that_the_browser_shows(
    quality: Any, page: Any, tmp_path: Path
) -> None:
    video = tmp_path / "screen.mp4"
    write_mp4(video, (path.read_bytes() for path in recorded(tmp_path / "spool", quality)))
    shown = page.evaluate(SHOWN, [base64.b64encode(video.read_bytes()).decode(), len(COLOURS)])
    assert np.abs(np.array(shown) - np.array(COLOURS)).max() <= NEAR, shown


def recorded(root: Path, quality: Any) -> list[Path]:
    """The segments of a screen of patches."""
    picture = np.zeros((HEIGHT, PATCH * len(COLOURS), 4), np.uint8)
    for number, (red, green, blue) in enumerate(COLOURS):
        picture[:, PATCH * number : PATCH * (number + 1), :3] = blue, green, red
    spool = Spool(root)
    take = Take(spool, WHOLE, take=1)
    take.begin(Timeline.starting_now(), host="here")
    segmenter = Segmenter(take, Settings(quality=quality))
    for tick in range(5):
        segmenter.push(picture, tick * 100_000)
    segmenter.close(500_000)
    return [path for path, _ in segments(spool, take.directory)]
