"""One command over a hospital's folder, or over every hospital that a folder holds."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedpet.cli.terminal import Answer
from fedpet.errors import DataError, FedpetError, NotFoundError

if TYPE_CHECKING:
    from rich.console import Console

TO_BUILD = ("cohort.toml",)
TO_SHOW = (*TO_BUILD, "cohort/cohort.json")


def hospitals_in(folder: Path, *, marks: Sequence[str] = TO_SHOW) -> dict[str, Path]:
    """Return the hospital that a folder is, or those that it holds, by name.

    Args:
        folder: A hospital's folder, or one with several of them.
        marks: Files by which a hospital is known: settings to build it by, or a built cohort.

    Raises:
        NotFoundError: If there is none.
    """
    if any((folder / mark).exists() for mark in marks):
        return {folder.resolve().name: folder}
    found = {path.name: path for mark in marks for path in _holding(folder, mark)}
    if not found:
        raise NotFoundError(
            f"There is no hospital in '{folder.name}': neither cohort.toml nor a subfolder "
            "with one.",
            do="See what a hospital's folder holds: fedpet help folder",
            code="FP-6007",
        )
    return dict(sorted(found.items()))


def _holding(folder: Path, mark: str) -> list[Path]:
    return [path for path in folder.glob("[!.]*") if (path / mark).exists()]


def each_hospital(folder: Path, answer_of: Callable[[Path], Answer], *, command: str) -> Answer:
    """Answer for the hospital that a folder is; or for each that it holds, all in one answer.

    A hospital that cannot answer does not keep the others from it.

    Args:
        folder: A hospital's folder, or one with several of them.
        answer_of: Answers for one hospital.
        command: What works on one hospital alone, such as `fedpet cohort show`.

    Returns:
        The answer. For several hospitals: `hospitals`, with the data of each by name, and an
        error that names everyone with something wrong.

    Raises:
        NotFoundError: If there is no hospital.
        FedpetError: If the only one cannot answer.
    """
    hospitals = hospitals_in(folder)
    if folder in hospitals.values():
        return answer_of(folder)
    answers: dict[str, Answer] = {}
    wrong: dict[str, FedpetError] = {}
    for site, place in hospitals.items():
        try:
            answers[site] = answer_of(place)
        except FedpetError as error:
            wrong[site] = error
    wrong |= {site: one.error for site, one in answers.items() if one.error is not None}
    return Answer(
        data={"hospitals": {site: one.data for site, one in answers.items()}},
        text=lambda console: _draw(answers, console),
        error=_together(wrong, folder, command=command, of=len(hospitals)) if wrong else None,
    )


def _together(
    wrong: Mapping[str, FedpetError], folder: Path, *, command: str, of: int
) -> FedpetError:
    kinds = {(type(error), error.code) for error in wrong.values()}
    kind, code = kinds.pop() if len(kinds) == 1 else (DataError, None)
    return kind(
        f"Something is wrong at {len(wrong)} of {of} hospitals.",
        why="\n".join(f"{site}: {error}" for site, error in sorted(wrong.items())),
        do=f"Look at one alone: {command} {shlex.quote(str(folder / min(wrong)))}",
        code=code,
    )


def _draw(answers: Mapping[str, Answer], console: Console) -> None:
    for number, (site, answer) in enumerate(answers.items()):
        if number:
            console.print()
        console.rule(site, align="left")
        if callable(answer.text):
            answer.text(console)
        elif answer.text:
            console.print(answer.text, markup=False, highlight=False)
