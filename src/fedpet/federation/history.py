"""What a journal tells of a run: who answered when, what left the sites, where the time went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from fedpet.federation.journal import Closed

Steps: TypeAlias = Sequence[tuple[str, Closed]]
LEFT = {
    "count": "counts of subjects and events",
    "moments": "sums for means and spreads of covariates",
    "cox": "Cox log-likelihood, gradient and information",
    "exposure": "events and time at risk by interval",
    "initialise": "initial weights (from the seed, not from data)",
    "train": "model updates",
    "loss": "validation losses",
    "risks": "histograms of predicted risk",
    "features": "sums and products of what the network sees",
    "distances": "histogram of distances from the mean of all subjects",
    "levels": "histogram of predicted levels at which subjects failed",
    "evaluate": "sums of prediction errors and pairs",
    "score": "sums of losses that judge a candidate",
    "vote": "a hospital's vote on a candidate (named release, one bit)",
    "attack": "counts of members and others by an attack's score",
    "attest": "a hospital's signed statement on the models (named release)",
    "concordance": "a hospital's own results (named release)",
}


def timings(steps: Steps) -> list[dict[str, Any]]:
    """Return the seconds that the sites were waited for, by kind of work."""
    seconds: dict[str, float] = {}
    for step, closed in steps:
        name = {
            "cox": "Cox models",
            "exposure": "Cox models",
            "train": "Networks, pooled and local-only" if "alone" in step else "Network, federated",
            "score": "Acceptance of models",
            "vote": "Acceptance of models",
            "evaluate": "Evaluation",
            "concordance": "Evaluation",
            "features": "Evaluation",
            "distances": "Evaluation",
            "levels": "Evaluation",
        }.get(closed.kind, "Counting and scaling")
        seconds[name] = seconds.get(name, 0.0) + closed.seconds
    return [{"name": name, "seconds": value} for name, value in seconds.items()]


def participation(steps: Steps, *, pooled: str | None) -> dict[str, Any]:
    """Return how each site answered each round of the network that is kept."""
    rounds = [closed.sites for step, closed in steps if step.startswith("all/network/round-")]
    sites = sorted({site for states in rounds for site in states})
    return {
        "sites": sites,
        "rounds": list(range(1, len(rounds) + 1)),
        "state": {
            site: [
                "ok" if states.get(site) == "ok" else "absent" if site not in states else "missed"
                for states in rounds
            ]
            for site in sites
            if site != pooled
        },
    }


def left(steps: Steps) -> list[dict[str, Any]]:
    """Return what left the hospitals, by kind: messages, bytes."""
    counted: dict[str, list[int]] = {}
    for step, closed in steps:
        what = LEFT.get(closed.kind, closed.kind)
        if "alone" in step:
            what = "models trained at one hospital (comparison on phantoms)"
        entry = counted.setdefault(what, [0, 0])
        entry[0] += sum(state == "ok" for state in closed.sites.values())
        entry[1] += closed.bytes_in
    return [
        {"what": what, "messages": messages, "bytes": size}
        for what, (messages, size) in counted.items()
    ]
