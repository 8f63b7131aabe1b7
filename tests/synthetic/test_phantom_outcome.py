"""The outcomes of phantoms obey the laws that their truth claims."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.utils import concordance_index

from fedpet.synthetic.ceiling import ceiling, concordance
from fedpet.synthetic.outcome import CONFIRM_DAYS, TERMS, design, endpoints
from fedpet.synthetic.population import Population, draw_population
from fedpet.synthetic.profiles import HOSPITALS


@pytest.fixture(scope="module")
def many() -> Population:
    """Subjects of one hospital, many enough to see laws in them."""
    return draw_population(HOSPITALS[0], subjects=12_000, rng=np.random.default_rng(3))


@pytest.mark.parametrize("endpoint", ["progression", "death"])
def test_the_hazard_ratios_of_the_truth_come_back_from_a_cox_fit(
    many: Population, endpoint: str
) -> None:
    """What truth.json calls coefficients must be what an independent Cox model finds."""
    table = pd.DataFrame(
        design(many.covariates, many.burden), columns=[term.variable for term in TERMS]
    )
    table["time"] = getattr(many.course, f"{endpoint}_true")
    fitted = CoxPHFitter().fit(table, "time")
    truth = np.array([getattr(term, endpoint) for term in TERMS])
    assert (np.abs(fitted.params_.to_numpy() - truth) < 4 * fitted.standard_errors_).all()


def test_visits_and_censoring_leave_the_true_predictor_well_calibrated(many: Population) -> None:
    """PFS as a hospital sees it must still follow the log hazard, only a little blunted."""
    time, event = endpoints(many.course)["pfs"]
    table = pd.DataFrame(
        {"lp": many.predictors["progression", "all"], "time": time, "event": event}
    )
    slope = CoxPHFitter().fit(table, "time", "event").params_["lp"]
    assert 0.8 < slope < 1.1


def test_our_concordance_is_that_of_lifelines_where_one_block_holds_all_subjects(
    many: Population,
) -> None:
    """The ceiling is only as right as the C-index behind it."""
    rows = slice(0, 300)
    time, event = (values[rows] for values in endpoints(many.course)["pfs"])
    risk = many.predictors["progression", "all"][rows]
    ours = concordance(risk[None], time, event, np.zeros(300), block=300)[0]
    assert ours == pytest.approx(concordance_index(time, -risk, event), abs=1e-6)


def test_the_ceiling_is_reproducible_and_where_the_literature_is() -> None:
    """It is printed beside every model; it must not move with the seed or be out of this world."""
    one, again, other = (ceiling(sites=10, seed=seed) for seed in (1, 1, 2))
    assert one == again
    for endpoint in ("pfs", "os"):
        for name, value in one[endpoint].items():
            assert value == pytest.approx(other[endpoint][name], abs=0.01)
        assert one[endpoint]["all"] > one[endpoint]["image"] > one[endpoint]["tmtv"]
        assert one[endpoint]["all"] > one[endpoint]["clinical"]
    assert 0.70 < one["pfs"]["all"] < 0.74
    assert 0.62 < one["pfs"]["clinical"] < 0.67
    assert 0.64 < one["pfs"]["image"] < 0.69
    assert 0.59 < one["pfs"]["tmtv"] < 0.63


def test_where_lesions_sit_tells_more_than_how_much_there_is(many: Population) -> None:
    """A network that sees the projections must have something to gain over total volume."""
    x = design(many.covariates, many.burden)
    names = [term.variable for term in TERMS]
    image = many.predictors["progression", "image"]
    scalar = x[:, [names.index("tmtv_ml"), names.index("spread_mm")]]
    scalar = np.column_stack([np.ones(len(x)), scalar, np.log(many.burden.lesions)])
    fitted = scalar @ np.linalg.lstsq(scalar, image, rcond=None)[0]
    unexplained = np.var(image - fitted) / np.var(image)
    assert unexplained > 0.3


def test_some_progressions_are_never_confirmed_and_do_not_count(many: Population) -> None:
    """Pseudo-progression must exist, or the rule of confirmed progression is never exercised."""
    course = many.course
    unconfirmed = ~np.isnan(course.progression) & np.isnan(course.confirmed)
    pseudo_only = unconfirmed & course.pseudo
    assert 0.01 < pseudo_only.mean() < 0.08
    time, event = endpoints(course)["pfs"]
    alive = pseudo_only & np.isnan(course.death)
    assert not event[alive].any()
    assert (time[alive] == course.last_contact[alive]).all()


def test_dates_never_contradict_each_other(many: Population) -> None:
    """A phantom's calendar must be possible: found, confirmed, then death or last contact."""
    course = many.course
    confirmed = ~np.isnan(course.confirmed)
    gap = course.confirmed[confirmed] - course.progression[confirmed]
    assert (gap >= CONFIRM_DAYS).all()
    assert (course.confirmed[confirmed] <= course.last_contact[confirmed]).all()
    dead = ~np.isnan(course.death)
    assert (course.death[dead] == course.last_contact[dead]).all()
    assert (course.last_contact <= course.cut_off).all()
    assert (course.last_contact > 0).all()


def test_better_responses_go_with_lower_hazard(many: Population) -> None:
    """Response is the third head of the network; it must depend on the same causes."""
    hazard, response = many.predictors["progression", "all"], many.course.response
    means = [hazard[response == grade].mean() for grade in ("CR", "PR", "SD", "PD")]
    assert means == sorted(means)
    assert 0.25 < np.isin(response, ("CR", "PR")).mean() < 0.5
