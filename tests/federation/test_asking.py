"""One step: quorum, late sites, garbage, and replay from the journal."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from fedpet.errors import StoreError, UpdateError
from fedpet.federation.asking import Execution, Question, answered, ask, by_site
from fedpet.federation.journal import Closed, Journal
from fedpet.federation.messages import Reply, Request
from fedpet.federation.records import SiteState
from fedpet.plan import Inputs, Plan, Sites

PLAN = Plan(
    name="p",
    title="t",
    cohort="c",
    inputs=Inputs(clinical=("age_years",), biomarkers=()),
    sites=Sites(sites_min=2),
)


class Hospitals:
    """An engine whose sites answer by a function; counts how often it was used."""

    def __init__(self, **answers: Callable[[Request], Reply]) -> None:
        self.answers = answers
        self.asked = 0

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self.answers)

    def exchange(self, requests: Sequence[Request]) -> Iterator[Reply]:
        self.asked += 1
        for request in requests:
            yield self.answers[request.site](request)


def saying(value: float, *, name: str = "sum") -> Callable[[Request], Reply]:
    return lambda request: Reply(
        site=request.site,
        experiment=request.experiment,
        step=request.step,
        attempt=0,
        status="ok",
        arrays={name: np.array([value])},
    )


def refusing(reason: str) -> Callable[[Request], Reply]:
    return lambda request: Reply(
        site=request.site,
        experiment=request.experiment,
        step=request.step,
        attempt=0,
        status="refused",
        reasons=(reason,),
    )


def run_step(engine: Hospitals, journal: Journal, **changes) -> tuple[Closed, list]:
    execution = Execution(
        plan=PLAN, fingerprint="f", experiment="e", engine=engine, journal=journal
    )
    question = Question(
        **{"step": "s", "label": "Summing", "kind": "count", "sites": engine.sites, **changes}
    )
    records = []
    step = ask(execution, question)
    while True:
        try:
            records.append(next(step))
        except StopIteration as stop:
            return stop.value, records


def test_the_step_holds_the_sum_and_not_its_parts(tmp_path):
    """Only sums are kept: no array of a single site is in the closed step."""
    with Journal(tmp_path) as journal:
        closed, _ = run_step(Hospitals(a=saying(1.0), b=saying(2.0)), journal)
    assert {name: array.tolist() for name, array in closed.arrays.items()} == {"sum": [3.0]}


def test_a_named_release_keeps_sites_apart(tmp_path):
    """What a hospital's policy allows to leave by its name arrives under that name."""
    with Journal(tmp_path) as journal:
        closed, _ = run_step(Hospitals(a=saying(1.0), b=saying(2.0)), journal, release="counts")
    assert {site: arrays["sum"].tolist() for site, arrays in by_site(closed).items()} == {
        "a": [1.0],
        "b": [2.0],
    }


def test_a_site_that_refuses_is_reported_and_the_round_closes(tmp_path):
    """Late or refusing sites are never fatal while the quorum holds."""
    engine = Hospitals(a=saying(1.0), b=saying(2.0), c=refusing("Not approved."))
    with Journal(tmp_path) as journal:
        closed, records = run_step(engine, journal)
    assert answered(closed) == ("a", "b")
    assert closed.sites["c"] == "Not approved."
    assert [r.state for r in records if isinstance(r, SiteState)] == ["ok", "ok", "refused"]


def test_below_the_quorum_nothing_is_written_and_the_reasons_are_told(tmp_path):
    """A lost round leaves the journal as it was, so that the run can be resumed."""
    engine = Hospitals(a=saying(1.0), b=refusing("Policy."), c=refusing("Policy."))
    with Journal(tmp_path) as journal:
        with pytest.raises(UpdateError, match="1 of 3 sites answered, 2 are needed") as caught:
            run_step(engine, journal)
        assert journal.history() == []
    assert "b: Policy." in caught.value.why


def test_a_site_that_answers_nan_is_left_out_and_named(tmp_path):
    """No NaN enters a sum, and one bad site does not end the round."""
    engine = Hospitals(a=saying(1.0), b=saying(2.0), c=saying(float("nan")))
    with Journal(tmp_path) as journal:
        closed, _ = run_step(engine, journal)
    assert closed.arrays["sum"].tolist() == [3.0]
    assert "not finite" in closed.sites["c"]


def test_a_site_that_answers_another_shape_is_left_out_and_named(tmp_path):
    """Arrays that other sites do not send cannot be added."""
    engine = Hospitals(a=saying(1.0), b=saying(2.0), c=saying(9.0, name="other"))
    with Journal(tmp_path) as journal:
        closed, _ = run_step(engine, journal)
    assert answered(closed) == ("a", "b")


def test_a_closed_step_is_not_asked_again(tmp_path):
    """Resume is replay: sites are not bothered twice and the sum is the same."""
    engine = Hospitals(a=saying(1.0), b=saying(2.0))
    with Journal(tmp_path) as journal:
        first, _ = run_step(engine, journal)
        second, _ = run_step(engine, journal)
    assert engine.asked == 1
    assert first.arrays["sum"].tobytes() == second.arrays["sum"].tobytes()


def test_the_same_step_with_other_arrays_stops_the_run(tmp_path):
    """A changed question is never answered from the journal."""
    engine = Hospitals(a=saying(1.0), b=saying(2.0))
    with Journal(tmp_path) as journal:
        run_step(engine, journal, arrays={"beta": np.zeros(2)})
        with pytest.raises(StoreError):
            run_step(engine, journal, arrays={"beta": np.ones(2)})
