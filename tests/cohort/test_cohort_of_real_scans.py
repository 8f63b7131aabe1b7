"""Real PET-CT of one patient through the whole build, against numbers that others published."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from fedpet.cohort.build import Built, build
from fedpet.cohort.samples import Cohort, open_cohort
from fedpet.imaging.index import find_scans

DATA = Path(__file__).resolve().parents[2].parent / "shared/data"
DICTIONARY = """
[subject]
column = "id"
[dates]
origin = "start"
progression = "pd"
death = "death"
last_contact = "last"
[variables.age_years]
column = "age"
"""


def cohort_of(images: Path, folder: Path) -> Cohort:
    """Lay a hospital's folder around some images and build it."""
    if not images.is_dir():
        pytest.skip(f"the real scans ({images.name}) are not beside this repository")
    shutil.copytree(images, folder / "images")
    scan = find_scans(folder / "images").scans[0]
    day = f"{scan.date[:4]}-{scan.date[4:6]}-{scan.date[6:]}"
    (folder / "cohort.toml").write_text('name = "sts"\nsite = "montreal"\n', encoding="utf-8")
    (folder / "dictionary.toml").write_text(DICTIONARY, encoding="utf-8")
    table = f"id,start,pd,death,last,age\n{scan.patient_id},{day},,,2002-01-31,60\n"
    (folder / "clinical.csv").write_text(table, encoding="utf-8")
    *_, last = build(folder, workers=1)
    assert isinstance(last, Built)
    assert last.subjects == 1
    return open_cohort(folder / "cohort")


def test_biomarkers_of_a_real_pet_equal_those_of_the_published_volume(tmp_path):
    """The IBSI effort published SUV and mask of this patient: another reader, another author."""
    cohort = cohort_of(DATA / "sts_001_pet", tmp_path)
    reference = DATA / "sts_001_pet" / "reference"
    suv = nibabel.load(reference / "image" / "image.nii.gz")
    mask = np.asarray(nibabel.load(reference / "mask" / "mask.nii.gz").dataobj) > 0
    values = np.asarray(suv.dataobj, np.float64)[mask]
    voxel_ml = float(np.prod(suv.header.get_zooms())) / 1000
    measured = dict(zip(cohort.columns, cohort.table[0], strict=True))
    assert measured["suvmax"] == pytest.approx(values.max(), abs=0.001)
    assert measured["suvmean"] == pytest.approx(values.mean(), abs=0.001)
    assert measured["tmtv_ml"] == pytest.approx(len(values) * voxel_ml, rel=1e-4)
    assert measured["tlg_g"] == pytest.approx(values.sum() * voxel_ml, rel=1e-3)


def test_a_real_pet_ct_pair_that_is_already_suv_gives_the_same_tumour(tmp_path):
    """The same patient, cropped and stored as SUV with a CT: units differ, the tumour does not."""
    whole = cohort_of(DATA / "sts_001_pet", tmp_path / "whole")
    crop = cohort_of(DATA / "sts_001_petct_crop", tmp_path / "crop")
    assert crop.columns == whole.columns
    assert np.allclose(crop.table, whole.table, rtol=1e-4)
