"""The plan: one frozen document that says what an experiment computes, and what leaves.

Sections, in the order a hospital reads them: what for (`title`, `intended_use`), on whom
(`cohort`, `sites`), what is predicted (`endpoints`), from what (`inputs`), how (`model`,
`training`, `strategy`, `cox`), protected how (`privacy`), judged how (`evaluation`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """What is predicted; names are columns of every site's cohort.

    Args:
        primary: The endpoint that the verdict is about, one of `survival`.
        survival: Time-to-event endpoints, such as `pfs` and `os`.
        binary: Yes-or-no endpoints, such as `response`.
        horizons_months: Times at which AUC, Brier score and calibration are given.
    """

    primary: str = "pfs"
    survival: tuple[str, ...] = ("pfs", "os")
    binary: tuple[str, ...] = ("response",)
    horizons_months: tuple[float, ...] = (6.0, 12.0, 24.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the models read.

    Args:
        clinical: Columns of the clinical table, by canonical name.
        biomarkers: Image biomarkers, by name in `fedpet.biomarkers`.
        log: Columns taken as log(1 + x) before standardisation.
    """

    clinical: tuple[str, ...]
    biomarkers: tuple[str, ...]
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """Who takes part.

    Args:
        names: The sites asked; empty means every site of the federation.
        sites_min: Sites that a sum needs; fewer, and the round is refused.
        subjects_min: Subjects that a site needs to contribute.
    """

    names: tuple[str, ...] = ()
    sites_min: int = 3
    subjects_min: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The network: its name in `fedpet.models` and its size.

    Args:
        name: A network that the hospital has installed.
        width: Channels of the first stage; later stages double it.
        image_features: Numbers that the image encoder hands to the fusion.
        hidden: Units of the fusion layer.
        intervals_months: Edges of the discrete-time hazard, from 0, increasing.
    """

    name: str = "mip-fusion"
    width: int = 12
    image_features: int = 16
    hidden: int = 32
    intervals_months: tuple[float, ...] = (0, 3, 6, 9, 12, 15, 18, 21, 24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One site's work in one round.

    Args:
        rounds: Rounds of the federation.
        local_epochs: Passes over the site's subjects in a round.
        batch_size: Subjects in a step.
        learning_rate: Of AdamW, at the first round; cosine decay to a tenth at the last.
        weight_decay: Of AdamW.
        augment: Whether images are flipped, shifted, scaled and noised.
    """

    rounds: int = 20
    local_epochs: int = 1
    batch_size: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    augment: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How sums become the next model: `fedavg`, with the step along the mean."""

    name: str = "fedavg"
    server_rate: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cox:
    """The exact site-stratified Cox arm.

    Args:
        ridge: theta of the penalty theta/2 * |beta|^2 on standardised covariates.
        ties: `efron` or `breslow`.
    """

    ridge: float = 5.0
    ties: str = "efron"


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What protects an update before it leaves.

    Args:
        update_norm_max: A site's update is scaled down to this L2 norm.
    """

    update_norm_max: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How models are judged, always on subjects that they were not fitted to.

    Args:
        scheme: `held-out-sites` (internal-external: each fold holds out whole hospitals) or
            `held-out-subjects` (each hospital holds out a share of its subjects).
        folds: Number of folds; as many as sites means leave-one-site-out.
        baselines: What stands beside the federated models: `pooled` (allowed on phantoms or
            permitted data), `local`, `clinical-cox`, `tmtv`.
        bootstrap: Poisson bootstrap replicates, drawn at the site.
        site_results: Whether each hospital's own C-index is asked for (its policy may refuse).
    """

    scheme: str = "held-out-sites"
    folds: int = 3
    baselines: tuple[str, ...] = ("pooled", "local", "clinical-cox", "tmtv")
    bootstrap: int = 100
    site_results: bool = True


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

    name: str
    title: str
    cohort: str
    inputs: Inputs
    intended_use: str = "research"
    seed: int = 2026
    sites: Sites = Sites()
    endpoints: Endpoints = Endpoints()
    model: Model = Model()
    training: Training = Training()
    strategy: Strategy = Strategy()
    cox: Cox = Cox()
    privacy: Privacy = Privacy()
    evaluation: Evaluation = Evaluation()
