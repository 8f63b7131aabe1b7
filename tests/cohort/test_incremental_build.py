"""A second build does what changed and nothing else; what it remembers tells nothing."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import pydicom
import pytest

from fedpet.cohort.build import Built, ScanDone, build
from fedpet.cohort.cache import open_volume
from fedpet.cohort.listing import FILE
from fedpet.cohort.samples import open_cohort
from fedpet.cohort.summary import check
from fedpet.imaging.index import find_scans
from fedpet.synthetic.hospitals import write_hospitals
from pet_files import unlistable

SUBJECTS = 4
WATCHED = """
import sys
from pathlib import Path
from fedpet.cohort.build import Built, build
folder = Path(sys.argv[1])
opened = []
def hook(event, arguments):
    if event == "open" and str(folder / "images") in str(arguments[0]):
        opened.append(arguments[0])
sys.addaudithook(hook)
*_, last = build(folder, workers=1)
print(len(opened), last.fingerprint)
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """One phantom hospital with its cohort."""
    folder = tmp_path_factory.mktemp("phantoms")
    list(write_hospitals(folder, subjects=SUBJECTS, sites=1, workers=1))
    run(folder / "lyon")
    return folder / "lyon"


@pytest.fixture
def hospital(written, tmp_path) -> Path:
    """A copy to change; as it lies elsewhere, its first build looks at everything again."""
    shutil.copytree(written, tmp_path / "lyon")
    run(tmp_path / "lyon")
    return tmp_path / "lyon"


def run(folder: Path) -> Built:
    *_, last = build(folder, workers=1)
    assert isinstance(last, Built)
    return last


def read_again(folder: Path) -> list[str]:
    """Build; return the subjects whose images were read."""
    records = build(folder, workers=1)
    return [one.pseudonym for one in records if isinstance(one, ScanDone) and not one.cached]


def watched(folder: Path) -> tuple[int, str]:
    """Build in a process of its own; return how many files of images it opened."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(folder)], check=True, capture_output=True, text=True
    )
    count, fingerprint = done.stdout.split()
    return int(count), fingerprint


def pet_files(folder: Path) -> dict[str, list[Path]]:
    """Return the PET files of each subject, by pseudonym of the order of its patient id."""
    index = find_scans(folder / "images")
    return {scan.patient_id: [Path(one.path) for one in scan.pet.slices] for scan in index.scans}


def test_an_unchanged_folder_is_not_opened(hospital: Path) -> None:
    """Headers of a thousand subjects are minutes of a network drive."""
    before = open_cohort(hospital / "cohort").fingerprint
    assert watched(hospital) == (0, before)
    (hospital / "cohort" / FILE).unlink()
    opened, after = watched(hospital)
    assert opened > 200
    assert after == before
    assert watched(hospital) == (0, before)


def test_an_unchanged_folder_is_built_many_times_faster(hospital: Path) -> None:
    """The promise is 20 times on a cohort of 100 subjects; a small one on a busy machine: 5."""
    shutil.rmtree(hospital / "cohort")
    times = []
    for _ in range(3):
        start = perf_counter()
        run(hospital)
        times.append(perf_counter() - start)
    assert times[0] > 5 * min(times[1:])


def test_a_folder_that_cannot_be_listed_is_a_finding_and_not_the_end(hospital: Path) -> None:
    """One folder of a hundred with wrong rights must not keep the other subjects out."""
    deep = hospital / "images" / "deep"
    deep.mkdir()
    unlistable(deep)
    (hospital / "images" / "gone").symlink_to(hospital / "nowhere")
    for _ in range(2):  # looked through, then remembered
        built = run(hospital)
        assert built.subjects == SUBJECTS
        (one,) = [finding for finding in built.findings if finding.code == "FP-2159"]
        assert one.title == "1 folder of images cannot be listed."
        assert one.severity == "warning"
        assert "x" * 200 not in repr(built.findings)
    assert check(hospital).changes == ()
    shutil.rmtree(deep)
    assert "FP-2159" not in {finding.code for finding in run(hospital).findings}


def test_a_new_scan_is_read_and_the_others_are_not(hospital: Path, tmp_path: Path) -> None:
    """Each month a few subjects come."""
    files = next(iter(pet_files(hospital).values()))
    aside = tmp_path / "aside"
    folder = files[0].parent
    shutil.move(folder, aside)
    assert read_again(hospital) == []
    assert check(hospital).changes == ()
    shutil.move(aside, folder)
    assert len(check(hospital).changes) > 0
    assert len(read_again(hospital)) == 1


def test_a_change_of_one_byte_that_keeps_size_and_time_is_seen(hospital: Path) -> None:
    """Some exporters set the time of a file to that of the scan."""
    files = next(iter(pet_files(hospital).values()))
    status = files[3].stat()
    dataset = pydicom.dcmread(files[3])
    dataset.RescaleSlope = float(dataset.RescaleSlope) * 1.1
    value = f"{float(dataset.RescaleSlope):.10e}"[:16]
    dataset["RescaleSlope"].value = value
    dataset.save_as(files[3])
    os.utime(files[3], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(read_again(hospital)) == 1


def test_scans_that_cannot_be_used_are_not_tried_again(hospital: Path) -> None:
    """A hospital with one scan without weight would read all headers at every build."""
    for path in next(iter(pet_files(hospital).values())):
        dataset = pydicom.dcmread(path)
        dataset.PatientWeight = None
        dataset.save_as(path)
    first = run(hospital)
    opened, fingerprint = watched(hospital)
    assert opened == 0
    assert fingerprint == first.fingerprint
    again = run(hospital)
    assert again.findings == first.findings
    assert again.left_out == first.left_out


def test_findings_of_a_remembered_folder_are_those_of_the_folder(hospital: Path) -> None:
    """Days of scans are masked in the listing, and must come back as they were."""
    for path in next(iter(pet_files(hospital).values())):
        dataset = pydicom.dcmread(path)
        dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20990101"
        dataset.save_as(path)
    first = run(hospital)
    assert any(one.code == "FP-2173" for one in first.findings)
    assert run(hospital).findings == first.findings


def test_a_lost_cache_entry_is_made_again_from_a_remembered_folder(hospital: Path) -> None:
    """The listing must never stand for images that are not there."""
    cohort = open_cohort(hospital / "cohort")
    entry = next(iter((hospital / "cohort" / "cache").glob("[0-9a-f]*")))
    shutil.rmtree(entry)
    assert len(read_again(hospital)) == 1
    assert open_cohort(hospital / "cohort").fingerprint == cohort.fingerprint
    open_volume(hospital / "cohort", cohort.subjects[0])


def test_head_and_arms_are_other_entries(hospital: Path) -> None:
    """Whoever drops the head may not find it in the cache."""
    settings = hospital / "cohort.toml"
    before = settings.read_text(encoding="utf-8")
    fingerprints = {open_cohort(hospital / "cohort").fingerprint}
    for more in ('head = "drop"\n', 'arms = "remove"\n', 'head = "drop"\narms = "remove"\n'):
        settings.write_text(before + more, encoding="utf-8")
        assert len(read_again(hospital)) > 1
        fingerprints.add(open_cohort(hospital / "cohort").fingerprint)
    assert len(fingerprints) == 4
    settings.write_text(before, encoding="utf-8")
    run(hospital)
    assert open_cohort(hospital / "cohort").fingerprint in fingerprints


def test_the_listing_tells_nothing_and_belongs_to_its_owner(hospital: Path) -> None:
    """It lies beside the cache, where nobody expects identifiers."""
    path = hospital / "cohort" / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    data = path.read_bytes()
    for patient, files in pet_files(hospital).items():
        dataset = pydicom.dcmread(files[0], stop_before_pixels=True)
        secrets = [patient, str(dataset.SeriesInstanceUID), str(dataset.StudyDate), str(files[0])]
        day = f"{dataset.StudyDate[:4]}-{dataset.StudyDate[4:6]}-{dataset.StudyDate[6:]}"
        assert not [one for one in (*secrets, day, files[0].name) if one.encode() in data]


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "other key"])
def test_an_altered_listing_is_not_believed(hospital: Path, harm: str) -> None:
    """Whoever can write it could hide a scan."""
    path = hospital / "cohort" / FILE
    data = path.read_bytes()
    before = open_cohort(hospital / "cohort").fingerprint
    if harm == "cut":
        path.write_bytes(data[:-30])
    elif harm == "changed":
        seal, _, rest = data.partition(b"\n")
        told = json.loads(rest)
        told["scans"], told["keys"] = told["scans"][1:], told["keys"][1:]
        path.write_bytes(seal + b"\n" + json.dumps(told, sort_keys=True).encode())
    elif harm == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(b"0" * 64 + b"\n" + data.partition(b"\n")[2])
    assert watched(hospital)[0] > 200
    assert open_cohort(hospital / "cohort").fingerprint == before


def test_a_build_without_news_loads_nothing_that_reads_images(hospital: Path) -> None:
    """Loading the readers takes longer than finding that there is nothing to do."""
    heavy = ("torch", "SimpleITK", "pydicom", "nibabel", "highdicom", "blosc2", "scipy")
    program = (
        "import sys\nfrom pathlib import Path\nfrom fedpet.cohort.build import build\n"
        "*_, last = build(Path(sys.argv[1]))\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(hospital)], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_a_build_without_news_writes_nothing(hospital: Path) -> None:
    """Whoever copies cohorts by night must not copy what is the same."""
    files = [path for path in (hospital / "cohort").rglob("*") if path.is_file()]
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}
    built = run(hospital)
    now = [path for path in (hospital / "cohort").rglob("*") if path.is_file()]
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in now} == before
    assert built.fingerprint == open_cohort(hospital / "cohort").fingerprint


@pytest.mark.parametrize("name", ["samples.safetensors", "mips.npy"])
def test_spoiled_arrays_are_written_again(hospital: Path, name: str) -> None:
    """What is left as it is must be what it was."""
    (path,) = (hospital / "cohort" / "samples").glob(f"*/{name}")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    run(hospital)
    open_cohort(hospital / "cohort")
    assert check(hospital).changes == ()
