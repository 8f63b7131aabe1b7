"""Wire a whole federation into this process: every hospital's node, the engine, the journal.

What a person does at each hospital in a real federation, one person does here for all of them:
the plan is proposed to every node and approved in the name of whoever started this.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from fedpet import plan as plans
from fedpet import planfile
from fedpet.cohort.samples import Cohort, pool
from fedpet.engines.in_process import InProcessEngine
from fedpet.federation.asking import Execution
from fedpet.federation.journal import Journal
from fedpet.federation.secure_sums import SecureSums
from fedpet.local.folders import POOLED
from fedpet.local.taking_part import named
from fedpet.node.gate import Node
from fedpet.node.policy import first_policy, write_policy
from fedpet.plan import Plan
from fedpet.privacy.identity import Roster

PERSON = "whoever started this run"


@contextmanager
def wired(
    plan: Plan,
    cohorts: Mapping[str, Cohort],
    *,
    homes: Mapping[str, Path],
    journal: Journal,
    workers: int | None = None,
    pooled_home: Path | None = None,
) -> Iterator[Execution]:
    """Open every hospital's node, approve the plan where its policy allows, and connect them.

    Args:
        plan: The plan.
        cohorts: By site.
        homes: Where each site's node keeps its policy and state.
        journal: What was already asked and answered.
        workers: Hospitals that work at the same time; as many as cores unless told.
        pooled_home: Where the pooled comparison's node keeps its state; None for no comparison.
            It is added where the plan asks for it and every hospital's data may be pooled.
    """
    phantom = all(cohort.phantom for cohort in cohorts.values())
    with ExitStack() as stack:
        nodes = {
            site: _node(site, homes[site], cohort, phantom=phantom)
            for site, cohort in cohorts.items()
        }
        for node in nodes.values():
            stack.callback(node.close)
        permitted = {site for site, node in nodes.items() if "pooling" in node.policy.releases}
        poolable = all(cohort.phantom or site in permitted for site, cohort in cohorts.items())
        if pooled_home is not None and poolable and "pooled" in plan.evaluation.baselines:
            everyone = pool(cohorts, name=plan.cohort, permitted=permitted)
            nodes[POOLED] = _node(
                POOLED, pooled_home, everyone, phantom=True, secure_sum="optional"
            )
            stack.callback(nodes[POOLED].close)
        for site, node in nodes.items():
            with named(site):
                _approve(node, plan)
        sums = SecureSums(_pinned({site: nodes[site] for site in cohorts}))
        fingerprint = plans.fingerprint(plan)
        yield Execution(
            plan=plan,
            fingerprint=fingerprint,
            experiment=journal.remember(
                "experiment", f"{plan.name}-{fingerprint[:8]}-{secrets.token_hex(4)}"
            ),
            engine=InProcessEngine(
                {site: node.handle_bytes for site, node in nodes.items()},
                workers=_one_thread_per_site(workers),
            ),
            journal=journal,
            pooled=POOLED if POOLED in nodes else None,
            sums=sums,
        )


def _pinned(nodes: Mapping[str, Node]) -> Roster:
    """Let every hospital of this machine trust the same list of keys for now; return it.

    Raises:
        StoreError: If two hospitals hold the same key, because a folder was copied.
    """
    roster = Roster({site: node.identity.public for site, node in nodes.items()})
    for node in nodes.values():
        node.membership.trust(roster)
    return roster


def _node(
    site: str, folder: Path, cohort: Cohort, *, phantom: bool, secure_sum: str = "required"
) -> Node:
    folder.mkdir(parents=True, exist_ok=True)
    policy = folder / "policy.toml"
    if phantom and not policy.exists():
        write_policy(replace(first_policy(phantom=True), secure_sum=secure_sum), policy)
    with named(site):
        return Node(site=site, folder=folder, cohorts={cohort.name: cohort})


def _approve(node: Node, plan: Plan) -> None:
    """Approve the plan, where no person here has decided and the policy allows it."""
    _, objections = node.propose(planfile.dumps(plan))
    if not objections and node.decision(plans.fingerprint(plan)) is None:
        node.decide(plans.fingerprint(plan), "approved", person=PERSON)


def _one_thread_per_site(workers: int | None) -> int:
    """Give every site one thread of the tensor library; return how many sites work at once.

    More threads would add in another order: a run resumed with another number of workers would
    not end with the same bytes.
    """
    import torch

    torch.set_num_threads(1)
    return workers or os.cpu_count() or 1
