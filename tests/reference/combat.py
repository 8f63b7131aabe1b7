"""Reference numbers of tests/survival on ComBat, from neuroCombat, which is no dependency.

    pip install neuroCombat==0.2.12
    python combat.py > combat.json

Four sites with shift and scale of their own; age and sex are preserved. Ages are whole numbers,
because neuroCombat rounds continuous covariates to single precision.
"""

import contextlib
import json
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from neuroCombat import neuroCombat

np.int = int  # neuroCombat 0.2.12 names an alias that numpy 1.24 dropped

rng = np.random.default_rng(11)
SIZES, FEATURES = (22, 30, 21, 26), 8
site = np.repeat(np.arange(len(SIZES)), SIZES)
age = rng.integers(45, 80, len(site)).astype(float)
sex = (rng.random(len(site)) < 0.4).astype(float)
shift, scale = rng.normal(0, 1, (4, FEATURES)), np.exp(rng.normal(0, 0.3, (4, FEATURES)))
effect = rng.normal(0, 0.05, FEATURES)
truth = 10 + np.outer(age - 60, effect) + np.outer(sex, 4 * effect)
features = truth + shift[site] + scale[site] * rng.normal(size=(len(site), FEATURES))
features = np.round(features, 6)
covars = pd.DataFrame({"site": site, "age": age, "sex": sex})


def adjusted(**options):
    """Return neuroCombat's answer, [subjects, features]."""
    with contextlib.redirect_stdout(sys.stderr):
        found = neuroCombat(features.T.copy(), covars, "site", **options)
    return found["data"].T.tolist()


both = {"continuous_cols": ["age", "sex"]}
json.dump(
    {
        "made_by": {name: version(name) for name in ("neuroCombat", "numpy")},
        "data": {
            "site": site.tolist(),
            "covariates": np.stack([age, sex], axis=1).tolist(),
            "features": features.tolist(),
        },
        "adjusted": {
            "plain": adjusted(),
            "preserved": adjusted(**both),
            "reference": adjusted(**both, ref_batch=2),
        },
    },
    sys.stdout,
)
