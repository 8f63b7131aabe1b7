"""The hospitals that take part in a run: opened by name, apart from each other, and unchanged.

Rules:
1. What is wrong at one hospital is told with the hospital's name.
2. One subject at two hospitals would be in training and in the test at once.
3. A run that is resumed goes on with the cohorts it began with: its closed steps are theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

from fedpet.cohort.samples import Cohort, open_cohort
from fedpet.errors import DataError, FedpetError, StoreError
from fedpet.federation.journal import Journal


@contextmanager
def named(site: str) -> Iterator[None]:
    """Put the hospital's name before what goes wrong at it."""
    try:
        yield
    except FedpetError as error:
        title = f"Hospital '{site}': {error.title}"
        raise type(error)(title, why=error.why, do=error.do, code=error.code) from error


def open_cohorts(hospitals: Mapping[str, Path]) -> dict[str, Cohort]:
    """Open every hospital's cohort.

    Raises:
        StoreError: If one cannot be used; it is named.
        DataError: If two hospitals hold the same subjects.
    """
    cohorts = {}
    for site, folder in hospitals.items():
        with named(site):
            cohorts[site] = open_cohort(folder / "cohort")
    for (first, one), (second, other) in combinations(cohorts.items(), 2):
        if both := len(set(one.subjects) & set(other.subjects)):
            raise DataError(
                f"Hospitals '{first}' and '{second}' hold {both} of the same subjects.",
                why="A model would be judged on subjects that it was fitted to.",
                do="Look whether one folder is a copy of the other, and take one away.",
            )
    return cohorts


def require_unchanged(cohorts: Mapping[str, Cohort], journal: Journal) -> None:
    """Compare the cohorts with those that the run began with; write them down if it begins now.

    Raises:
        StoreError: If a cohort was built anew from other data, or a hospital came or went.
    """
    now = {site: cohort.fingerprint for site, cohort in cohorts.items()}
    began = json.loads(journal.remember("cohorts", json.dumps(now, sort_keys=True)))
    told = [f"'{site}' is no longer there" for site in sorted(began.keys() - now.keys())]
    told += [f"'{site}' is new" for site in sorted(now.keys() - began.keys())]
    told += [
        f"the cohort of '{site}' is another one"
        for site in sorted(began.keys() & now.keys())
        if began[site] != now[site]
    ]
    if told:
        raise StoreError(
            "The hospitals are not as they were when this run began.",
            why=f"Since then, {'; '.join(told)}. Steps that are closed would not fit the others.",
            do="Start a new run with another --out, or restore what was changed.",
        )
