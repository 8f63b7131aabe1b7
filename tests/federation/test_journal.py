"""What a run has done survives, and cannot be mistaken for something else."""

import sqlite3
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from fedpet.errors import StoreError
from fedpet.federation.journal import Closed, Journal, digest_of


def closed(value: float) -> Closed:
    return Closed(arrays={"sum": np.array([value])}, sites={"nice": "ok"}, seconds=0.1)


def test_a_closed_step_is_found_again_after_reopening(tmp_path):
    """Resume is replay: a closed step gives the same sum without asking anybody."""
    asked = digest_of("cox", ("nice",), {}, {})
    with Journal(tmp_path) as journal:
        journal.record("fold-0/newton-01", asked=asked, closed=closed(2.5))
    with Journal(tmp_path) as journal:
        again = journal.recall("fold-0/newton-01", asked=asked)
    assert again is not None
    assert again.arrays["sum"].tolist() == [2.5]
    assert again.sites == {"nice": "ok"}


def test_an_open_step_is_not_found(tmp_path):
    """A step that was not closed must be asked."""
    with Journal(tmp_path) as journal:
        assert journal.recall("fold-0/newton-01", asked="x") is None


def test_a_step_closed_for_another_question_stops_the_run(tmp_path):
    """A changed plan must not be answered with the sums of the old one."""
    with Journal(tmp_path) as journal:
        journal.record("enrol", asked="one", closed=closed(1.0))
        with pytest.raises(StoreError, match="another question"):
            journal.recall("enrol", asked="two")


def test_a_file_that_is_no_journal_is_named(tmp_path):
    """A damaged file ends in an error that says what to do."""
    (tmp_path / "journal.db").write_bytes(b"not a database at all, but long enough" * 40)
    with pytest.raises(StoreError, match="journal"):
        Journal(tmp_path)


def test_the_journal_is_readable_by_its_owner_only(tmp_path):
    """Sums can be personal data until shown otherwise."""
    with Journal(tmp_path):
        assert (tmp_path / "journal.db").stat().st_mode & 0o077 == 0


def test_a_step_closed_before_a_kill_is_there_after_it(tmp_path):
    """SIGKILL right after the step closed loses nothing."""
    program = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from fedpet.federation.journal import Closed, Journal
        journal = Journal(Path(sys.argv[1]))
        journal.record("enrol", asked="q", closed=Closed(
            arrays={"sum": np.array([7.0])}, sites={"nice": "ok"}, seconds=0.0))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    died = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert died.returncode == -9
    with Journal(tmp_path) as journal:
        again = journal.recall("enrol", asked="q")
    assert again is not None
    assert again.arrays["sum"].tolist() == [7.0]


def test_a_damaged_answer_is_named(tmp_path):
    """A flipped bit in a closed step is an error of ours, with the step's name."""
    with Journal(tmp_path) as journal:
        journal.record("enrol", asked="q", closed=closed(1.0))
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("update steps set answer = substr(answer, 1, 20)")
    db.close()
    with Journal(tmp_path) as journal, pytest.raises(StoreError, match="'enrol' of this run is"):
        journal.recall("enrol", asked="q")


def test_a_page_that_the_disk_lost_is_named(tmp_path):
    """Flipped bytes in the middle of the file are damage of the disk, not a fault of ours."""
    with Journal(tmp_path) as journal:
        for number in range(200):
            journal.record(f"step {number}", asked="a", closed=closed(float(number)))
    path = tmp_path / "journal.db"
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 8192):
        data[place] ^= 0x55
    path.write_bytes(data)

    def read_all(journal: Journal) -> None:
        for number in range(200):
            journal.recall(f"step {number}", asked="a")
        journal.history()

    with Journal(tmp_path) as journal, pytest.raises(StoreError, match="journal"):
        read_all(journal)


def test_histograms_that_are_mostly_zeros_take_little_room(tmp_path):
    """Answers are compressed: a bootstrap of sparse tables does not fill the disk."""
    sparse = np.zeros((100, 2, 57, 42))
    sparse[:, 0, 3, 7] = 1.0
    with Journal(tmp_path) as journal:
        journal.record("e", asked="q", closed=Closed(arrays={"j": sparse}, sites={}, seconds=0.0))
        again = journal.recall("e", asked="q")
    np.testing.assert_array_equal(again.arrays["j"], sparse)
    assert (tmp_path / "journal.db").stat().st_size < sparse.nbytes / 20
