"""C-GET and C-MOVE of one series; what came is counted by the inbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelGet as GetModel,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelMove as MoveModel,
)

from fedpet.imaging.pacs import words
from fedpet.imaging.pacs.entity import status_of
from fedpet.imaging.pacs.query import PENDING, SeriesFound
from fedpet.imaging.pacs.settings import PacsSettings

SOME_FAILED = 0xB000


@dataclass(frozen=True, slots=True)
class Sent:
    """What the PACS says it sent so far.

    Args:
        completed: Objects sent and accepted.
        failed: Objects that it could not send, or that we refused.
    """

    completed: int
    failed: int


def get(opened: Association, found: SeriesFound, settings: PacsSettings) -> Iterator[Sent]:
    """Fetch a series over the same connection (C-GET).

    Args:
        opened: An association for C-GET with reversed roles, whose handler keeps objects.
        found: The series.
        settings: For messages.

    Yields:
        What was sent so far; the last one is final.

    Raises:
        FedpetError: If the PACS refuses, fails or stops answering.
    """
    try:
        answers = opened.send_c_get(_question(found), GetModel)
    except ValueError:
        raise words.not_offered(settings, "C-GET") from None
    except RuntimeError:
        raise words.answered_badly(settings, "C-GET", None) from None
    yield from _followed(answers, settings, "C-GET")


def move(opened: Association, found: SeriesFound, settings: PacsSettings) -> Iterator[Sent]:
    """Have a series sent to our receiver (C-MOVE); it must be listening.

    Raises:
        FedpetError: If the PACS does not know our AE title, fails or stops answering.
    """
    try:
        answers = opened.send_c_move(_question(found), settings.ae_title, MoveModel)
    except ValueError:
        raise words.not_offered(settings, "C-MOVE") from None
    except RuntimeError:
        raise words.answered_badly(settings, "C-MOVE", None) from None
    yield from _followed(answers, settings, "C-MOVE")


def _question(found: SeriesFound) -> Dataset:
    question = Dataset()
    question.QueryRetrieveLevel = "SERIES"
    question.StudyInstanceUID = found.study
    question.SeriesInstanceUID = found.series
    return question


def _followed(
    answers: Iterator[tuple[Dataset, Dataset | None]], settings: PacsSettings, service: str
) -> Iterator[Sent]:
    for answer, _ in answers:
        status = status_of(answer)
        if status not in (*PENDING, 0, SOME_FAILED):
            raise words.answered_badly(settings, service, status)
        yield Sent(
            completed=int(answer.get("NumberOfCompletedSuboperations") or 0),
            failed=int(answer.get("NumberOfFailedSuboperations") or 0),
        )
