"""A whole experiment and a statistic, and every byte between coordinator and hospitals."""

from __future__ import annotations

import re

import numpy as np

from federated import federation, walk
from fedpet import plan as plans
from fedpet.federation.session import Federation
from fedpet.node.policy import Policy
from fedpet.node.worker.workshop import Workshop
from fedpet.plan import Endpoints, Evaluation, Inputs, Sites, Training
from toy import toy_hospitals, toy_plan


def test_no_summand_no_pseudonym_and_no_path_is_on_the_wire(tmp_path, monkeypatch):
    """What each hospital computed for a sum is noted beside its gate, and looked for outside."""
    wire, summands = [], []

    def tapped(handler):
        def handle(data):
            answer = handler(data)
            wire.extend((data, answer))
            return answer

        return handle

    compute = Workshop.compute

    def noted(self, kind, cohort, plan, body, arrays, **values):
        found = compute(self, kind, cohort, plan, body, arrays, **values)
        if body.get("release") is None and kind != "initialise":  # first weights are the plan's
            summands.append((kind, found))
        return found

    monkeypatch.setattr(Workshop, "compute", noted)
    plan = toy_plan(
        inputs=Inputs(clinical=("age_years", "ecog"), biomarkers=("tmtv_ml",)),
        endpoints=Endpoints(survival=("pfs",), binary=()),
        training=Training(rounds=1, batch_size=16),
        evaluation=Evaluation(
            scheme="held-out-subjects", folds=2, bootstrap=0, baselines=(), site_results=True
        ),
        sites=Sites(sites_min=3),
        statistics=plans.Statistics(allowed=("describe",)),
    )
    hospitals = toy_hospitals(sites=3, subjects=40)
    with federation(
        tmp_path,
        plan,
        hospitals,
        policies=dict.fromkeys(hospitals, Policy()),
        through=dict.fromkeys(hospitals, tapped),
    ) as execution:
        walk(execution)
        Federation(execution).describe()
    traffic = b"".join(wire)
    assert {"moments", "cox", "train", "evaluate", "describe-moments"} <= {k for k, _ in summands}
    looked = 0
    for kind, arrays in summands:
        for name, array in arrays.items():
            if len(np.unique(array)) < 4:
                continue  # a few whole numbers may be anything
            looked += 1
            for width in (np.float64, np.float32):
                assert array.astype(width).tobytes() not in traffic, (kind, name)
    assert looked > 100
    for cohort in hospitals.values():
        for subject in cohort.subjects:
            assert re.search(subject.encode() + rb"(?!\d)", traffic) is None
    assert str(tmp_path).encode() not in traffic
