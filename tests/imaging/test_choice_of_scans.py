"""The choice among scans follows stated rules, and a hospital may state its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from fedpet.imaging.gathering import look_through
from fedpet.imaging.index import Index, choose, find_scans
from fedpet.imaging.rules import Rules
from fedpet.imaging.shelf import Shelf
from pet_files import Change, write_series

VALUES = np.random.default_rng(5).integers(0, 1000, (6, 4, 5))


def reasons(index: Index) -> str:
    """Return all reasons of an index in one text."""
    return " | ".join(one.reason for one in index.rejected)


def setting(**values: object) -> Change:
    """Return a change that sets attributes of every file."""

    def change(dataset: Dataset, number: int) -> None:
        for name, value in values.items():
            setattr(dataset, name, value)

    return change


def test_the_preferred_reconstruction_is_used(tmp_path: Path) -> None:
    """A federation compares SUVs; each hospital says which of its reconstructions is comparable."""
    for number, name in enumerate(("OSEM", "PSF TOF", "EARL1 PSF")):
        change = setting(SeriesDescription=name, SeriesNumber=str(number))
        write_series(tmp_path / name, VALUES + number, series=name, change=change)
    holding = look_through(tmp_path)

    def used(*prefer: str) -> str:
        return choose(holding, Rules(prefer=prefer)).scans[0].pet.description

    assert used("earl", "psf") == "EARL1 PSF"
    assert used("^PSF") == "PSF TOF"
    assert used("osem") == "OSEM"
    index = choose(holding, Rules(prefer=("psf",)))
    assert index.scans[0].pet.description == "EARL1 PSF"
    assert "preference" in reasons(index)


def test_a_preferred_piece_does_not_replace_the_whole_body(tmp_path: Path) -> None:
    """A head-and-neck bed may carry the preferred name."""
    write_series(tmp_path / "whole", np.tile(VALUES, (4, 1, 1)), series="whole")
    piece = setting(SeriesDescription="EARL")
    write_series(tmp_path / "piece", VALUES, series="piece", change=piece)
    (scan,) = find_scans(tmp_path, rules=Rules(prefer=("EARL",))).scans
    assert len(scan.pet.slices) == 24


def test_the_baseline_is_the_last_pet_before_treatment(tmp_path: Path) -> None:
    """The tumour that was treated is the one of the last scan, not of one two years before."""
    days = ("20230101", "20250101", "20250601")
    for day in days:
        write_series(tmp_path / day, VALUES, series=day, study=day, change=setting(StudyDate=day))
    holding = look_through(tmp_path)

    def used(origin: str) -> tuple[str, str]:
        index = choose(holding, Rules(origins={"P1": origin}))
        return index.scans[0].date, reasons(index)

    assert used("20250115")[0] == "20250101"
    assert "nearer to the start of treatment" in used("20250115")[1]
    assert "An earlier PET" in used("20250115")[1]
    assert used("20250101")[0] == "20250101"
    assert used("20260101")[0] == "20250601"
    assert used("20220101")[0] == "20230101"
    assert choose(holding, Rules()).scans[0].date == "20230101"


def test_people_choose_and_exclude(tmp_path: Path) -> None:
    """No rule knows that a patient moved."""
    write_series(tmp_path / "a", VALUES, series="a")
    write_series(tmp_path / "b", VALUES + 1, series="b")
    write_series(
        tmp_path / "gated", VALUES, series="g", change=setting(SeriesType=["GATED", "IMAGE"])
    )
    holding = look_through(tmp_path)
    plain, other, gated = sorted(
        holding.volumes, key=lambda one: (bool(one.reservation), one.series_uid)
    )
    assert not choose(holding, Rules()).scans
    assert choose(holding, Rules(chosen=frozenset({other.identity}))).scans[0].pet == other
    index = choose(holding, Rules(excluded=frozenset({other.identity})))
    assert index.scans[0].pet == plain
    assert "The hospital excluded it" in reasons(index)
    index = choose(holding, Rules(chosen=frozenset({gated.identity})))
    assert index.scans[0].pet == gated


def test_the_same_pixels_under_another_series_number_are_a_copy(tmp_path: Path) -> None:
    """Sent twice through a router, a series comes back with new identifiers."""
    write_series(tmp_path / "a", VALUES, series="a")
    write_series(tmp_path / "b", VALUES, series="b", change=setting(SeriesNumber="2"))
    index = find_scans(tmp_path)
    assert len(index.scans) == 1
    assert "copy of the series" in reasons(index)


def test_one_pet_under_two_patient_ids_is_not_two_subjects(tmp_path: Path) -> None:
    """A subject that is trained on must not be tested on under another number."""
    write_series(tmp_path / "a", VALUES)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for path in (tmp_path / "b").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PatientID = "P2"
        dataset.save_as(path)
    index = find_scans(tmp_path)
    assert not index.scans
    assert reasons(index).count("stand under two patient ids") == 2


def test_beds_that_follow_each_other_are_one_scan(tmp_path: Path) -> None:
    """Bed positions differ in acquisition time and number, not in series."""

    def beds(dataset: Dataset, number: int) -> None:
        dataset.AcquisitionTime = f"11{number // 3:02d}00"
        dataset.AcquisitionNumber = str(1 + number // 3)

    write_series(tmp_path, np.tile(VALUES, (2, 1, 1)), change=beds)
    (scan,) = find_scans(tmp_path).scans
    assert len({one.acquired for one in scan.pet.slices}) == 4


def test_beds_that_overlap_are_refused(tmp_path: Path) -> None:
    """Two values for one place; which of them counts is not ours to say."""
    write_series(tmp_path / "1", VALUES)

    def next_bed(dataset: Dataset, number: int) -> None:
        dataset.SOPInstanceUID = generate_uid()

    write_series(tmp_path / "2", VALUES + 1, origin=(-10.0, -20.0, 46.0), change=next_bed)
    assert "lie at one position" in reasons(find_scans(tmp_path))


def test_frames_of_a_dynamic_scan_are_kept_apart(tmp_path: Path) -> None:
    """Time points carry (0020,0100); none of them is taken by chance."""
    for frame in (1, 2):
        change = setting(TemporalPositionIdentifier=str(frame))
        write_series(tmp_path / str(frame), VALUES * frame, change=change)
    index = find_scans(tmp_path)
    assert not index.scans
    assert len(index.rejected) == 2


def test_shelves_of_parts_join_to_the_shelf_of_all(tmp_path: Path) -> None:
    """Law: many processes find what one finds, whatever part each looks at."""
    write_series(tmp_path / "a", VALUES)
    write_series(tmp_path / "b", VALUES, modality="CT", series="ct")
    write_series(tmp_path / "c", VALUES, series="gml", change=setting(Units="GML"))
    write_series(tmp_path / "d", VALUES, patient="P2", change=setting(Modality="NM"))
    places = sorted(str(path) for path in tmp_path.rglob("*") if path.is_file())
    whole = Shelf()
    whole.take_in_all(places)
    for step in (1, 2, 5):
        joined = Shelf()
        for start in range(0, len(places), step):
            part = Shelf()
            part.take_in_all(places[start : start + step])
            joined.join(part)
        assert joined.aside == whole.aside
        assert [one.build() for one in joined.intakes.values()] == [
            one.build() for one in whole.intakes.values()
        ]


@pytest.mark.slow
def test_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What travels between processes must be whole."""
    from fedpet.imaging import gathering

    write_series(tmp_path / "a", np.tile(VALUES, (4, 1, 1)))
    write_series(tmp_path / "b", VALUES, modality="CT", series="ct")
    monkeypatch.setattr(gathering, "FILES_PER_PROCESS_MIN", 10)
    monkeypatch.setattr(gathering, "CHUNK_FILES", 7)
    assert find_scans(tmp_path, workers=2) == find_scans(tmp_path)
