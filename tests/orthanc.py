"""A real Orthanc for tests, in a network namespace that has nothing but its own loopback.

Orthanc listens on every interface; inside such a namespace nobody else can reach it. Debian:
`apt-get install --no-install-recommends orthanc orthanc-dicomweb iproute2`.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PLUGINS = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc/plugins"))
PORTS = itertools.count(11200)  # a stopped port stays taken for a minute
SEND = """
import socket, sys
from pathlib import Path
import pydicom
from pynetdicom import AE, evt
port, called, *folders = sys.argv[1:]
files = [p for folder in folders for p in sorted(Path(folder).rglob("*")) if p.is_file()]
entity = AE(ae_title="CONSOLE")
heads = [pydicom.dcmread(p, stop_before_pixels=True) for p in files]
for uid, syntax in {(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for d in heads}:
    entity.add_requested_context(uid, syntax)
def at_once(event):
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
at_once = [(evt.EVT_CONN_OPEN, at_once)]
opened = entity.associate("127.0.0.1", int(port), ae_title=called, evt_handlers=at_once)
assert opened.is_established
statuses = [opened.send_c_store(p).Status for p in files]
opened.release()
assert set(statuses) == {0}, statuses
"""


@dataclass(frozen=True)
class Namespace:
    """A network of its own, with loopback only."""

    name: str

    def start(self, *words: object, **kwargs: object) -> subprocess.Popen[str]:
        """Start a program in it."""
        environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120", "PYTHONWARNINGS": ""}
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            **kwargs,
        )

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a program in it."""
        started = self.start(*words)
        out, err = started.communicate(timeout=120)
        return subprocess.CompletedProcess(words, started.returncode, out, err)

    def fedpet(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a command of ours in it."""
        return self.run(sys.executable, "-m", "fedpet.cli.main", *words)

    def send(self, port: int, called: str, *folders: Path) -> None:
        """Send files to a receiver by C-STORE, with pynetdicom."""
        done = self.run(sys.executable, "-c", SEND, port, called, *folders)
        assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc: its ports, and where it thinks we listen."""

    dicom: int
    http: int
    ours: int


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make a network namespace with loopback for the block, or skip the test."""
    ip = shutil.which("ip")
    if ip is None:
        pytest.skip("the program ip (Debian: iproute2) is not on this machine")
    name = f"fedpet-test-{os.getpid()}"
    made = subprocess.run([ip, "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no right to make a network namespace: {made.stderr.strip()[:80]}")
    try:
        subprocess.run([ip, "-n", name, "link", "set", "lo", "up"], check=True)
        yield Namespace(name)
    finally:
        subprocess.run([ip, "netns", "del", name], check=True)


@contextmanager
def orthanc(network: Namespace, folder: Path, **further: object) -> Iterator[Orthanc]:
    """Let Orthanc serve inside the namespace for the block, or skip the test."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    plugin = next((file for place in PLUGINS for file in place.glob("*DicomWeb.so*")), None)
    if program is None or plugin is None:
        pytest.skip("Orthanc (Debian: orthanc, orthanc-dicomweb) is not on this machine")
    made = Orthanc(dicom=next(PORTS), http=next(PORTS), ours=next(PORTS))
    folder.mkdir(parents=True)
    configuration = {
        "Name": "tests",
        "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "DicomPort": made.dicom, "HttpPort": made.http, "DicomAet": "PACSCHU",
        "DicomCheckCalledAet": True, "RemoteAccessAllowed": False,
        "DicomModalities": {"fedpet": ["FEDPET", "127.0.0.1", made.ours]},
        "DicomAlwaysAllowEcho": True, "DicomAlwaysAllowStore": True,
        "AuthenticationEnabled": True, "RegisteredUsers": {"fedpet": "password of a test"},
        "Plugins": [str(plugin)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "OverwriteInstances": False, "SyncStorageArea": False, "StableAge": 1, **further,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    process = network.start(program, folder / "orthanc.json")
    try:
        _wait(network, made, process)
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _wait(network: Namespace, made: Orthanc, process: subprocess.Popen[str]) -> None:
    look = (
        "import socket,sys,time\n"
        "for port in map(int, sys.argv[1:]):\n"
        "    for _ in range(200):\n"
        "        try: socket.create_connection(('127.0.0.1', port), 1).close(); break\n"
        "        except OSError: time.sleep(0.05)\n"
        "    else: sys.exit(1)\n"
    )
    done = network.run(sys.executable, "-c", look, made.dicom, made.http)
    if done.returncode or process.poll() is not None:
        out, err = process.communicate() if process.poll() is not None else ("", "")
        raise RuntimeError(f"Orthanc did not start: {out}{err}"[-2000:])


def wait_for(condition: object, *, seconds: float = 30) -> None:
    """Wait until a condition holds."""
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
