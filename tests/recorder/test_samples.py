"""What changed from picture to picture is looked at once, in the rows that may have changed."""

import numpy as np
import pytest

from recorder.samples import Samples


def test_the_part_that_changed_is_told_and_what_was_sampled_before_stays_as_it_was() -> None:
    samples, picture = Samples(), np.zeros((160, 320, 4), dtype=np.uint8)
    first = samples.look(picture)
    assert first.changed == 1.0
    picture[40:80, :, 1] = 9
    second = samples.look(picture, (37, 83))
    assert second.changed == pytest.approx(0.25)
    picture[..., 3] = 77  # the unused byte
    third = samples.look(picture)
    assert third.changed == 0.0
    assert third.sample is second.sample
    assert not first.sample.any()
    assert np.count_nonzero(second.sample) == second.sample.size // 4
    assert samples.look(np.zeros((80, 80, 4), dtype=np.uint8)).changed == 1.0


@pytest.mark.parametrize("rows", [(0, 0), (1, 8), (41, 47), (160, 160)])
def test_rows_without_a_sample_change_nothing(rows: tuple[int, int]) -> None:
    samples, picture = Samples(), np.zeros((160, 320, 4), dtype=np.uint8)
    samples.look(picture)
    picture[rows[0] : rows[1], :, 1] = 9
    assert samples.look(picture, rows).changed == 0.0
