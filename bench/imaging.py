"""Time the way of a scan from DICOM to a cached sample, beside SimpleITK, dcm2niix and MONAI.

    python bench/imaging.py [--peers PYTHON] [--rounds 5] [--subjects 111] [--keep FOLDER]

Every contestant runs in a process of its own on one core, in turn, so that a change of the
machine's speed meets all of them. Imports are not counted. Processor seconds are told besides
wall seconds: on a busy machine they are nearer to the truth.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import imaging_scan

HERE = Path(__file__).resolve().parent
PEERS = ("simpleitk", "dcm2niix", "monai")
PET_SLICES = imaging_scan.PET_SHAPE[0]
CT_MIB = 2 * float(imaging_scan.CT_SHAPE[0] * imaging_scan.CT_SHAPE[1] ** 2) / 2**20
ALL_SUBJECTS = 1110
Row = tuple[float, float, float]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and processor seconds of a call."""
    start, before = time.perf_counter(), sum(os.times()[:4])
    work()
    return time.perf_counter() - start, sum(os.times()[:4]) - before


def one_scan(images: Path) -> None:
    """Take the scan from its folder to a cached sample twice; print the second and the memory."""
    from fedpet.cohort.cache import Record
    from fedpet.cohort.method import Rules
    from fedpet.cohort.prepare import Task, prepare
    from fedpet.imaging.index import find_scans
    from fedpet.imaging.window import Window

    def work(cache: str) -> None:
        scan = find_scans(images).scans[0]
        task = Task(
            scan=scan,
            subject="",
            key=scan.content_digest()[:32],
            cache=Path(cache),
            window=Window(spacing_mm=4.0),
            rules=Rules(),
        )
        assert isinstance(prepare(task).outcome, Record)

    _on_one_core()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for _ in range(2):
        with tempfile.TemporaryDirectory() as cache:
            wall, cpu = timed(partial(work, cache))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{wall:.4f} {cpu:.4f} {peak - base:.0f}")


def ways() -> dict[str, dict[str, object]]:
    """Return what else a cohort may ask of a scan, by its words in cohort.toml."""
    from fedpet.cohort.method import Rules

    groups = ("metabolic", "spread", "organs", "radiomics")
    return {
        "given masks": {},
        'lesions = "suv4.0"': {"rules": Rules(lesions="suv4.0")},
        'lesions = "percist"': {"rules": Rules(lesions="percist")},
        'head = "drop"': {"head": "drop"},
        'arms = "remove"': {"arms": "remove"},
        "biomarkers: all groups": {"rules": Rules(biomarkers=groups)},
        "all of it": {
            "rules": Rules(lesions="suv4.0", biomarkers=groups),
            "head": "drop",
            "arms": "remove",
        },
    }


def one_way(images: Path, name: str) -> None:
    """Take the scan to a cached sample in one way; print the memory above that before, MiB."""
    from fedpet.cohort.cache import Record
    from fedpet.cohort.method import Rules
    from fedpet.cohort.prepare import Task, prepare
    from fedpet.imaging.index import find_scans
    from fedpet.imaging.window import Window

    asked = {"rules": Rules(), "head": "keep", "arms": "keep", **ways()[name]}
    window = Window(spacing_mm=4.0, head=asked["head"], arms=asked["arms"])
    scan = find_scans(images).scans[0]
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as cache:
        done = prepare(
            Task(
                scan=scan,
                subject="",
                key="k" * 32,
                cache=Path(cache),
                window=window,
                rules=asked["rules"],
            )
        )
    assert isinstance(done.outcome, Record)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - base:.0f}")


def memory(images: Path) -> None:
    """Print the memory of each way, each in a process of its own."""
    print(f"\n{'memory of one scan above imports':<36}{'MiB':>9}  (a CT volume: {CT_MIB:.0f})")
    for name in ways():
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, str(Path(__file__)), "--way", name, str(images)],
            check=True,
            capture_output=True,
            text=True,
        )
        print(f"{name:<36}{done.stdout.split()[-1]:>9}")


def parts(images: Path) -> None:
    """Time SUV a slice, and reading a cached sample; print wall and processor milliseconds."""
    from fedpet.cohort.cache import read_volume
    from fedpet.cohort.method import Rules
    from fedpet.cohort.prepare import Task, prepare
    from fedpet.imaging.index import find_scans
    from fedpet.imaging.pixels import read_pet
    from fedpet.imaging.scan import pet_facts
    from fedpet.imaging.suv import to_suv
    from fedpet.imaging.window import Window

    _on_one_core()
    scan = find_scans(images).scans[0]
    suv = [timed(lambda: read_pet(scan.pet, to_suv(pet_facts(scan.pet)).factors)) for _ in range(9)]
    with tempfile.TemporaryDirectory() as cache:
        task = Task(
            scan=scan,
            subject="",
            key="k" * 32,
            cache=Path(cache),
            window=Window(spacing_mm=4.0),
            rules=Rules(),
        )
        prepare(task)
        entry = Path(cache) / task.key
        read = [timed(lambda: read_volume(entry)) for _ in range(15)]
    for runs, count in ((suv, PET_SLICES), (read, 1)):
        for column in zip(*runs, strict=True):
            print(1000 * statistics.median(column) / count)


def _on_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def cohort(folder: Path, *, subjects: int) -> tuple[int, float, float, int]:
    """Build phantom hospitals at 6 mm from DICOM twice.

    Returns:
        Scans, seconds of the first and of the second build, files.
    """
    from fedpet.cli.building import build_all
    from fedpet.cohort.build import Built, Found
    from fedpet.synthetic.hospitals import write_hospitals

    list(write_hospitals(folder, subjects=subjects, sites=10, spacing_mm=6.0))
    hospitals = {path.parent.name: path.parent for path in sorted(folder.glob("*/cohort.toml"))}
    times, scans = [], 0
    for _ in range(2):
        start = time.perf_counter()
        records = [told.record for told in build_all(hospitals, workers=2)]
        times.append(time.perf_counter() - start)
        scans = sum(one.scans for one in records if isinstance(one, Found))
        assert sum(isinstance(one, Built) for one in records) == len(hospitals)
    files = sum(
        len(found) for site in hospitals.values() for _, _, found in os.walk(site / "images")
    )
    return scans, times[0], times[1], files


def contest(images: Path, peers: str, rounds: int) -> None:
    """Run all contestants in turn and print a table."""
    ours = [sys.executable, str(Path(__file__)), "--one", str(images)]
    commands = {"fedpet": ours}
    for name in PEERS:
        commands[name] = [peers, str(HERE / "imaging_peers.py"), name, str(images / "0000")]
    rows: dict[str, list[Row]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            if name in rows and (row := _run(name, command)) is not None:
                rows[name].append(row)
            else:
                rows.pop(name, None)
    first = _medians(rows["fedpet"])
    title = "folder to arrays at 4 mm, one core"
    print(f"\n{title:<36}{'wall s':>9}{'CPU s':>9}{'ratio':>8}{'MiB':>7}")
    for name, measured in rows.items():
        wall, cpu, peak = _medians(measured)
        print(f"{name:<36}{wall:>9.2f}{cpu:>9.2f}{cpu / first[1]:>8.1f}{peak:>7.0f}")
    print(f"Medians of {rounds} runs; ratio of CPU; a CT volume has {CT_MIB:.0f} MiB.")


def _medians(rows: list[Row]) -> Row:
    wall, cpu, peak = (statistics.median(column) for column in zip(*rows, strict=True))
    return wall, cpu, peak


def _run(name: str, command: list[str]) -> Row | None:
    """Run a contestant; tell why it is skipped if it cannot run."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        wall, cpu, peak = (float(word) for word in done.stdout.split()[-3:])
    except FileNotFoundError:
        print(f"{name} is skipped: there is no {command[0]}.")
        return None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1:] or ["no reason told"]
        print(f"{name} is skipped: {reason[0]:.200}")
        return None
    return wall, cpu, peak


def main() -> None:
    """Write the scan, run the contest, then what only we do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default="no peers", help="Python of the peers' environment")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--subjects", type=int, default=111)
    parser.add_argument("--keep", type=Path, help="folder for the scan, kept for the next run")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--parts", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", nargs=2, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.way:
        one_way(Path(told.way[1]), told.way[0])
        return
    if told.one or told.parts:
        one_scan(told.one) if told.one else parts(told.parts)
        return
    work = Path(tempfile.mkdtemp(prefix="bench-imaging-"))
    try:
        scan = told.keep or work / "scan"
        if not (scan / "images").is_dir():
            imaging_scan.write(scan)
        load = os.getloadavg()[0]
        print(f"Load of the machine at the start: {load:.1f} on {os.cpu_count()} cores.")
        contest(scan / "images", told.peers, told.rounds)
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, str(Path(__file__)), "--parts", str(scan / "images")],
            check=True,
            capture_output=True,
            text=True,
        )
        slice_ms, slice_cpu, read_ms, read_cpu = (float(word) for word in done.stdout.split())
        print(
            f"\nSUV volume: {slice_ms:.3f} ms a slice (CPU {slice_cpu:.3f}). "
            f"Cached sample at 4 mm: {read_ms:.1f} ms (CPU {read_cpu:.1f})."
        )
        memory(scan / "images")
        if told.subjects:
            scans, first, second, files = cohort(work / "hospitals", subjects=told.subjects)
            whole = first / scans * ALL_SUBJECTS
            print(
                f"Cohort of {scans} scans ({files} files) at 6 mm, 2 processes: {first:.1f} s; "
                f"again, unchanged: {second:.2f} s ({first / second:.0f} times faster).\n"
                f"By proportion {ALL_SUBJECTS} scans take {whole:.0f} s."
            )
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
