"""A biomarker screen, for people and for programs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from fedpet.cli.stats_survival_words import small
from fedpet.cli.stats_words import digits
from fedpet.federation.statistics.screen import Effect, Finding, Screening

if TYPE_CHECKING:
    from rich.console import Console

Json = dict[str, object]
Z95 = 1.959963984540054


def screening_data(found: Screening) -> Json:
    """Return a screen as JSON values; hazard ratios are per standard deviation."""
    return {
        "tests": found.tests,
        "adjusted_for": list(found.adjusted_for),
        "findings": [_finding(one) for one in found.findings],
    }


def draw_screening(found: Screening, page: Path, console: Console) -> None:
    """Draw one line for each biomarker and endpoint."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Biomarker")
    table.add_column("Endpoint")
    for head in ("HR per SD [95 %]", "p, Holm", "Adjusted", "p, Holm", "I²", "Cutpoint, p"):
        table.add_column(head, justify="right")
    for one in found.findings:
        cut = one.cutpoint
        table.add_row(
            one.biomarker,
            one.endpoint,
            *_drawn(one.alone),
            *_drawn(one.adjusted),
            "-" if one.agreement is None else f"{one.agreement.effects.i2:.0%}",
            "-" if cut is None else f"{digits(cut.cut)}, {small(cut.p_corrected)}",
        )
    console.print(table)
    for note in dict.fromkeys(note for one in found.findings for note in one.notes):
        console.print(note, soft_wrap=True)
    console.print(f"\nPage      {page}")


def _finding(one: Finding) -> Json:
    return {
        "biomarker": one.biomarker,
        "endpoint": one.endpoint,
        "alone": _effect(one.alone),
        "adjusted": _effect(one.adjusted),
        "over_hospitals": _agreement(one),
        "by_hospital": {
            site.site: {
                "hazard_ratio": math.exp(site.coef),
                "low": math.exp(site.coef - Z95 * site.se),
                "high": math.exp(site.coef + Z95 * site.se),
            }
            for site in one.by_site
        },
        "cutpoint": _cutpoint(one),
        "notes": list(one.notes),
    }


def _effect(one: Effect | None) -> Json | None:
    if one is None:
        return None
    return {
        "coef_per_sd": one.coef,
        "se": one.se,
        "hazard_ratio": one.hazard_ratio,
        "low": one.low,
        "high": one.high,
        "p": one.p,
        "p_holm": one.p_holm,
        "p_fdr": one.p_fdr,
        "hospitals": list(one.sites),
        "events": one.events,
    }


def _agreement(one: Finding) -> Json | None:
    if one.agreement is None:
        return None
    effects, unit = one.agreement.effects, one.unit
    return {
        "hospitals": effects.sites,
        "hazard_ratio": math.exp(effects.estimate * unit),
        "low": math.exp(effects.low * unit),
        "high": math.exp(effects.high * unit),
        "tau2": effects.tau2 * unit**2,
        "q": effects.q,
        "q_p": effects.q_p,
        "i2": effects.i2,
    }


def _cutpoint(one: Finding) -> Json | None:
    cut = one.cutpoint
    if cut is None:
        return None
    return {
        "cut": cut.cut,
        "share_above": cut.share_above,
        "chi_square": cut.statistic,
        "p_naive": cut.p_naive,
        "p_corrected": cut.p_corrected,
        "hazard_ratio_seen": math.exp(cut.log_hazard_ratio),
        "hazard_ratio": math.exp(cut.corrected),
        "low": math.exp(cut.low),
        "high": math.exp(cut.high),
        "stability": cut.stability,
    }


def _drawn(one: Effect | None) -> tuple[str, str]:
    if one is None:
        return "-", "-"
    return f"{one.hazard_ratio:.2f} [{one.low:.2f}, {one.high:.2f}]", small(one.p_holm)
