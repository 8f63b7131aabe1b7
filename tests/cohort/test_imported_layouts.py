"""MedicalFolder and BIDS to a hospital's folder: the same SUV voxel by voxel, or a reason."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fedpet.cli.main import run
from fedpet.cohort.bids import Bids
from fedpet.cohort.build import Built, build
from fedpet.cohort.imported import Imported, import_layout
from fedpet.cohort.medical_folder import MedicalFolder
from fedpet.cohort.quality import day_of
from fedpet.errors import DataError
from fedpet.imaging.index import find_scans
from fedpet.imaging.nifti_image import read_nifti_image
from fedpet.imaging.scan import read_scan

HALF_LIFE_S, DOSE_BQ, WEIGHT_KG, UPTAKE_S = 6586.2, 3e8, 70.0, 3600.0
SHAPE = (30, 26, 40)  # x, y, z
TABLE = "participant_id,age,sex,ici_start,progression_date,death_date,last_contact_date"
# How scanners and converters lay the same voxels out; the first is RAS+, the second dcm2niix's.
ORIENTATIONS = ("RAS", "LAS", "LPS", "RPI", "SRA", "PIL")


def suv() -> np.ndarray:
    """A body with a bright ball, SUV [x, y, z] in RAS order, different along every axis."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    values = np.where(x**2 + y**2 < 0.8, 1.0 + 0.3 * x + 0.2 * y + 0.1 * z, 0.0)
    values[ball()] = 9.0
    return values.astype(np.float32)


def ball() -> np.ndarray:
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    return (x - 0.3) ** 2 + (y - 0.2) ** 2 + (z - 0.4) ** 2 < 0.05


def save(path: Path, array: np.ndarray, *, orientation: str = "RAS") -> None:
    """Save an array with an affine, axes swapped and flipped as `orientation` says."""
    affine = np.diag([4.0, 4.5, 5.0, 1.0])
    affine[:3, 3] = (-58.0, -50.0, -90.0)
    image = nib.Nifti1Image(array, affine)
    codes = nib.orientations.axcodes2ornt(tuple(orientation))
    change = nib.orientations.ornt_transform(nib.orientations.io_orientation(affine), codes)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image.as_reoriented(change), path)


def medical_folder(root: Path, *, orientation: str = "RAS", subjects: int = 2) -> Path:
    rows = [TABLE]
    for n in range(subjects):
        folder = root / f"S{n}"
        save(folder / "PET" / "a.nii.gz", suv(), orientation=orientation)
        ct = np.where(suv() > 0, 40, -1000).astype(np.int16)
        save(folder / "CT" / "b.nii.gz", ct, orientation=orientation)
        save(folder / "label" / "c.nii.gz", ball().astype(np.uint8), orientation=orientation)
        rows.append(f"S{n},6{n},M,2021-01-0{n + 1},,,2022-01-01")
    (root / "demographics.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


SIDECAR: dict[str, object] = {
    "Units": "kBq/mL",
    "InjectedRadioactivity": 300,
    "InjectedRadioactivityUnits": "MBq",
    "TimeZero": "23:30:00",
    "InjectionStart": 0,
    "FrameTimesStart": [UPTAKE_S],
    "FrameDuration": [600],
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": UPTAKE_S,
    "TracerRadionuclide": "F18",
    "AttenuationCorrection": "measured",
}


def bids(root: Path, *, weight: str = "70", **changes: object) -> Path:
    sidecar = {k: v for k, v in {**SIDECAR, **changes}.items() if v is not None}
    corrected_at = sidecar.get("ImageDecayCorrectionTime", UPTAKE_S)
    zero = {"Units": "kBq/mL"} | sidecar
    # What a scanner measures, worked out by hand from SUV.
    activity = suv() * DOSE_BQ * 2 ** (-UPTAKE_S / HALF_LIFE_S) / (WEIGHT_KG * 1000)
    if isinstance(corrected_at, float | int):
        activity = activity * 2 ** ((UPTAKE_S - corrected_at) / HALF_LIFE_S)
    per = {"kBq/mL": 1e3, "Bq/mL": 1.0, "MBq/ml": 1e6}.get(str(zero["Units"]), 1.0)
    stored = suv() if str(zero["Units"]).casefold() in ("suv", "g/ml") else activity / per
    name = "sub-01_ses-a_trc-FDG_pet"
    save(root / "sub-01" / "ses-a" / "pet" / f"{name}.nii.gz", stored.astype(np.float32))
    (root / "sub-01" / "ses-a" / "pet" / f"{name}.json").write_text(json.dumps(sidecar))
    (root / "participants.tsv").write_text(
        f"{TABLE},weight\nsub-01,61,M,2021-01-01,n/a,n/a,2022-01-01,{weight}\n".replace(",", "\t")
    )
    return root


def imported(layout: object, to: Path) -> Imported:
    *_, last = import_layout(layout, to, name="imported", site="nice")  # type: ignore[arg-type]
    assert isinstance(last, Imported)
    return last


def expected() -> np.ndarray:
    """SUV [z, y, x] in LPS order, turned by hand."""
    return suv()[::-1, ::-1, :].transpose(2, 1, 0)


def quantum(values: np.ndarray) -> np.ndarray:
    """Half a storage step of each slice, and a rounding of the slope."""
    return np.abs(values).max(axis=(1, 2), keepdims=True) * (0.5 / 32000 + 1e-6) + 1e-6


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_medical_folder_is_the_same_suv_in_every_orientation(tmp_path, orientation):
    """Left and right, or head and feet, exchanged would be the worst of all mistakes."""
    source = medical_folder(tmp_path / "mf", orientation=orientation, subjects=1)
    done = imported(MedicalFolder(root=source, pet_units="suv"), tmp_path / "nice")
    assert (done.subjects, done.masks, done.refused) == (1, 1, ())
    (scan,) = find_scans(tmp_path / "nice/images", masks=tmp_path / "nice/masks").scans
    images = read_scan(scan)
    assert (np.abs(images.suv.array - expected()) <= quantum(expected())).all()
    assert images.suv.grid.spacing_mm == pytest.approx((5.0, 4.5, 4.0))
    # RAS voxel [0, 0, 0] stands at (-58, -50, -90), thus at (58, 50, -90) in LPS.
    assert images.suv.grid.to_lps(np.array([0.0, 25.0, 29.0])) == pytest.approx((58, 50, -90))
    assert images.lesions is not None
    assert np.array_equal(images.lesions.array > 0, expected() == 9.0)
    assert images.ct is not None
    assert np.array_equal(images.ct.array, np.where(expected() > 0, 40, -1000))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ImageDecayCorrectionTime": 0},
        {"ImageDecayCorrectionTime": -600},
        {"ImageDecayCorrectionTime": 5000.5},
        {"Units": "Bq/mL"},
        {"Units": "MBq/ml"},
        {"Units": "SUV", "InjectedRadioactivity": None},
        {"InjectedRadioactivity": 8.108108108108109, "InjectedRadioactivityUnits": "mCi"},
        {"InjectedRadioactivity": 3e8, "InjectedRadioactivityUnits": "Bq"},
        {"TracerRadionuclide": "18F"},
        {"TimeZero": "10:00:00"},
        {"FrameTimesStart": None, "ScanStart": UPTAKE_S},
    ],
    ids=str,
)
def test_bids_gives_the_suv_that_was_worked_out_by_hand(tmp_path, changes):
    """Whatever the units, and to whatever moment decay was corrected; past midnight too."""
    source = bids(tmp_path / "bids", **changes)
    done = imported(Bids(root=source), tmp_path / "nice")
    assert (done.subjects, done.refused) == (1, ())
    (scan,) = find_scans(tmp_path / "nice/images").scans
    images = read_scan(scan)
    # 1 s in the stored time of day is 1e-4; microseconds are kept.
    assert (np.abs(images.suv.array - expected()) <= 2 * quantum(expected())).all()
    if "Units" not in changes or changes["Units"] != "SUV":
        assert images.provenance.uptake_s == pytest.approx(UPTAKE_S, abs=1e-3)
    assert day_of(scan.date) is None


def test_activity_that_is_not_corrected_is_corrected_by_the_frame(tmp_path):
    """ImageDecayCorrected false: the mean over the frame, as for DICOM with NONE."""
    source = bids(tmp_path / "b", ImageDecayCorrected=False, ImageDecayCorrectionTime=None)
    imported(Bids(root=source), tmp_path / "nice")
    (scan,) = find_scans(tmp_path / "nice/images").scans
    found = read_scan(scan).suv.array
    rate = np.log(2) / HALF_LIFE_S
    # The mean of the decay over 600 s, integrated by hand.
    mean = (1 - np.exp(-rate * 600)) / (rate * 600)
    np.testing.assert_allclose(found[expected() == 9], 9.0 / mean, rtol=1e-4)


REFUSED = {
    "no dose": ({"InjectedRadioactivity": None}, "InjectedRadioactivity"),
    "no units": ({"Units": None}, "Units in the sidecar"),
    "counts": ({"Units": "counts"}, "Units in the sidecar"),
    "no word on decay": ({"ImageDecayCorrected": None}, "ImageDecayCorrected"),
    "no correction time": ({"ImageDecayCorrectionTime": None}, "ImageDecayCorrectionTime"),
    "another nuclide": ({"TracerRadionuclide": "Lu177"}, "TracerRadionuclide"),
    "no time": ({"TimeZero": None}, "TimeZero"),
    "two frames": ({"FrameTimesStart": [3600, 4200]}, "FrameTimesStart"),
    "no attenuation correction": ({"AttenuationCorrection": "none"}, "attenuation"),
    "no weight": ({"weight": "n/a"}, "no weight"),
}


@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_bids_without_what_suv_needs_is_refused_with_the_reason(tmp_path, changes, words):
    """Nothing is ever assumed; the reason names the field and not the subject."""
    with pytest.raises(DataError) as caught:
        imported(Bids(root=bids(tmp_path / "bids", **changes)), tmp_path / "nice")
    assert words in caught.value.why
    assert "sub-01" not in str(caught.value)
    assert not (tmp_path / "nice").exists()


def test_a_medical_folder_must_be_said_to_hold_suv(tmp_path):
    """NIfTI says neither weight nor dose, and Bq/mL look like large SUV."""
    source = medical_folder(tmp_path / "mf", subjects=1)
    with pytest.raises(DataError, match="--pet-units suv"):
        imported(MedicalFolder(root=source), tmp_path / "nice")


def test_damaged_and_dynamic_images_are_left_out_and_told(tmp_path):
    """One bad file stops nobody else."""
    source = medical_folder(tmp_path / "mf", subjects=5)
    (source / "S0/PET/a.nii.gz").write_bytes(b"\x1f\x8b" + bytes(200))
    save(source / "S1/PET/a.nii.gz", np.where(suv() > 8, np.nan, suv()).astype(np.float32))
    four = np.stack([suv(), suv()], axis=-1)
    nib.save(nib.Nifti1Image(four, np.eye(4)), source / "S2/PET/a.nii.gz")
    (source / "S3/PET/a.nii.gz").unlink()
    done = imported(MedicalFolder(root=source, pet_units="suv"), tmp_path / "nice")
    assert done.subjects == 1
    reasons = " ".join(reason for reason, _ in done.refused)
    for words in ("damaged", "not finite", "2 volumes", "no PET"):
        assert words in reasons
    assert "S0" not in reasons


@pytest.mark.parametrize("cut", [0, 100, 348, 400, 5000])
def test_a_truncated_nifti_is_an_error_in_words(tmp_path, cut):
    """Network drives lose the ends of files."""
    path = tmp_path / "a.nii"
    save(path, suv())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="damaged"):
        read_nifti_image(path)


def test_an_imported_folder_builds_from_the_command_line(tmp_path, capsys):
    """The whole walk, with the drafted dictionary as it is."""
    source = medical_folder(tmp_path / "mf", subjects=3)
    to = tmp_path / "nice"
    args = ["cohort", "import", "medicalfolder", str(source), str(to), "--pet-units", "suv"]
    assert run(args) == 0
    assert "3 subjects with PET" in capsys.readouterr().out
    *_, last = build(to, workers=1)
    assert isinstance(last, Built)
    assert last.subjects == 3
    assert run(args) == 3  # nothing is written over


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("corrected", [True, False, None])
def test_a_validator_finds_no_error_in_what_is_written(tmp_path, corrected):
    """The dciodvfy of dicom3tools, which knows every rule of the standard."""
    to = tmp_path / "nice"
    if corrected is None:
        source = medical_folder(tmp_path / "mf", subjects=1)
        imported(MedicalFolder(root=source, pet_units="suv"), to)
    else:
        at = UPTAKE_S if corrected else None
        changes = {"ImageDecayCorrected": corrected, "ImageDecayCorrectionTime": at}
        imported(Bids(root=bids(tmp_path / "bids", **changes)), to)
    for folder in sorted((to / "images" / "00001").iterdir()):
        told = subprocess.run(
            ["dciodvfy", str(folder / "0003.dcm")], capture_output=True, text=True, check=False
        ).stderr
        assert "Error" not in told
