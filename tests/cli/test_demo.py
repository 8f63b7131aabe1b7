"""`fedpet demo`: it never writes into what is not its own, and survives being killed anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedpet.cli.demo_folder import Wanted, open_demo
from fedpet.cli.main import run
from fedpet.errors import StoreError

SMALL = ["--subjects", "48", "--sites", "4", "--rounds", "1", "--no-open"]


def begin(folder: Path) -> subprocess.Popen[str]:
    """Start the demo as a group of processes, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "fedpet.cli.main", "demo", str(folder), *SMALL],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(folder: Path, pattern: str) -> None:
    """Wait until a file of this pattern is there."""
    until = time.monotonic() + 120
    while not any(folder.glob(pattern)):
        assert time.monotonic() < until, pattern
        time.sleep(0.02)


def comparable(folder: Path) -> str:
    """The results without what a clock says."""
    results = json.loads((folder / "run/results.json").read_text())
    for name in ("id", "started", "seconds", "timings"):
        del results["experiment"][name]
    return json.dumps(results, sort_keys=True)


def test_a_folder_with_something_else_is_refused_and_left_as_it_is(tmp_path, capsys):
    """Somebody's thesis may be in it."""
    (tmp_path / "thesis.txt").write_text("years of work")
    assert run(["demo", str(tmp_path)]) == 3
    assert "FP-3003" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_refused(tmp_path, capsys):
    """The same for a file of that name."""
    (tmp_path / "demo").write_text("")
    assert run(["demo", str(tmp_path / "demo")]) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_a_demo_with_other_settings_is_refused_and_one_without_continues(tmp_path):
    """Half of one demo and half of another would be neither."""
    asked = {"subjects": 96, "sites": 4}
    first = open_demo(tmp_path / "d", asked=asked)
    with first.stage("one"):
        pass
    with pytest.raises(StoreError, match="other settings"):
        open_demo(tmp_path / "d", asked={"subjects": 97})
    again = open_demo(tmp_path / "d", asked={})
    assert again.wanted == Wanted(subjects=96, sites=4)
    assert again.closed == ["one"]


def test_time_is_added_over_attempts_until_a_stage_is_closed(tmp_path):
    """Where the time went must not depend on how often somebody pressed Ctrl-C."""
    demo = open_demo(tmp_path, asked={})
    with pytest.raises(KeyboardInterrupt), demo.stage("one"):
        raise KeyboardInterrupt
    first = demo.seconds["one"]
    assert demo.closed == []
    demo = open_demo(tmp_path, asked={})
    with demo.stage("one"):
        time.sleep(0.01)
    second = demo.seconds["one"]
    assert second > first + 0.009
    with demo.stage("one"):
        time.sleep(0.01)
    assert demo.seconds["one"] == second


@pytest.mark.parametrize("text", ["", "{}", '{"schema": "fedpet-demo/9"}', "[1]"])
def test_a_marker_that_is_not_ours_is_refused(tmp_path, text):
    """A folder of a later version is not for this one to write into."""
    (tmp_path / "demo.json").write_text(text)
    with pytest.raises(StoreError):
        open_demo(tmp_path, asked={})


def test_too_few_patients_for_the_hospitals_is_a_usage_error(tmp_path, capsys):
    """Found before anything is written."""
    assert run(["demo", str(tmp_path / "d"), "--subjects", "60"]) == 2
    assert "120 subjects at least" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


@pytest.mark.slow
def test_a_demo_killed_in_every_stage_ends_with_the_same_numbers(tmp_path, capsys):
    """The promise of `fedpet demo`: call it again and it goes on."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    stops = [
        ("hospitals/.*.partial/images/*", signal.SIGKILL),
        ("hospitals/*/cohort/cache/*", signal.SIGINT),
        ("hospitals/*/cohort/cohort.json", signal.SIGKILL),
        ("run/journal.db", signal.SIGINT),
    ]
    for pattern, how in stops:
        process = begin(killed)
        wait_for(killed, pattern)
        os.killpg(process.pid, how)
        _, stderr = process.communicate(timeout=120)
        assert "Traceback" not in stderr, stderr
        assert not (killed / "run/results.json").exists()
        if how is signal.SIGINT:
            assert process.returncode == 130
            assert "fedpet demo" in stderr
    for folder in (killed, whole):
        assert run(["demo", str(folder), *SMALL, "--format", "json"]) == 0
        data = json.loads(capsys.readouterr().out)["data"]
        assert Path(data["report"]).exists()
        assert data["ceiling"]["all"] > 0.6
        assert [stage["name"] for stage in data["timings"]][:2] == [
            "Writing phantom hospitals",
            "Building cohorts",
        ]
    assert comparable(killed) == comparable(whole)
