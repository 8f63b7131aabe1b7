"""A site's part in each strategy: laws that hold whatever the network has learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fedpet.cohort.samples import Cohort, Outcome, pool
from fedpet.errors import UpdateError
from fedpet.federation.asking import total
from fedpet.federation.strategies import FedAvg, FedNova, Scaffold, Server, told_to_sites
from fedpet.parameters import digest, weight_of
from fedpet.plan import Evaluation, Strategy, Training
from fedpet.training import loop
from fedpet.training.batches import augmented
from fedpet.training.passes import gradient
from fedpet.training.private import edges_of
from toy import toy_cohort, toy_plan

PREP = {
    "prep.log": np.array([0.0, 0.0, 1.0]),
    "prep.mean": np.array([65.0, 1.0, 1.2]),
    "prep.sd": np.array([9.0, 0.8, 0.5]),
    "prep.indicator": np.array([0.0, 0.0, 1.0]),
}
EVERYBODY = {"fold": None, "part": "all", "members": None}
BODY = {"round": 1, "columns": ["age_years", "ecog", "nlr"], "select": EVERYBODY}
SITES = {name: toy_cohort(name, subjects=n, seed=n) for name, n in (("a", 24), ("b", 40))}
FULL = Training(rounds=4, batch_size=100, augment=False, schedule="constant", gradient_norm_max=1e5)


def plan_of(strategy="fedavg", training=FULL, **changes):
    return toy_plan(
        strategy=Strategy(name=strategy, **changes),
        training=training,
        evaluation=Evaluation(scheme="held-out-subjects", folds=2, bootstrap=0),
    )


def start(plan) -> dict[str, np.ndarray]:
    made = loop.initial(SITES["a"], plan, BODY, PREP)
    return {name: array for name, array in made.items() if not name.startswith("weight.")}


def train(cohort: Cohort, plan, model, *, extra=None, **body) -> dict[str, np.ndarray]:
    arrays = {**PREP, **{f"model.{n}": array for n, array in model.items()}, **(extra or {})}
    return loop.train(cohort, plan, {**BODY, **body}, arrays)


def leaving(found):
    return {n: array for n, array in found.items() if not n.startswith("keep.")}


def staying(found):
    return {n: array for n, array in found.items() if n.startswith("keep.")}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_fedprox_without_a_pull_is_fedavg():
    """Mu = 0 adds nothing to any gradient: the same bytes."""
    model = start(plan_of())
    near = train(SITES["a"], plan_of("fedprox", proximal=0.0), model)
    assert digest(near) == digest(train(SITES["a"], plan_of(), model))


def test_a_stronger_pull_keeps_a_site_nearer_to_the_common_model():
    """What FedProx is for; after some steps, because the first one starts at the anchor."""
    training = replace(FULL, local_epochs=8, batch_size=8)
    sizes = []
    for proximal in (0.0, 1.0, 100.0):
        plan = plan_of("fedprox", training, proximal=proximal)
        found = train(SITES["b"], plan, start(plan))
        sizes.append(sum(float((found[n] ** 2).sum()) for n in start(plan)))
    assert sizes[0] > sizes[1] > sizes[2]


def mean_gradient(cohorts: list[Cohort], plan, model) -> dict[str, np.ndarray]:
    """Return the gradient on pooled subjects of the mean loss of each head, head by head."""
    pooled = pool({c.strata[0]: c for c in cohorts}, name="toy")
    matrix = loop.design(pooled, plan, BODY, PREP)
    rows = np.arange(len(pooled.subjects))
    samples = loop.samples_of(pooled, plan, rows, matrix)
    network = loop.network_of(plan, covariates=matrix.shape[1], image_shape=(2, 32, 16))
    loop.load_model(network, {f"model.{n}": a for n, a in model.items()})
    gradient(network, samples, edges_of(plan), parts=1)
    return {n: p.grad.double().numpy() for n, p in network.named_parameters()}


def test_the_weighted_mean_of_site_gradients_is_the_pooled_gradient():
    """One full-batch step of FedAvg is the pooled step: gradients add up over sites.

    The sites' gradients are what SCAFFOLD sends; every endpoint is known here, so that each
    head's counts are the subjects.
    """
    plan = plan_of("scaffold")
    cohorts = [
        replace(c, binary={"response": np.nan_to_num(c.binary["response"])}) for c in SITES.values()
    ]
    model = start(plan)
    summed = total({c.strata[0]: leaving(train(c, plan, model)) for c in cohorts})
    expected = mean_gradient(cohorts, plan, model)
    for name, array in expected.items():
        found = summed[f"control.{name}"] / summed[weight_of(name)]
        np.testing.assert_allclose(found, array, rtol=2e-3, atol=2e-5, err_msg=name)


def test_one_site_with_all_data_is_pooled_training_step_for_step():
    """Two rounds of federation with one hospital: bit for bit the pooled site's two rounds."""
    plan = plan_of(training=replace(FULL, batch_size=16, augment=True, optimiser="kept"))
    pooled = pool(SITES, name="toy")
    model, extra = start(plan), {}
    for number in (1, 2):
        found = train(pooled, plan, model, round=number, extra=extra)
        extra = staying(found)
        model = FedAvg().next_model(model, total({"all": leaving(found)}))
    alone = FedAvg().next_model(
        start(plan), total({"all": train(pooled, plan, start(plan), repeat=2)})
    )
    for name, array in model.items():
        np.testing.assert_allclose(array, alone[name], atol=1e-6, err_msg=name)


def test_what_the_optimiser_remembers_changes_the_next_round():
    """Kept is not reset: without it the law above would hold for a broken memory as well."""
    plan = plan_of(training=replace(FULL, optimiser="kept"))
    first = train(SITES["a"], plan, start(plan))
    model = FedAvg().next_model(start(plan), leaving(first))
    with_memory = train(SITES["a"], plan, model, round=2, extra=staying(first))
    assert digest(leaving(with_memory)) != digest(leaving(train(SITES["a"], plan, model, round=2)))


def test_a_site_whose_endpoint_is_missing_does_not_move_that_head():
    """In no strategy: its weight is 0, and so is what it adds to that head."""
    absent = replace(SITES["a"], binary={})
    for name in ("fedavg", "fedprox", "fednova", "scaffold", "fedbn", "ditto"):
        plan = plan_of(name)
        found = train(absent, plan, start(plan))
        assert found["weight.response"].tolist() == [0.0]
        heads = [n for n in found if "heads.response" in n and not n.startswith("keep.")]
        assert heads
        assert all(not found[n].any() for n in heads), name


def test_scaffold_control_variates_sum_to_zero():
    """Weighted by what sites count for, c - c_i cancel: sites are steered, the mean is not."""
    plan = plan_of("scaffold")
    server, kept = Server(model=start(plan)), {name: {} for name in SITES}
    for number in (1, 2, 3):
        found = {
            name: train(
                cohort,
                plan,
                server.model,
                round=number,
                extra={**kept[name], **told_to_sites(server)},
            )
            for name, cohort in SITES.items()
        }
        server = Scaffold().advance(server, total({n: leaving(f) for n, f in found.items()}))
        kept = {name: staying(each) for name, each in found.items()}
        told = told_to_sites(server)
        for name in server.model:
            gaps = [
                found[site][weight_of(name)][0]
                * (told[f"control.{name}"] - kept[site][f"keep.control.{name}"])
                for site in SITES
            ]
            np.testing.assert_allclose(sum(gaps), 0.0, atol=1e-9, err_msg=name)
    assert any(gap.any() for gap in gaps)


def test_scaffold_with_one_site_is_fedavg():
    """Its own gradient is the mean gradient; there is nothing to steer by."""
    steered, plain = Server(model=start(plan_of())), start(plan_of())
    extra: dict[str, np.ndarray] = {}
    for number in (1, 2, 3):
        found = train(
            SITES["a"],
            plan_of("scaffold"),
            steered.model,
            round=number,
            extra={**extra, **told_to_sites(steered)},
        )
        steered, extra = Scaffold().advance(steered, leaving(found)), staying(found)
        plain = FedAvg().next_model(plain, train(SITES["a"], plan_of(), plain, round=number))
    for name, array in plain.items():
        np.testing.assert_allclose(steered.model[name], array, atol=1e-6, err_msg=name)


def test_fednova_with_equal_work_is_fedavg():
    """The same number of steps everywhere: normalised and multiplied back."""
    model = start(plan_of())
    plain = FedAvg().next_model(
        model, total({n: train(c, plan_of(), model) for n, c in SITES.items()})
    )
    nova = FedNova().advance(
        Server(model=model),
        total({n: train(c, plan_of("fednova"), model) for n, c in SITES.items()}),
    )
    for name, array in plain.items():
        np.testing.assert_allclose(nova.model[name], array, atol=1e-6, err_msg=name)


def test_fednova_weighs_a_site_by_its_subjects_not_by_its_steps():
    """A site with five times the steps asks for five times the change; FedNova divides it out."""
    plan = plan_of("fednova", replace(FULL, batch_size=8))
    found = train(SITES["b"], plan, start(plan))
    assert found["weight.steps"].tolist() == [40.0 * 5]
    plain = train(SITES["b"], plan_of(training=plan.training), start(plan))
    for name in start(plan):
        np.testing.assert_allclose(found[name] * 5, plain[name], rtol=1e-6, atol=1e-12)


def test_fedbn_sends_no_normalisation_layer_and_keeps_it():
    """Its change is zero in the sum; the site goes on from its own."""
    plan = plan_of("fedbn")
    found = train(SITES["a"], plan, start(plan))
    local = [n for n in start(plan) if ".norm." in n]
    assert local
    assert all(not found[name].any() for name in local)
    assert {f"keep.personal.{name}" for name in local} == set(staying(found))
    again = train(SITES["a"], plan, start(plan), round=2, extra=staying(found))
    assert digest(leaving(again)) != digest(leaving(train(SITES["a"], plan, start(plan), round=2)))


def test_dittos_global_model_is_that_of_fedavg():
    """The site's own model is trained besides, and never touches the sum."""
    model = start(plan_of())
    found = train(SITES["a"], plan_of("ditto"), model)
    assert digest(leaving(found)) == digest(train(SITES["a"], plan_of(), model))
    assert set(staying(found)) == {f"keep.personal.{name}" for name in model}


def test_ditto_held_very_near_is_the_common_model():
    """With a strong pull the site's own model ends nearer to the one that the round began with."""
    model, gaps = start(plan_of()), []
    for proximal in (0.0, 100.0):
        plan = plan_of("ditto", replace(FULL, local_epochs=6), proximal=proximal)
        own = staying(train(SITES["a"], plan, model))
        gaps.append(sum(float(((own[f"keep.personal.{n}"] - model[n]) ** 2).sum()) for n in model))
    assert gaps[1] < gaps[0]


@pytest.mark.parametrize("by", ["subjects", "events", "equal"])
def test_a_site_counts_by_what_the_plan_says(by):
    """And the mean loss that is told stays a mean over its subjects."""
    plan = plan_of(weights=by)
    found = train(SITES["a"], plan, start(plan))
    events = float(SITES["a"].outcomes["pfs"].event.sum())
    expected = {"subjects": 24.0, "events": events, "equal": 1.0}[by]
    assert found["weight.shared"].tolist() == [expected]
    plain = train(SITES["a"], plan_of(), start(plan))
    assert found["loss.pfs"] / found["weight.pfs"] == pytest.approx(
        plain["loss.pfs"] / plain["weight.pfs"]
    )


def test_parts_of_a_step_add_up_to_the_step():
    """Gradient accumulation changes memory, not the gradient."""
    model = start(plan_of())
    whole = train(SITES["b"], plan_of(), model)
    parts = train(SITES["b"], plan_of(training=replace(FULL, accumulate=5)), model)
    for name in model:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-2, atol=2e-2, err_msg=name)


def test_out_of_memory_halves_the_part_and_says_so(caplog):
    """The gradient is that of the whole batch; a single subject that does not fit is an error."""
    plan = plan_of()
    matrix = loop.design(SITES["b"], plan, BODY, PREP)
    samples = loop.samples_of(SITES["b"], plan, np.arange(40), matrix)
    network = loop.network_of(plan, covariates=matrix.shape[1], image_shape=(2, 32, 16))
    loop.load_model(network, {f"model.{n}": a for n, a in start(plan).items()})
    gradient(network, samples, edges_of(plan), parts=1)
    whole = {n: p.grad.clone() for n, p in network.named_parameters()}
    network.zero_grad()

    class Small(torch.nn.Module):
        room = 12

        def forward(self, images, covariates):
            if len(images) > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return network(images, covariates)

    small = Small()
    _, parts = gradient(small, samples, edges_of(plan), parts=1)
    assert parts == 4
    assert "memory suffices for 10 subjects" in caplog.text
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, whole[name], atol=1e-5, rtol=1e-3)
    small.room = 0
    with pytest.raises(UpdateError, match="One subject does not fit"):
        gradient(small, samples, edges_of(plan), parts=1)


def test_a_gradient_that_is_not_finite_is_named():
    """A weight so large that float32 overflows on the way back: refused, not averaged."""
    plan = plan_of()
    model = start(plan)
    model["heads.pfs.weight"] = np.full_like(model["heads.pfs.weight"], 1e30)
    with pytest.raises(UpdateError, match="gradient is not finite"):
        train(SITES["a"], plan, model)


def test_a_site_where_everybody_is_censored_trains_without_nan():
    """No event at all is information: the hazard is low."""
    censored = {
        name: Outcome(time_days=o.time_days, event=np.zeros_like(o.event))
        for name, o in SITES["a"].outcomes.items()
    }
    plan = plan_of(training=replace(FULL, batch_size=1))
    found = train(replace(SITES["a"], outcomes=censored), plan, start(plan))
    assert all(np.isfinite(array).all() for array in found.values())
    counted = train(replace(SITES["a"], outcomes=censored), plan_of(weights="events"), start(plan))
    assert counted["weight.shared"].tolist() == [0.0]


def test_who_is_kept_to_tell_when_to_stop_is_not_trained_on():
    """Validation and fit part the subjects; only a plan with patience has them."""
    plan = plan_of(training=replace(FULL, patience=2))
    choice = {**EVERYBODY, "within": "validation"}
    kept = loop.select(SITES["b"], plan, choice)
    rest = loop.select(SITES["b"], plan, {**EVERYBODY, "within": "fit"})
    assert sorted([*kept, *rest]) == list(range(40))
    assert 2 <= len(kept) <= 16
    model = {f"model.{n}": a for n, a in start(plan).items()}
    told = loop.loss(SITES["b"], plan, {**BODY, "select": choice}, {**PREP, **model})
    assert told["weight.pfs"].tolist() == [float(len(kept))]
    with pytest.raises(UpdateError, match="within"):
        loop.select(SITES["b"], plan_of(), choice)


def test_every_way_of_augmentation_keeps_the_spot_and_its_suv():
    """A lesion stays where and what it is, to some pixels and percent; flip moves its side."""
    images = torch.zeros(32, 2, 33, 17)
    images[:, :, 20:23, 4:7] = 8.0
    for way in ("shift", "gain", "noise", "affine", "blur", "flip"):
        generator = torch.Generator().manual_seed(0)
        found = augmented(images, generator, (way,))
        assert found.shape == images.shape
        assert not torch.equal(found, images), way
        again = augmented(images, torch.Generator().manual_seed(0), (way,))
        assert torch.equal(found, again), way
        total = found.sum(dim=(1, 2, 3)) / images.sum(dim=(1, 2, 3))
        assert 0.7 < float(total.min()) <= float(total.max()) < 1.4, way
        column = torch.arange(17.0)
        mean = (found.sum(dim=(1, 2)) * column).sum(dim=1) / found.sum(dim=(1, 2, 3))
        away = (mean - 5).abs()
        assert float(away.max()) <= (6.001 if way == "flip" else 3.2), way
    assert float(images.max()) == 8.0


def test_film_lets_covariates_scale_what_the_images_give():
    """Its parameters are there, get a gradient, and a wide step of covariates changes features."""
    plan = replace(plan_of(), model=replace(plan_of().model, fusion="film"))
    model = start(plan)
    assert {"film.weight", "film.bias"} <= set(model)
    found = train(SITES["a"], plan, model)
    assert found["film.weight"].any()
    assert "film.weight" not in start(plan_of())
