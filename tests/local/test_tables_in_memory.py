"""Tables in memory become sites, and what is wrong with one is told by its name."""

import numpy as np
import pandas as pd
import pytest

from fedpet.errors import DataError, PlanError, UpdateError
from fedpet.local import federation
from fedpet.plan import Endpoints, Evaluation, Inputs, Plan, Statistics


def table(subjects=30, seed=0, **columns):
    """Return columns of one site."""
    rng = np.random.default_rng(seed)
    values = {
        "age": rng.normal(65, 9, subjects),
        "os_days": rng.integers(1, 900, subjects).astype(float),
        "os_event": rng.random(subjects) < 0.7,
    }
    return {**values, **columns}


def three(**columns):
    """Return three sites, the first with other columns."""
    return {"lyon": table(seed=1, **columns), "nice": table(seed=2), "brest": table(seed=3)}


def test_a_mapping_and_a_data_frame_give_the_same_answer():
    """What a researcher holds in memory does not decide the numbers."""
    plain = three(age=[None, *range(41, 70)])
    frames = {site: pd.DataFrame(columns) for site, columns in plain.items()}
    with federation(plain) as one, federation(frames) as other:
        first, second = one.describe()["age"], other.describe()["age"]
    assert first == second
    together = np.concatenate([frames[site]["age"].to_numpy() for site in frames])
    assert first.mean == pytest.approx(np.nanmean(together), rel=1e-12)
    assert first.sd == pytest.approx(np.nanstd(together, ddof=1), rel=1e-12)
    assert first.known.count is None  # one is missing, and would be known by subtraction


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("age", ["63"] * 30, "holds text"),
        ("age", [np.inf] * 30, "infinite"),
        ("age", [60.0] * 29, "shorter"),
        ("os_days", [-1.0] * 30, "negative times"),
        ("os_event", [2] * 30, "other values than 0 and 1"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_site_and_column(column, values, told):
    """The reader learns where to look, and nothing of any subject."""
    with pytest.raises(DataError, match=told) as caught:
        federation(three(**{column: values}))
    assert "lyon" in caught.value.title
    assert column in caught.value.title


def test_a_time_of_zero_is_a_time():
    """An event on the first day is an event, and a censoring on it is a censoring."""
    with federation(three(os_days=[0.0] * 30)) as sites:
        assert sites.describe().subjects == 90


def test_a_statistic_that_the_plan_does_not_name_is_not_asked():
    """Hospitals approve by name what may be asked."""
    plan = Plan(
        name="p",
        title="t",
        cohort="c",
        inputs=Inputs(clinical=("age",), biomarkers=()),
        endpoints=Endpoints(primary="os", survival=("os",), binary=()),
        evaluation=Evaluation(baselines=()),
        statistics=Statistics(allowed=("cox",)),
    )
    with federation(three(), plan=plan) as sites, pytest.raises(PlanError, match="'describe'"):
        sites.describe()


def test_a_question_is_answered_once_and_then_from_the_journal(tmp_path):
    """The same question costs the hospitals nothing the second time."""
    seen = []
    with federation(three(), folder=tmp_path, watch=seen.append) as sites:
        first = sites.describe()
        asked = [record for record in seen if type(record).__name__ == "SiteState"]
        again = sites.describe()
        assert [r for r in seen if type(r).__name__ == "SiteState"] == asked
    assert first == again


def test_a_column_absent_at_one_site_leaves_that_site_out_by_name():
    """The others go on; the sum says who is in it, or why there are too few."""
    tables = three()
    tables["caen"] = table(seed=4, nlr=[2.0] * 30)
    with federation(tables) as sites, pytest.raises(UpdateError) as caught:
        sites.describe(["nlr"])
    assert "lyon: This hospital's cohort has no column 'nlr'" in caught.value.why
