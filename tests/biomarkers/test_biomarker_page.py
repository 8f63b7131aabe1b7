"""The page on lesions and biomarkers names what the program has."""

from __future__ import annotations

import re
from pathlib import Path

from fedpet.biomarkers.catalogue import GROUPS, biomarkers_of
from fedpet.imaging.lesions import METHODS

PAGE = (Path(__file__).resolve().parents[2] / "docs/biomarkers.md").read_text(encoding="utf-8")


def test_every_method_group_and_biomarker_is_explained() -> None:
    """A column whose meaning nobody wrote down cannot be interpreted."""
    named = biomarkers_of(("metabolic", "spread", "organs"))
    assert [one for one in (*METHODS, *GROUPS, *named) if f"`{one}`" not in PAGE] == []


def test_no_biomarker_is_explained_that_does_not_exist() -> None:
    """Names in the table are names of columns."""
    rows = [line.split("|")[2] for line in PAGE.splitlines() if line.count("|") == 6]
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told == set(biomarkers_of(("metabolic", "spread", "organs")))
    assert f"{len(GROUPS['radiomics'])} IBSI tags" in PAGE
