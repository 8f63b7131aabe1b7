"""The node's part in secure sums: between the gate, which admits, and the protocol, which masks.

A sum is asked for in phases, each an ordinary request: `sum.advertise`, `sum.agree`, `sum.share`,
`sum.mask`, `sum.confirm`, `sum.reveal`. Only `sum.mask` holds a question; the gate admits it like
any other, and what the work gives leaves masked.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fedpet.errors import RefusalError, UpdateError
from fedpet.federation.messages import EACH_ITS_OWN, Request, question_digest, shared_question
from fedpet.node.membership import Membership
from fedpet.node.policy import Policy
from fedpet.node.store import Store
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan
from fedpet.privacy.secure_sum.lanes import layout_of
from fedpet.privacy.secure_sum.site import FORGOTTEN, SiteSession
from fedpet.privacy.secure_sum.terms import Batch, Scope, Terms
from fedpet.training.lanes import lanes_of, weight_in

MASK = "sum.mask"
PREPARING = ("sum.advertise", "sum.agree", "sum.share")
OPENING = ("sum.confirm", "sum.reveal")
RELAYED = (*PREPARING, *OPENING)
SESSIONS_MAX = 16
# One hospital's sums over those at risk, at several times, tell of single subjects.
COMMON_BASELINE = frozenset(
    {"cox-cells", "cox-risk", "cox-information", "cox-scores", "cox-changing"}
)


def question_in(request: Request) -> Request:
    """Return the question of a `sum.mask` request; any other request as it is."""
    if request.kind != MASK:
        return request
    body = {name: value for name, value in request.body.items() if name not in ("of", "sum")}
    arrays = {n: array for n, array in request.arrays.items() if not n.startswith("sum.")}
    return replace(request, kind=str(request.body.get("of")), body=body, arrays=arrays)


def objections_to_clear(request: Request, policy: Policy) -> tuple[str, ...]:
    """Object to a summand that would leave without a mask."""
    if request.kind == MASK or request.body.get("release") is not None:
        return ()
    if policy.secure_sum == "required":
        return ("This hospital's sums leave under the secure sum only.",)
    if request.kind in COMMON_BASELINE and "edges_days" in request.arrays:
        return ("Sums over risk sets that all hospitals share leave under the secure sum only.",)
    return ()


class Masking:
    """Secure sums of one node, by plan and experiment.

    Args:
        membership: The site's identity and roster.
        store: Where promises are kept that must outlive a restart.
        site: The site's name.
    """

    def __init__(self, membership: Membership, store: Store, *, site: str) -> None:
        self._membership, self._store, self._site = membership, store, site
        self._lock = threading.Lock()
        self._sessions: OrderedDict[Scope, SiteSession] = OrderedDict()

    def relay(self, request: Request, *, plan: Plan, policy: Policy) -> dict[str, Array]:
        """Answer a phase that holds no question.

        Raises:
            RefusalError: If a rule of the protocol says no.
            UpdateError: If the request is not well-formed.
        """
        least = max(policy.sites_min, plan.sites.sites_min)
        same = policy.same_sites
        told, data = _told(request), _bytes(request.arrays.get("sum.data"))
        with self._lock:
            session = self._session(request, told, begin=request.kind == "sum.advertise")
            try:
                if request.kind == "sum.advertise":
                    answer = session.advertise()
                elif request.kind == "sum.agree":
                    answer = session.agree(data)
                elif request.kind == "sum.share":
                    answer = session.share(_batch(told), data, sites_min=least)
                else:
                    name, slot = str(told["batch"]), _whole(told["slot"])
                    over = _names(told["survivors"])
                    if request.kind == "sum.confirm":
                        answer = session.confirm(name, slot, over, sites_min=least, same=same)
                    else:
                        answer = session.reveal(name, slot, over, data, sites_min=least, same=same)
            except (KeyError, TypeError, ValueError) as error:
                raise _malformed() from error
        return {"sum.data": np.frombuffer(answer, np.uint8)}

    def mask(
        self, request: Request, arrays: Parameters, *, plan: Plan, policy: Policy
    ) -> dict[str, Array]:
        """Mask what the work gave.

        Args:
            request: The `sum.mask` request.
            arrays: What the work gave, as it might leave in clear.
            plan: The approved plan.
            policy: The hospital's policy.

        Raises:
            RefusalError: If a rule of the protocol says no.
            UpdateError: If the request is not well-formed, or a value does not fit its lane.
        """
        told, question = _told(request), question_in(request)
        try:
            name, terms = str(told["batch"]), _terms(told, question)
            cohort_size = _whole(told["sites"])
        except (KeyError, TypeError, ValueError) as error:
            raise _malformed() from error
        noiseless = plan.privacy.differential_privacy == "none"  # noise has no bound
        bounded = question.kind == "train" and terms.total is not None and noiseless
        total = terms.total if bounded and terms.total is not None else 1.0
        weight = weight_in(arrays) / total if bounded else 0.0
        if weight > 1:
            raise UpdateError("This site alone weighs more than the sum was announced to weigh.")
        layout = layout_of(
            arrays,
            kinds=lanes_of(question.kind, arrays, bounded=bounded),
            sites=cohort_size,
            bound=plan.privacy.update_norm_max,
            total=total,
        )
        least = max(policy.sites_min, plan.sites.sites_min)
        with self._lock:
            session = self._session(request, told)
            session.receive(name, _bytes(request.arrays.get("sum.boxes")))
            masked = session.mask(
                name,
                terms,
                arrays,
                layout,
                weight=weight,
                sites_min=least,
                fold=_fold(question, plan),
            )
        return {
            "sum.narrow": masked.narrow,
            "sum.wide": masked.wide,
            "sum.data": np.frombuffer(masked.message, np.uint8),
        }

    def vector(self, scope: Scope, step: str, attempt: int, digest: str) -> str:
        """Write, once and for good, which vector is masked for an attempt of a step.

        It survives a kill. A machine that loses its power loses the keys of the masks as well, so
        that the disk need not be waited for; the audit's entry of the answer is.
        """
        name = f"vector/{scope.context.hex()}/{attempt}/{step}"
        return self._store.promise(name, digest, durable=False)

    def view(self, scope: Scope, step: str, survivors: str) -> str:
        """Write, once and for good, over whom the sum of a step is opened."""
        return self._store.promise(f"view/{scope.context.hex()}/{step}", survivors)

    def summed(self, scope: Scope, summand: str, survivors: str) -> str:
        """Write, once and for good, over whom a run of the plan opened this very summand.

        Returns:
            The sites of the first run that opened it, if it was another; `survivors` otherwise. In
            one run fits may begin again without a site that dropped out.
        """
        first = self._store.promise(
            f"summand/{scope.plan}/{summand}", f"{scope.experiment}\n{survivors}"
        )
        experiment, _, sites = first.partition("\n")
        return survivors if experiment == scope.experiment else sites

    def _session(
        self, request: Request, told: Mapping[str, Any], *, begin: bool = False
    ) -> SiteSession:
        scope = Scope(
            plan=request.plan, experiment=request.experiment, roster=str(told.get("roster"))
        )
        found = self._sessions.get(scope)
        if found is None:
            roster = self._membership.roster
            if roster is None or roster.digest != scope.roster:
                raise RefusalError(
                    "The federation's roster is not the one that this hospital pinned.",
                    why="A person there compares it first: `fedpet node members`.",
                )
            if not begin:
                raise RefusalError(FORGOTTEN)
            found = SiteSession(
                site=self._site,
                identity=self._membership.identity,
                roster=roster,
                scope=scope,
                ledger=self,
            )
            self._sessions[scope] = found
            while len(self._sessions) > SESSIONS_MAX:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(scope)
        return found


def _told(request: Request) -> Mapping[str, Any]:
    told = request.body.get("sum")
    if not isinstance(told, Mapping):
        raise _malformed()
    return told


def _batch(told: Mapping[str, Any]) -> Batch:
    return Batch(
        cohort=_names(told["cohort"]), name=str(told["batch"]), slots=_whole(told["slots"])
    )


def _terms(told: Mapping[str, Any], question: Request) -> Terms:
    total = told["total"]
    if total is not None and type(total) is not float:
        raise TypeError(total)
    if question.kind in EACH_ITS_OWN:
        asked = shared_question(question.kind, question.body, str(told["asked"]))
    else:
        asked = question_digest(question.kind, question.body, question.arrays)
    return Terms(
        step=question.step,
        attempt=question.attempt,
        purpose=question.kind,
        asked=asked,
        included=_names(told["included"]),
        slot=_whole(told["slot"]),
        total=total,
    )


def _fold(question: Request, plan: Plan) -> str:
    """Say which hospitals a plan holds out of a sum, so that its folds may share a summand."""
    topic = question.step.split("/")[1:3]
    if topic[:1] == ["leave-one-site-out"]:
        return "/".join(topic)
    if plan.evaluation.scheme == "held-out-subjects":
        return ""
    return str(question.body["select"].get("fold"))


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(value)
    return tuple(value)


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(value)
    return value


def _bytes(array: Array | None) -> bytes:
    if array is None:
        return b""
    if array.dtype != np.uint8:
        raise _malformed()
    return array.tobytes()


def _malformed() -> UpdateError:
    return UpdateError("A message of the secure sum is not well-formed; it was refused.")
