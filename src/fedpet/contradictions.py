"""What cannot be true together in a plan, whatever each value is by itself."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from fedpet.plan import (
    CODE,
    PERSONAL,
    Endpoints,
    Evaluation,
    Inputs,
    Model,
    Plan,
    Sites,
)

# Endpoints name steps of a run and heads of a network.
ENDPOINT = re.compile(r"[\w-]+")
# Strategies that leave the sites' own work as it is.
SERVER_ONLY = ("fedavg", "fedavgm", "fedadam", "fedyogi")
ADAPTIVE_RATE_MAX = 0.1
# Characters that a reader of a plan's code would not see.
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def contradictions(plan: Plan) -> tuple[tuple[str, str], ...]:
    """List what cannot be true together: the key it is about, and what is wrong.

    Examples:
        >>> plan = Plan(name="p", title="t", cohort="c",
        ...             inputs=Inputs(clinical=("age_years",), biomarkers=(), log=("nlr",)))
        >>> contradictions(plan)[0][0]
        'inputs.log'
    """
    return (
        *_about_endpoints(plan.endpoints, plan.model),
        *_about_code(plan.model),
        *_about_inputs(plan.inputs, plan.evaluation),
        *_about_sites(plan.sites),
        *_about_strategy(plan),
        *_about_privacy(plan),
        *_about_acceptance(plan),
        *_twice("training.augmentations", plan.training.augmentations),
        *_twice("statistics.allowed", plan.statistics.allowed),
    )


def _about_endpoints(ends: Endpoints, model: Model) -> list[tuple[str, str]]:
    found = _twice("endpoints.survival", ends.survival)
    found += _twice("endpoints.binary", ends.binary)
    found += _twice("endpoints.horizons_months", ends.horizons_months)
    if ends.primary not in ends.survival:
        found.append(("endpoints.primary", f"'{ends.primary}' is not among endpoints.survival."))
    for key, names in (("survival", ends.survival), ("binary", ends.binary)):
        for name in names:
            if not ENDPOINT.fullmatch(name):
                why = f"'{name}' may hold letters, digits, '_' and '-' only."
                found.append((f"endpoints.{key}", why))
    for name in sorted(set(ends.survival) & set(ends.binary)):
        found.append(("endpoints.binary", f"'{name}' is also among endpoints.survival."))
    edges = model.intervals_months
    if edges[0] != 0 or any(later <= earlier for earlier, later in pairwise(edges)):
        found.append(("model.intervals_months", "The edges must start at 0 and increase."))
    for horizon in ends.horizons_months:
        if horizon not in edges[1:]:
            why = f"{horizon:g} is not the end of an interval in model.intervals_months."
            found.append(("endpoints.horizons_months", why))
    if model.width % 4:
        found.append(("model.width", f"{model.width} is not a multiple of 4."))
    return found


def _about_code(model: Model) -> list[tuple[str, str]]:
    if not model.code:
        return [("model.source", "There is source, but no model.code.")] if model.source else []
    if not CODE.fullmatch(model.code):
        return [("model.code", f"'{model.code}' is not FILE.py:CLASS, such as model.py:Net.")]
    if not model.source:
        return [("model.code", f"The text of {model.code.partition(':')[0]} is not in the plan.")]
    if any(unicodedata.category(c) in UNSEEN and c not in "\n\t" for c in model.source):
        why = "The code holds characters that a screen does not show; a reader could be misled."
        return [("model.code", why)]
    return []


def _about_inputs(inputs: Inputs, evaluation: Evaluation) -> list[tuple[str, str]]:
    found = _twice("inputs.clinical", inputs.clinical)
    found += _twice("inputs.biomarkers", inputs.biomarkers)
    for name in sorted(set(inputs.clinical) & set(inputs.biomarkers)):
        found.append(("inputs.biomarkers", f"'{name}' is also among inputs.clinical."))
    for name in inputs.log:
        if name not in (*inputs.clinical, *inputs.biomarkers):
            found.append(("inputs.log", f"'{name}' is not among the inputs."))
    found += _about_harmonising(inputs, evaluation)
    if "tmtv" in evaluation.baselines and "tmtv_ml" not in inputs.biomarkers:
        found.append(("evaluation.baselines", "'tmtv' needs tmtv_ml among inputs.biomarkers."))
    return found


def _about_harmonising(inputs: Inputs, evaluation: Evaluation) -> list[tuple[str, str]]:
    found = []
    for key, names in (("harmonise", inputs.harmonise), ("preserve", inputs.preserve)):
        found += _twice(f"inputs.{key}", names)
        for name in names:
            if name not in (*inputs.clinical, *inputs.biomarkers):
                found.append((f"inputs.{key}", f"'{name}' is not among the inputs."))
    for name in sorted(set(inputs.harmonise) & set(inputs.preserve)):
        found.append(("inputs.preserve", f"'{name}' is also harmonised."))
    if inputs.preserve and not inputs.harmonise:
        found.append(("inputs.preserve", "There is nothing to harmonise."))
    if inputs.harmonise_to and evaluation.scheme == "held-out-sites":
        why = "A hospital that is held out cannot be the one that others are moved to."
        found.append(("inputs.harmonise_to", why))
    return found


def _about_strategy(plan: Plan) -> list[tuple[str, str]]:
    strategy, noise = plan.strategy, plan.privacy.differential_privacy
    found = []
    if strategy.name in ("fedadam", "fedyogi") and strategy.server_rate > ADAPTIVE_RATE_MAX:
        why = f"{strategy.name} moves every weight by about this length; at most 0.1."
        found.append(("strategy.server_rate", why))
    if strategy.name in PERSONAL and plan.evaluation.scheme == "held-out-sites":
        why = f"{strategy.name} keeps a part of the model at each hospital; a hospital that is "
        why += "held out has none. Set evaluation.scheme to held-out-subjects."
        found.append(("strategy.name", why))
    if noise == "none":
        return found
    able = SERVER_ONLY if noise == "local" else ("fedavg",)
    if strategy.name not in able:
        why = f"With {noise} noise the strategy is one of {', '.join(able)}."
        found.append(("strategy.name", why))
    if plan.training.optimiser != "reset":
        found.append(("training.optimiser", "With noise, the optimiser begins anew."))
    if plan.training.patience:
        found.append(("training.patience", "With noise, no loss is told; nothing can stop early."))
    if strategy.weights != "subjects":
        found.append(("strategy.weights", "With noise, sites count by subjects."))
    return found


def _about_privacy(plan: Plan) -> list[tuple[str, str]]:
    privacy = plan.privacy
    if privacy.differential_privacy == "none":
        return []
    found = []
    if plan.model.code:
        why = "A network of the plan's own could undo the clipping; use an installed one."
        found.append(("privacy.differential_privacy", why))
    if privacy.honest_sites_min > plan.sites.sites_min:
        why = f"{privacy.honest_sites_min} honest sites, but sites_min is {plan.sites.sites_min}."
        found.append(("privacy.honest_sites_min", why))
    return found


def _about_sites(sites: Sites) -> list[tuple[str, str]]:
    found = _twice("sites.names", sites.names)
    if sites.names and len(sites.names) < sites.sites_min:
        why = f"{len(sites.names)} sites, but sites_min is {sites.sites_min}."
        found.append(("sites.names", why))
    if "pooled" in sites.names:
        found.append(("sites.names", "'pooled' is the reserved name of the pooled comparison."))
    return found


def _about_acceptance(plan: Plan) -> list[tuple[str, str]]:
    if plan.acceptance.every and plan.privacy.differential_privacy != "none":
        why = "Votes are told without noise; they do not go together with differential privacy."
        return [("acceptance.every", why)]
    return []


def _twice(key: str, values: Sequence[str] | Sequence[float]) -> list[tuple[str, str]]:
    counted = Counter(values)
    return [(key, f"'{value}' is listed twice.") for value, count in counted.items() if count > 1]
