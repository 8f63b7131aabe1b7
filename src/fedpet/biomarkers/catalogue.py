"""The image biomarkers: name, label, unit and where the definition comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Biomarker:
    """A number measured on lesions.

    Args:
        name: Name in plans and tables.
        label: Name in reports.
        unit: Unit; empty for a count.
        source: Who defined it.
    """

    name: str
    label: str
    unit: str
    source: str


_ALL = (
    Biomarker(
        name="tmtv_ml",
        label="Total metabolic tumour volume",
        unit="mL",
        source="Boellaard et al. 2015, EANM guideline 2.0",
    ),
    Biomarker(
        name="tlg_g",
        label="Total lesion glycolysis",
        unit="g",
        source="Larson et al. 1999",
    ),
    Biomarker(
        name="suvmax",
        label="SUVmax",
        unit="g/mL",
        source="Boellaard et al. 2015, EANM guideline 2.0",
    ),
    Biomarker(
        name="suvmean",
        label="SUVmean",
        unit="g/mL",
        source="Boellaard et al. 2015, EANM guideline 2.0",
    ),
    Biomarker(
        name="suvpeak",
        label="SUVpeak (1 mL sphere)",
        unit="g/mL",
        source="Wahl et al. 2009, PERCIST 1.0",
    ),
    Biomarker(
        name="lesion_count",
        label="Number of lesions",
        unit="",
        source="Connected components, 26 neighbours",
    ),
    Biomarker(
        name="dmax_mm",
        label="Largest distance between lesions",
        unit="mm",
        source="Cottereau et al. 2020",
    ),
)

BIOMARKERS: Final[Mapping[str, Biomarker]] = MappingProxyType({one.name: one for one in _ALL})
