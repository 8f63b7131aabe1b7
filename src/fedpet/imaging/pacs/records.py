"""What a pull tells while it runs. Lines of the list by number, never an identifier."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A line of the list was looked up.

    Args:
        row: Line of the list.
        number: How many lines are looked up.
        total: Lines in all.
        series: Series that the PACS has for it, by modality.
        error: Why it could not be looked up; empty if it could.
    """

    row: int
    number: int
    total: int
    series: dict[str, int]
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """All lines are looked up; fetching begins.

    Args:
        subjects: Lines with series to fetch or already here.
        series: Series in all.
        complete: Series that are here already.
        objects: Objects to fetch, as far as the PACS tells.
        unknown: Series to fetch whose number of objects the PACS does not tell.
    """

    subjects: int
    series: int
    complete: int
    objects: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """Objects came.

    Args:
        files: Files so far in this run.
        bytes: Their size.
        objects: Objects accounted for, of those in `Begun`.
        seconds: Since fetching began.
    """

    files: int
    bytes: int
    objects: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDone:
    """A series is complete, or failed for now.

    Args:
        row: Line of the list.
        modality: Of the series.
        files: Files of the series that are here.
        attempt: From 1.
        error: Why it failed; empty if it is complete.
    """

    row: int
    modality: str
    files: int
    attempt: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectDone:
    """All series of a line of the list ended.

    Args:
        row: Line of the list.
        number: How many lines ended.
        total: Lines with series.
        failed: Series of it that are not complete.
    """

    row: int
    number: int
    total: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """The pull ended.

    Args:
        subjects: Lines of the list.
        complete: Lines with at least one series, all of them here.
        absent: Lines for which the PACS has nothing that was asked for, by number.
        failed: Lines with something missing, by number, each with its reason.
        series: Series fetched in this run.
        skipped: Series that were here already.
        files: Files that came in this run.
        bytes: Their size.
        refused: Objects that were not kept, by reason.
        seconds: Time of the whole pull.
    """

    subjects: int
    complete: int
    absent: tuple[int, ...]
    failed: dict[int, str]
    series: int
    skipped: int
    files: int
    bytes: int
    refused: dict[str, int]
    seconds: float


PullRecord = Asked | Begun | Came | SeriesDone | SubjectDone | Pulled
