"""The plan: one frozen document that says what an experiment computes, and what leaves.

Sections, in the order a hospital reads them: what for (`title`, `intended_use`), on whom
(`cohort`, `sites`), what is predicted (`endpoints`), from what (`inputs`), how (`model`,
`training`, `strategy`, `cox`), protected how (`privacy`), judged how (`evaluation`), guarded how
(`acceptance`), attacked or not (`audit`), and what may be asked besides (`statistics`).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, TypeAlias, get_args

from annotated_types import Ge, Gt, Le, Len, Lt

Name: TypeAlias = Annotated[str, Len(1, 80)]
Count: TypeAlias = Annotated[int, Ge(1), Le(100_000)]
Positive: TypeAlias = Annotated[float, Gt(0), Le(1e6)]
NotNegative: TypeAlias = Annotated[float, Ge(0), Le(1e6)]
Months: TypeAlias = Annotated[float, Ge(0), Le(600)]

# A researcher's own network: a file beside the plan, and a class in it.
CODE = re.compile(r"[A-Za-z_][\w-]*\.py:[A-Za-z_]\w*")
SOURCE_LENGTH_MAX = 200_000
# Strategies that end with a model of its own at every site.
PERSONAL = ("fedbn", "ditto")


# Strict at the door: no unknown key, no silent conversion, no infinity.
DOOR = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """What is predicted; names are columns of every site's cohort.

    Args:
        primary: The endpoint that the verdict is about, one of `survival`.
        survival: Time-to-event endpoints, such as `pfs` and `os`.
        binary: Yes-or-no endpoints, such as `response`.
        horizons_months: Times at which AUC, Brier score and calibration are given.
    """

    __pydantic_config__ = DOOR

    primary: Name = "pfs"
    survival: Annotated[tuple[Name, ...], Len(1, 10)] = ("pfs", "os")
    binary: Annotated[tuple[Name, ...], Len(0, 10)] = ("response",)
    horizons_months: Annotated[tuple[Months, ...], Len(1, 12)] = (6.0, 12.0, 24.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the models read.

    Args:
        clinical: Columns of the clinical table, by canonical name.
        biomarkers: Image biomarkers, by name in `fedpet.biomarkers`.
        log: Columns taken as log(1 + x) before standardisation.
        impute: What stands for a missing value: the `median` of the training subjects, told of
            five at least, or their `mean`. An indicator goes with it where several lack it.
        harmonise: Columns from which ComBat takes out what hospitals' scanners add.
        preserve: Columns whose effect on those stays in.
        harmonise_to: The hospital whose scanner the others are moved to; none unless told.
        spacing_mm: Voxel size of the grid on which every site prepares its images.
    """

    __pydantic_config__ = DOOR

    clinical: Annotated[tuple[Name, ...], Len(1, 500)]
    biomarkers: Annotated[tuple[Name, ...], Len(0, 500)]
    log: Annotated[tuple[Name, ...], Len(0, 1000)] = ()
    impute: Literal["median", "mean"] = "median"
    harmonise: Annotated[tuple[Name, ...], Len(0, 500)] = ()
    preserve: Annotated[tuple[Name, ...], Len(0, 100)] = ()
    harmonise_to: Annotated[str, Len(0, 80)] = ""
    spacing_mm: Annotated[float, Ge(1), Le(16)] = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """Who takes part.

    Args:
        names: The sites asked; empty means every site of the federation.
        sites_min: Sites that a sum needs; fewer, and the round is refused.
        subjects_min: Subjects that a site needs to contribute.
    """

    __pydantic_config__ = DOOR

    names: Annotated[tuple[Name, ...], Len(0, 1000)] = ()
    sites_min: Count = 3
    subjects_min: Count = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The network: its name in `fedpet.models` and its size, or a researcher's own code.

    Args:
        name: A network that the hospital has installed; not read where `code` is given.
        code: A researcher's own network as `FILE.py:CLASS`, the file beside the plan; empty for
            an installed one.
        source: The text of that file. It is written into the plan, so that what a hospital
            approves and what runs are one; nobody has to type it.
        width: Channels of the first stage; later stages double it.
        image_features: Numbers that the image encoder hands to the fusion.
        hidden: Units of the fusion layer.
        fusion: How images and covariates meet: `concatenate`, or `film`, where covariates also
            scale and shift what the images gave.
        intervals_months: Edges of the discrete-time hazard, from 0, increasing.
    """

    __pydantic_config__ = DOOR

    name: Name = "mip-fusion"
    code: Annotated[str, Len(0, 120)] = ""
    source: Annotated[str, Len(0, SOURCE_LENGTH_MAX)] = ""
    width: Annotated[int, Ge(4), Le(256)] = 12
    image_features: Annotated[int, Ge(1), Le(1024)] = 16
    hidden: Annotated[int, Ge(1), Le(4096)] = 32
    fusion: Literal["concatenate", "film"] = "concatenate"
    intervals_months: Annotated[tuple[Months, ...], Len(2, 200)] = (
        0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0, 24.0,
    )  # fmt: skip


Augmentation: TypeAlias = Literal["shift", "gain", "noise", "affine", "blur", "flip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One site's work in one round.

    Args:
        rounds: Rounds of the federation.
        local_epochs: Passes over the site's subjects in a round.
        batch_size: Subjects in a step.
        learning_rate: Of AdamW, at the first round.
        weight_decay: Of AdamW.
        augment: Whether images are changed a little in every pass.
        augmentations: In which ways: `shift` by up to 3 pixels, `gain` of SUV by some 6 %,
            `noise` of SUV by some 5 %, `affine` (turn by up to 5 degrees, zoom by up to 5 %),
            `blur` to a lower resolution, `flip` left and right (the side of organs is lost).
        schedule: Learning rate over the rounds: `cosine`, to a tenth at the last, or `constant`.
        optimiser: What AdamW remembers is `reset` in every round, or `kept` at the site.
        gradient_norm_max: A step's gradient is scaled down to this L2 norm.
        accumulate: Parts in which a step's subjects go through the network, to save memory.
        patience: Rounds without a better validation loss after which training stops, and the
            best model is taken; 0: all rounds are run.
        validation_share: Share of each site's training subjects kept for that, if `patience`.
    """

    __pydantic_config__ = DOOR

    rounds: Count = 20
    local_epochs: Annotated[int, Ge(1), Le(1000)] = 1
    batch_size: Count = 16
    learning_rate: Positive = 2e-3
    weight_decay: NotNegative = 1e-3
    augment: bool = True
    augmentations: Annotated[tuple[Augmentation, ...], Len(1, 6)] = ("shift", "gain", "noise")
    schedule: Literal["cosine", "constant"] = "cosine"
    optimiser: Literal["reset", "kept"] = "reset"
    gradient_norm_max: Positive = 5.0
    accumulate: Annotated[int, Ge(1), Le(1024)] = 1
    patience: Annotated[int, Ge(0), Le(1000)] = 0
    validation_share: Annotated[float, Ge(0.05), Le(0.5)] = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How sums become the next model, and what each site does for it.

    Args:
        name: `fedavg`, the mean change; `fedavgm`, `fedadam`, `fedyogi`, an optimiser on that
            mean; `fedprox`, sites are held near the global model; `fednova`, the change for each
            step, whatever the number of steps; `scaffold`, sites are steered by what the others'
            gradients were; `fedbn`, normalisation layers stay at each site; `ditto`, each site
            keeps a model of its own beside the global one.
        server_rate: Step along the mean; of `fedadam` and `fedyogi` 0.1 at most, because they
            move every weight by some such length.
        momentum: Share of the former step that is kept: `fedavgm`, `fedadam`, `fedyogi`.
        second_moment: The same for squared changes: `fedadam`, `fedyogi`.
        adaptivity: What is added to the root of squared changes: `fedadam`, `fedyogi`.
        proximal: mu of the penalty mu/2 * |w - global w|^2: `fedprox`; of a site's own model:
            `ditto`.
        weights: What a site counts by: `subjects`, `events`, or `equal`.
        sites_share: Share of the sites that train in a round, drawn from the plan's seed.
    """

    __pydantic_config__ = DOOR

    name: Literal[
        "fedavg", "fedavgm", "fedadam", "fedyogi", "fedprox", "fednova",
        "scaffold", "fedbn", "ditto",
    ] = "fedavg"  # fmt: skip
    server_rate: Positive = 1.0
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    second_moment: Annotated[float, Ge(0), Lt(1)] = 0.99
    adaptivity: Positive = 1e-3
    proximal: NotNegative = 0.01
    weights: Literal["subjects", "events", "equal"] = "subjects"
    sites_share: Annotated[float, Gt(0), Le(1)] = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cox:
    """The exact site-stratified Cox arm.

    Args:
        ridge: theta of the penalty theta/2 * |beta|^2 on standardised covariates.
        ties: `efron` or `breslow`.
    """

    __pydantic_config__ = DOOR

    ridge: NotNegative = 5.0
    ties: Literal["efron", "breslow"] = "efron"


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What protects an update before it leaves.

    Args:
        update_norm_max: A site's update is scaled down to this L2 norm.
        differential_privacy: How the network's training hides each patient: `none`; `local`,
            every site adds all the noise itself; `distributed`, every step is one sum over
            sites and each adds a share.
        noise_multiplier: Standard deviation of the noise in units of `clip_norm`.
        clip_norm: A patient's gradient is scaled down to this L2 norm.
        delta: Probability with which the bound epsilon may fail.
        honest_sites_min: Sites whose shares alone must make up the distributed noise.
        secure_sum: Whether summands are masked, so that the coordinator sees their sum only.
    """

    __pydantic_config__ = DOOR

    update_norm_max: Positive = 10.0
    differential_privacy: Literal["none", "local", "distributed"] = "none"
    noise_multiplier: Positive = 2.0
    clip_norm: Annotated[float, Ge(0.01), Le(100)] = 1.0
    delta: Annotated[float, Gt(0), Le(0.01)] = 1e-4
    honest_sites_min: Count = 2
    secure_sum: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How models are judged, always on subjects that they were not fitted to.

    Args:
        scheme: `held-out-sites` (internal-external: each fold holds out whole hospitals) or
            `held-out-subjects` (each hospital holds out a share of its subjects).
        folds: Number of folds; as many as sites means leave-one-site-out.
        baselines: What stands beside the federated models: `pooled` (allowed on phantoms or
            permitted data), `local`, `ensemble` (the mean prediction of the local models),
            `clinical-cox`, `tmtv`.
        bootstrap: Poisson bootstrap replicates, drawn at the site.
        site_results: Whether each hospital's own C-index is asked for (its policy may refuse).
    """

    __pydantic_config__ = DOOR

    scheme: Literal["held-out-sites", "held-out-subjects"] = "held-out-sites"
    folds: Annotated[int, Ge(2), Le(1000)] = 3
    baselines: tuple[Literal["pooled", "local", "ensemble", "clinical-cox", "tmtv"], ...] = (
        "pooled",
        "local",
        "clinical-cox",
        "tmtv",
    )
    bootstrap: Annotated[int, Ge(0), Le(2000)] = 100
    site_results: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Whether the global model is judged while it is trained, and taken back if it got worse.

    Args:
        every: Candidates are judged every so many rounds, and after the last; 0 means never.
        guard_share: Share of each hospital's subjects kept out of training to judge them.
        accepts_min: Least share of accepting votes.
        loss_rise_max: By how much the mean loss over all sites may rise, as a share of what it was
            with the model accepted last.
    """

    __pydantic_config__ = DOOR

    every: Annotated[int, Ge(0), Le(100_000)] = 0
    guard_share: Annotated[float, Ge(0.05), Le(0.5)] = 0.2
    accepts_min: Annotated[float, Ge(0), Le(1)] = 0.67
    loss_rise_max: Annotated[float, Ge(0), Le(10)] = 0.05

    def due(self, number: int, rounds: int) -> bool:
        """Tell whether the model after a round is judged.

        Examples:
            >>> [number for number in range(1, 8) if Acceptance(every=3).due(number, 7)]
            [3, 6, 7]
        """
        due = bool(self.every) and (number % self.every == 0 or number == rounds)
        return due and 1 <= number <= rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyAudit:
    """Whether the plan attacks its own models, to measure what they tell of who trained them.

    Args:
        references: Models trained on random halves beside the one that is attacked; 0 means that
            nothing is attacked.
    """

    __pydantic_config__ = DOOR

    references: Annotated[int, Ge(0), Le(64)] = 0


Statistic: TypeAlias = Literal[
    "describe",
    "kaplan-meier",
    "log-rank",
    "cox",
    "evaluate",
    "leave-one-site-out",
    "cross-site-matrix",
    "combat",
    "screen",
]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What may be asked interactively under this plan, beside its experiment.

    Args:
        allowed: Names of statistics; empty means that only the experiment is computed.
        queries_max: Questions that a hospital answers in all; a statistic asks several.
    """

    __pydantic_config__ = DOOR

    allowed: tuple[Statistic, ...] = ()
    queries_max: Count = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The frozen plan. Its fingerprint is what a hospital approves.

    Args:
        name: Short, lower case, unique in the federation.
        title: One sentence for the people who approve it.
        intended_use: `research`; nothing else is offered.
        seed: Every random number follows from it.
        cohort: Name of the cohort at each site.
    """

    __pydantic_config__ = DOOR

    name: Annotated[str, Len(1, 60)]
    title: Annotated[str, Len(1, 300)]
    cohort: Name
    inputs: Inputs
    intended_use: Literal["research"] = "research"
    seed: Annotated[int, Ge(0), Le(2**63 - 1)] = 2026
    sites: Sites = Sites()
    endpoints: Endpoints = Endpoints()
    model: Model = Model()
    training: Training = Training()
    strategy: Strategy = Strategy()
    cox: Cox = Cox()
    privacy: Privacy = Privacy()
    evaluation: Evaluation = Evaluation()
    acceptance: Acceptance = Acceptance()
    audit: PrivacyAudit = PrivacyAudit()
    statistics: Statistics = Statistics()


def canonical_bytes(plan: Plan) -> bytes:
    """Return the plan's one byte form: JSON, sorted keys, every default written out.

    Comments, order and white space of the file do not matter; every value does.
    """
    return json.dumps(asdict(plan), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def fingerprint(plan: Plan) -> str:
    """Return the SHA-256 of the canonical bytes, in hexadecimal: what a hospital approves."""
    return hashlib.sha256(canonical_bytes(plan)).hexdigest()
