"""`fedpet run|resume|report` on toy hospitals: the end, and every way of being interrupted."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fedpet import planfile
from fedpet.cli.main import run
from fedpet.cli.running import alone
from fedpet.node.policy import Policy, write_policy
from fedpet.plan import Evaluation, Training
from toy import toy_plan
from toy_folders import write_toy_hospitals

FEDPET = [sys.executable, "-m", "fedpet.cli.main"]
PLAN = toy_plan(
    training=Training(rounds=2, batch_size=16),
    evaluation=Evaluation(
        scheme="held-out-subjects", folds=2, bootstrap=5, baselines=("pooled", "tmtv")
    ),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Hospitals, a plan, and a run that was never interrupted."""
    folder = tmp_path_factory.mktemp("place")
    write_toy_hospitals(folder / "hospitals", sites=5, subjects=26)
    (folder / "plan.toml").write_text(planfile.dumps(PLAN))
    args = ["run", folder / "plan.toml", "--sites", folder / "hospitals", "--out", folder / "whole"]
    assert run([*map(str, args), "-q", "--workers", "1"]) == 0
    return folder


def begin(place: Path, out: Path, **kwargs: object) -> subprocess.Popen[str]:
    """Start a run in a process of its own."""
    args = ["run", place / "plan.toml", "--sites", place / "hospitals", "--out", out]
    return subprocess.Popen(
        [*FEDPET, *map(str, args), "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def wait_for_steps(out: Path, steps: int) -> None:
    """Wait until a run has closed some steps."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (out / "journal.db").exists():
            try:
                with sqlite3.connect(f"file:{out}/journal.db?mode=ro", uri=True) as db:
                    if db.execute("select count(*) from steps").fetchone()[0] >= steps:
                        return
            except sqlite3.OperationalError:
                pass
        time.sleep(0.01)
    raise AssertionError("the run closed no steps")


def comparable(out: Path) -> str:
    """The results without what a clock says."""
    results = json.loads((out / "results.json").read_text())
    for name in ("id", "started", "seconds", "timings"):
        del results["experiment"][name]
    return json.dumps(results, sort_keys=True)


def test_a_run_leaves_results_report_card_and_models(place, capsys):
    """Everything that a steering committee asks for, in one folder."""
    names = {path.name for path in (place / "whole").iterdir()}
    assert {"plan.toml", "results.json", "report.html", "model-card.md", "models"} <= names
    assert run(["resume", str(place / "whole"), "--format", "json", "-q"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert [arm["id"] for arm in data["arms"]][:2] == ["network-federated", "network-pooled"]
    assert data["timings"]


def test_data_go_to_stdout_and_progress_to_stderr(place):
    """`fedpet resume RUN > summary.txt` must hold the summary and nothing else."""
    told = subprocess.run(
        [*FEDPET, "resume", str(place / "whole")], capture_output=True, text=True, timeout=60
    )
    assert told.returncode == 0
    assert told.stdout.startswith("C-index within hospitals, pfs")
    assert "Where the time went" in told.stdout
    assert "Already done" in told.stderr
    assert "\x1b" not in told.stdout + told.stderr


def test_a_killed_run_resumes_to_the_same_bytes(place, tmp_path):
    """A power cut in the middle of the night costs one step."""
    out = tmp_path / "killed"
    process = begin(place, out)
    wait_for_steps(out, 25)
    process.kill()
    process.communicate()
    assert not (out / "results.json").exists()
    assert run(["resume", str(out), "-q", "--workers", "1"]) == 0
    assert comparable(out) == comparable(place / "whole")
    for model in (place / "whole/models").glob("*.safetensors"):  # a passport names its run
        assert (out / "models" / model.name).read_bytes() == model.read_bytes()


def test_ctrl_c_ends_with_130_and_names_the_command_that_continues(place, tmp_path):
    """Whoever stops a run reads how to go on, and is right to trust it."""
    out = tmp_path / "stopped"
    process = begin(place, out)
    wait_for_steps(out, 10)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert "Traceback" not in stderr
    told = re.search(r"fedpet (resume .*)", stderr)
    assert told is not None
    assert "Nothing is lost." in stderr
    assert run([*told[1].split(), "-q", "--workers", "1"]) == 0
    assert comparable(out) == comparable(place / "whole")


def test_a_hospital_that_refuses_makes_the_run_partial(place, tmp_path, capsys):
    """The report is there, and a script notices that somebody is missing from it."""
    hospitals = tmp_path / "hospitals"
    shutil.copytree(place / "hospitals", hospitals)
    (hospitals / "site-2/node").mkdir(exist_ok=True)
    write_policy(Policy(endpoints=("os",)), hospitals / "site-2/node/policy.toml")
    args = ["run", place / "plan.toml", "--sites", hospitals, "--out", tmp_path / "r"]
    assert run([*map(str, args), "--format", "json", "--workers", "1"]) == 7
    told = capsys.readouterr()
    envelope = json.loads(told.out)
    assert envelope["ok"] is False
    assert envelope["error"]["code"] == "FP-7002"
    assert "site-2" in envelope["error"]["why"]
    assert Path(envelope["data"]["report"]).exists()
    assert "site-2 refused" in told.err


def test_a_folder_with_another_plans_run_is_left_alone(place, tmp_path, capsys):
    """Two experiments must never mix in one journal."""
    plan = tmp_path / "other.toml"
    plan.write_text(planfile.dumps(replace(PLAN, seed=7)))
    before = (place / "whole/results.json").read_bytes()
    args = ["run", plan, "--sites", place / "hospitals", "--out", place / "whole"]
    assert run([*map(str, args)]) == 3
    assert (place / "whole/results.json").read_bytes() == before
    assert "another plan" in capsys.readouterr().err


def test_two_processes_never_work_on_one_run(place, capsys):
    """The second one says so instead of closing steps twice."""
    with alone(place / "whole"):
        assert run(["resume", str(place / "whole")]) == 3
    assert "FP-3004" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "code", "number"),
    [
        (["resume", "nowhere"], 6, "FP-6004"),
        (["report", "nowhere"], 6, "FP-6004"),
        (["run", "nowhere.toml", "--sites", "."], 6, "FP-6000"),
        (["cohort", "show", "nowhere"], 6, "FP-6007"),
        (["cohort", "build", "nowhere"], 6, "FP-6007"),
    ],
)
def test_what_is_not_there_is_not_found(args, code, number, tmp_path, monkeypatch, capsys):
    """A wrong path is the commonest mistake; each command has a sentence for it."""
    monkeypatch.chdir(tmp_path)
    assert run(args) == code
    assert number in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_hospitals_without_a_cohort_are_named_before_anything_is_written(
    place, tmp_path, monkeypatch, capsys
):
    """No run's folder is left behind by a wrong --sites."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert run(["run", str(place / "plan.toml"), "--sites", "empty"]) == 6
    assert "FP-6003" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_report_is_written_in_french_and_elsewhere(place, tmp_path, capsys):
    """The committee that reads it may be in Lyon."""
    page = tmp_path / "rapport.html"
    args = ["report", place / "whole", "--language", "fr", "-o", page]
    assert run([*map(str, args)]) == 0
    assert '<html lang="fr"' in page.read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "other/9"}'])
def test_altered_results_are_refused_in_words(place, tmp_path, capsys, text):
    """A file that was edited by hand is no ground for a report."""
    shutil.copytree(place / "whole", tmp_path / "r", ignore=shutil.ignore_patterns("pooled"))
    (tmp_path / "r/results.json").write_text(text)
    assert run(["report", str(tmp_path / "r")]) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_a_terminal_shows_a_moving_board(place, tmp_path):
    """A row per hospital and a bar of rounds, redrawn in place; the summary stays."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    args = ["run", place / "plan.toml", "--sites", place / "hospitals", "--out", tmp_path / "tty"]
    process = subprocess.Popen(
        [*FEDPET, *map(str, args), "--workers", "1"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    seen = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 60)
        try:
            data = os.read(ours, 65536) if ready else b""
        except OSError:
            data = b""
        if not data:
            break
        seen += data
    assert process.wait(timeout=30) == 0
    os.close(ours)
    text = seen.decode()
    assert "Hospital" in text
    assert "site-4" in text
    assert re.search(r"\d of 6", text)
    assert "\x1b[?25l" in text
    assert text.rstrip().splitlines()[-1].strip().startswith("fedpet report")
