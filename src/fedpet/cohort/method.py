"""How the lesions of a cohort are found, and what is measured: said in `cohort.toml`."""

from __future__ import annotations

from dataclasses import dataclass

from fedpet.biomarkers.catalogue import DEFAULT_GROUPS, Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How lesions are found and what is measured.

    Args:
        lesions: `given`, or a method of `imaging.lesions.METHODS`.
        lesion_min_ml: Smaller components are not lesions; masks are taken as they are.
        biomarkers: Groups of the catalogue.
    """

    lesions: str = "given"
    lesion_min_ml: float = 0.5
    biomarkers: tuple[Group, ...] = DEFAULT_GROUPS

    @property
    def told(self) -> str:
        """What differs from the default, as text that names a cache entry; empty if nothing."""
        text = ""
        if self.lesion_min_ml != 0.5 and self.lesions != "given":
            text += f" from {self.lesion_min_ml!r} mL"
        if tuple(self.biomarkers) != DEFAULT_GROUPS:
            text += f" {sorted(self.biomarkers)!r}"
        return text
