"""A whole federation in this process, for tests: real nodes, the real engine, the real walk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from fedpet import plan as plans
from fedpet import planfile
from fedpet.cohort.samples import Cohort, pool
from fedpet.engines.in_process import InProcessEngine
from fedpet.errors import RefusalError
from fedpet.federation import experiment
from fedpet.federation.asking import Execution
from fedpet.federation.journal import Journal
from fedpet.federation.records import Finished, Record
from fedpet.federation.results import Context
from fedpet.federation.secure_sums import SecureSums
from fedpet.node.gate import Node
from fedpet.node.policy import Policy, write_policy
from fedpet.plan import Plan
from fedpet.privacy.identity import Roster
from toy import toy_hospitals, toy_plan

OPEN = Policy(releases=("counts", "site-results", "local-model"))
DEFAULT = Policy(releases=OPEN.releases, sites_min=2, secure_sum="optional")
Handler = Callable[[bytes], bytes]


def small_plan(**changes: Any) -> Plan:
    """Return a plan that runs in seconds."""
    values: dict[str, Any] = {
        "training": plans.Training(rounds=2, batch_size=16),
        "evaluation": plans.Evaluation(folds=2, bootstrap=20),
        "sites": plans.Sites(sites_min=2),
    }
    return toy_plan(**{**values, **changes})


def small_hospitals(*, sites: int = 4) -> dict[str, Cohort]:
    """Return a few small hospitals."""
    return toy_hospitals(sites=sites, subjects=24)


@contextmanager
def federation(
    folder: Path,
    plan: Plan,
    hospitals: Mapping[str, Cohort],
    *,
    policies: Mapping[str, Policy] | None = None,
    pooled: bool = False,
    workers: int = 4,
    through: Mapping[str, Callable[[Handler], Handler]] | None = None,
) -> Iterator[Execution]:
    """Open every hospital's node, approve the plan where its policy allows, open the journal.

    Args:
        folder: Of the run; nodes live in it.
        plan: The plan.
        hospitals: Cohorts by site.
        policies: Policies by site; an open one with two sites unless told.
        pooled: Whether to add the pooled comparison.
        workers: Sites that work at the same time; waiting for disks overlaps.
        through: By site, what stands between engine and node, such as a broken line.
    """
    torch.set_num_threads(1)  # as a run does; another number adds in another order
    cohorts = dict(hospitals)
    if pooled:
        cohorts["pooled"] = pool(hospitals, name=plan.cohort)
    nodes: dict[str, Node] = {}
    with ExitStack() as stack:
        handlers: dict[str, Handler] = {}
        for site, cohort in cohorts.items():
            home = folder / site
            home.mkdir(parents=True, exist_ok=True)
            policy = (policies or {}).get(site, DEFAULT)
            write_policy(policy, home / "policy.toml")
            node = Node(site=site, folder=home, cohorts={cohort.name: cohort})
            stack.callback(node.close)
            nodes[site] = node
            approve(node, plan)
            between = (through or {}).get(site, lambda handler: handler)
            handlers[site] = between(node.handle_bytes)
        roster = pinned({site: nodes[site] for site in hospitals})
        yield Execution(
            plan=plan,
            fingerprint=plans.fingerprint(plan),
            experiment="test",
            engine=InProcessEngine(handlers, workers=workers),
            journal=stack.enter_context(Journal(folder)),
            pooled="pooled" if pooled else None,
            sums=SecureSums(roster),
        )


def pinned(nodes: Mapping[str, Node]) -> Roster:
    """Do what people do at enrolment: every node pins the same list of keys."""
    roster = Roster({site: node.membership.identity.public for site, node in nodes.items()})
    for node in nodes.values():
        node.membership.pin(roster)
    return roster


def approve(node: Node, plan: Plan) -> None:
    """Do what the person at the hospital does, unless the policy forbids it."""
    node.propose(planfile.dumps(plan))
    try:
        node.decide(plans.fingerprint(plan), "approved", person="a tester")
    except RefusalError:
        return


def walk(execution: Execution) -> tuple[Finished, list[Record]]:
    """Run an experiment to its end."""
    records = list(experiment.run(execution, Context(started="2026-01-01T00:00:00", phantom=True)))
    last = records[-1]
    assert isinstance(last, Finished)
    return last, records


def frozen(finished: Finished) -> bytes:
    """Return results and models as bytes, durations left out."""
    results = json.loads(json.dumps(finished.results, allow_nan=False))
    results["experiment"] = {
        key: value
        for key, value in results["experiment"].items()
        if key not in ("seconds", "timings")
    }
    from fedpet.parameters import to_bytes

    models = b"".join(to_bytes(finished.models[name]) for name in sorted(finished.models))
    return json.dumps(results, sort_keys=True).encode() + models
