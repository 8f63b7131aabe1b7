"""A PACS for tests: pynetdicom's own service classes on 127.0.0.1, with objects in memory."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt, sop_class
from pynetdicom.events import Event

from pet_files import _base, _save, write_series, write_structures

SEG_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
STORAGE = (
    "1.2.840.10008.5.1.4.1.1.128",
    "1.2.840.10008.5.1.4.1.1.2",
    SEG_CLASS,
    "1.2.840.10008.5.1.4.1.1.481.3",
    "1.2.840.10008.5.1.4.1.1.7",
)
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def free_port() -> int:
    """Return a port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_subjects(
    folder: Path, patients: Sequence[str], *, slices: int = 4, size: int = 8
) -> None:
    """Write a PET, a CT, an RTSTRUCT, a SEG and a secondary capture for every patient."""
    rng = np.random.default_rng(2026)
    for patient in patients:
        place = folder / patient
        stored = rng.integers(0, 3000, (slices, size, size))
        for modality in ("PT", "CT"):
            write_series(
                place / modality,
                stored,
                modality=modality,
                patient=patient,
                series=modality,
                study=f"study of {patient}",
                change=_accession,
            )
        image = next((place / "PT").iterdir())
        write_structures(place / "contours", {"tumour": []}, references=image, patient=patient)
        write_single(place / "seg", "SEG", SEG_CLASS, patient=patient)
        write_single(place / "capture", "OT", STORAGE[-1], patient=patient)


def _accession(dataset: Dataset, number: int) -> None:
    del number
    dataset.AccessionNumber = f"A{dataset.PatientID}"


def write_single(path: Path, modality: str, sop: str, *, patient: str) -> None:
    """Write one object that is no image of ours."""
    dataset = _base(modality, sop, patient=patient, study=f"study of {patient}", frame="frame")
    _accession(dataset, 0)
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[patient, modality])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[patient, modality, "one"])
    _save(dataset, path)


def read_all(folder: Path) -> list[Dataset]:
    """Read every DICOM file of a folder."""
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*")) if path.is_file()]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the pixels (or contours' names) of every file by instance UID."""
    return {str(one.SOPInstanceUID): one.get("PixelData", b"") for one in read_all(folder)}


@dataclass
class Peer:
    """What the PACS holds, and how it misbehaves.

    Args:
        datasets: Its objects.
        destinations: Where it sends on C-MOVE, by AE title.
        losing: Series whose last object it cannot send, as often as told.
        aborting: How many requests to send it ends by hanging up.
        questions: C-FIND identifiers that it was asked.
        received: Objects that were sent to it.
        fetched: Series that it was asked for.
    """

    datasets: list[Dataset] = field(default_factory=list)
    destinations: dict[str, tuple[str, int]] = field(default_factory=dict)
    losing: dict[str, int] = field(default_factory=dict)
    aborting: int = 0
    questions: list[Dataset] = field(default_factory=list)
    received: list[Dataset] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    status: int = 0x0000
    loose: bool = False

    def find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer C-FIND."""
        question = event.identifier
        self.questions.append(question)
        if self.status:
            yield self.status, None
            return
        series = question.QueryRetrieveLevel == "SERIES"
        key = "SeriesInstanceUID" if series else "StudyInstanceUID"
        groups: dict[str, list[Dataset]] = {}
        for one in self.datasets:
            if self._matches(one, question):
                groups.setdefault(str(one[key].value), []).append(one)
        for members in groups.values():
            answer = Dataset()
            answer.QueryRetrieveLevel = question.QueryRetrieveLevel
            for element in question:
                if element.keyword in members[0]:
                    setattr(answer, element.keyword, members[0][element.keyword].value)
            if series:
                answer.NumberOfSeriesRelatedInstances = len(members)
            yield 0xFF00, answer

    def _matches(self, one: Dataset, question: Dataset) -> bool:
        for name in ("PatientID", "AccessionNumber", "StudyInstanceUID"):
            asked = str(question.get(name, ""))
            if asked and str(one.get(name, "")) != asked:
                return self.loose and name != "StudyInstanceUID"
        window = str(question.get("StudyDate", ""))
        first, _, last = window.partition("-")
        return (not first or one.StudyDate >= first) and (not last or one.StudyDate <= last)

    def get(self, event: Event) -> Iterator[object]:
        """Answer C-GET."""
        yield from self._send(event)

    def move(self, event: Event) -> Iterator[object]:
        """Answer C-MOVE."""
        destination = self.destinations.get(event.move_destination)
        if destination is None:
            yield None, None
            return
        yield destination
        yield from self._send(event)

    def _send(self, event: Event) -> Iterator[object]:
        series = str(event.identifier.SeriesInstanceUID)
        self.fetched.append(series)
        if self.aborting:
            self.aborting -= 1
            event.assoc.abort()
            return
        chosen = [one for one in self.datasets if one.SeriesInstanceUID == series]
        if self.losing.get(series, 0):
            self.losing[series] -= 1
            chosen = chosen[:-1]
        yield len(chosen)
        for one in chosen:
            yield 0xFF00, one

    def store(self, event: Event) -> int:
        """Answer C-STORE."""
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.received.append(dataset)
        return 0x0000


@contextmanager
def serving(
    peer: Peer,
    *,
    title: str = "PACSCHU",
    callers: Sequence[str] = (),
    services: Sequence[str] = ("find", "get", "move"),
    tls: ssl.SSLContext | None = None,
) -> Iterator[int]:
    """Let the PACS serve for the block; gives its port."""
    entity = AE(ae_title=title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(callers)
    entity.add_supported_context(sop_class.Verification)
    models = {
        "find": sop_class.StudyRootQueryRetrieveInformationModelFind,
        "get": sop_class.StudyRootQueryRetrieveInformationModelGet,
        "move": sop_class.StudyRootQueryRetrieveInformationModelMove,
    }
    for service in services:
        entity.add_supported_context(models[service])
    for uid in STORAGE:
        entity.add_supported_context(uid, SYNTAXES, scu_role=True, scp_role=True)
        entity.add_requested_context(uid, SYNTAXES)
    server = entity.start_server(
        ("127.0.0.1", 0),
        block=False,
        ssl_context=tls,
        evt_handlers=[
            (evt.EVT_C_FIND, peer.find),
            (evt.EVT_C_GET, peer.get),
            (evt.EVT_C_MOVE, peer.move),
            (evt.EVT_C_STORE, peer.store),
        ],
    )
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def send(files: Sequence[Path], port: int, *, called: str, calling: str = "PACSCHU") -> list[int]:
    """Send files by C-STORE and return the status of each; -1 if there is no association."""
    entity = AE(ae_title=calling)
    for uid in STORAGE:
        entity.add_requested_context(uid, SYNTAXES)
    opened = entity.associate("127.0.0.1", port, ae_title=called)
    if not opened.is_established:
        return [-1 for _ in files]
    try:
        return [getattr(opened.send_c_store(path), "Status", -1) for path in files]
    finally:
        opened.release()


def write_certificates(folder: Path) -> None:
    """Write an authority, a certificate for the PACS and one for the node, and a stranger's."""
    for name in ("ca", "stranger"):
        _openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
        )  # fmt: skip
    for name in ("pacs", "node"):
        request = folder / f"{name}.csr"
        _openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", request,
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", request, "-days", "2", "-CA", folder / "ca.pem",
            "-CAkey", folder / "ca.key", "-CAcreateserial", "-out", folder / f"{name}.pem",
        )  # fmt: skip


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
