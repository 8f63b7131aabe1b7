"""The model card: what the model is for, how well it does, and where it comes from.

Source:
    Mitchell et al. 2019, *Model cards for model reporting*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from fedpet.report.document import Results, count, mapping, open_results, sequence
from fedpet.report.page import RESULTS_NAME
from fedpet.report.sections import headline, outcomes, provenance
from fedpet.report.sections.tables import NumberTable
from fedpet.report.words import Shown, Words, words_of

SETTINGS = ("inputs", "model", "training", "strategy", "cox", "privacy")


def render(
    results: Mapping[str, object], *, language: str = "en", results_name: str = RESULTS_NAME
) -> str:
    """Write the model card.

    Args:
        results: The document of schema `fedpet-results/1`: JSON values only.
        language: `en` or `fr`.
        results_name: Name of the JSON file that the numbers are taken from.

    Returns:
        Markdown.

    Raises:
        StoreError: If the document is of another schema or answers no plan.
        NotFoundError: If the language is not known.
    """
    opened, words = open_results(results), words_of(language)
    environment = Environment(
        loader=PackageLoader("fedpet.report", "templates"),
        autoescape=False,  # noqa: S701 - Markdown, escaped by `plain`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    environment.filters["shown"] = _shown
    return environment.get_template("card.md").render(
        words=words,
        title=opened.text("plan", "title") or opened.text("plan", "name"),
        results_name=results_name,
        endpoint=words.endpoint(opened.primary),
        verdict=headline.verdict(opened, words),
        data=_data(opened, words),
        training=_training(opened, words),
        settings=_settings(opened),
        tables=_tables(opened, words),
        limits=provenance.limits(opened, words),
        intervals=provenance.intervals(opened, words),
        facts=provenance.facts(opened, words, results_name=results_name),
    )


def plain(value: str) -> str:
    r"""Make any text harmless in Markdown: one line, no markup, no HTML.

    Examples:
        >>> plain("<b>a|b</b>\nc*")
        '&lt;b&gt;a\\|b&lt;/b&gt; c\\*'
    """
    line = " ".join(str(value).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|\[\]#])", r"\\\1", line)


def _shown(value: Shown) -> str:
    if not value.interval:
        return value.value
    return (
        f"{value.value} ({value.interval})" if value.known else f"{value.value}: {value.interval}"
    )


def _data(results: Results, words: Words) -> str:
    sites = [count(site.get("subjects")) or 0 for site in results.rows("sites")]
    simulated = results.at("experiment", "phantom") is True
    return words(
        "mc_data_text",
        sites=sum(subjects > 0 for subjects in sites),
        subjects=words.number(sum(sites)),
        phantom=words("banner_phantom") if simulated else words("mc_real"),
    )


def _training(results: Results, words: Words) -> str:
    rounds, seed = (count(results.at("plan", key)) for key in ("rounds", "seed"))
    return words(
        "mc_training_text",
        rounds="?" if rounds is None else rounds,
        seed="?" if seed is None else seed,
        scheme=provenance.scheme(results, words),
    )


def _settings(results: Results) -> tuple[tuple[str, str], ...]:
    """Return the plan's settings of model and training, as the plan writes them."""
    plan = results.plan_settings
    return tuple(
        (f"{section}.{name}", _written(value))
        for section in SETTINGS
        for name, value in mapping(plan.get(section)).items()
    )


def _written(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return ", ".join(map(_written, sequence(value))) or "–"
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _tables(results: Results, words: Words) -> tuple[NumberTable, ...]:
    found = [
        *(outcomes.comparison(results, words, name) for name in results.survival_endpoints),
        *(outcomes.binary(results, words, name) for name in results.part("binary")),
    ]
    return tuple(table for table in found if table is not None)
