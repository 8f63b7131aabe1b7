"""C-FIND: which series of a patient list the PACS has. Nothing that names a patient is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind as FindModel,
)

from fedpet.imaging.pacs import words
from fedpet.imaging.pacs.entity import status_of
from fedpet.imaging.pacs.inbox import is_uid
from fedpet.imaging.pacs.settings import PacsSettings

PENDING = (0xFF00, 0xFF01)
MATCHES_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One line of a patient list.

    Args:
        row: Line of the list, from 1; messages name it, and nothing else of the line.
        patient_id: PatientID (0010,0020), or empty.
        accession: Accession Number (0008,0050), or empty; one of both is given.
        first: First day of the study, `YYYYMMDD`, or empty.
        last: Last day, likewise.
    """

    row: int
    patient_id: str = ""
    accession: str = ""
    first: str = ""
    last: str = ""

    @property
    def window(self) -> str:
        """Study dates as DICOM asks for them; empty if any."""
        return f"{self.first}-{self.last}" if self.first or self.last else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFound:
    """A series that the PACS has.

    Args:
        row: Line of the list that it was found for.
        study: Study Instance UID.
        series: Series Instance UID.
        modality: PT, CT, SEG, RTSTRUCT, ...
        objects: How many objects it has; None where the PACS does not tell.
    """

    row: int
    study: str
    series: str
    modality: str
    objects: int | None


def find_series(
    opened: Association, wanted: Wanted, settings: PacsSettings, *, modalities: Sequence[str]
) -> tuple[SeriesFound, ...]:
    """Ask for the series of one line of a list.

    A PACS may answer loosely (upper and lower case, padding, wildcards); studies whose
    identifier is not exactly the one asked for are left out, and so are series of other
    modalities.

    Args:
        opened: An association that offers C-FIND.
        wanted: The line.
        settings: For messages.
        modalities: Which modalities; all if empty.

    Raises:
        EngineError: If the PACS fails or stops answering.
    """
    found: dict[str, SeriesFound] = {}
    for study in _studies(opened, wanted, settings):
        question = Dataset()
        question.QueryRetrieveLevel = "SERIES"
        question.StudyInstanceUID = study
        question.SeriesInstanceUID = ""
        question.Modality = modalities[0] if len(modalities) == 1 else ""
        question.NumberOfSeriesRelatedInstances = ""
        for answer in _answers(opened, question, settings):
            series, modality = _text(answer, "SeriesInstanceUID"), _text(answer, "Modality")
            if is_uid(series) and (not modalities or modality in modalities):
                found[series] = SeriesFound(
                    row=wanted.row,
                    study=study,
                    series=series,
                    modality=modality,
                    objects=_count(_text(answer, "NumberOfSeriesRelatedInstances")),
                )
    return tuple(found.values())


def _studies(opened: Association, wanted: Wanted, settings: PacsSettings) -> list[str]:
    question = Dataset()
    question.QueryRetrieveLevel = "STUDY"
    question.PatientID = wanted.patient_id
    question.AccessionNumber = wanted.accession
    question.StudyDate = wanted.window
    question.StudyInstanceUID = ""
    studies = []
    for answer in _answers(opened, question, settings):
        study = _text(answer, "StudyInstanceUID")
        if is_uid(study) and fits(
            wanted, _text(answer, "PatientID"), _text(answer, "AccessionNumber")
        ):
            studies.append(study)
    return sorted(set(studies))


def fits(wanted: Wanted, patient_id: str, accession: str) -> bool:
    """Tell whether an answer is about the identifier that was asked for, exactly."""
    if wanted.patient_id and patient_id.strip() != wanted.patient_id:
        return False
    return not wanted.accession or accession.strip() == wanted.accession


def _answers(opened: Association, question: Dataset, settings: PacsSettings) -> Iterator[Dataset]:
    try:
        answers = opened.send_c_find(question, FindModel)
    except ValueError:
        raise words.not_offered(settings, "C-FIND") from None
    except RuntimeError:
        raise words.answered_badly(settings, "C-FIND", None) from None
    number = 0
    for answer, found in answers:
        status = status_of(answer)
        if status in PENDING and found is not None:
            number += 1
            if number <= MATCHES_MAX:
                yield found
        elif status != 0:
            raise words.answered_badly(settings, "C-FIND", status)


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def _count(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
