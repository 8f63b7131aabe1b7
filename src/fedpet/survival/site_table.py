"""One site's table 1, made to be told: rounded, counts apart from values, nothing of single rows.

Every value is a mean or a spread over at least as many subjects as may be told of, rounded to
four digits; a count that is small is hidden by the node (`count.` arrays). Where all have the same
value, that is said, and not which one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DIGITS = 4
VALUES_MIN = 5


def column_facts(table: Floats) -> dict[str, Floats]:
    """Describe columns of one site.

    Args:
        table: [n, p], NaN for missing.

    Returns:
        Arrays [p]: `count.column.known`, `count.column.missing`, `count.column.coded` (values
        that are 0 or 1), `count.column.mode` (subjects with the most frequent value),
        `column.mean`, `column.sd`, `column.constant` (1 where all have one value). Mean and
        spread are 0 where few have a value or all the same.

    Examples:
        >>> facts = column_facts(np.array([[1.0], [0.0], [1.0], [1.0], [1.0], [np.nan]]))
        >>> facts["count.column.known"].tolist(), facts["column.mean"].tolist()
        ([5.0], [0.8])
    """
    columns = [_column(table[~np.isnan(table[:, p]), p], len(table)) for p in range(table.shape[1])]
    names = ("known", "missing", "coded", "mode")
    facts = {
        f"count.column.{name}": np.array([one[name] for one in columns], float) for name in names
    }
    return facts | {
        f"column.{name}": np.array([one[name] for one in columns], float)
        for name in ("mean", "sd", "constant")
    }


def _column(known: Floats, subjects: int) -> dict[str, float]:
    counts = np.unique(known, return_counts=True)[1]
    constant = len(known) >= VALUES_MIN and len(counts) == 1
    told = len(known) >= VALUES_MIN and not constant
    return {
        "known": float(len(known)),
        "missing": float(subjects - len(known)),
        "coded": float(np.isin(known, (0.0, 1.0)).sum()),
        "mode": float(counts.max(initial=0)),
        "mean": _rounded(known.mean()) if told else 0.0,
        "sd": _rounded(known.std(ddof=1)) if told else 0.0,
        "constant": float(constant),
    }


def endpoint_facts(endpoint: str, time_days: Floats, event: NDArray[np.bool_]) -> dict[str, Floats]:
    """Describe one endpoint of one site.

    Args:
        endpoint: Its name.
        time_days: [n], NaN for unknown.
        event: [n].

    Returns:
        Arrays [1]: `count.<endpoint>.known`, `count.<endpoint>.events`, `count.<endpoint>.zero`
        (time 0) and `<endpoint>.mean_days`.
    """
    known = ~np.isnan(time_days)
    days = time_days[known]
    return {
        f"count.{endpoint}.known": np.array([float(known.sum())]),
        f"count.{endpoint}.events": np.array([float(event[known].sum())]),
        f"count.{endpoint}.zero": np.array([float((days == 0).sum())]),
        f"{endpoint}.mean_days": np.array(
            [_rounded(days.mean()) if len(days) >= VALUES_MIN else 0.0]
        ),
    }


def _rounded(value: float) -> float:
    """Round to four digits, so that two tables do not tell a patient by their difference."""
    return float(f"{value:.{DIGITS}g}")


def mark_counts(rows: Floats, *, salt: str, cells: int) -> dict[str, Floats]:
    """Count a site's rows by two salted marks, to be summed over sites.

    A row that is at two sites falls into the same cell at both, in both tables; two different
    rows do so by chance.

    Args:
        rows: [n, q]; rows with a missing value do not count.
        salt: Shared by all sites.
        cells: Cells of each table.

    Returns:
        `marks` [2, cells] and `rows` [1].
    """
    import hashlib

    marks = np.zeros((2, cells))
    complete = rows[~np.isnan(rows).any(axis=1)]
    for row in complete:
        digest = hashlib.sha256(salt.encode() + b"\0" + row.astype("<f8").tobytes()).digest()
        for table in range(2):
            marks[table, int.from_bytes(digest[8 * table : 8 * table + 8], "little") % cells] += 1
    return {"marks": marks, "rows": np.array([float(len(complete))])}


def duplicates_of(marks: Floats, rows: float) -> float:
    """Estimate how many rows are at a second place, from the summed marks.

    Chance meetings are taken off: n rows in c cells meet about n^2 / (2 c) times.

    Examples:
        >>> one = mark_counts(np.arange(20.0).reshape(10, 2), salt="s", cells=1 << 16)
        >>> round(duplicates_of(one["marks"] * 2, 20.0))
        10
    """
    again = np.maximum(marks - 1, 0).sum(axis=1).min()
    chance = rows * rows / (2 * marks.shape[1])
    return max(0.0, float(again - chance))
