"""A wall clock that jumps while a desktop is recorded moves nothing, and the step is told."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recorder.spool import Spool
from tests.programs import lacking
from tests.waiting import PATIENCE

from .stage import ROOT, assert_gapless, segments

LIBRARIES = ("usr/lib/*/faketime/libfaketimeMT.so.1", "usr/lib/faketime/libfaketimeMT.so.1")
# Waits in select: libfaketime breaks a sleep that a jump meets.
RECORD = """
import select, sys, uuid
from pathlib import Path
import numpy as np
from recorder.clock import Timeline
from recorder.screen import Segmenter
from recorder.settings import Settings
from recorder.spool import Spool
from recorder.take import Take

spool, clock, jump = sys.argv[1:]
take = Take(Spool(Path(spool)), uuid.uuid4(), take=1)
timeline = Timeline.starting_now()
take.begin(timeline, host="here")
segmenter = Segmenter(take, Settings(frame_rate=10, quality="low", segment_seconds=0.5))
pushed = []
for number in range(20):
    if number == 10:
        Path(clock).write_text(jump)
    pushed.append(timeline.now_us())
    segmenter.push(np.full((64, 64, 4), number * 9, np.uint8), pushed[-1])
    select.select([], [], [], 0.1)
ended = timeline.now_us()
take.close(segmenter.close(ended), reason="stopped", ending="ended")
print(timeline.wall_step_ms(), pushed[0], ended)
"""


@pytest.mark.parametrize(("jump", "seconds"), [("+1h", 3600), ("-2d", -172_800)])
def test_a_clock_that_jumps_moves_nothing_and_is_told(tmp_path: Path, jump: str, seconds: int) -> None:
    found = [path for pattern in LIBRARIES for path in Path("/").glob(pattern)]
    if not found:
        lacking("libfaketime is not installed: install the Debian package faketime.")
    clock, spool = tmp_path / "clock", Spool(tmp_path / "spool")
    clock.write_text("+0")
    false = {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    began = time.monotonic()
    argv = [sys.executable, "-c", RECORD, str(spool.root), str(clock), jump]
    done = subprocess.run(
        argv, env=os.environ | false, cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    lasted_us = (time.monotonic() - began) * 1_000_000
    step_ms, first_us, ended_us = map(int, done.stdout.split())
    assert abs(step_ms - seconds * 1000) < 2000
    assert 0 <= first_us < ended_us < lasted_us
    ((_, _, directory),) = spool.takes()
    names = [name for _, name in segments(spool, directory)]
    assert_gapless(names)
    assert abs(names[0].start_us - first_us) < 25  # microseconds: a tick
    assert abs(names[-1].end_us - ended_us) < 25
    assert ended_us - first_us > 1_900_000
    # The wall clock in their names is what it was then, steps and all.
    assert abs(names[-1].wall_ms - names[0].wall_ms - seconds * 1000) < 60_000
