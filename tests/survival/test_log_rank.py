"""The log-rank family equals R's, with and without strata."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.errors import DataError
from fedpet.survival import cox
from fedpet.survival.kaplan_meier import event_table
from fedpet.survival.log_rank import log_rank_sums, log_rank_test
from references import brca, lung, reference


def tables(time, event, group, edges, *, entry=None):
    """Count each group, [groups, rows, cells]."""
    return np.stack(
        [
            event_table(
                time[group == code],
                event[group == code],
                edges,
                entry=None if entry is None else entry[group == code],
            )
            for code in np.unique(group)
        ]
    )


def compared(time, event, group, *, strata=None, **weights):
    """Test on exact times; strata are added."""
    edges = np.unique(np.concatenate([[-1.0], time]))
    codes = np.zeros(len(time), int) if strata is None else strata
    total = {}
    levels = np.unique(group)
    for code in np.unique(codes):
        rows = codes == code
        each = np.stack(
            [
                event_table(time[rows & (group == one)], event[rows & (group == one)], edges)
                for one in levels
            ]
        )
        for name, array in log_rank_sums(each, **weights).items():
            total[name] = total.get(name, 0.0) + array
    return log_rank_test(total)


@pytest.mark.parametrize(
    ("name", "by_inst", "rho"),
    [
        ("sex", False, 0.0),
        ("inst", False, 0.0),
        ("sex_by_inst", True, 0.0),
        ("sex_rho_1", False, 1.0),
        ("sex_rho_half", False, 0.5),
        ("sex_by_inst_rho_1", True, 1.0),
        ("ecog", False, 0.0),
        ("ecog_by_inst", True, 0.0),
    ],
)
def test_log_rank_equals_r_survival(name, by_inst, rho):
    """`survdiff` for 2 to 18 groups, plain, weighted, and stratified by institution."""
    data = lung(complete=False)
    group = {"sex": data.x[:, 1], "inst": data.inst, "ecog": data.x[:, 2]}[name.split("_")[0]]
    known = ~np.isnan(group)
    found = compared(
        data.time[known],
        data.event[known],
        group[known],
        strata=data.inst[known] if by_inst else None,
        rho=rho,
    )
    expected = reference("cox_curves")["log_rank"][name][0]
    np.testing.assert_allclose(found.statistic, expected, atol=1e-11)
    assert 0 < found.p_value < 1
    assert found.freedom == len(np.unique(group[known])) - 1


def test_late_entry_equals_the_score_test_of_a_cox_model():
    """Without the correction for ties the log-rank test is Breslow's score test."""
    data = lung(complete=False)
    entry = np.minimum(np.arange(1, 228) % 7 * 20.0, data.time - 1)
    edges = np.unique(np.concatenate([[0.0], data.time, entry]))
    found = log_rank_sums(tables(data.time, data.event, data.x[:, 1], edges, entry=entry))
    sums = cox.cox_sums(
        data.x[:, 1:2] - 1, data.time, data.event, np.zeros(1), ties="breslow", entry=entry
    )
    score = (found["observed"] - found["expected"])[1]
    np.testing.assert_allclose(score, sums.gradient[0], atol=1e-10)
    expected = reference("cox_curves")["log_rank_late"]["breslow_score"][0]
    np.testing.assert_allclose(score**2 / sums.information[0, 0], expected, atol=1e-10)


def test_regions_of_breast_cancer_equal_r_survival():
    """Six regions, twelve subjects with no follow-up at all: 5 degrees of freedom."""
    data = brca()
    found = compared(data.time, data.event, data.region)
    expected = reference("cox_curves")["brca_log_rank"]["region"][0]
    np.testing.assert_allclose(found.statistic, expected, atol=1e-10)
    np.testing.assert_allclose(found.statistic, 11.105072691347, atol=1e-10)
    assert found.freedom == 5


def test_groups_that_are_never_at_risk_together_give_no_statistic():
    """None is the honest answer, and it is not an error."""
    one = event_table(np.array([5.0]), np.array([True]), np.array([0.0, 10.0]))
    found = log_rank_test(log_rank_sums(np.stack([one, np.zeros_like(one)])))
    assert found.statistic is None
    assert found.p_value is None


def test_negative_weights_are_refused():
    """Rho and gamma below 0 would weigh by a division by zero."""
    with pytest.raises(DataError, match="not negative"):
        log_rank_sums(np.zeros((2, 2, 3)), gamma=-1.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 2), st.integers(0, 3)),
        min_size=3,
        max_size=60,
    ),
    st.permutations(range(4)),
)
def test_the_names_and_the_order_of_hospitals_do_not_matter(rows, other):
    """A permutation of sites, and of subjects, changes no digit that counts."""
    time, event, group, site = (np.array(each) for each in zip(*rows, strict=True))
    one = compared(time * 1.0, event, group, strata=site)
    back = np.arange(len(time))[::-1]
    two = compared(time[back] * 1.0, event[back], group[back], strata=np.array(other)[site][back])
    np.testing.assert_allclose(one.expected, two.expected, atol=1e-9)
    if one.statistic is not None and two.statistic is not None:
        np.testing.assert_allclose(one.statistic, two.statistic, rtol=1e-6, atol=1e-9)
