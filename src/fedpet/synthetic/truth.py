"""What only the simulation knows: coefficients, log hazards, the best reachable C-index."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from fedpet.synthetic.outcome import MEDIAN_DAYS, SHAPE, TERMS
from fedpet.synthetic.profiles import flaw
from fedpet.synthetic.subject import Roll, people


def truth_table(rolls: Sequence[Roll]) -> str:
    """Return a row per subject of all hospitals as CSV; it must never enter a hospital's folder."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    header: list[str] | None = None
    for roll in rolls:
        known = people(roll)
        course, amounts = known.course, known.burden
        for row in range(roll.subjects):
            values: dict[str, object] = {
                "site": roll.hospital.site,
                "patient_id": roll.patient_id(row),
                "flaw": flaw(roll.hospital.site, row, subjects=roll.subjects) or "",
                "tmtv_ml": f"{amounts.tmtv_ml[row]:.2f}",
                "spread_mm": f"{amounts.spread_mm[row]:.1f}",
                "liver_ml": f"{amounts.liver_ml[row]:.2f}",
                "bone_ml": f"{amounts.bone_ml[row]:.2f}",
                "lesions": int(amounts.lesions[row]),
                "progression_true_days": f"{course.progression_true[row]:.1f}",
                "death_true_days": f"{course.death_true[row]:.1f}",
                "pseudo_progression": int(course.pseudo[row]),
            }
            for (endpoint, source), predictor in known.predictors.items():
                values[f"{endpoint}_log_hazard_{source}"] = f"{predictor[row]:.5f}"
            for name, column in known.covariates.items():
                values[name] = f"{column[row]:g}"
            if header is None:
                header = list(values)
                writer.writerow(header)
            writer.writerow(values.values())
    return out.getvalue()


def truth_document(
    rolls: Sequence[Roll],
    *,
    ceilings: Mapping[str, Mapping[str, float]],
    settings: Mapping[str, int],
) -> dict[str, object]:
    """Return the truth of a federation as JSON.

    Args:
        rolls: Its hospitals.
        ceilings: Best within-site C-index by endpoint and kind of input.
        settings: What it was made with.
    """
    inputs = ("all", "clinical", "image")
    return {
        "schema": "fedpet-truth/1",
        "settings": dict(settings),
        "ceiling": {
            endpoint: {name: values[name] for name in inputs}
            for endpoint, values in ceilings.items()
        },
        "tmtv_alone": {endpoint: values["tmtv"] for endpoint, values in ceilings.items()},
        "coefficients": {
            term.variable: {
                "source": term.source,
                "transform": term.transform,
                "centre": term.centre,
                "progression": term.progression,
                "death": term.death,
            }
            for term in TERMS
        },
        "baseline": {
            name: {"median_days": MEDIAN_DAYS[name], "weibull_shape": SHAPE[name]} for name in SHAPE
        },
        "frailty": {roll.hospital.site: roll.hospital.frailty for roll in rolls},
        "subjects": {roll.hospital.site: roll.subjects for roll in rolls},
    }
