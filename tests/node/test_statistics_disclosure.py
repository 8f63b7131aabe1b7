"""A statistic that could tell of few subjects is refused, whatever the plan or the step says."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from fedpet import plan as plans
from fedpet import planfile
from fedpet.federation.messages import Request, decode, encode
from fedpet.node.gate import Node
from fedpet.node.policy import Policy, write_policy
from fedpet.plan import STATISTICS, Statistics
from fedpet.survival.disclosure_grid import weekly_edges
from toy import toy_cohort, toy_plan

EVERYBODY = {"fold": None, "part": "all", "members": None}
PLAN = toy_plan(statistics=Statistics(allowed=STATISTICS))


STEPS = count(1)  # every question has its own step


class Hospital:
    """A node with an approved plan, and what it says when asked."""

    def __init__(self, folder, *, subjects=40, policy=None, plan=PLAN, cohort=None):
        write_policy(policy or Policy(secure_sum="optional"), folder / "policy.toml")
        self.cohort = cohort or toy_cohort("n", subjects=subjects, seed=3, missing=0.0)
        self.node = Node(site="nice", folder=folder, cohorts={"toy": self.cohort})
        self.plan = plan
        self.node.propose(planfile.dumps(plan))
        self.node.decide(plans.fingerprint(plan), "approved", person="data manager")

    def ask(self, kind="describe-moments", *, step=None, arrays=None, **body):
        request = Request(
            site="nice",
            experiment="e",
            plan=plans.fingerprint(self.plan),
            step=step or f"statistics/describe/{next(STEPS)}",
            kind=kind,
            body={"select": EVERYBODY, "columns": ["age_years"], **body},
            arrays=arrays or {},
        )
        return decode(self.node.handle_bytes(encode(request)))


@pytest.fixture
def hospital(tmp_path):
    folders = iter(tmp_path / str(number) for number in range(9))
    opened = []

    def opening(**settings):
        folder = next(folders)
        folder.mkdir()
        opened.append(Hospital(folder, **settings))
        return opened[-1]

    yield opening
    for one in opened:
        one.node.close()


def over(age):
    """Select subjects of at least an age."""
    return {**EVERYBODY, "where": [{"column": "age_years", "low": age, "high": None}]}


def test_a_statistic_that_the_plan_allows_is_answered(hospital):
    """The rules below refuse what they name, and not everything."""
    assert hospital().ask().status == "ok"


@pytest.mark.parametrize("step", ["statistics/describe/1", "all/means", "enrol", "statistics"])
def test_what_the_plan_does_not_allow_is_refused_whatever_the_step_is_named(hospital, step):
    """A coordinator does not get a statistic by calling it a step of the experiment."""
    plan = toy_plan()
    one = hospital(plan=plan)
    assert one.ask(step=step).status == "refused"
    # Work of the experiment, but on subjects that no experiment selects:
    found = one.ask("moments", step="all/means", select=over(60.0))
    assert found.status == "refused"
    assert "does not allow" in " ".join(found.reasons)


def test_a_statistic_that_the_hospital_does_not_answer_is_refused(hospital):
    """The hospital's list holds beside the plan's."""
    assert (
        hospital(policy=Policy(secure_sum="optional", statistics=("cox",))).ask().status
        == "refused"
    )


def test_few_subjects_are_refused_and_none_are_an_answer(hospital):
    """A hospital with nobody adds nothing; one with few says no."""
    one = hospital(subjects=30)
    assert one.ask(select=over(200.0)).arrays["count"].tolist() == [0.0]
    ages = np.sort(one.cohort.table[:, 0])
    assert one.ask(select=over(ages[-19])).status == "refused"
    assert one.ask(select=over(ages[-20])).status == "ok"


def test_an_answer_that_differs_by_few_subjects_from_one_before_is_refused(hospital):
    """The difference of two sums over 40 and 39 subjects is the fortieth subject."""
    one = hospital()
    ages = np.sort(one.cohort.table[:, 0])
    assert one.ask().status == "ok"
    found = one.ask(select=over(ages[1]))
    assert found.status == "refused"
    assert "subtraction" in " ".join(found.reasons)
    assert one.ask(select=over(ages[4])).status == "refused"
    assert one.ask(select=over(ages[5])).status == "ok"
    assert one.ask(select=over(ages[6])).status == "refused"  # of the one just before
    assert one.ask().status == "ok"  # the same subjects again


def test_the_ledger_outlives_the_node_and_holds_across_plans(tmp_path):
    """A second plan, or a restart, does not open the way to a subtraction."""
    first = Hospital(tmp_path)
    assert first.ask().status == "ok"
    first.node.close()
    other = replace(PLAN, title="Another one")
    second = Hospital(tmp_path, plan=other)
    ages = np.sort(second.cohort.table[:, 0])
    assert second.ask(select=over(ages[1])).status == "refused"
    second.node.close()


def test_missing_values_count_as_subjects_left_out(hospital):
    """A column that two subjects lack is a sum over the others: it stays the same sum."""
    cohort = toy_cohort("n", subjects=40, seed=3, missing=0.0)
    cohort.table[:2, 2] = np.nan
    one = hospital(cohort=cohort)
    complete = {**EVERYBODY, "complete": ["nlr"]}
    assert one.ask(columns=["nlr"]).status == "ok"
    assert one.ask(columns=["nlr"], select=complete).status == "ok"
    assert one.ask(columns=["age_years"]).status == "ok"
    assert one.ask(columns=["age_years"], select=complete).status == "refused"


def test_the_budget_of_questions_ends(hospital):
    """Many harmless answers together are not harmless; the same question again is free."""
    one = hospital(policy=Policy(secure_sum="optional", queries_max=2))
    assert one.ask(columns=["age_years"]).status == "ok"
    assert one.ask(columns=["ecog"]).status == "ok"
    assert one.ask(columns=["ecog"]).status == "ok"
    assert one.ask(columns=["nlr"]).status == "refused"
    assert one.ask(columns=["age_years"]).status == "ok"


def test_a_grid_of_days_is_refused(hospital):
    """Exact event times point to persons."""
    one = hospital()
    exact, weekly = np.arange(900.0), weekly_edges(900)
    found = one.ask("describe-moments", arrays={"edges_days": exact})
    assert found.status == "refused"
    assert "narrowest" in " ".join(found.reasons)
    assert one.ask("describe-moments", arrays={"edges_days": weekly}).status == "ok"


def test_many_covariates_for_few_subjects_are_refused(hospital):
    """A model with a coefficient for every third subject describes the subjects."""
    one = hospital(
        policy=Policy(secure_sum="optional", covariates_per_subject_max=0.1), subjects=25
    )
    columns = ["age_years", "ecog", "nlr"]
    found = one.ask("cox", step="statistics/cox/1", endpoint="pfs", columns=columns)
    assert found.status == "refused"
    assert "covariates" in " ".join(found.reasons)


def test_few_events_are_refused(hospital):
    """A likelihood with two events is the story of two persons."""
    cohort = toy_cohort("n", subjects=40, seed=3, missing=0.0)
    event = cohort.outcomes["pfs"].event
    event[np.flatnonzero(event)[2:]] = False
    found = hospital(cohort=cohort).ask("cox", step="statistics/cox/1", endpoint="pfs")
    assert found.status == "refused"
    assert "events" in " ".join(found.reasons)


def test_duplicates_are_looked_for_only_where_the_hospital_opted_in(hospital):
    """Marks of rows can be guessed by who knows a row; the hospital decides."""
    found = hospital().ask("describe-duplicates")
    assert found.status == "refused"


def test_values_are_not_found_by_subtracting_one_statistic_from_another(hospital):
    """Means for a Cox model and means of a description are the same sums: one difference tells."""
    one = hospital()
    ages = np.sort(one.cohort.table[:, 0])
    assert one.ask("moments", step="statistics/cox/1", select=over(ages[10])).status == "ok"
    found = one.ask("describe-moments", select=over(ages[11]))
    assert found.status == "refused"
    assert "values of column age_years" in " ".join(found.reasons)
    assert one.ask("describe-moments", select=over(ages[15])).status == "ok"


def test_values_of_all_but_a_few_are_never_told(hospital):
    """An experiment asks for the sum over everybody, before or after, without a statistic."""
    one = hospital()
    ages = np.sort(one.cohort.table[:, 0])
    found = one.ask("describe-moments", select=over(ages[1]))
    assert found.status == "refused"
    assert "leave out fewer than 5" in " ".join(found.reasons)
    off = hospital(policy=Policy(secure_sum="optional", difference_min=0))
    told = off.ask("describe-moments", select=over(ages[1])).arrays["sum"]
    whole = off.ask("moments", step="all/means").arrays["sum"]
    assert (whole - told).item() == pytest.approx(ages[0])  # with the defence off it bites
