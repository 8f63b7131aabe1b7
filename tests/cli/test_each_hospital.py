"""`fedpet cohort show|check` on a folder of several hospitals, as `cohort build` takes it."""

from __future__ import annotations

import json

import pytest

from fedpet.cli.main import run
from toy_folders import write_toy_hospitals


@pytest.fixture
def hospitals(tmp_path):
    """Two hospitals with a cohort, and one that was never built."""
    write_toy_hospitals(tmp_path / "hospitals", sites=2, subjects=12)
    (tmp_path / "hospitals/unbuilt").mkdir()
    (tmp_path / "hospitals/unbuilt/cohort.toml").write_text("")
    return tmp_path / "hospitals"


def test_every_hospital_of_a_folder_is_shown(hospitals, capsys):
    """Build took the folder of all; that show found no cohort there helped nobody."""
    assert run(["cohort", "show", str(hospitals), "--format", "json"]) == 6
    told = json.loads(capsys.readouterr().out)
    shown = told["data"]["hospitals"]
    assert {site: one["cohort"]["subjects"] for site, one in shown.items()} == {
        "site-0": 12,
        "site-1": 17,
    }
    assert "unbuilt: No cohort has been built here." in told["error"]["why"]
    (hospitals / "unbuilt/cohort.toml").unlink()
    assert run(["cohort", "show", str(hospitals)]) == 0
    text = capsys.readouterr().out
    assert "site-0: cohort 'toy', 12 simulated subjects" in text
    assert "site-1: cohort 'toy', 17 simulated subjects" in text


def test_one_hospital_is_shown_as_before(hospitals, capsys):
    """Programs that read one hospital's answer find it where it was."""
    assert run(["cohort", "show", str(hospitals / "site-1"), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["cohort"]["site"] == "site-1"
    assert run(["cohort", "show", str(hospitals / "unbuilt")]) == 6
    assert "No cohort has been built here." in capsys.readouterr().err


def test_what_is_wrong_anywhere_is_told_with_the_hospitals_name(hospitals, capsys):
    """And with the command that looks at one alone."""
    assert run(["cohort", "check", str(hospitals), "--format", "json"]) == 6
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["title"] == "Something is wrong at 3 of 3 hospitals."
    assert "site-0: The hospital's folder has no cohort.toml." in error["why"]
    assert error["do"] == [f"Look at one alone: fedpet cohort check {hospitals / 'site-0'}"]


def test_a_folder_without_any_hospital_is_told(tmp_path, capsys):
    """Neither a cohort nor a way to build one: the sentence of `cohort build`."""
    for command in ("show", "check", "build"):
        assert run(["cohort", command, str(tmp_path)]) == 6
        assert "FP-6007" in capsys.readouterr().err
