"""Time C-STORE reception and C-GET, ours beside stock pynetdicom, in the same run.

The sender is DCMTK's storescu where it is installed (most consoles and PACS are built on DCMTK),
otherwise pynetdicom. C-GET asks a real Orthanc inside a network namespace, where both are there.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pynetdicom import AE, AllStoragePresentationContexts, evt  # noqa: E402

from fedpet.imaging.pacs.inbox import Inbox  # noqa: E402
from fedpet.imaging.pacs.pull import pull  # noqa: E402
from fedpet.imaging.pacs.query import Wanted  # noqa: E402
from fedpet.imaging.pacs.receiver import receiver  # noqa: E402
from fedpet.imaging.pacs.settings import Limits, Listen, PacsSettings, Peer  # noqa: E402
from orthanc import namespace, orthanc  # noqa: E402
from pacs_peer import free_port, send, write_series  # noqa: E402

PATIENT = "BENCH"


def ours(port: int, folder: str) -> None:
    """Receive with our receiver until ended."""
    settings = PacsSettings(
        ae_title="FEDPET",
        pacs=Peer(ae_title="PACSCHU", host="127.0.0.1", port=104),
        listen=Listen(port=port, callers=("*",)),
        limits=Limits(free_gb=0.1),
    )
    with receiver(settings, Path(folder), Inbox(Path(folder), settings.limits)):
        time.sleep(3600)


def stock(port: int, folder: str) -> None:
    """Receive as pynetdicom's own example does: decode, then save."""

    def keep(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        dataset.save_as(Path(folder) / dataset.SOPInstanceUID, enforce_file_format=True)
        return 0

    _serve(port, keep)


def stock_raw(port: int, folder: str) -> None:
    """Receive with pynetdicom and save the bytes as they came."""

    def keep(event: evt.Event) -> int:
        path = Path(folder) / event.request.AffectedSOPInstanceUID
        path.write_bytes(event.encoded_dataset())
        return 0

    _serve(port, keep)


def _serve(port: int, keep: Callable[[evt.Event], int]) -> None:
    entity = AE(ae_title="FEDPET")
    entity.supported_contexts = AllStoragePresentationContexts
    entity.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, keep)])


def receive(
    role: Callable[[int, str], None],
    files: list[Path],
    storescu: str | None,
    *,
    nagle: bool = False,
) -> float:
    """Return the seconds in which a receiver took all files."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.get_context("spawn").Process(target=role, args=(port, folder))
        process.start()
        try:
            _wait(port)
            started = time.perf_counter()
            if storescu:
                words = [storescu, "-aet", "PACSCHU", "-aec", "FEDPET", "127.0.0.1", str(port)]
                environment = {**os.environ, "TCP_NODELAY": "0" if nagle else "1"}
                subprocess.run(  # noqa: S603 - our own files
                    [*words, *map(str, files)], check=True, env=environment
                )
            else:
                assert set(send(files, port, called="FEDPET")) == {0}
            seconds = time.perf_counter() - started
            kept = [path for path in Path(folder).rglob("*") if path.is_file()]
            assert len(kept) == len(files), f"{len(kept)} of {len(files)} files are there"
            return seconds
        finally:
            process.terminate()
            process.join()


def _wait(port: int) -> None:
    import socket

    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the receiver did not start")


def get_ours(port: int, folder: Path) -> float:
    """Return the seconds of a pull of ours: C-FIND, C-GET, files and journal on the disk."""
    settings = PacsSettings(
        ae_title="FEDPET",
        pacs=Peer(ae_title="PACSCHU", host="127.0.0.1", port=port),
        limits=Limits(free_gb=0.1),
    )
    started = time.perf_counter()
    wanted = [Wanted(row=1, patient_id=PATIENT)]
    *_, done = pull(settings, folder, wanted, folder / "images")
    assert not done.failed, done.failed
    return time.perf_counter() - started


def get_stock(port: int, folder: Path) -> float:
    """Return the seconds of pynetdicom's own example of C-GET, at patient level."""
    from pydicom.dataset import Dataset
    from pynetdicom import build_role
    from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelGet as GetModel

    def keep(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        dataset.save_as(folder / dataset.SOPInstanceUID, enforce_file_format=True)
        return 0

    pet = "1.2.840.10008.5.1.4.1.1.128"
    entity = AE(ae_title="FEDPET")
    entity.add_requested_context(GetModel)
    entity.add_requested_context(pet)
    question = Dataset()
    question.QueryRetrieveLevel, question.PatientID = "PATIENT", PATIENT
    started = time.perf_counter()
    opened = entity.associate(
        "127.0.0.1",
        port,
        ae_title="PACSCHU",
        ext_neg=[build_role(pet, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    assert opened.is_established
    for status, _ in opened.send_c_get(question, GetModel):
        assert status.Status in (0xFF00, 0), status
    opened.release()
    return time.perf_counter() - started


def inside(port: int, size_bytes: int, files: int) -> None:
    """Time C-GET; called inside the namespace."""
    ways = {"ours (pull)": get_ours, "pynetdicom, stock": get_stock}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                times[name].append(way(port, Path(folder)))
    for name, seconds in times.items():
        _print(name, files, size_bytes, min(seconds))


def _print(name: str, files: int, size_bytes: int, seconds: float) -> None:
    print(
        f"  {name:<38}{files / seconds:>9.0f} files/s{size_bytes / 1e6 / seconds:>9.1f} MB/s",
        flush=True,
    )


def main() -> None:
    """Write a series, send it to each receiver in turn, then fetch it from Orthanc."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--size", type=int, default=256, help="Rows and columns of a slice.")
    parser.add_argument("--inside", nargs=3, type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        inside(*asked.inside)
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        source = Path(folder) / "source"
        stored = np.random.default_rng(1).integers(0, 3000, (asked.files, asked.size, asked.size))
        files = write_series(source, stored, patient=PATIENT)
        size_bytes = sum(path.stat().st_size for path in files)
        storescu = shutil.which("storescu")
        sender = "DCMTK storescu" if storescu else "pynetdicom (storescu is not installed)"
        print(f"C-STORE reception, {len(files)} files of {asked.size}², sent by {sender}")
        roles = {
            "ours": ours,
            "pynetdicom, bytes as they came": stock_raw,
            "pynetdicom, stock": stock,
        }
        for name, role in roles.items():
            _print(name, len(files), size_bytes, receive(role, files, storescu))
        if storescu:
            small = write_series(Path(folder) / "small", stored[:60, :64, :64], patient=PATIENT)
            small_bytes = sum(path.stat().st_size for path in small)
            print("The same, 60 files of 64² from a sender that waits for receipts (Nagle)")
            for name, role in roles.items():
                seconds = receive(role, small, storescu, nagle=True)
                _print(name, len(small), small_bytes, seconds)
        try:
            network = stack.enter_context(namespace())
            pacs = stack.enter_context(orthanc(network, Path(folder) / "orthanc"))
        except pytest.skip.Exception as reason:
            print(f"C-GET not timed: {reason}")
            return
        network.send(pacs.dicom, "PACSCHU", source)
        print("C-GET from Orthanc, best of 3")
        numbers = map(str, (pacs.dicom, size_bytes, len(files)))
        done = network.run(sys.executable, __file__, "--inside", *numbers)
        print(done.stdout or done.stderr[-2000:], end="")


if __name__ == "__main__":
    main()
