"""`fedpet cohort deidentify` and `subject`, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fedpet.cli.main import run
from fedpet.cohort.pseudonyms import load_pseudonyms
from pet_files import write_series


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    """A hospital's folder with one subject and its key."""
    stored = np.random.default_rng(1).integers(0, 100, (4, 8, 8))
    write_series(tmp_path / "lyon/images", stored, patient="HOSP-4711")
    load_pseudonyms(tmp_path / "lyon")
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, dict]:
    code = run([*(str(one) for one in args), "--format", "json", "-q"])
    return code, json.loads(capsys.readouterr().out)


def test_out_and_back(hospital, capsys):
    """Images go out under a pseudonym, and the data manager finds the patient again."""
    code, told = _json(
        capsys, "cohort", "deidentify", hospital / "lyon/images", hospital / "out", "--workers", 1,
        "--table", hospital / "lyon.table", "--table-key", hospital / "table.key",
    )  # fmt: skip
    assert code == 0
    assert (told["data"]["files"], told["data"]["table_subjects"]) == (4, 1)
    assert "HOSP" not in json.dumps(told)
    pseudonym = load_pseudonyms(hospital / "lyon").of("HOSP-4711")
    assert (hospital / "out" / pseudonym).is_dir()
    code, told = _json(
        capsys, "cohort", "subject", pseudonym, "--table", hospital / "lyon.table",
        "--table-key", hospital / "table.key",
    )  # fmt: skip
    assert code == 0
    assert told["data"]["patient_id"] == "HOSP-4711"


def test_what_is_shown_names_nobody(hospital, capsys):
    """Screens are photographed and logs are mailed."""
    args = ["cohort", "deidentify", str(hospital / "lyon/images"), str(hospital / "out")]
    assert run([*args, "--workers", "1"]) == 0
    shown = capsys.readouterr()
    assert "HOSP" not in shown.out + shown.err
    assert "Doe" not in shown.out + shown.err
    assert "1 subjects" in shown.out


@pytest.mark.parametrize("secret", ["--key", "--table", "--table-key"])
def test_no_secret_may_lie_in_what_is_given_away(hospital, capsys, secret):
    """One click more and the key would travel with the images."""
    args = ["cohort", "deidentify", hospital / "lyon/images", hospital / "out"]
    more = [secret, hospital / "out" / "secret"]
    if secret == "--table-key":
        more += ["--table", hospital / "lyon.table"]
    code, told = _json(capsys, *args, *more)
    assert (code, told["error"]["code"]) == (3, "FP-2203")
    assert not (hospital / "out").exists()


def test_without_a_key_nothing_is_written(hospital, capsys):
    """A key that nobody kept would make pseudonyms that fit nothing."""
    (hospital / "lyon/pseudonym.key").unlink()
    code, told = _json(capsys, "cohort", "deidentify", hospital / "lyon/images", hospital / "out")
    assert (code, told["error"]["code"]) == (6, "FP-6022")
    assert not (hospital / "out").exists()


def test_a_key_open_to_others_is_refused(hospital, capsys):
    """Before anything is read or written."""
    (hospital / "lyon/pseudonym.key").chmod(0o640)
    code, told = _json(capsys, "cohort", "deidentify", hospital / "lyon/images", hospital / "out")
    assert (code, told["error"]["code"]) == (3, "FP-3031")


def test_an_unknown_pseudonym_is_not_found(hospital, capsys):
    """The answer is the same whoever is meant."""
    code, told = _json(
        capsys, "cohort", "subject", "0" * 12, "--table", hospital / "none.table",
        "--table-key", hospital / "table.key",
    )  # fmt: skip
    assert (code, told["error"]["code"]) == (6, "FP-6021")
