"""One site, one round: nothing but the request decides, and nobody counts who is unknown."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedpet.cohort.samples import Cohort, Outcome
from fedpet.errors import DataError, UpdateError
from fedpet.federation.asking import total
from fedpet.federation.strategies import FedAvg
from fedpet.parameters import digest
from fedpet.plan import Evaluation, Training
from fedpet.training import loop
from fedpet.training.batches import augmented, batches, samples_of
from fedpet.training.selection import fold_of, select
from fedpet.training.statistics import count
from toy import toy_cohort, toy_plan

COLUMNS = ["age_years", "ecog", "nlr"]
PREP = {
    "prep.log": np.array([0.0, 0.0, 1.0]),
    "prep.mean": np.array([65.0, 1.0, 1.2]),
    "prep.sd": np.array([9.0, 0.8, 0.5]),
    "prep.indicator": np.array([0.0, 0.0, 1.0]),
}
EVERYBODY = {"fold": None, "part": "all", "members": None}
PLAN = toy_plan(training=Training(rounds=3, batch_size=16))
BODY = {"round": 1, "columns": COLUMNS, "select": EVERYBODY}
COHORT = toy_cohort("nice", subjects=40, seed=1)


def start(plan=PLAN) -> dict[str, np.ndarray]:
    made = loop.initial(COHORT, plan, BODY, PREP)
    return {name: array for name, array in made.items() if not name.startswith("weight.")}


def train(cohort: Cohort = COHORT, plan=PLAN, *, model=None, **body) -> dict[str, np.ndarray]:
    model = start(plan) if model is None else model
    arrays = {**PREP, **{f"model.{name}": array for name, array in model.items()}}
    return loop.train(cohort, plan, {**BODY, **body}, arrays)


def test_the_same_request_gives_the_same_bytes():
    """An update depends on nothing but the request, for a given number of threads."""
    first = digest(train())
    torch.rand(10)  # whatever else drew random numbers meanwhile
    np.random.default_rng().random(3)
    assert digest(train()) == first


def test_threads_move_an_update_by_rounding_only():
    """One thread or two: not the same bytes, but the same update to 1e-3 of its norm."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = train()
        torch.set_num_threads(2)
        two = train()
    finally:
        torch.set_num_threads(before)
    gap = np.sqrt(sum(((one[n] - two[n]) ** 2).sum() for n in one))
    size = np.sqrt(sum((one[n] ** 2).sum() for n in one))
    assert gap <= 1e-3 * size


def test_another_round_draws_other_batches():
    """The seed of a round follows from plan, cohort, selection and round."""
    assert digest(train(round=2)) != digest(train())


def gradients(cohort: Cohort, endpoint: str) -> dict[str, np.ndarray]:
    """Return the gradient of one endpoint's summed loss on all subjects."""
    design = np.zeros((len(cohort.subjects), 4))
    samples = samples_of(cohort, PLAN, np.arange(len(cohort.subjects)), design)
    network = loop.network_of(PLAN, covariates=4, image_shape=(2, 32, 16))
    loop.load_model(network, {f"model.{name}": array for name, array in start().items()})
    edges = loop.edges_of(PLAN)
    losses = loop.losses_of(network(samples.images, samples.covariates), samples, edges)
    network.zero_grad()
    losses[endpoint].sum().backward()
    return {
        name: np.zeros(1) if p.grad is None else p.grad.numpy().copy()
        for name, p in network.named_parameters()
    }


@pytest.mark.parametrize("endpoint", ["response", "pfs", "os"])
def test_a_subject_with_unknown_endpoint_has_no_influence_on_its_head(endpoint):
    """Its gradient is the one of the table without that subject."""
    unknown = np.arange(40) < 7
    if endpoint == "response":
        labels = np.where(unknown, np.nan, np.nan_to_num(COHORT.binary["response"]))
        changed = replace(COHORT, binary={"response": labels})
    else:
        outcome = COHORT.outcomes[endpoint]
        time = np.where(unknown, np.nan, outcome.time_days)
        changed = replace(
            COHORT,
            outcomes={
                **COHORT.outcomes,
                endpoint: Outcome(time_days=time, event=outcome.event & ~unknown),
            },
        )
    rows = np.flatnonzero(~unknown)
    without = replace(
        changed,
        subjects=tuple(changed.subjects[row] for row in rows),
        strata=tuple(changed.strata[row] for row in rows),
        table=changed.table[rows],
        mips=changed.mips[rows],
        outcomes={
            name: Outcome(time_days=o.time_days[rows], event=o.event[rows])
            for name, o in changed.outcomes.items()
        },
        binary={name: values[rows] for name, values in changed.binary.items()},
    )
    with_them, only_known = gradients(changed, endpoint), gradients(without, endpoint)
    for name, gradient in with_them.items():
        np.testing.assert_allclose(gradient, only_known[name], atol=2e-4, rtol=1e-3, err_msg=name)
    assert np.abs(with_them[f"heads.{endpoint}.bias"]).max() > 0


def test_weights_of_heads_are_the_counts_of_known_endpoints():
    """What an average is taken with: subjects, and subjects whose endpoint is known."""
    found = train()
    response = COHORT.binary["response"]
    assert found["weight.shared"].tolist() == [40.0]
    assert found["weight.pfs"].tolist() == [40.0]
    assert found["weight.response"].tolist() == [float((~np.isnan(response)).sum())]


def test_a_head_whose_endpoint_nobody_knows_asks_for_no_change():
    """A hospital without response data leaves the response head alone, to the last bit."""
    bare = replace(COHORT, binary={})
    found = train(bare)
    assert found["weight.response"].tolist() == [0.0]
    assert not found["heads.response.weight"].any()
    assert not found["heads.response.bias"].any()
    assert found["loss.response"].tolist() == [0.0]


def test_an_image_that_is_not_finite_is_refused_without_naming_the_subject():
    """No NaN enters a weight; the message counts, it does not name."""
    mips = COHORT.mips.copy()
    mips[3, 0, 5, 5] = np.nan
    with pytest.raises(DataError, match="1 images hold values that are not finite") as caught:
        train(replace(COHORT, mips=mips))
    assert "nice-3" not in str(caught.value)


def test_an_empty_selection_is_refused():
    """Nobody to train on is said, not averaged."""
    with pytest.raises(UpdateError, match="No subject"):
        train(select={"fold": None, "part": "all", "members": ["elsewhere"]})


def test_fedavg_of_one_site_equals_training_there():
    """One hospital, two rounds of federation: the model it would have trained alone."""
    model = start()
    for number in (1, 2):
        model = FedAvg().next_model(model, total({"nice": train(model=model, round=number)}))
    alone = FedAvg().next_model(start(), total({"nice": train(repeat=2)}))
    for name, array in model.items():
        # The optimiser begins anew each round in both; only float32 rounding between rounds.
        np.testing.assert_allclose(array, alone[name], atol=1e-6, err_msg=name)


def test_two_sites_with_the_same_data_equal_one():
    """Averaging twins changes nothing."""
    update = train()
    one = FedAvg().next_model(start(), total({"a": update}))
    two = FedAvg().next_model(start(), total({"a": update, "b": update}))
    for name, array in one.items():
        np.testing.assert_allclose(array, two[name], atol=1e-7, err_msg=name)


def test_training_lowers_the_loss():
    """The spot in the image and the covariates tell the outcome; twenty rounds learn it."""
    plan = toy_plan(training=Training(rounds=20, batch_size=16, learning_rate=5e-3))
    first = train(plan=plan)
    model = FedAvg().next_model(start(plan), total({"a": train(plan=plan, repeat=20)}))
    last = train(plan=plan, model=model, round=20)
    assert last["loss.pfs"] < 0.95 * first["loss.pfs"]


def test_a_batch_of_one_subject_is_no_special_case():
    """41 subjects in batches of 8 leave one alone; group normalisation does not mind."""
    lonely = toy_cohort("lyon", subjects=41, seed=2)
    found = train(lonely, plan=toy_plan(training=Training(rounds=3, batch_size=8)))
    assert all(np.isfinite(array).all() for array in found.values())


def test_every_subject_is_seen_once_in_a_pass():
    """Batches partition the samples, augmented or not."""
    samples = samples_of(COHORT, PLAN, np.arange(40), np.arange(40.0)[:, None] * np.ones(4))
    for augment in (False, True):
        generator = torch.Generator().manual_seed(1)
        seen = [
            batch.covariates[:, 0]
            for batch in batches(samples, size=16, augment=augment, generator=generator)
        ]
        assert [len(part) for part in seen] == [16, 16, 8]
        assert sorted(torch.cat(seen).tolist()) == list(range(40))


def test_augmentation_keeps_the_side_of_organs_and_the_scale_of_suv():
    """A spot moves by three pixels at most, and its SUV by some percent."""
    images = torch.zeros(64, 2, 32, 16)
    images[:, :, 16, 4] = 8.0
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        found = augmented(images, generator)
        where = (found > 4).nonzero()
        assert (where[:, 2] - 16).abs().max() <= 3
        assert (where[:, 3] - 4).abs().max() <= 3
        assert 6.0 < float(found.amax(dim=(2, 3)).mean()) < 10.0
    assert float(images.max()) == 8.0


@given(folds=st.integers(2, 7), seed=st.integers(0, 50))
def test_folds_partition_the_subjects(folds, seed):
    """Held out once each; training and test part are complements."""
    scheme = Evaluation(scheme="held-out-subjects", folds=folds, bootstrap=0)
    plan = toy_plan(seed=seed, evaluation=scheme)
    held_out = []
    for fold in range(folds):
        test = select(COHORT, plan, {"fold": fold, "part": "test"})
        rest = select(COHORT, plan, {"fold": fold, "part": "train"})
        assert sorted([*test, *rest]) == list(range(40))
        held_out += list(test)
    assert sorted(held_out) == list(range(40))
    assert all(0 <= fold_of(name, seed=seed, folds=folds) < folds for name in COHORT.subjects)


def test_a_subjects_fold_does_not_depend_on_who_else_is_there():
    """A cohort that grows keeps everybody's fold."""
    plan = toy_plan(evaluation=Evaluation(scheme="held-out-subjects", folds=2))
    fewer = replace(COHORT, subjects=COHORT.subjects[:10])
    for fold in range(2):
        rows = select(COHORT, plan, {"fold": fold, "part": "test"})
        again = select(fewer, plan, {"fold": fold, "part": "test"})
        assert [row for row in rows if row < 10] == list(again)


def test_counts_are_those_of_the_table():
    """Subjects, known endpoints and events, also where an endpoint is absent."""
    found = count(replace(COHORT, binary={}), PLAN, {"select": EVERYBODY}, {})
    assert found["subjects"].tolist() == [40.0]
    assert found["events.pfs"].tolist() == [float(COHORT.outcomes["pfs"].event.sum())]
    assert found["known.response"].tolist() == [0.0]
    assert found["events.response"].tolist() == [0.0]


@pytest.mark.parametrize(
    "setting",
    [{"weight_decay": 0.5}, {"learning_rate": 1e-4}, {"batch_size": 8}, {"augment": False}],
)
def test_every_training_setting_of_the_plan_reaches_the_site(setting):
    """A hospital approved these values; an update made with others is not what it approved."""
    other = replace(PLAN, training=replace(PLAN.training, **setting))
    assert digest(train(plan=other, model=start())) != digest(train(model=start()))
