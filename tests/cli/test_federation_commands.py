"""A coordinator and a hospital as their people see them: real processes, real invitations."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedpet.cli.main import run
from networked import free_port, wait_until
from toy_folders import write_toy_hospitals


def fedpet(*args: str, code: int = 0, cwd: Path) -> dict:
    """Run a command as a person does; return its answer as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "fedpet.cli.main", *args, "--format", "json"],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a running coordinator, `coordinator`, and one hospital, `hospitals/site-0`."""
    folder = tmp_path_factory.mktemp("federation")
    write_toy_hospitals(folder / "hospitals", sites=1, subjects=24)
    init = ["--host", "localhost", "--port", str(free_port()), "--listen", "127.0.0.1"]
    ports = ["--metrics-port", str(free_port())]
    fedpet("coordinator", "init", "coordinator", *init, *ports, cwd=folder)
    fedpet("coordinator", "start", "coordinator", "--background", cwd=folder)
    yield folder
    fedpet("coordinator", "stop", "coordinator", cwd=folder)
    left = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True).stdout
    assert left == "", "a process outlived its coordinator"


def state_of(place: Path, site: str) -> dict:
    rows = fedpet("site", "list", cwd=place)["data"]["sites"]
    return next(row for row in rows if row["site"] == site)


def test_a_hospital_joins_is_approved_works_and_leaves(place):
    """The whole day of a data manager, on one machine."""
    fedpet("site", "invite", "site-0", cwd=place)
    fedpet("node", "init", "hospitals/site-0", cwd=place)
    joined = fedpet("node", "join", "site-0.invite", "hospitals/site-0", cwd=place)["data"]
    assert joined["state"] == "joined"
    keys = place / "hospitals/site-0/node"
    assert {(keys / name).stat().st_mode & 0o777 for name in ("identity.pem", "broker.nk")} == {
        0o600
    }
    assert state_of(place, "site-0")["key"] == joined["key"][:16]
    again = fedpet("node", "join", "site-0.invite", "hospitals/site-0", code=5, cwd=place)
    assert again["error"]["code"] in ("FP-5112", "FP-5110")
    fedpet("site", "approve", "site-0", cwd=place)
    checks = fedpet("node", "check", "hospitals/site-0", cwd=place)["data"]["checks"]
    assert {check["name"] for check in checks if check["ok"]} >= {"keys", "data", "tls", "clock"}

    fedpet("node", "start", "hospitals/site-0", "--background", cwd=place)
    node = lambda: fedpet("node", "status", "hospitals/site-0", cwd=place)["data"]  # noqa: E731
    wait_until(lambda: node()["child"] is not None)
    status = node()
    assert (status["line"], status["state"]) == ("connected", "idle")
    twice = fedpet("node", "start", "hospitals/site-0", "--background", code=3, cwd=place)
    assert twice["error"]["code"] == "FP-3056"
    wait_until(lambda: state_of(place, "site-0")["away_s"] is not None)
    assert not (keys / "roster.json").exists()  # the coordinator's word is not enough
    told = fedpet("node", "members", "hospitals/site-0", cwd=place)["data"]
    assert [(row["site"], row["state"]) for row in told["members"]] == [("site-0", "new")]
    accept = ("node", "members", "hospitals/site-0", "--accept")
    fedpet(*accept, "0" * 16, code=5, cwd=place)
    assert fedpet(*accept, told["digest"][:16], cwd=place)["data"]["pinned"]
    assert json.loads((keys / "roster.json").read_text())["sites"].keys() == {"site-0"}

    watched = subprocess.run(
        [
            sys.executable,
            "-m",
            "fedpet.cli.main",
            "watch",
            "coordinator",
            "--seconds",
            "4",
            "--format",
            "json",
        ],
        cwd=place,
        capture_output=True,
        text=True,
    )
    rows = [json.loads(line) for line in watched.stdout.splitlines()]
    assert {"site": "site-0", "state": "approved", "does": "idle"}.items() <= rows[-1].items()

    os.kill(status["pid"], signal.SIGKILL)
    wait_until(lambda: node()["pid"] is None)
    wait_until(lambda: not Path(f"/proc/{status['child']}").exists())
    fedpet("node", "start", "hospitals/site-0", "--background", cwd=place)

    fedpet("site", "revoke", "site-0", cwd=place)
    wait_until(lambda: "does not know this key" in node()["line"], seconds=40)
    fedpet("node", "stop", "hospitals/site-0", cwd=place)


def test_a_backup_is_the_same_coordinator_elsewhere(place, tmp_path):
    """Keys, members and authority come back; nobody else may read them."""
    file = tmp_path / "saved.tar.gz"
    fedpet("coordinator", "backup", "coordinator", str(file), cwd=place)
    assert file.stat().st_mode & 0o777 == 0o600
    fedpet("coordinator", "restore", str(file), str(tmp_path / "elsewhere"), cwd=place)
    for name in ("keys/identity.pem", "keys/broker.nk", "pki/authority.pem"):
        assert (tmp_path / "elsewhere" / name).read_bytes() == (
            place / "coordinator" / name
        ).read_bytes()
    assert (tmp_path / "elsewhere/keys/identity.pem").stat().st_mode & 0o777 == 0o600
    file.write_bytes(file.read_bytes()[:-200])
    torn = fedpet("coordinator", "restore", str(file), str(tmp_path / "torn"), code=3, cwd=place)
    assert torn["error"]["code"] == "FP-3057"


@pytest.mark.parametrize(
    ("args", "code", "error"),
    [
        (("site", "invite", "Not A Name"), 3, "FP-2020"),
        (("site", "approve", "nowhere"), 6, "FP-6105"),
        (("site", "list", "--coordinator", "nowhere"), 6, "FP-6113"),
        (("node", "join", "nowhere.invite", "hospitals/none"), 6, "FP-6114"),
        (("node", "start", "hospitals/none"), 6, "FP-6114"),
        (("node", "stop", "hospitals/none"), 6, "FP-6114"),
        (("coordinator", "start", "coordinator"), 3, "FP-3056"),
        (("coordinator", "restore", "nowhere", "new"), 6, "FP-6000"),
    ],
)
def test_a_mistake_is_told_with_what_to_do(place, args, code, error):
    """Never a traceback."""
    told = fedpet(*args, code=code, cwd=place)["error"]
    assert told["code"] == error


def test_what_the_study_team_runs_reaches_neither_torch_nor_patients():
    """A coordinator's machine needs none of the hospital side's packages."""
    modules = ["networked", "running", "coordinators", "sites", "watching"]
    program = ";".join(f"import fedpet.cli.{name}" for name in modules)
    program += ";import fedpet.engines.nats.coordinator,sys;print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "fedpet.federation.experiment" in loaded
    assert not loaded & {"torch", "pydicom", "fedpet.cohort", "fedpet.training", "fedpet.node"}


@pytest.mark.parametrize(
    "command", ["start", "status", "stop", "logs", "check", "isolation"], ids=lambda name: name
)
def test_a_hospital_that_is_not_there_is_never_an_answer(tmp_path, capsys, command):
    """A mistyped folder must not read as "all is well" or "nothing happened"."""
    assert run(["node", command, str(tmp_path / "nowhere")]) in (3, 6)
    told = capsys.readouterr()
    assert re.search("no node|no hospital", told.out + told.err)
