"""The best C-index that any model can reach on the phantoms, found on many subjects without images.

The true log hazard ranks subjects better than any model that must learn it. What clinical data
alone, or images alone, allow is the true log hazard's least-squares projection on their terms:
terms that the model lacks are replaced by what the known ones say of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedpet.synthetic.outcome import TERMS, design, endpoints
from fedpet.synthetic.population import draw_population
from fedpet.synthetic.profiles import HOSPITALS

Floats = NDArray[np.float64]
SUBJECTS = 40_000
BLOCK = 400
STREAM = 4
HAZARD = {"pfs": "progression", "os": "death"}
SOURCES = {
    "all": ("clinical", "image"),
    "clinical": ("clinical",),
    "image": ("image",),
}


def ceiling(*, sites: int, seed: int, subjects: int = SUBJECTS) -> dict[str, dict[str, float]]:
    """Estimate the best reachable within-site C-index for each endpoint and kind of input.

    Args:
        sites: Number of phantom hospitals; each has its usual share of the subjects.
        seed: Of the federation. The subjects drawn here are none of its own.
        subjects: Size of the simulated population; 40,000 leave a standard error of about 0.002.

    Returns:
        By endpoint (`pfs`, `os`): `all`, `clinical`, `image`, and `tmtv` for the total metabolic
        tumour volume alone. Values are complete: missing data lower what can be reached.
    """
    total = sum(hospital.weight for hospital in HOSPITALS[:sites])
    scores: list[Floats] = []
    found: list[tuple[Floats, Floats, NDArray[np.bool_], Floats, NDArray[np.bool_]]] = []
    designs: list[Floats] = []
    for index, hospital in enumerate(HOSPITALS[:sites]):
        rng = np.random.default_rng((seed, index, STREAM))
        count = max(BLOCK, subjects * hospital.weight // total)
        people = draw_population(hospital, subjects=count, rng=rng)
        x = design(people.covariates, people.burden)
        designs.append(x - x.mean(axis=0))
        seen = endpoints(people.course)
        scores.append(np.full(count, index))
        found.append((np.log(people.burden.tmtv_ml), *seen["pfs"], *seen["os"]))
    x, site = np.concatenate(designs), np.concatenate(scores)
    tmtv, *times = (np.concatenate(column) for column in zip(*found, strict=True))
    result = {}
    for position, endpoint in enumerate(HAZARD):
        beta = np.array([getattr(term, HAZARD[endpoint]) for term in TERMS])
        predictors = {name: _projection(x, beta, kept) for name, kept in SOURCES.items()}
        predictors["tmtv"] = tmtv
        names = list(predictors)
        values = concordance(
            np.stack([predictors[name] for name in names]),
            times[2 * position],
            times[2 * position + 1].astype(bool),
            site,
        )
        result[endpoint] = {
            name: round(float(value), 4) for name, value in zip(names, values, strict=True)
        }
    return result


def _projection(x: Floats, beta: Floats, kept: tuple[str, ...]) -> Floats:
    known = np.array([term.source in kept for term in TERMS])
    if known.all():
        return x @ beta
    own, *_ = np.linalg.lstsq(x[:, known], x @ beta, rcond=None)
    return x[:, known] @ own


def concordance(
    risks: Floats, time: Floats, event: NDArray[np.bool_], site: Floats, *, block: int = BLOCK
) -> Floats:
    """Return Harrell's C of several risks over pairs of one site.

    Pairs are formed within consecutive blocks of subjects only, which keeps the cost linear and
    the expectation unchanged as long as subjects stand in random order.

    Args:
        risks: Higher is worse, [m, n].
        time: Follow-up, [n].
        event: Whether the event was seen, [n].
        site: Site of each subject, [n], subjects of a site together.
        block: Subjects per block.

    Examples:
        >>> concordance(np.array([[3.0, 1.0, 2.0]]), np.array([1.0, 2.0, 3.0]),
        ...             np.array([True, True, False]), np.zeros(3)).round(3)
        array([0.667])
    """
    agree, pairs = np.zeros(len(risks)), 0
    for code in np.unique(site):
        rows = np.flatnonzero(site == code)
        for start in range(0, len(rows), block):
            part = rows[start : start + block]
            t, seen = time[part], event[part]
            usable = seen[:, None] & ((t[:, None] < t) | ((t[:, None] == t) & ~seen))
            pairs += int(usable.sum())
            for k, risk in enumerate(risks[:, part].astype(np.float32)):
                agree[k] += np.count_nonzero(usable & (risk[:, None] > risk))
                agree[k] += 0.5 * np.count_nonzero(usable & (risk[:, None] == risk))
    return agree / pairs
