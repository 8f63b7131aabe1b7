"""Whether to trust it: checks, seeds, hashes, what left each hospital, where the time went."""

from __future__ import annotations

from dataclasses import dataclass

from fedpet.report.document import Results, count, mapping, number, rows, sequence, text
from fedpet.report.sections.tables import TextTable
from fedpet.report.words import Words

COX_CHECK = "Federated Cox equals pooled stratified Cox, "


@dataclass(frozen=True, slots=True)
class Check:
    """A statement that holds or does not, with its number and limit as printed."""

    name: str
    value: str
    limit: str
    passed: bool


def checks(results: Results, words: Words) -> tuple[Check, ...]:
    """Return the run's own checks and those that the report makes of the document."""
    found = [
        Check(
            _check_name(text(row.get("name")), words),
            _or_words(number(row.get("value")), words),
            _or_words(number(row.get("limit")), words, prefix="≤ "),
            row.get("passed") is True,
        )
        for row in results.rows("checks")
    ]
    return (*found, *_same_subjects(results, words), *_held_out_once(results, words))


def _or_words(value: float | None, words: Words, *, prefix: str = "") -> str:
    return words("not_estimable") if value is None else prefix + words.small(value)


def _check_name(name: str, words: Words) -> str:
    if name.startswith(COX_CHECK):
        endpoint = name.removeprefix(COX_CHECK).partition(":")[0]
        return words("check_cox", endpoint=words.endpoint(endpoint))
    return name


def _same_subjects(results: Results, words: Words) -> tuple[Check, ...]:
    found = []
    for endpoint in results.survival_endpoints:
        part = results.part("performance", endpoint)
        sizes = {
            (
                count(mapping(part[arm.id]).get("subjects")),
                count(mapping(part[arm.id]).get("events")),
            )
            for arm in results.measured_arms(endpoint)
        }
        if sizes:
            name = words("check_same", endpoint=words.endpoint(endpoint))
            found.append(Check(name, words("groups", n=len(sizes)), "1", len(sizes) == 1))
    return tuple(found)


def _held_out_once(results: Results, words: Words) -> tuple[Check, ...]:
    sites = [site for site in results.rows("sites") if count(site.get("subjects"))]
    if results.text("plan", "scheme") != "held-out-sites" or not sites:
        return ()
    held_out = sum(number(site.get("fold")) is not None for site in sites)
    return (Check(words("check_held_out"), str(held_out), str(len(sites)), held_out == len(sites)),)


def facts(
    results: Results, words: Words, *, results_name: str
) -> tuple[tuple[str, str, bool], ...]:
    """Return name, value and whether it is a hash, for everything that identifies this report."""
    experiment = results.part("experiment")
    listed: list[tuple[str, str, bool]] = [
        (words("fact_fingerprint"), results.text("plan", "fingerprint"), True),
        (words("fact_results", name=results_name), results.sha256, True),
        *(
            (words("fact_cohort", site=text(site.get("name"))), text(site.get("fingerprint")), True)
            for site in results.rows("sites")
        ),
        *(
            (words("fact_model", name=text(model.get("name"))), text(model.get("sha256")), True)
            for model in results.rows("models")
        ),
        (words("fact_experiment"), text(experiment.get("id")), False),
        (words("fact_started"), text(experiment.get("started")), False),
        (words("fact_software"), text(experiment.get("fedpet")), False),
        *(
            (str(name), text(version), False)
            for name, version in mapping(experiment.get("versions")).items()
        ),
    ]
    for key, name in (("fact_seed", "seed"), ("fact_bootstrap", "bootstrap")):
        value = count(results.at("plan", name))
        if value is not None:
            listed.append((words(key), str(value), False))
    return tuple(fact for fact in listed if fact[1])


def scheme(results: Results, words: Words) -> str:
    """Say in words on whom the models were judged."""
    folds = count(results.at("plan", "folds"))
    name = results.text("plan", "scheme")
    return words(
        f"scheme:{name}" if f"scheme:{name}" in words.catalogue else "scheme:other",
        folds=folds if folds is not None else "?",
        name=name,
    )


def intervals(results: Results, words: Words) -> str:
    """Say what the intervals mean."""
    replicates = count(results.at("plan", "bootstrap"))
    return words("intervals_mean", n=replicates if replicates is not None else "?")


def limits(results: Results, words: Words) -> tuple[str, ...]:
    """Return what the reader must not conclude."""
    names = ["limit_research"]
    if results.at("experiment", "phantom") is True:
        names.append("limit_phantom")
    names += ["limit_intervals", "limit_many", "limit_censoring", "limit_c_index"]
    masked = results.at("privacy", "secure_sum")
    names.append(
        {True: "limit_masked", False: "limit_not_masked"}.get(masked, "limit_masked_unknown")
        if isinstance(masked, bool)
        else "limit_masked_unknown"
    )
    return (*(words(name) for name in names), *_noise(results, words), words("limit_cells"))


def _noise(results: Results, words: Words) -> tuple[str, ...]:
    """Say whether noise hides each patient, and what its epsilon means."""
    noise = mapping(results.at("privacy", "noise"))
    mode, epsilon = text(noise.get("mode")), number(noise.get("epsilon"))
    if mode not in ("local", "distributed"):
        return (words("limit_no_noise"),) if results.plan_settings else ()
    if epsilon is None:
        return (words(f"limit_noise_{mode}"), words("limit_noise_unknown"))
    meaning = words(
        "limit_noise_meaning",
        epsilon=words.number(epsilon, 1),
        delta=f"{number(noise.get('delta')) or 0:g}",
        found=words.number(100 * (number(noise.get("found")) or 1.0), 0),
    )
    return (words(f"limit_noise_{mode}"), meaning)


def left(results: Results, words: Words) -> TextTable | None:
    """List what left the hospitals, largest first."""
    found = sorted(results.rows("left"), key=lambda row: -(number(row.get("bytes")) or 0))
    if not found:
        return None
    listed = [
        (
            words.named("left", text(row.get("what"))),
            words.number(number(row.get("messages")) or 0),
            words.size(number(row.get("bytes")) or 0),
        )
        for row in found
    ]
    listed.append(
        (
            words("total"),
            words.number(sum(number(row.get("messages")) or 0 for row in found)),
            words.size(sum(number(row.get("bytes")) or 0 for row in found)),
        )
    )
    return TextTable(
        caption=words("left_caption"),
        heads=((words("what"), False), (words("messages"), True), (words("bytes"), True)),
        rows=tuple(listed),
        note=words("left_note"),
    )


@dataclass(frozen=True, slots=True)
class Timing:
    """A part of the run, its duration as printed, and its share of the whole in percent."""

    name: str
    duration: str
    share: float


def timings(results: Results, words: Words) -> tuple[Timing, ...]:
    """Return where the time went, in the run's order."""
    found = [
        (text(row.get("name")), number(row.get("seconds")) or 0.0)
        for row in rows(sequence(results.at("experiment", "timings")))
    ]
    longest = max((seconds for _, seconds in found), default=0.0) or 1.0
    return tuple(
        Timing(words.named("timing", name), words.duration(seconds), 100 * seconds / longest)
        for name, seconds in found
    )
