"""A hospital's folder to a cohort: what comes out, what never does, and what survives a kill."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from fedpet.biomarkers.catalogue import DEFAULT_GROUPS, biomarkers_of
from fedpet.cohort.build import Built, Found, ScanDone, build
from fedpet.cohort.cache import open_volume
from fedpet.cohort.findings import Finding, read_findings
from fedpet.cohort.pool import open_pool
from fedpet.cohort.pseudonyms import load_pseudonyms
from fedpet.cohort.samples import open_cohort
from fedpet.cohort.summary import check, summary
from fedpet.errors import DataError, NotFoundError, StoreError
from fedpet.imaging.index import find_scans
from fedpet.synthetic.hospitals import write_hospitals

SUBJECTS = 8
KILLED = """
import os, signal, sys
from pathlib import Path
from fedpet.cohort.build import ScanDone, build
for record in build(Path(sys.argv[1]), workers=1):
    if isinstance(record, ScanDone) and record.number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """One phantom hospital, as its PACS and registry export it."""
    folder = tmp_path_factory.mktemp("phantoms")
    list(write_hospitals(folder, subjects=SUBJECTS, sites=1, workers=1))
    return folder / "lyon"


@pytest.fixture(scope="module")
def built(written, tmp_path_factory) -> Path:
    """The same hospital with its cohort."""
    folder = tmp_path_factory.mktemp("built") / "lyon"
    copied(written, folder)
    run(folder)
    return folder


@pytest.fixture
def hospital(built, tmp_path) -> Path:
    """A copy to spoil."""
    return copied(built, tmp_path / "lyon")


def copied(folder: Path, to: Path) -> Path:
    """Copy a hospital; images, of which there are many, as links that nobody writes through."""

    def copy(source: str, target: str) -> None:
        if "/images/" in source:
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    return Path(shutil.copytree(folder, to, copy_function=copy))


def run(folder: Path, **options: object) -> Built:
    *_, last = build(folder, **{"workers": 1, **options})
    assert isinstance(last, Built)
    return last


def scans_of(folder: Path, **options: object) -> list[ScanDone]:
    records = build(folder, **{"workers": 1, **options})
    return [record for record in records if isinstance(record, ScanDone)]


def finding(built: Built | tuple[Finding, ...], code: str) -> Finding:
    findings = built.findings if isinstance(built, Built) else built
    return next(f for f in findings if f.code == code)


def rows_of(folder: Path) -> tuple[str, list[str]]:
    header, *rows = (folder / "clinical.csv").read_text(encoding="utf-8").splitlines()
    return header, rows


def write_rows(folder: Path, header: str, rows: list[str]) -> None:
    (folder / "clinical.csv").write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")


def blank(folder: Path, columns: tuple[str, ...]) -> None:
    """Empty some columns of the table."""
    header, rows = rows_of(folder)
    places = [header.split(",").index(column) for column in columns]
    cells = [row.split(",") for row in rows]
    for row in cells:
        for place in places:
            row[place] = ""
    write_rows(folder, header, [",".join(row) for row in cells])


def ids_of(folder: Path) -> list[str]:
    return [row.split(",")[0] for row in rows_of(folder)[1]]


def pet_files(folder: Path, patient_id: str) -> list[Path]:
    scans = find_scans(folder / "images").scans
    return [
        Path(s.path) for scan in scans if scan.patient_id == patient_id for s in scan.pet.slices
    ]


def edit_pet(folder: Path, patient_id: str, keyword: str, value: object) -> None:
    """Change an attribute in every slice of a PET; None removes it."""
    for path in pet_files(folder, patient_id):
        dataset = pydicom.dcmread(path)
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
        path.unlink()
        dataset.save_as(path)


def test_a_phantom_hospital_becomes_a_cohort_that_a_model_can_read(built):
    """The main road: every subject has images, a full row of biomarkers and known endpoints."""
    cohort = open_cohort(built / "cohort")
    assert cohort.name == "nsclc-io"
    assert cohort.phantom
    assert len(cohort.subjects) == SUBJECTS
    assert set(cohort.strata) == {"lyon"}
    assert cohort.columns[-7:] == tuple(biomarkers_of(DEFAULT_GROUPS))
    assert np.isfinite(cohort.table[:, -7:]).all()
    assert (cohort.table[:, cohort.columns.index("tmtv_ml")] > 0).all()
    assert isinstance(cohort.mips, np.memmap)
    assert cohort.mips.shape == (SUBJECTS, 2, 120, 56)
    assert np.isfinite(cohort.mips).all()
    pfs, os = cohort.outcomes["pfs"], cohort.outcomes["os"]
    assert (pfs.time_days >= 0).all()
    assert (pfs.time_days <= os.time_days).all()
    assert pfs.event.any()


def test_the_volume_is_the_image_of_which_the_mips_are_the_shadow(built):
    """Cached voxels stay within half a step, 0.002 SUV, and their labels where the lesions are."""
    cohort = open_cohort(built / "cohort")
    for row, subject in enumerate(cohort.subjects[:3]):
        volume = open_volume(built / "cohort", subject)
        coronal = volume.suv.max(axis=1)
        assert np.abs(coronal - cohort.mips[row, 0].astype(np.float32)).max() <= 0.01
        assert volume.ct_hu is not None
        assert volume.ct_hu.min() >= -1024
        assert volume.lesions is not None
        assert volume.suv[volume.lesions > 0].mean() > 2 * volume.suv[volume.suv > 0.1].mean()


def test_building_again_reads_no_scan_and_changes_nothing(hospital):
    """A data manager may press the button twice."""
    before = summary(hospital).fingerprint
    found, *scans, last = build(hospital, workers=1)
    assert isinstance(found, Found)
    assert all(isinstance(record, ScanDone) and record.cached for record in scans)
    assert isinstance(last, Built)
    assert last.fingerprint == before


def test_the_fingerprint_knows_the_content_not_the_place_the_order_or_the_processes(
    written, hospital, tmp_path
):
    """Two hospitals with the same data agree, whoever built where, and in which order."""
    elsewhere = copied(written, tmp_path / "another name")
    header, rows = rows_of(elsewhere)
    write_rows(elsewhere, header, rows[::-1])
    with open_pool(2) as pool:
        again = run(elsewhere, executor=pool, workers=2)
    assert again.fingerprint == summary(hospital).fingerprint


def test_the_fingerprint_knows_every_value(hospital):
    """One changed cell is another cohort, and no plan may mistake it for the old one."""
    before = summary(hospital).fingerprint
    header, rows = rows_of(hospital)
    place = header.split(",").index("age_years")
    cells = rows[0].split(",")
    cells[place] = str(int(float(cells[place])) + 1)
    write_rows(hospital, header, [",".join(cells), *rows[1:]])
    assert run(hospital).fingerprint != before


def test_another_grid_is_another_cohort(hospital):
    """Numbers of the native grid stay, images change."""
    before = open_cohort(hospital / "cohort")
    settings = hospital / "cohort.toml"
    settings.write_text(settings.read_text().replace("8.0", "16.0"), encoding="utf-8")
    run(hospital)
    after = open_cohort(hospital / "cohort")
    assert after.fingerprint != before.fingerprint
    assert after.mips.shape == (SUBJECTS, 2, 60, 28)
    assert np.array_equal(after.table, before.table, equal_nan=True)


def test_no_identifier_is_found_in_any_byte_of_the_cohort(built):
    """What leaves the cohort folder by mistake must still name nobody."""
    secrets = set(ids_of(built))
    for row in rows_of(built)[1]:
        secrets |= {cell for cell in row.split(",") if cell.count("-") == 2}
    for scan in find_scans(built / "images").scans:
        for series in (scan.pet, scan.ct):
            assert series is not None
            secrets |= {series.study_uid, series.series_uid, series.frame_uid, series.date}
            secrets |= {series.slices[0].instance_uid, Path(series.slices[0].path).name}
            dataset = pydicom.dcmread(series.slices[0].path, stop_before_pixels=True)
            for keyword in ("PatientName", "PatientBirthDate", "AccessionNumber", "StudyID"):
                secrets.add(str(getattr(dataset, keyword, "")))
    secrets.add((built / "pseudonym.key").read_text().strip())
    needles = [secret.encode() for secret in secrets if len(secret) >= 6]
    assert len(needles) > 8 * SUBJECTS
    for path in (p for p in (built / "cohort").rglob("*") if p.is_file()):
        data = path.read_bytes()
        assert not [needle for needle in needles if needle in data], path.name


def test_only_the_owner_may_read_what_holds_patients(built):
    """The folder may lie on a shared disk."""
    for path in [built / "cohort", *(built / "cohort").rglob("*"), built / "pseudonym.key"]:
        if path.name != ".build.lock":  # an empty file
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path.name


def test_a_killed_build_goes_on_where_it_was(written, built, tmp_path):
    """Power fails; what was done is not done again, and the result is the same."""
    folder = copied(written, tmp_path / "lyon")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert killed.returncode == -9
    with pytest.raises(NotFoundError):
        open_cohort(folder / "cohort")
    again = scans_of(folder)
    assert sum(record.cached for record in again) == 3
    assert summary(folder).fingerprint == summary(built).fingerprint


def test_an_interrupted_build_keeps_what_is_done(written, tmp_path):
    """Ctrl-C is an answer, not an accident."""
    folder = copied(written, tmp_path / "lyon")
    records = build(folder, workers=1)
    for record in records:
        if isinstance(record, ScanDone) and record.number == 2:
            break
    records.close()
    assert sum(record.cached for record in scans_of(folder)) == 2


def test_a_damaged_cache_entry_is_made_again(hospital):
    """A flipped bit on a disk must not become a voxel."""
    before = summary(hospital).fingerprint
    volume = sorted((hospital / "cohort" / "cache").glob("*/volume.b2nd"))[0]
    data = bytearray(volume.read_bytes())
    data[len(data) // 2] ^= 1
    volume.write_bytes(data)
    assert sum(not record.cached for record in scans_of(hospital)) == 1
    assert summary(hospital).fingerprint == before


def test_a_changed_scan_is_read_again_and_the_old_entry_is_gone(hospital):
    """A corrected weight changes SUV; a withdrawn subject leaves nothing behind."""
    first, second = ids_of(hospital)[:2]
    edit_pet(hospital, first, "PatientWeight", "99")
    assert check(hospital).changes == ("1 scan new or changed.", "1 scan gone or changed.")
    for path in pet_files(hospital, second):
        path.unlink()
    assert sum(not record.cached for record in scans_of(hospital)) == 1
    assert len(list((hospital / "cohort" / "cache").iterdir())) == SUBJECTS - 1
    assert summary(hospital).subjects == SUBJECTS - 1


SPOILED = {
    "a changed image": ("samples/*/mips.npy", b"\x01"),
    "a changed table": ("samples/*/samples.safetensors", b"\x01"),
    "a changed manifest": ("cohort.json", b'"lyon"'),
    "a manifest of another version": ("cohort.json", b"fedpet-cohort/1"),
    "a manifest that is not JSON": ("cohort.json", b"{"),
    "a missing file": ("samples/*/mips.npy", None),
}


@pytest.mark.parametrize(("pattern", "old"), SPOILED.values(), ids=SPOILED.keys())
def test_an_altered_cohort_is_refused(hospital, pattern, old):
    """The hash is checked before every use."""
    path = next((hospital / "cohort").glob(pattern))
    if old is None:
        path.unlink()
    elif old == b"\x01":
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(path.read_bytes().replace(old, old[:-2] + b"x" + old[-1:], 1))
    with pytest.raises(StoreError):
        open_cohort(hospital / "cohort")


def test_a_folder_without_a_cohort_says_how_to_build_one(tmp_path):
    """The commonest first step."""
    with pytest.raises(NotFoundError, match="fedpet cohort build"):
        open_cohort(tmp_path / "cohort")


def test_two_builds_of_one_folder_do_not_meet(hospital):
    """Two people, or one person and a timer."""
    records = build(hospital, workers=1)
    next(records)
    with pytest.raises(StoreError, match="Another build"):
        next(build(hospital, workers=1))
    records.close()
    run(hospital)


def test_a_pet_without_weight_is_left_out_by_name_of_the_attribute(hospital):
    """SUV is never made up; the other subjects do not wait for one."""
    first = ids_of(hospital)[0]
    edit_pet(hospital, first, "PatientWeight", None)
    result = run(hospital)
    assert (result.subjects, result.left_out) == (SUBJECTS - 1, 1)
    told = finding(result, "FP-2112")
    assert "weight (0010,1030)" in told.title
    assert told.subjects == (load_pseudonyms(hospital).of(first),)
    assert first not in (hospital / "cohort" / "findings.json").read_text()


def test_scans_and_rows_that_do_not_meet_are_counted_on_both_sides(hospital):
    """One row too few, one row too many, and a spreadsheet that dropped the leading zeros."""
    header, rows = rows_of(hospital)
    write_rows(hospital, header, ["0" + rows[0].lower(), *rows[2:]])
    result = run(hospital)
    assert result.subjects == SUBJECTS - 2
    assert len(finding(result, "FP-2150").subjects) == 2
    assert len(finding(result, "FP-2151").subjects) == 1
    assert "1 would match" in finding(result, "FP-2150").fix


def test_a_date_before_treatment_makes_the_endpoint_unknown_and_keeps_the_subject(hospital):
    """A typing error in one date costs one endpoint of one subject."""
    header, rows = rows_of(hospital)
    names = header.split(",")
    cells = rows[0].split(",")
    cells[names.index("death_date")] = "2010-01-01"
    cells[names.index("best_response")] = "PR"
    write_rows(hospital, header, [",".join(cells), *rows[1:]])
    result = run(hospital)
    assert "death before the first infusion" in finding(result, "FP-2164").title
    cohort = open_cohort(hospital / "cohort")
    row = cohort.subjects.index(load_pseudonyms(hospital).of(cells[0]))
    assert np.isnan(cohort.outcomes["os"].time_days[row])
    assert not cohort.outcomes["os"].event[row]
    assert np.isnan(cohort.binary["early_failure"][row])


def test_a_hospital_where_nobody_had_an_event_is_told_so(hospital):
    """An export that lost two columns looks exactly like patients who do well."""
    blank(hospital, ("death_date", "progression_date", "progression_confirmed_date"))
    result = run(hospital)
    titles = [f.title for f in result.findings if f.code == "FP-2182"]
    assert any(title.startswith("Overall survival: no event") for title in titles)
    assert any(title.startswith("Progression-free survival: no event") for title in titles)


def test_a_hospital_without_any_date_gets_all_reasons_and_loses_no_scan(hospital):
    """Nothing can be used, everything is said, and the images need not be read again."""
    blank(hospital, ("ici_start", "best_response"))
    with pytest.raises(DataError, match="No subject can be used") as caught:
        run(hospital)
    assert "No endpoint is known of 8 subjects" in str(caught.value)
    assert finding(read_findings(hospital / "cohort" / "findings.json"), "FP-2156")
    assert len(list((hospital / "cohort" / "cache").glob("*/record.json"))) == SUBJECTS


def test_a_folder_without_dicom_is_refused_in_words(hospital):
    """The folder above, or the folder of the viewer, was exported."""
    shutil.rmtree(hospital / "images")
    (hospital / "images").mkdir()
    (hospital / "images" / "notes.txt").write_text("no image here", encoding="utf-8")
    with pytest.raises(DataError, match="No DICOM file"):
        run(hospital)


def test_missing_masks_leave_biomarkers_unknown_not_zero(hospital):
    """No mask is not the same as no lesion."""
    for scan in find_scans(hospital / "images").scans[:2]:
        assert scan.mask is not None
        Path(scan.mask.path).unlink()
    result = run(hospital)
    assert "2 scans of 8" in finding(result, "FP-2170").title
    cohort = open_cohort(hospital / "cohort")
    assert np.isnan(cohort.table[:, -7:]).all(axis=1).sum() == 2


def test_lesions_can_be_searched_where_there_are_no_masks(hospital):
    """The fixed threshold is a fallback that needs no mask at all."""
    settings = hospital / "cohort.toml"
    settings.write_text(settings.read_text().replace('"given"', '"suv4.0"'), encoding="utf-8")
    run(hospital)
    assert np.isfinite(open_cohort(hospital / "cohort").table[:, -7:]).all()


def test_the_summary_counts_what_is_there(hospital):
    """`fedpet cohort show` prints these numbers and no others."""
    told = check(hospital)
    assert told.changes == ()
    assert (told.site, told.subjects, told.counts["scans"]) == ("lyon", SUBJECTS, SUBJECTS)
    assert set(told.endpoints) == {"pfs", "os", "response", "early_failure"}
    assert told.endpoints["pfs"].events >= told.endpoints["os"].events
    assert [column.name for column in told.columns][-7:] == list(biomarkers_of(DEFAULT_GROUPS))
    json.dumps(told.counts)
    header, rows = rows_of(hospital)
    write_rows(hospital, header, rows[:-1])
    assert check(hospital).changes == ("table changed since the build.",)


def test_a_lost_key_is_an_error_not_a_new_key(hospital):
    """With another key every subject would be somebody else."""
    (hospital / "pseudonym.key").unlink()
    with pytest.raises(StoreError, match=r"pseudonym\.key"):
        check(hospital)
    assert not (hospital / "pseudonym.key").exists()


def test_a_later_scan_is_a_warning(hospital):
    """Images made under treatment know the future."""
    first = ids_of(hospital)[0]
    edit_pet(hospital, first, "StudyDate", "20240101")
    result = run(hospital)
    assert len(finding(result, "FP-2173").subjects) == 1
