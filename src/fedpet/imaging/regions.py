"""Which named regions of a mask are lesions, and which are organs or helper structures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

EVERY_NEIGHBOUR: Final = np.ones((3, 3, 3), bool)
_LESION = re.compile(
    r"lesion|tumou?r|gtv|metasta|\bmets?\b|nod(e|al|ule)|primary|cancer|carcinoma|neoplasm|mass"
)
_NEVER = re.compile(r"(o?edema)|\bnot\b|\bring\b|\bshell\b|\bptv|\bctv|\bitv")
_ORGAN = re.compile(
    r"body|external|skin|couch|table|brain|heart|myocard|lung|liver|kidney|renal|bladder|spleen|"
    r"bowel|stomach|aorta|blood.?pool|muscle|\bfat\b|reference|background|marker|spinal|ureter|"
    r"esophag|oesophag|prostate|uterus|thyroid|parotid|salivary|vertebra|bone.?marrow"
)
_MEASURED: Final = {
    "liver": re.compile(r"(whole )?(liver|foie)"),
    "spleen": re.compile(r"(whole )?(spleen|rate)"),
    "marrow": re.compile(r"((lumbar )?(bone )?marrow)|(lumbar )?vertebra[e]?( bod(y|ies))? l[1-5]"),
    "muscle": re.compile(r"(skeletal )?muscles?( area)?( at)? l3|l3 (skeletal )?muscles?( area)?"),
}
# SNOMED CT (and the older SRT) for *Morphologically abnormal structure*, and for *Anatomical
# structure*, *Tissue*, *Body substance*: what (0062,0003) says that a segment is.
_ABNORMAL_CODES: Final = frozenset(("49755003", "M-01000"))
_ANATOMY_CODES: Final = frozenset(("123037004", "T-D0050", "91723000", "T-D000A", "T-D0080"))


def is_lesion(name: str, category: str = "") -> bool:
    """Tell whether a region shows lesions, by its name and its coded category.

    A lesion word wins over an organ word (`liver metastasis`); margins, rings and oedema are
    never lesions; a name without any such word is taken as a lesion.

    Args:
        name: ROI name or segment label.
        category: Code value of (0062,0003), if any.

    Examples:
        >>> [is_lesion(name) for name in ("GTV_Mass", "liver met 2", "Liver", "PTV 60", "ROI-1")]
        [True, True, False, False, True]
    """
    words = re.sub(r"[_\W]+", " ", name.lower())
    if _NEVER.search(words):
        return False
    if category in _ABNORMAL_CODES or _LESION.search(words):
        return True
    return not (category in _ANATOMY_CODES or _ORGAN.search(words))


def organ_of(name: str) -> str:
    """Return which measured organ a region shows by its name; empty if none.

    Args:
        name: ROI name or segment label.

    Examples:
        >>> [organ_of(name) for name in ("Liver", "SPLEEN", "muscle_L3", "liver met", "Kidney")]
        ['liver', 'spleen', 'muscle', '', '']
    """
    words = re.sub(r"[_\W]+", " ", name.lower()).strip()
    return next((organ for organ, rule in _MEASURED.items() if rule.fullmatch(words)), "")


def number_lesions(regions: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint16]:
    """Number the connected parts (26 neighbours) of each region; earlier regions come first.

    Args:
        regions: Masks of one shape, at least one; where they overlap, the first counts.

    Returns:
        uint16 labels 1, 2, ...; 0 outside.
    """
    labels = np.zeros(regions[0].shape, np.uint16)
    last = 0
    for region in regions:
        parts, count = ndimage.label(region & (labels == 0), EVERY_NEIGHBOUR)
        inside = parts > 0
        labels[inside] = parts[inside] + last
        last += count
    return labels
