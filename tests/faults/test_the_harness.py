"""The harness can fail: with any one of the engine's safeguards taken out, it turns red."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.mutants import MUTANTS
from tests.programs import needed

# What shows each mutant for what it is.
SHOWN_BY = {
    "no-file-fsync": "test_power.py",
    "no-directory-fsync": "test_power.py",
    "no-compare-and-set": "test_messages.py::test_a_zombie_neither_commits_nor_quarantines",
    "no-fence": "test_messages.py::test_a_zombie_neither_commits_nor_quarantines",
    "no-reconciler": "test_messages.py::test_messages_that_come_again_and_out_of_order_count_once",
    "select-before-apply": "test_sealers.py::test_a_sealer_killed_between_its_commits_enters_no_leaf_twice",
}


def test_every_mutant_has_a_trial_that_shows_it() -> None:
    assert set(SHOWN_BY) == set(MUTANTS)


@pytest.mark.timeout(400)
def test_each_mutant_turns_the_harness_red() -> None:
    needed("strace")  # two of them show only in the order of system calls
    with ThreadPoolExecutor(max_workers=3) as at_once:
        assert [problem for problem in at_once.map(_problem_with, SHOWN_BY) if problem] == []


def _problem_with(mutant: str) -> str:
    env = os.environ | {"LUCID_FAULTS_MUTANT": mutant, "LUCID_FAULTS": "brief", "LUCID_FAULTS_DRAIN": "1"}
    env.pop("LUCID_FAULTS_RESULTS", None)
    env.pop("LUCID_TEST_DATABASE", None)
    # Each makes a test database: files of their own, where a server would have one for all three.
    env.pop("MONGODB_URL", None)
    # Tables straight from the models: what migrations add to them (roles, for one) no mutant needs.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "--nomigrations",
        f"tests/faults/{SHOWN_BY[mutant]}",
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 1:
        return f"{mutant} went unnoticed:\n{done.stdout[-2000:]}{done.stderr[-1000:]}"
    if "AssertionError: seed" not in done.stdout:
        return f"{mutant}: red for another reason:\n{done.stdout[-3000:]}"
    return ""
