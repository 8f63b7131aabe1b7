"""Three ways to ask and fetch behind one port: C-FIND with C-GET or C-MOVE, and DICOMweb."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind as FindModel,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelGet as GetModel,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelMove as MoveModel,
)

from fedpet.imaging.pacs.contexts import storage_contexts, storage_roles
from fedpet.imaging.pacs.entity import association
from fedpet.imaging.pacs.inbox import Inbox
from fedpet.imaging.pacs.query import SeriesFound, Wanted, find_series
from fedpet.imaging.pacs.receiver import keep, receiver
from fedpet.imaging.pacs.retrieve import Sent, get, move
from fedpet.imaging.pacs.settings import PacsSettings, Retrieve
from fedpet.imaging.pacs.web import web_client, web_find, web_get

T = TypeVar("T")


class Finder(Protocol):
    """Looks lines of a list up."""

    def __call__(self, wanted: Wanted) -> tuple[SeriesFound, ...]:
        """Return the series of one line."""
        ...


class Fetcher(Protocol):
    """Fetches series into an inbox."""

    def __call__(self, found: SeriesFound) -> Iterator[Sent]:
        """Fetch one series; the last value says what the other side thinks it sent."""
        ...


class Line:
    """A connection that is opened when it is needed, and anew after it broke.

    Args:
        open_: Opens it.
    """

    def __init__(self, open_: Callable[[], AbstractContextManager[Association]]) -> None:
        self._open = open_
        self._stack = ExitStack()
        self._opened: Association | None = None

    def association(self) -> Association:
        """Return the open association."""
        if self._opened is None or not self._opened.is_established:
            self._stack.close()
            self._opened = self._stack.enter_context(self._open())
        return self._opened

    def drop(self) -> None:
        """Close it at once; the next use opens another."""
        if self._opened is not None and self._opened.is_established:
            self._opened.abort()
        self._opened = None
        self._stack.close()

    def close(self) -> None:
        """Close it in good order."""
        self._opened = None
        self._stack.close()


@contextmanager
def finder(
    settings: PacsSettings, folder: Path, *, by: Retrieve, modalities: Sequence[str]
) -> Iterator[Finder]:
    """Give a finder for the block.

    Args:
        settings: Where the PACS is.
        folder: Of pacs.toml.
        by: DICOMweb if `web`, C-FIND otherwise.
        modalities: Of the series; all if empty.
    """
    if by == "web":
        with web_client(settings, folder) as client:
            yield lambda wanted: web_find(client, wanted, modalities=modalities)
        return
    line = Line(lambda: association(settings, folder, [build_context(FindModel)], service="C-FIND"))

    def find(wanted: Wanted) -> tuple[SeriesFound, ...]:
        try:
            return find_series(line.association(), wanted, settings, modalities=modalities)
        except BaseException:
            line.drop()
            raise

    try:
        yield find
    finally:
        line.close()


@contextmanager
def fetcher(
    settings: PacsSettings,
    folder: Path,
    inbox: Inbox,
    *,
    by: Retrieve,
    modalities: tuple[str, ...],
) -> Iterator[Fetcher]:
    """Give a fetcher for the block; with `move`, our receiver listens meanwhile.

    Args:
        settings: Where the PACS is.
        folder: Of pacs.toml.
        inbox: Where objects go.
        by: The way.
        modalities: What may come.
    """
    if by == "web":
        yield _web(settings, folder, inbox)
    elif by == "move":
        with receiver(settings, folder, inbox):
            line = Line(
                lambda: association(settings, folder, [build_context(MoveModel)], service="C-MOVE")
            )
            yield from _through(line, lambda opened, found: move(opened, found, settings))
    else:
        line = Line(
            lambda: association(
                settings,
                folder,
                [build_context(GetModel), *storage_contexts(modalities)],
                service="C-GET",
                roles=storage_roles(modalities),
                further=[(evt.EVT_C_STORE, keep, [inbox])],
            )
        )
        yield from _through(line, lambda opened, found: get(opened, found, settings))


def _through(
    line: Line, fetch: Callable[[Association, SeriesFound], Iterator[Sent]]
) -> Iterator[Fetcher]:
    def run(found: SeriesFound) -> Iterator[Sent]:
        try:
            yield from fetch(line.association(), found)
        except BaseException:
            line.drop()
            raise

    try:
        yield run
    finally:
        line.close()


def _web(settings: PacsSettings, folder: Path, inbox: Inbox) -> Fetcher:
    def run(found: SeriesFound) -> Iterator[Sent]:
        with web_client(settings, folder) as client:
            for kept in web_get(client, found, inbox):
                yield Sent(completed=kept, failed=0)

    return run
