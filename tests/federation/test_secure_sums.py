"""Steps closed by secure sums: real nodes, the real engine, lines that break and sites that lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federated import Handler, approve, federation, pinned, small_plan, walk
from fedpet import plan as plans
from fedpet.engines.in_process import InProcessEngine
from fedpet.errors import UpdateError
from fedpet.federation.asking import Execution, Question, answered, ask
from fedpet.federation.journal import Closed, Journal
from fedpet.federation.messages import Reply, Request, decode, encode
from fedpet.federation.records import SiteState
from fedpet.federation.secure_sums import SecureSums
from fedpet.node.gate import Node
from fedpet.node.policy import Policy, write_policy
from fedpet.parameters import Array
from fedpet.plan import Endpoints, Evaluation, Inputs, Privacy, Sites, Training
from toy import toy_hospitals, toy_plan

EVERYBODY = {"fold": None, "part": "all", "members": None}
COLUMNS = ["age_years", "ecog", "nlr"]
PHASES = ("advertise", "agree", "share", "mask", "confirm", "reveal")
Line = Callable[[Request, Handler], bytes]


def straight(request: Request, handler: Handler) -> bytes:
    return handler(encode(request))


class Rig:
    """Five hospitals with the default policy, and a line to each that a test can bend."""

    def __init__(self, folder: Path, stack: ExitStack, *, sites: int = 5) -> None:
        self.folder, self.plan = folder, toy_plan(sites=Sites(sites_min=3))
        self.hospitals = toy_hospitals(sites=sites, subjects=24)
        self.names = tuple(self.hospitals)
        self.lines: dict[str, Line] = dict.fromkeys(self.names, straight)
        self.wire: list[tuple[Request, bytes, bytes]] = []
        self.nodes = {site: self.node(site) for site in self.names}
        self.roster = pinned(self.nodes)
        for node in self.nodes.values():
            approve(node, self.plan)
        stack.callback(lambda: [node.close() for node in self.nodes.values()])
        self.journal = stack.enter_context(Journal(folder / "run"))
        self.execution = self.coordinator()

    def node(self, site: str) -> Node:
        cohort = self.hospitals[site]
        return Node(site=site, folder=self.folder / site, cohorts={cohort.name: cohort})

    def coordinator(self) -> Execution:
        """Return a coordinator that has just started: it knows the journal and nothing else."""
        return Execution(
            plan=self.plan,
            fingerprint=plans.fingerprint(self.plan),
            experiment="e",
            engine=InProcessEngine({site: self.handler(site) for site in self.names}),
            journal=self.journal,
            sums=SecureSums(self.roster),
        )

    def handler(self, site: str) -> Handler:
        def handle(data: bytes) -> bytes:
            request = decode(data)
            assert isinstance(request, Request)
            answer = self.lines[site](request, self.nodes[site].handle_bytes)
            self.wire.append((request, data, answer))
            return answer

        return handle

    def restart(self, site: str) -> None:
        self.nodes[site].close()
        self.nodes[site] = self.node(site)

    def question(self, step: str = "means") -> Question:
        return Question(
            step=step,
            label="Means",
            kind="moments",
            sites=self.names,
            body={"columns": COLUMNS, "select": EVERYBODY},
        )

    def ask(self, step: str = "means") -> Closed:
        return finish(ask(self.execution, self.question(step)))

    def plain(self, *sites: str) -> dict[str, Array]:
        """Return the sum in clear, from nodes whose policy allows it."""
        total: dict[str, Array] = {}
        for site in sites:
            found = self.clear(site)
            total = {n: total[n] + a for n, a in found.items()} if total else dict(found)
        return total

    def clear(self, site: str) -> dict[str, Array]:
        folder = self.folder / f"clear-{site}"
        folder.mkdir(exist_ok=True)
        write_policy(Policy(secure_sum="optional"), folder / "policy.toml")
        cohort = self.hospitals[site]
        node = Node(site=site, folder=folder, cohorts={cohort.name: cohort})
        approve(node, self.plan)
        question = self.question()
        reply = node.handle(
            Request(
                site=site,
                experiment="e",
                plan=plans.fingerprint(self.plan),
                step="means",
                kind=question.kind,
                body={**question.body, "release": None},
            )
        )
        node.close()
        assert reply.status == "ok", reply.reasons
        return dict(reply.arrays)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(tmp_path, stack)


def finish(walked):
    while True:
        try:
            next(walked)
        except StopIteration as stop:
            return stop.value


def broken(*phases: str, after: int = 0) -> Line:
    """Return a line that breaks at these phases, `after` good ones."""
    seen = 0

    def line(request: Request, handler: Handler) -> bytes:
        nonlocal seen
        if request.kind.removeprefix("sum.") in phases:
            seen += 1
            if seen > after:
                return b""
        return handler(encode(request))

    return line


def equal(found: Closed, expected: dict[str, Array]) -> None:
    assert sorted(found.arrays) == sorted(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found.arrays[name], array, rtol=1e-14, atol=1e-15)


def test_a_step_is_the_sum_and_no_node_answers_in_clear(rig):
    """By default: five hospitals, their sum to the last digits of float64, nothing else."""
    equal(rig.ask(), rig.plain(*rig.names))
    assert {request.kind for request, _, _ in rig.wire} == {f"sum.{phase}" for phase in PHASES}
    request = replace(rig.wire[0][0], kind="moments", body=rig.question().body, arrays={})
    reply = rig.nodes["site-0"].handle(replace(request, site="site-0"))
    assert reply.status == "refused"
    assert "secure sum only" in " ".join(reply.reasons)


def test_later_steps_need_three_exchanges_each(rig):
    """Keys are agreed once, slots are prepared many at a time."""
    rig.ask("step-0")
    before = len(rig.wire)
    for number in range(1, 10):
        rig.ask(f"step-{number}")
    assert len(rig.wire) - before == 9 * 3 * len(rig.names)


def test_nothing_of_one_site_is_on_the_wire(rig):
    """No array of a site in clear, no pseudonym, no path; in any request or answer."""
    rig.ask()
    traffic = b"".join(request + answer for _, request, answer in rig.wire)
    for site in rig.names:
        for array in rig.clear(site).values():
            for width in (np.float64, np.float32):
                assert array.astype(width).tobytes() not in traffic
            for value in array[np.abs(array) > 1].reshape(-1):
                assert np.float64(value).tobytes() not in traffic
        for subject in rig.hospitals[site].subjects:
            assert subject.encode() not in traffic
    assert str(rig.folder).encode() not in traffic
    masked = [decode(answer) for request, _, answer in rig.wire if request.kind == "sum.mask"]
    assert {name for reply in masked for name in reply.arrays} == {
        "sum.narrow",
        "sum.wide",
        "sum.data",
    }


@pytest.mark.parametrize("phase", PHASES)
def test_a_site_that_drops_out_is_left_out_or_the_sum_is_completed(rig, phase):
    """Before it masked, it is as if it had not taken part; after, its summand is in the sum."""
    rig.lines["site-2"] = broken(*PHASES[PHASES.index(phase) :])
    closed = rig.ask()
    rest = tuple(site for site in rig.names if site != "site-2")
    inside = phase in ("confirm", "reveal")
    assert answered(closed) == (rig.names if inside else rest)
    equal(closed, rig.plain(*(rig.names if inside else rest)))
    if not inside:
        assert "no answer" in closed.sites["site-2"] or "truncated" in closed.sites["site-2"]
    rig.lines["site-2"] = straight
    equal(rig.ask("next"), rig.plain(*rig.names))  # and it is back at the next step


def test_a_node_that_restarted_agrees_on_new_keys_and_takes_part_again(rig):
    """Secrets are in memory only; a restart costs one more attempt, no sum."""
    rig.ask("first")
    rig.restart("site-3")
    closed = rig.ask("second")
    assert answered(closed) == rig.names
    equal(closed, rig.plain(*rig.names))


def test_a_coordinator_that_restarted_goes_on_with_the_nodes_that_run(rig):
    """Its journal is all it needs."""
    rig.ask("first")
    rig.execution = rig.coordinator()
    equal(rig.ask("second"), rig.plain(*rig.names))


def test_below_the_threshold_the_step_is_lost_and_tried_again(rig):
    """Three of five do not reveal: nothing is opened or written; later the same sum is."""
    for site in rig.names[:3]:
        rig.lines[site] = broken("reveal")
    with pytest.raises(UpdateError, match="0 of 5 sites answered, 3 are needed"):
        rig.ask()
    assert rig.journal.history() == []
    rig.lines = dict.fromkeys(rig.names, straight)
    closed = rig.ask()
    assert answered(closed) == rig.names
    equal(closed, rig.plain(*rig.names))


def test_a_step_that_was_promised_over_five_sites_is_not_opened_over_four(rig):
    """Two sums of one step over different sites differ by one site's summand."""
    for site in rig.names[:3]:
        rig.lines[site] = broken("reveal")
    with pytest.raises(UpdateError):
        rig.ask()
    rig.lines = {**dict.fromkeys(rig.names, straight), "site-4": broken(*PHASES)}
    with pytest.raises(UpdateError):
        rig.ask()
    # A coordinator that forgets its promise on purpose is refused by the nodes, which do not.
    rig.journal._run("update sums set sites = null")
    with pytest.raises(UpdateError, match="promised over other sites"):
        rig.ask()
    for site in rig.names:  # not even after a restart
        rig.restart(site)
    with pytest.raises(UpdateError, match="promised over other sites"):
        rig.ask()


def test_hospitals_that_refuse_the_question_do_not_stop_the_others(rig):
    """Two of five have a stricter policy: three are enough for the plan, as in clear."""
    for site in rig.names[:2]:
        write_policy(Policy(subjects_min=1000), rig.folder / site / "policy.toml")
    closed = rig.ask()
    assert answered(closed) == rig.names[2:]
    assert "fewer than the 1000 subjects" in closed.sites["site-0"]
    equal(closed, rig.plain(*rig.names[2:]))


def test_a_hospital_with_a_higher_minimum_is_not_summed_with_few(rig):
    """Its policy holds in every phase, whatever the plan says."""
    write_policy(Policy(sites_min=6), rig.folder / "site-0" / "policy.toml")
    closed = rig.ask()
    assert answered(closed) == rig.names[1:]
    assert "requires 6" in closed.sites["site-0"]


def tampering(change: Callable[[Request], Request], kind: str = "sum.mask") -> Line:
    def line(request: Request, handler: Handler) -> bytes:
        return handler(encode(change(request) if request.kind == kind else request))

    return line


def other_question(request: Request) -> Request:
    return replace(request, arrays={**request.arrays, "center": np.array([1.0, 2.0, 3.0])})


def other_step(request: Request) -> Request:
    return replace(request, step="another")


def test_one_site_that_is_asked_another_question_is_not_added(rig):
    """The question is part of the terms: its vector stays noise, and is not taken for a summand."""

    def line(request: Request, handler: Handler) -> bytes:
        if request.kind != "sum.mask":
            return handler(encode(request))
        reply = decode(handler(encode(other_question(request))))
        assert isinstance(reply, Reply)
        return encode(reply)

    rig.lines["site-1"] = line
    closed = rig.ask()
    assert "site-1" not in answered(closed)
    assert "signature" in closed.sites["site-1"]
    equal(closed, rig.plain("site-0", "site-2", "site-3", "site-4"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda arrays: {**arrays, "sum.narrow": arrays["sum.narrow"].astype(np.float32)},
        lambda arrays: {**arrays, "sum.wide": arrays["sum.wide"][:-1]},
        lambda arrays: {**arrays, "sum.wide": arrays["sum.wide"] + np.uint64(1)},
        lambda arrays: {**arrays, "sum.data": arrays["sum.data"][:-1]},
        lambda arrays: {"sum": np.full(3, np.nan)},
        lambda arrays: {},
    ],
)
def test_a_site_that_sends_garbage_is_left_out(rig, spoil):
    """Wrong types, lengths, signatures, or no vector at all; the others' sum is as without it."""

    def line(request: Request, handler: Handler) -> bytes:
        reply = decode(handler(encode(request)))
        assert isinstance(reply, Reply)
        if request.kind == "sum.mask":
            reply = replace(reply, arrays=spoil(reply.arrays))
        return encode(reply)

    rig.lines["site-1"] = line
    closed = rig.ask()
    assert answered(closed) == ("site-0", "site-2", "site-3", "site-4")
    equal(closed, rig.plain(*answered(closed)))


@pytest.mark.parametrize("kind", [f"sum.{phase}" for phase in PHASES])
@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {"roster": 1},
        {"batch": None, "slot": "0", "survivors": "site-0"},
        {"cohort": [1, 2, 3], "slots": 1.5, "batch": []},
        {"batch": "x", "slot": 0, "included": "site-0", "asked": 1, "total": "1", "sites": -1},
    ],
)
def test_malformed_phases_are_answered_with_a_reason(rig, kind, told):
    """A coordinator's garbage is told apart from a crash."""
    rig.ask()
    roster = {"roster": rig.roster.digest}
    request = Request(
        site="site-0",
        experiment="e",
        plan=plans.fingerprint(rig.plan),
        step="means",
        kind=kind,
        body={**rig.question().body, "of": "moments", "sum": {**roster, **told} if told else told},
        arrays={"sum.data": np.arange(9, dtype=np.uint8), "sum.boxes": np.arange(9.0)},
    )
    reply = rig.nodes["site-0"].handle(request)
    told_nothing = told is None or told == []
    if kind != "sum.advertise" or told_nothing:
        assert reply.status in ("refused", "failed")
        assert "own log" not in " ".join(reply.reasons)


def test_a_plan_that_nobody_approved_gets_no_keys(rig):
    """Every phase passes the gate."""
    for kind in PHASES:
        request = Request(
            site="site-0",
            experiment="e",
            plan="0" * 64,
            step="means",
            kind=f"sum.{kind}",
            body={"sum": {"roster": rig.roster.digest}, "of": "moments", "select": EVERYBODY},
        )
        reply = rig.nodes["site-0"].handle(request)
        assert reply.status == "refused"
        assert "not approved" in " ".join(reply.reasons)


def test_another_roster_than_the_pinned_one_is_refused(rig):
    """A coordinator cannot add a site of its own to the list."""
    rig.roster = replace(rig.roster, epoch=rig.roster.epoch + 1)
    rig.execution = rig.coordinator()
    with pytest.raises(UpdateError, match="not the one that this hospital pinned"):
        rig.ask()


def test_an_older_roster_or_a_foreign_key_is_not_pinned(rig):
    """Pinning is what a person does once; software does not undo it."""
    from fedpet.errors import RefusalError
    from fedpet.privacy.identity import Roster

    membership = rig.nodes["site-0"].membership
    keys = dict(rig.roster.sites)
    with pytest.raises(RefusalError, match="epoch"):
        membership.pin(Roster({k: v for k, v in keys.items() if k != "site-4"}, epoch=1))
    swapped = {**keys, "site-0": keys["site-1"], "site-1": keys["site-0"]}
    with pytest.raises(RefusalError, match="not its own"):
        membership.pin(Roster(swapped, epoch=9))
    membership.pin(Roster({k: v for k, v in keys.items() if k != "site-4"}, epoch=2))
    assert membership.roster.names == rig.names[:4]


QUICK = {
    "inputs": Inputs(clinical=("age_years", "ecog"), biomarkers=("tmtv_ml",)),
    "endpoints": Endpoints(survival=("pfs",), binary=()),
    "training": Training(rounds=2, batch_size=16),
    "evaluation": Evaluation(folds=2, bootstrap=20, baselines=("pooled",)),
    "sites": Sites(sites_min=3),
}


@contextmanager
def experiment_of(folder: Path, *, secure: bool):
    plan = small_plan(**QUICK, privacy=Privacy(secure_sum=secure))
    hospitals = toy_hospitals(sites=6, subjects=24)
    rule = "required" if secure else "optional"
    policies = dict.fromkeys(hospitals, Policy(secure_sum=rule))
    policies["pooled"] = Policy(secure_sum="optional", releases=("counts", "local-model"))
    with federation(folder, plan, hospitals, policies=policies, pooled=True) as execution:
        yield walk(execution)


def test_a_whole_experiment_under_the_secure_sum_equals_the_one_in_clear(tmp_path):
    """Hospitals that require it, and the same numbers: Cox to 1e-9, the network to 1e-5."""
    with experiment_of(tmp_path / "masked", secure=True) as (masked, records):
        pass
    with experiment_of(tmp_path / "clear", secure=False) as (clear, _):
        pass
    assert masked.results["privacy"]["secure_sum"] is True
    assert clear.results["privacy"]["secure_sum"] is False
    assert all(check["passed"] and check["value"] < 1e-9 for check in masked.results["checks"])
    for name, arrays in clear.models.items():
        for key, array in arrays.items():
            atol = 1e-5 if name.startswith("network") else 1e-9
            np.testing.assert_allclose(masked.models[name][key], array, atol=atol, rtol=1e-4)
    states = [record for record in records if isinstance(record, SiteState)]
    assert {record.state for record in states} == {"ok"} | {
        record.state for record in states if record.step.endswith("alone")
    }
    json.dumps(masked.results, allow_nan=False)
