"""How a network is trained over hospitals, in words, for the people who decide on a plan."""

from __future__ import annotations

from fedpet.plan import Plan, Strategy, Training

NAMES = {
    "fedavg": "the mean change of the hospitals",
    "fedavgm": "the mean change of the hospitals, which gathers speed (FedAvgM)",
    "fedadam": "an adaptive step along the mean change of the hospitals (FedAdam)",
    "fedyogi": "an adaptive step along the mean change of the hospitals (FedYogi)",
    "fedprox": "the mean change of the hospitals, each held near the common network (FedProx)",
    "fednova": "the mean change for one step, whatever the number of steps (FedNova)",
    "scaffold": "the mean change of the hospitals, each steered by the mean gradient (SCAFFOLD)",
    "fedbn": "the mean change of the hospitals, but for normalisation layers (FedBN)",
    "ditto": "the mean change of the hospitals; each trains a network of its own besides (Ditto)",
}


def strategy_in_words(strategy: Strategy) -> tuple[str, ...]:
    """Return how sums become the next network.

    Examples:
        >>> strategy_in_words(Strategy())
        ('After each round the common network moves by the mean change of the hospitals.',)
    """
    told = [f"After each round the common network moves by {NAMES[strategy.name]}."]
    if strategy.weights == "events":
        told.append("Hospitals count by their events, not by their subjects.")
    if strategy.weights == "equal":
        told.append("Every hospital counts the same, whatever its number of subjects.")
    if strategy.sites_share < 1:
        told.append(f"In each round {strategy.sites_share:.0%} of the hospitals train, by lot.")
    return tuple(told)


def trained_in_words(training: Training) -> tuple[str, ...]:
    """Return when training stops early, if it may."""
    if not training.patience:
        return ()
    return (
        f"{training.validation_share:.0%} of each hospital's training subjects are kept to tell "
        f"when to stop: after {training.patience} rounds without a better sum of their losses.",
    )


def kept_in_words(plan: Plan) -> tuple[str, ...]:
    """Return what leaves besides, and what stays at a hospital from round to round."""
    told = []
    if plan.strategy.name == "scaffold":
        told.append("With every update: the change of the hospital's mean gradient, added too.")
    if plan.training.patience:
        told.append("After every round: the summed loss of the subjects kept aside.")
    own = {
        "scaffold": "its mean gradient",
        "fedbn": "the network's normalisation layers",
        "ditto": "a network of its own",
    }
    stays = [own[plan.strategy.name]] if plan.strategy.name in own else []
    if plan.training.optimiser == "kept":
        stays.append("what the optimiser remembers")
    if stays:
        told.append(f"Never leaves, and is kept at the hospital: {' and '.join(stays)}.")
    return tuple(told)
