"""Processes that are killed while an experiment runs: it ends with the bytes of one that was not.

Everything is real: coordinator, nodes and run are processes with folders of their own. What is
killed, and when, follows from a seed; `FEDPET_FAULTS=20` tries twenty of them.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import federated
from fedpet import planfile
from fedpet.cli.demo_network import _approve
from fedpet.cli.services import Service
from fedpet.plan import Evaluation, Sites, Training
from networked import free_port, wait_until
from toy_folders import write_toy_hospitals

SEEDS = range(int(os.environ.get("FEDPET_FAULTS", "0")) or 1)
ASKED = "FEDPET_FAULTS" in os.environ
SITES = tuple(f"site-{number}" for number in range(6))
STEPS = "select count(*) from steps"
# A node that loses its keys between the halves of a secure sum is left out of that step, by name.
LEFT_OUT = re.compile(r"^(site-\d) (?:refused|failed): ", re.MULTILINE)


def fedpet(*args: str, cwd: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fedpet.cli.main", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Place:
    """A federation of processes in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run: subprocess.Popen | None = None
        write_toy_hospitals(folder / "hospitals", sites=len(SITES), subjects=24)
        self.plan = federated.small_plan(
            training=Training(rounds=2, batch_size=16),
            evaluation=Evaluation(folds=2, bootstrap=20, baselines=()),
            sites=Sites(sites_min=3),
        )
        (folder / "plan.toml").write_text(planfile.dumps(self.plan))
        shutil.copytree(folder / "hospitals", folder / "here")
        fedpet("run", "plan.toml", "--sites", "here", "--out", "undisturbed", cwd=folder)
        where = ["--host", "localhost", "--listen", "127.0.0.1"]
        ports = ["--port", str(free_port()), "--metrics-port", str(free_port())]
        fedpet("coordinator", "init", "coordinator", *where, *ports, cwd=folder)
        self.start_coordinator()
        for site in SITES:
            fedpet("site", "invite", site, "--approved", cwd=folder)
            fedpet("node", "init", f"hospitals/{site}", cwd=folder)
            fedpet("node", "join", f"{site}.invite", f"hospitals/{site}", cwd=folder)
            _approve(site, folder / "hospitals" / site, self.plan)
            self.start_node(site)

    def service(self, site: str) -> Service:
        return Service(self.folder / "hospitals" / site / "node", what="node")

    def start_coordinator(self) -> None:
        fedpet("coordinator", "start", "coordinator", "--background", cwd=self.folder)

    def start_node(self, site: str) -> None:
        fedpet("node", "start", f"hospitals/{site}", "--background", cwd=self.folder)

    def start_run(self) -> None:
        command = ["run", "plan.toml", "--coordinator", "coordinator", "--out", "run"]
        with (self.folder / "run.log").open("ab") as log:
            self.run = subprocess.Popen(
                [sys.executable, "-m", "fedpet.cli.main", *command, "--away", "120"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def steps(self) -> int:
        path = self.folder / "run/journal.db"
        if not path.exists():
            return 0
        journal = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            return journal.execute(STEPS).fetchone()[0]
        except sqlite3.OperationalError:
            return 0
        finally:
            journal.close()

    def hit(self, what: str, site: str) -> None:
        """Kill something, and start again what does not start itself."""
        if what == "child":
            os.kill(self.service(site).told()["child"], signal.SIGKILL)
        elif what == "node":
            os.kill(self.service(site).told()["pid"], signal.SIGKILL)
            wait_until(lambda: not self.service(site).running())
            self.start_node(site)
        elif what == "broker":
            pid = (self.folder / "coordinator/broker/nats.pid").read_text()
            os.kill(int(pid), signal.SIGKILL)
        elif what == "coordinator":
            told = Service(self.folder / "coordinator", what="coordinator")
            os.kill(told.told()["pid"], signal.SIGKILL)
            wait_until(lambda: not told.running())
            self.start_coordinator()
        else:
            self.run.kill()
            self.run.wait()
            self.start_run()

    def close(self) -> None:
        if self.run is not None and self.run.poll() is None:
            self.run.kill()
        for site in SITES:
            if self.service(site).running():
                self.service(site).stop()
        told = Service(self.folder / "coordinator", what="coordinator")
        if told.running():
            told.stop()


def outcome(run: Path) -> tuple[dict, dict[str, bytes]]:
    """Return results without what a clock or a chance says, and the models' bytes."""
    results = json.loads((run / "results.json").read_text())
    for name in ("id", "started", "seconds", "timings", "phantom"):
        results["experiment"].pop(name, None)
    models = {path.name: path.read_bytes() for path in (run / "models").iterdir()}
    return results, models


@pytest.mark.slow
@pytest.mark.skipif(not ASKED, reason="minutes; `make test-faults` asks for it")
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_killed_the_run_ends_with_the_same_bytes_or_says_who_was_left_out(
    tmp_path, seed
):
    """Nothing lost, nothing counted twice, no process left."""
    chance = random.Random(seed)
    place = Place(tmp_path)
    try:
        expected_results, expected_models = outcome(tmp_path / "undisturbed")
        place.start_run()
        victims = ["child", "node", "broker", "coordinator", "run"]
        chance.shuffle(victims)
        for number, what in enumerate(victims):
            wait_until(lambda n=number: place.steps() >= 3 + 9 * n, seconds=120)
            time.sleep(chance.random() * 0.3)
            place.hit(what, chance.choice(SITES))
        assert place.run.wait(timeout=180) in (0, 7), (tmp_path / "run.log").read_text()
        results, models = outcome(tmp_path / "run")
        named = LEFT_OUT.findall((tmp_path / "run.log").read_text())
        if not named:
            assert models == expected_models
            assert results == expected_results
    finally:
        place.close()
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True).stdout
    assert left == ""
