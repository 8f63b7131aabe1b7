"""DICOMweb: QIDO-RS to find series, WADO-RS to fetch them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

from fedpet.errors import DataError, EngineError, FedpetError, RefusalError
from fedpet.imaging.pacs.inbox import DAMAGED, NOT_UNDERSTOOD, STORED, Inbox, Uids, is_uid
from fedpet.imaging.pacs.query import SeriesFound, Wanted, fits
from fedpet.imaging.pacs.quiet import hush
from fedpet.imaging.pacs.settings import PacsSettings

STUDY, SERIES, MODALITY = "0020000D", "0020000E", "00080060"
PATIENT, ACCESSION, OBJECTS = "00100020", "00080050", "00201209"
CHUNK_BYTES = 1 << 20
PAGE = 1000


class _TimedSession(requests.Session):
    """A session that never waits longer than told for a silent server."""

    timeout_s = 60.0

    def send(self, request: requests.PreparedRequest, **kwargs: object) -> requests.Response:
        """Send with our time limit, and trust whom pacs.toml names, not the environment."""
        kwargs.update(timeout=self.timeout_s, verify=self.verify)
        return super().send(request, **kwargs)


@contextmanager
def web_client(settings: PacsSettings, folder: Path) -> Iterator[DICOMwebClient]:
    """Open a DICOMweb client for the block, with certificates and password of pacs.toml.

    Raises:
        DataError: If pacs.toml names no address, or a file that is not there.
    """
    hush()
    web, tls = settings.web, settings.tls
    if not web.url.startswith(("http://", "https://")):
        raise DataError(
            "pacs.toml names no DICOMweb service.",
            do='Add under [web]: url = "https://pacs.hospital/dicom-web", or fetch by C-GET: '
            "--by get.",
            code="FP-3024",
        )
    session = _TimedSession()
    session.timeout_s = settings.limits.timeout_s
    session.verify = str(folder / tls.ca) if tls.ca else True
    if tls.certificate and web.url.startswith("https://"):
        files = [str(folder / name) for name in (tls.certificate, tls.key) if name]
        session.cert = (files[0], files[1]) if len(files) == 2 else files[0]
    if web.user:
        session.auth = (web.user, _password(folder, web.password_file))
    client = DICOMwebClient(url=web.url, session=session, chunk_size=CHUNK_BYTES)
    client.set_http_retry_params(retry=False)
    try:
        with _in_words(settings):
            yield client
    finally:
        session.close()


def web_find(
    client: DICOMwebClient, wanted: Wanted, *, modalities: Sequence[str]
) -> tuple[SeriesFound, ...]:
    """Ask for the series of one line of a list (QIDO-RS); exact as `find_series` is."""
    filters = {"PatientID": wanted.patient_id, "AccessionNumber": wanted.accession}
    filters["StudyDate"] = wanted.window
    asked = {name: value for name, value in filters.items() if value}
    found = {}
    for study in _all(client.search_for_studies, asked):
        uid = _value(study, STUDY)
        if not is_uid(uid) or not fits(wanted, _value(study, PATIENT), _value(study, ACCESSION)):
            continue
        for one in client.search_for_series(uid, fields=["NumberOfSeriesRelatedInstances"]):
            series, modality = _value(one, SERIES), _value(one, MODALITY)
            if is_uid(series) and (not modalities or modality in modalities):
                objects = _value(one, OBJECTS)
                found[series] = SeriesFound(
                    row=wanted.row,
                    study=uid,
                    series=series,
                    modality=modality,
                    objects=int(objects) if objects.isdecimal() else None,
                )
    return tuple(found.values())


def web_get(client: DICOMwebClient, found: SeriesFound, inbox: Inbox) -> Iterator[int]:
    """Fetch a series (WADO-RS) as the server holds it, and yield the number of objects kept."""
    kept = 0
    received = client.iter_series(
        found.study, found.series, media_types=(("application/dicom", "*"),)
    )
    for dataset in received:
        kept += _keep(dataset, inbox) == STORED
        yield kept


def web_echo(client: DICOMwebClient) -> None:
    """Ask for nothing, to see whether the server answers us."""
    client.search_for_studies(limit=1, search_filters={"StudyInstanceUID": "1.2.3.4"})


def _keep(dataset: Dataset, inbox: Inbox) -> int:
    try:
        texts = [
            str(dataset[name].value)
            for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        ]
        if not all(map(is_uid, texts)):
            return inbox.refuse("not_understood", NOT_UNDERSTOOD)
        written = BytesIO()
        dataset.save_as(written, enforce_file_format=True)
    except DAMAGED:
        return inbox.refuse("not_understood", NOT_UNDERSTOOD)
    return inbox.keep(Uids(*texts), written.getbuffer())


def _all(search: object, filters: Mapping[str, str]) -> Iterator[Mapping[str, object]]:
    """Yield all answers of a search, page by page."""
    assert callable(search)
    offset = 0
    while True:
        page = search(search_filters=dict(filters), limit=PAGE, offset=offset)
        yield from page
        if len(page) < PAGE:
            return
        offset += len(page)


def _value(answer: Mapping[str, object], tag: str) -> str:
    element = answer.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return str(values[0]).strip() if isinstance(values, list) and values else ""


def _password(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        raise DataError(
            "The password of DICOMweb cannot be read.",
            do="Write it into a file that only you may read, and name the file in pacs.toml: "
            "[web] password_file.",
            code="FP-3024",
        ) from None


@contextmanager
def _in_words(settings: PacsSettings) -> Iterator[None]:
    """Turn what HTTP says into our errors; addresses with identifiers stay out of them."""
    try:
        yield
    except requests.exceptions.SSLError:
        raise EngineError(
            f"TLS with {settings.web.url} failed.",
            why="Its certificate was not accepted, or it does not accept ours.",
            do="Name the authority that signed it in pacs.toml: [tls] ca.",
            code="FP-3016",
        ) from None
    except requests.exceptions.HTTPError as error:
        raise _refused(settings, getattr(error.response, "status_code", 0)) from None
    except requests.exceptions.RequestException as error:
        raise EngineError(
            f"Cannot reach {settings.web.url}.",
            why="It did not answer in time."
            if isinstance(error, requests.exceptions.Timeout)
            else "Nothing answers there, or the connection broke.",
            do="Check [web] url in pacs.toml; what is complete is not fetched again.",
            code="FP-3015",
        ) from None
    except ValueError:
        raise EngineError(
            f"{settings.web.url} answers, but not in DICOMweb.",
            do="Check [web] url in pacs.toml; it often ends in /dicom-web or /wado-rs.",
            code="FP-3024",
        ) from None


def _refused(settings: PacsSettings, status: int) -> FedpetError:
    title = f"{settings.web.url} answered HTTP {status}."
    if status in (401, 403):
        return RefusalError(
            title,
            why="It wants a login, or our login may not do this.",
            do="Give [web] user and password_file in pacs.toml; ask the PACS administrator.",
            code="FP-3024",
        )
    return EngineError(
        title,
        why="There is no such service at this address." if status == 404 else "",
        do="Check [web] url in pacs.toml with the PACS administrator, and try again.",
        code="FP-3024",
    )
