"""The harness can fail: with any one of the engine's safeguards taken out, it turns red."""

from collections.abc import Callable

import pytest

from tests.faults import ground as grounds
from tests.faults import test_messages, test_power, test_sealers
from tests.faults.forks import run_forked
from tests.faults.ground import Ground
from tests.faults.mutants import MUTANTS
from tests.programs import needed

pytestmark = pytest.mark.django_db(transaction=True)


def _power(ground: Ground) -> None:
    # This one shows only in the order of system calls.
    test_power.test_a_stored_blob_survives_and_no_half_blob_is_ever_seen(ground, needed("strace"))


# What shows each mutant for what it is.
SHOWN_BY: dict[str, Callable[[Ground], None]] = {
    "no-file-fsync": _power,
    "no-directory-fsync": _power,
    "no-compare-and-set": test_messages.test_a_zombie_neither_commits_nor_quarantines,
    "no-fence": test_messages.test_a_zombie_neither_commits_nor_quarantines,
    "no-reconciler": test_messages.test_messages_that_come_again_and_out_of_order_count_once,
    "select-before-apply": test_sealers.test_a_sealer_killed_between_its_commits_enters_no_leaf_twice,
}


def test_every_mutant_has_a_trial_that_shows_it() -> None:
    assert set(SHOWN_BY) == set(MUTANTS)


@pytest.mark.parametrize("mutant", SHOWN_BY)
def test_each_mutant_turns_the_harness_red(ground: Ground, mutant: str) -> None:
    said = ground.home / "said"
    if SHOWN_BY[mutant] is _power:
        needed("strace")  # asked here: a child that is forked cannot skip the test

    def trial() -> None:
        grounds.be_brief()
        MUTANTS[mutant]()
        try:
            SHOWN_BY[mutant](ground)
        except AssertionError as error:
            said.write_text(str(error))

    run_forked(trial)
    assert said.read_text().startswith(f"seed {grounds.SEED}, ")
