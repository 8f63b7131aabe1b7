"""A plan in words, for the people who must decide on it: what for, on whom, what leaves."""

from __future__ import annotations

from fedpet.cli.code_words import code_in_words
from fedpet.cli.privacy_words import privacy_in_words
from fedpet.cli.strategy_words import kept_in_words, strategy_in_words, trained_in_words
from fedpet.plan import Plan, fingerprint

Chapter = tuple[str, tuple[str, ...]]


def plan_in_words(plan: Plan) -> tuple[Chapter, ...]:
    """Return headings with their sentences, in the order in which a hospital reads them.

    Examples:
        >>> from fedpet.plan import Inputs, Plan
        >>> plan = Plan(name="p", title="Does age matter?", cohort="c",
        ...             inputs=Inputs(clinical=("age_years",), biomarkers=()))
        >>> plan_in_words(plan)[0]
        ('What for', ('Does age matter?', 'For research only.'))
    """
    return (
        ("What for", (plan.title, f"For {plan.intended_use} only.")),
        ("On whom", _on_whom(plan)),
        ("What is predicted", _predicted(plan)),
        ("What is computed", _computed(plan)),
        *([("Code that the plan brings", code)] if (code := code_in_words(plan.model)) else []),
        ("What leaves a hospital, and how often", _leaves(plan)),
        ("How each patient is hidden", privacy_in_words(plan)),
        ("What may leave about one hospital alone", _releases(plan)),
        ("How models are judged", _judged(plan)),
        (
            "What a hospital approves",
            (
                f"Plan '{plan.name}', fingerprint {fingerprint(plan)}",
                "Every value is covered by the fingerprint; another value is another plan.",
            ),
        ),
    )


def _on_whom(plan: Plan) -> tuple[str, ...]:
    sites = plan.sites
    who = f"Cohort '{plan.cohort}' at " + (
        f"{_listed(sites.names)}." if sites.names else "every hospital of the federation."
    )
    return (
        who,
        f"A hospital takes part with {sites.subjects_min} subjects or more; "
        f"no sum is formed from fewer than {sites.sites_min} hospitals.",
    )


def _predicted(plan: Plan) -> tuple[str, ...]:
    ends = plan.endpoints
    months = _listed([f"{month:g}" for month in ends.horizons_months])
    told = [f"Time to event: {_listed(ends.survival)}, judged at {months} months."]
    if ends.binary:
        told.append(f"Yes or no: {_listed(ends.binary)}.")
    return (*told, f"The verdict is about {ends.primary}.")


def _computed(plan: Plan) -> tuple[str, ...]:
    inputs, model, training = plan.inputs, plan.model, plan.training
    film = ", image features scaled by the table (FiLM)" if model.fusion == "film" else ""
    network = f"A network '{model.name}' of width {model.width}{film}"
    if model.code:
        network = f"A network of the plan's own ({model.code})"
    log = f" Taken as logarithms: {_listed(inputs.log)}." if inputs.log else ""
    combat = ""
    if inputs.harmonise:
        kept = f", the effect of {_listed(inputs.preserve)} kept" if inputs.preserve else ""
        combat = f" Harmonised between hospitals (ComBat{kept}): {_listed(inputs.harmonise)}."
        if inputs.harmonise_to:
            combat += f" {inputs.harmonise_to} releases their means and spreads."
    return (
        f"From the table: {_listed(inputs.clinical)}.",
        f"From the lesions: {_listed(inputs.biomarkers) or 'nothing'}.{log}{combat}",
        f"From the images: PET projections on a grid of {inputs.spacing_mm:g} mm.",
        "A Cox model on table and lesions, exact, stratified by hospital, "
        f"ridge {plan.cox.ridge:g}, {plan.cox.ties} ties.",
        f"{network} on projections and table: "
        f"{training.rounds} rounds, {_times(training.local_epochs, 'pass', 'passes')} over each "
        f"hospital's subjects in a round.",
        *trained_in_words(training),
        *strategy_in_words(plan.strategy),
    )


def _leaves(plan: Plan) -> tuple[str, ...]:
    folds = plan.evaluation.folds
    fits, columns = folds + 1, len(plan.inputs.clinical) + len(plan.inputs.biomarkers)
    survival = len(plan.endpoints.survival)
    statistics = plan.statistics
    besides = (
        f"Besides, when asked: sums for {_listed(statistics.allowed)}; "
        f"{statistics.queries_max} questions in all.",
    )
    companion = (
        "Once at the end, of the network: sums and products of what it sees, distances from their "
        "mean and levels at which subjects failed, to say how sure it is of one subject.",
    )
    return (
        "Sums only: each answer is a number over all selected subjects, added to those of the "
        "other hospitals. No image, no row of the table, no date, no pseudonym.",
        "They leave masked: whoever adds them up learns their sum over three hospitals or more."
        if plan.privacy.secure_sum
        else "They leave in clear: whoever adds them up can read each hospital's.",
        f"Everything is fitted {fits} times: {folds} folds, and once on everybody.",
        f"In every fit: counts, and 2 numbers for each of {columns} columns, twice.",
        f"In every fit, for {_times(survival, 'endpoint')}: derivatives of the Cox likelihood, "
        f"some {1 + columns + columns * columns} numbers at each of 5 to 10 steps.",
        _network_leaves(plan, fits=fits),
        "In every fold: a histogram of predicted risks for each model and endpoint.",
        "Once at the end: prediction errors and concordant pairs for each model and endpoint, "
        f"with {plan.evaluation.bootstrap} bootstrap replicates.",
        *(companion if plan.privacy.differential_privacy == "none" else ()),
        *(besides if statistics.allowed else ()),
        *kept_in_words(plan),
    )


def _network_leaves(plan: Plan, *, fits: int) -> str:
    """Say what leaves of a network's training."""
    rounds, privacy = plan.training.rounds, plan.privacy
    if privacy.differential_privacy == "distributed":
        return (
            f"In every fit: {_times(rounds, 'sum')} of gradients, {fits * rounds} in all, each "
            f"patient's scaled down to length {privacy.clip_norm:g}, with this hospital's share of "
            "the noise."
        )
    return (
        f"In every fit: {_times(rounds, 'model update')}, {fits * rounds} in all, each the change "
        f"of every weight, scaled down to length {privacy.update_norm_max:g}."
    )


def _releases(plan: Plan) -> tuple[str, ...]:
    told = ["Once: how many subjects and events it has (release 'counts')."]
    if plan.evaluation.site_results:
        told.append("Once: its own C-index (release 'site-results').")
    if {"local", "ensemble"} & set(plan.evaluation.baselines):
        told.append(
            f"{_times(plan.evaluation.folds, 'time')}: a network trained there only "
            "(release 'local-model'), to compare federated with local training."
        )
    if plan.acceptance.every:
        judged = sum(
            plan.acceptance.due(number + 1, plan.training.rounds)
            for number in range(plan.training.rounds)
        )
        told.append(
            f"{_times(judged * (plan.evaluation.folds + 1), 'time')}: whether it accepts a "
            "candidate for the global model, one signed bit (release 'votes')."
        )
    told.append(
        "Once at the end: its signed statement on the models, with its cohort's fingerprint "
        "(release 'passport')."
    )
    return (*told, "The hospital's policy allows or refuses each; the plan goes on without it.")


def _judged(plan: Plan) -> tuple[str, ...]:
    evaluation = plan.evaluation
    scheme = {
        "held-out-sites": f"In {evaluation.folds} folds, each on hospitals that it was not "
        "fitted to.",
        "held-out-subjects": f"In {evaluation.folds} folds, each on subjects of every hospital "
        "that it was not fitted to.",
    }[evaluation.scheme]
    words = {
        "pooled": "the network trained on everybody's data in one place (phantoms, or where every "
        "hospital permits it)",
        "local": "networks trained at one hospital alone",
        "ensemble": "the mean prediction of networks trained at one hospital alone",
        "clinical-cox": "a Cox model on the table only",
        "tmtv": "total metabolic tumour volume alone",
    }
    beside = [words[name] for name in evaluation.baselines]
    rules = plan.acceptance
    guarded = (
        f"While it is trained, the network is judged every {_times(rules.every, 'round')} on "
        f"{rules.guard_share:.0%} of each hospital's subjects, who are kept out of training; with "
        f"fewer than {rules.accepts_min:.0%} of the votes, or a mean loss that rose by more than "
        f"{rules.loss_rise_max:.0%}, it goes back to the model accepted last.",
    )
    attacked = (
        f"The plan attacks its own models: {plan.audit.references + 1} networks are trained on "
        "random halves of the subjects, to count how often membership can be told.",
    )
    return (
        scheme,
        *(guarded if rules.every else ()),
        *(attacked if plan.audit.references else ()),
        *([f"Beside: {_listed(beside)}."] if beside else []),
    )


def _times(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names)
