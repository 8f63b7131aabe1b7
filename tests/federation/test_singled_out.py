"""A coordinator that follows the secure sum, but asks so that the sum is one hospital's summand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federated import approve, pinned
from fedpet import plan as plans
from fedpet.cohort.samples import Outcome
from fedpet.engines.in_process import InProcessEngine
from fedpet.errors import UpdateError
from fedpet.federation import secure_sums
from fedpet.federation.arms import Fitted
from fedpet.federation.asking import Execution, Question, answered, ask
from fedpet.federation.evaluation import _question
from fedpet.federation.journal import Closed, Journal
from fedpet.federation.secure_sums import SecureSums
from fedpet.node import masking, objections
from fedpet.node.gate import Node
from fedpet.parameters import Array
from fedpet.plan import Plan, Sites
from fedpet.privacy.secure_sum import rules
from fedpet.survival.preprocessing import Preprocessing
from fedpet.training.evaluate import evaluate
from fedpet.training.statistics import edges_days, moments
from toy import toy_hospitals, toy_plan

COLUMNS = ["age_years", "ecog", "nlr"]
EVERYBODY: dict[str, Any] = {"fold": None, "part": "all", "members": None}
TARGET = "site-1"


class Hospitals:
    """Five hospitals with the default policy, which keep what they were asked over restarts."""

    def __init__(self, folder: Path, stack: ExitStack, plan: Plan) -> None:
        self.folder, self.plan, self.stack = folder, plan, stack
        self.cohorts = toy_hospitals(sites=5, subjects=24)
        self.names = tuple(self.cohorts)
        self.nodes: dict[str, Node] = {}
        stack.callback(lambda: [node.close() for node in self.nodes.values()])

    def open(self) -> None:
        for site, cohort in self.cohorts.items():
            node = Node(site=site, folder=self.folder / site, cohorts={cohort.name: cohort})
            self.nodes[site] = node
            approve(node, self.plan)
        self.roster = pinned(self.nodes)

    def run(self, name: str) -> Execution:
        """Return a coordinator that begins an experiment and remembers nothing."""
        return Execution(
            plan=self.plan,
            fingerprint=plans.fingerprint(self.plan),
            experiment=name,
            engine=InProcessEngine({s: node.handle_bytes for s, node in self.nodes.items()}),
            journal=self.stack.enter_context(Journal(self.folder / f"run-{name}")),
            sums=SecureSums(self.roster),
        )

    def summand(self, site: str) -> dict[str, Array]:
        body = {"columns": COLUMNS, "select": EVERYBODY}
        return moments(self.cohorts[site], self.plan, body, {})


@pytest.fixture
def hospitals(tmp_path: Path) -> Iterator[Hospitals]:
    with ExitStack() as stack:
        made = Hospitals(tmp_path, stack, toy_plan(sites=Sites(sites_min=3)))
        made.open()
        yield made


def closed(run: Execution, question: Question) -> Closed:
    walked = ask(run, question)
    while True:
        try:
            next(walked)
        except StopIteration as stop:
            found: Closed = stop.value
            return found


def means(sites: tuple[str, ...], step: str = "means", **select: Any) -> Question:
    return Question(
        step=step,
        label="Means",
        kind="moments",
        sites=sites,
        body={"columns": COLUMNS, "select": {**EVERYBODY, **select}},
    )


def none_of(*_: object) -> tuple[str, ...]:
    return ()


def own_questions(run: Execution, step: str, spare: dict[str, Any]) -> Question:
    """Return a question of evaluation: real for the target, `spare` for all others."""
    model = flat_model(run.plan)
    layer = dict.fromkeys(run.engine.sites, (model, spare))
    layer[TARGET] = (model, EVERYBODY)
    return _question(step=step, label="Judging", endpoint="pfs", layer=layer, release=None)


def flat_model(plan: Plan) -> Fitted:
    """Return a Cox model of no covariate effect, whose answers are easy to tell."""
    prep = Preprocessing(
        columns=("age_years",),
        log=np.zeros(1, bool),
        mean=np.zeros(1),
        sd=np.ones(1),
        indicator=np.zeros(1, bool),
    )
    scaled = {f"prep.{name}": array for name, array in prep.to_arrays().items()}
    return Fitted(
        kind="cox",
        columns=("age_years",),
        endpoints=("pfs",),
        arrays={
            **scaled,
            "cox.beta": np.zeros(1),
            "cox.hazard": np.full(len(edges_days(plan)), 1e-3),
        },
        sites=(),
    )


def reads(found: Closed, summand: dict[str, Array]) -> bool:
    """Say whether a sum is one hospital's summand."""
    return all(
        np.allclose(found.arrays[name], array, rtol=1e-9, atol=1e-12)
        for name, array in summand.items()
    )


def test_a_sum_that_selects_one_hospital_is_refused(hospitals, monkeypatch):
    """`members` of one hospital leaves the others with nobody: their zeros would hide nothing."""
    question = means(hospitals.names, members=[TARGET])
    with pytest.raises(UpdateError, match="selects none by name"):
        closed(hospitals.run("a"), question)
    monkeypatch.setattr(objections, "to_lone_sums", none_of)
    assert reads(closed(hospitals.run("b"), question), hospitals.summand(TARGET))


def test_hospitals_without_a_subject_do_not_count_as_company(hospitals, monkeypatch):
    """An endpoint that one hospital alone has followed up gives no sum of three."""
    for site, cohort in hospitals.cohorts.items():
        if site != TARGET:
            unknown = np.full(len(cohort.subjects), np.nan)
            outcome = Outcome(time_days=unknown, event=np.zeros(len(unknown), bool))
            blind = replace(cohort, outcomes={**cohort.outcomes, "pfs": outcome})
            hospitals.nodes[site]._cohorts[cohort.name] = blind
    question = replace(means(hospitals.names), body={**means(()).body, "endpoint": "pfs"})
    with pytest.raises(UpdateError, match="no subject to add"):
        closed(hospitals.run("a"), question)
    monkeypatch.setattr(objections, "to_lone_sums", none_of)
    assert len(answered(closed(hospitals.run("b"), question))) == 5


def test_hospitals_that_judge_models_of_their_own_are_asked_about_the_same_subjects(
    hospitals, monkeypatch
):
    """Questions may differ by model and fold only; else all others could be asked about nobody."""
    spare = {**EVERYBODY, "members": ["nobody"]}
    run = hospitals.run("a")
    monkeypatch.setattr(objections, "to_lone_sums", none_of)
    question = own_questions(run, "judge", spare)
    found = closed(run, question)
    assert TARGET not in answered(found)
    assert "signature" in found.sites[TARGET]
    for module in (masking, secure_sums):
        monkeypatch.setattr(module, "shared_question", lambda kind, body, each: each)
    found = closed(run, replace(question, step="judge-again"))
    body, arrays = flat_model(run.plan).question("pfs")
    asked = {**body, "select": EVERYBODY}
    assert reads(found, evaluate(hospitals.cohorts[TARGET], run.plan, asked, arrays))


def test_a_plan_run_again_with_one_hospital_less_does_not_tell_of_it(hospitals, monkeypatch):
    """Two sums of the same, one without a hospital, tell that hospital by subtraction."""
    whole = closed(hospitals.run("a"), means(hospitals.names))
    rest = tuple(site for site in hospitals.names if site != TARGET)
    with pytest.raises(UpdateError, match="summed over other sites"):
        closed(hospitals.run("b"), means(rest, step="another-name"))
    assert answered(closed(hospitals.run("c"), means(hospitals.names))) == hospitals.names
    monkeypatch.setattr(rules, "require_same_sites", lambda before, now: None)
    less = closed(hospitals.run("d"), means(rest))
    for name, array in hospitals.summand(TARGET).items():
        np.testing.assert_allclose(whole.arrays[name] - less.arrays[name], array, rtol=1e-9)
