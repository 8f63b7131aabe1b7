"""The image biomarkers: name, label, unit and where the definition comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from fedpet.biomarkers.radiomics.names import FEATURES

Group: TypeAlias = Literal["metabolic", "spread", "organs", "radiomics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Biomarker:
    """A number measured on a scan.

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


_METABOLIC = (
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

_DISSEMINATION = "Cottereau et al. 2020, J Nucl Med 61:40"
_SPREAD = (
    Biomarker(
        name="dmax_voxel_mm",
        label="Largest distance between voxels of lesions",
        unit="mm",
        source=_DISSEMINATION,
    ),
    Biomarker(
        name="dmax_bulk_mm",
        label="Largest distance from the largest lesion",
        unit="mm",
        source=_DISSEMINATION,
    ),
    Biomarker(
        name="spread_mm",
        label="Largest sum of distances from a lesion to all others",
        unit="mm",
        source=_DISSEMINATION,
    ),
    Biomarker(
        name="spread_bulk_mm",
        label="Sum of distances from the largest lesion to all others",
        unit="mm",
        source=_DISSEMINATION,
    ),
    Biomarker(
        name="sdmax_per_m",
        label="Largest distance between lesions over body surface",
        unit="1/m",
        source="Cottereau et al. 2021, Ann Oncol 32:404",
    ),
    Biomarker(
        name="bulk_ml",
        label="Volume of the largest lesion",
        unit="mL",
        source=_DISSEMINATION,
    ),
    Biomarker(
        name="regions_involved",
        label="Regions of the body with a lesion, of four",
        unit="",
        source="Head and neck, thorax, abdomen, pelvis by the height of the lungs",
    ),
)

_ORGANS = (
    Biomarker(
        name="spleen_liver_ratio",
        label="Spleen-to-liver ratio (SLR)",
        unit="",
        source="Wong et al. 2020, Cancer Imaging 20:36; mean over mean",
    ),
    Biomarker(
        name="marrow_liver_ratio",
        label="Bone-marrow-to-liver ratio (BLR)",
        unit="",
        source="Nakamoto et al. 2021, J Nucl Med; mean over mean",
    ),
    Biomarker(
        name="liver_suvmean",
        label="Mean SUV (body weight) of the liver",
        unit="g/mL",
        source="Wahl et al. 2009, PERCIST 1.0: 3 cm sphere, or the mask",
    ),
    Biomarker(
        name="spleen_suvmean",
        label="Mean SUV (body weight) of the spleen",
        unit="g/mL",
        source="2 cm sphere, or the mask",
    ),
    Biomarker(
        name="marrow_suvmean",
        label="Mean SUV (body weight) of lumbar bone marrow",
        unit="g/mL",
        source="Median over slices of discs of 16 mm, or the mask",
    ),
    Biomarker(
        name="muscle_index_cm2_m2",
        label="Skeletal muscle index at L3",
        unit="cm2/m2",
        source="Prado et al. 2008, Lancet Oncol 9:629",
    ),
)

_RADIOMICS = tuple(
    Biomarker(
        name=one.name,
        label=one.label,
        unit=one.unit,
        source="IBSI reference manual, arXiv 1612.07003; 3 mm voxels, levels of 0.25 SUV",
    )
    for one in FEATURES
)

GROUPS: Final[Mapping[Group, tuple[Biomarker, ...]]] = MappingProxyType(
    {
        "metabolic": _METABOLIC,
        "spread": _SPREAD,
        "organs": _ORGANS,
        "radiomics": _RADIOMICS,
    }
)
RADIOMICS: Final = tuple(one.name for one in _RADIOMICS)
DEFAULT_GROUPS: Final[tuple[Group, ...]] = ("metabolic",)


def biomarkers_of(groups: Sequence[Group]) -> dict[str, Biomarker]:
    """Return the biomarkers of some groups by name, in the order of the catalogue.

    Examples:
        >>> list(biomarkers_of(("metabolic",)))[:2]
        ['tmtv_ml', 'tlg_g']
    """
    return {one.name: one for group, ones in GROUPS.items() if group in groups for one in ones}


BIOMARKERS: Final[Mapping[str, Biomarker]] = MappingProxyType(biomarkers_of(tuple(GROUPS)))
