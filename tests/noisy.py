"""A request to train on toy hospitals, with scaling and first weights, for tests of noise."""

from __future__ import annotations

import numpy as np

from fedpet.cohort.samples import Cohort
from fedpet.parameters import Array
from fedpet.plan import Plan
from fedpet.survival.preprocessing import fit_preprocessing, moment_sums
from fedpet.training import loop

SELECT = {"part": "all", "fold": None, "members": None}
BODY = {"round": 1, "columns": ["age_years", "ecog", "tmtv_ml"], "select": SELECT}


def scaling(cohort: Cohort) -> dict[str, Array]:
    """Return the scaling of the columns of `BODY`, as a request carries it."""
    table = cohort.table[:, [cohort.columns.index(name) for name in BODY["columns"]]]
    log = np.array([False, False, True])
    first = moment_sums(table, log=log)
    second = moment_sums(table, log=log, center=first["sum"] / first["count"])
    prep = fit_preprocessing(
        first, second, columns=BODY["columns"], log=("tmtv_ml",), subjects=len(cohort.subjects)
    )
    return {f"prep.{name}": array for name, array in prep.to_arrays().items()}


def request(cohort: Cohort, plan: Plan) -> dict[str, Array]:
    """Return the arrays of a request to train: scaling and the first weights."""
    prep = scaling(cohort)
    first = loop.initial(cohort, plan, BODY, prep)
    return prep | {f"model.{n}": a for n, a in first.items() if n != "weight.shared"}
