"""What the commands of a hospital's desk share: its folder, and who sits at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from fedpet.errors import NotFoundError
from fedpet.node.desk import Desk

HOSPITAL = click.argument("hospital", type=click.Path(path_type=Path))
PERSON = click.option(
    "--person", required=True, metavar="NAME", help="Who decides; written into the audit."
)


def require_hospital(hospital: Path) -> None:
    """Refuse a place where no hospital is.

    Raises:
        NotFoundError: If there is no such folder.
    """
    if not hospital.is_dir():
        raise NotFoundError(
            f"There is no hospital in '{hospital.name}'.",
            do="See what a hospital's folder holds: fedpet help folder",
            code="FP-6007",
        )


@contextmanager
def desk_of(hospital: Path) -> Iterator[Desk]:
    """Open a hospital's node folder.

    Raises:
        NotFoundError: If there is no such hospital.
        StoreError: If a file of the node is damaged, or open to others.
    """
    require_hospital(hospital)
    with Desk(hospital / "node", site=hospital.resolve().name) as desk:
        yield desk


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Lay out rows under headings, columns as wide as their widest cell.

    Examples:
        >>> print(table(("Plan", "State"), [("pfs", "approved")]))
        Plan  State
        pfs   approved
    """
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *rows)
    )
