"""The traps that corrupt a PET-CT in silence, each as the law that it would break.

Each of them was seen in a widely used reader. Some cannot arise from how ours is built; the law is
tested all the same, so that a later reader is held to it.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

import fedpet.imaging.pacs.socket as quick
from fedpet.imaging.grid import to_common_grid
from fedpet.imaging.index import find_scans
from fedpet.imaging.pacs.inbox import Inbox
from fedpet.imaging.pacs.receiver import receiver
from fedpet.imaging.pacs.settings import Limits, Listen, PacsSettings, Peer
from fedpet.imaging.reference_time import mean_activity_s
from fedpet.imaging.scan import read_scan
from fedpet.imaging.volume import Grid
from pacs_peer import free_port, send
from pet_files import factor_bqml, need, write_series, write_structures

VALUES = np.random.default_rng(18).integers(1, 3000, (6, 10, 12))
DELAYED_RECEIPT_S = 0.04


def suv_of(folder: Path) -> np.ndarray:
    """Return SUV of the only scan of a folder."""
    return read_scan(find_scans(folder).scans[0]).suv.array


@pytest.mark.parametrize("units", ["GML", "BQML"])
def test_a_whole_slope_in_the_first_slice_makes_no_integers_of_the_others(
    tmp_path: Path, units: str
) -> None:
    """ITK reads such a series as int16: a largest SUV of 12.12 becomes 12."""

    def change(dataset: Dataset, number: int) -> None:
        dataset.Units = units
        if number == 5:  # first by instance number, last by place: whichever a reader takes
            dataset.RescaleSlope = "1"

    write_series(tmp_path, VALUES, slopes=[1.0, *[0.00404] * 4, 1.0], change=change)
    factor = 1.0 if units == "GML" else factor_bqml()
    slopes = np.array([1.0, *[0.00404] * 4, 1.0])[:, None, None]
    assert np.allclose(suv_of(tmp_path), VALUES * slopes * factor, rtol=1e-6)


def test_frames_keep_their_slopes_and_their_spacing(tmp_path: Path) -> None:
    """ITK reads a legacy converted PET with spacing 1 and one slope for all frames."""
    hd = pytest.importorskip("highdicom")
    paths = write_series(
        tmp_path / "slices", VALUES, slopes=[2.0, 0.5, 7.0, 1.0, 3.0, 11.0], spacing=(3.0, 4.0, 5.0)
    )
    made = hd.legacy.LegacyConvertedEnhancedPETImage(
        [pydicom.dcmread(path) for path in paths],
        series_instance_uid=hd.UID(),
        series_number=9,
        sop_instance_uid=hd.UID(),
        instance_number=1,
    )
    (tmp_path / "frames").mkdir()
    made.save_as(tmp_path / "frames" / "one")
    slices, frames = (
        read_scan(find_scans(tmp_path / name).scans[0]).suv for name in ("slices", "frames")
    )
    assert frames.grid == slices.grid
    assert frames.grid.spacing_mm == (3.0, 4.0, 5.0)
    assert np.array_equal(frames.array, slices.array)
    assert frames.array.max() == pytest.approx(VALUES[5].max() * 11 * factor_bqml())


def test_frame_times_of_one_acquisition_time_give_no_slice_another_factor(tmp_path: Path) -> None:
    """GE: computed back from each slice's own frame time, neighbours differ by up to 11 %."""

    def ge(dataset: Dataset, number: int) -> None:
        dataset.Manufacturer = "GE MEDICAL SYSTEMS"
        dataset.FrameReferenceTime = str(243_000 * number)
        dataset.SeriesTime = "113000"  # of a later reconstruction: only frame times are left

    write_series(tmp_path, VALUES, change=ge)
    assert np.allclose(suv_of(tmp_path), VALUES * 2 * factor_bqml(), rtol=1e-6)


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_the_bed_that_was_acquired_first_in_the_folder_decides_nothing(
    tmp_path: Path, order: str
) -> None:
    """The acquisition time of the first file gives 8 % too much on a scan of nine beds."""

    def beds(dataset: Dataset, number: int) -> None:
        bed = number // 2 if order == "ascending" else (5 - number) // 2
        start_s = 39_600 + 240 * bed
        clock = time.strftime("%H%M%S", time.gmtime(start_s))
        dataset.AcquisitionTime = clock
        middle_s = 240 * bed + mean_activity_s(120.0, 6586.2)
        dataset.FrameReferenceTime = f"{1000 * middle_s:.3f}"

    write_series(tmp_path, VALUES, change=beds)
    assert np.allclose(suv_of(tmp_path), VALUES * 2 * factor_bqml(), rtol=1e-6)


def test_contours_that_name_absent_slices_are_read(tmp_path: Path) -> None:
    """rt-utils refuses them; whoever crops a series leaves such contours behind."""
    paths = write_series(tmp_path / "pet", VALUES)
    square = [(-7.0, -17.0), (7.0, -17.0), (7.0, -3.0), (-7.0, -3.0)]
    drawn = [[(x, y, 30.0 + 4 * z) for x, y in square] for z in range(6)]
    write_structures(tmp_path / "rs", {"GTV": drawn}, references=paths[0])
    whole = read_scan(find_scans(tmp_path).scans[0]).lesions
    for path in paths[:2]:
        path.unlink()
    cropped = read_scan(find_scans(tmp_path).scans[0]).lesions
    assert whole is not None
    assert cropped is not None
    assert np.array_equal(cropped.array > 0, whole.array[2:] > 0)


def test_volumes_own_their_voxels_after_what_read_them_is_gone(tmp_path: Path) -> None:
    """A view of a temporary image of SimpleITK points into memory that is given back."""
    write_series(tmp_path / "pet", VALUES)
    write_series(tmp_path / "ct", VALUES, modality="CT", series="ct", slopes=1.0)
    images = read_scan(find_scans(tmp_path).scans[0])
    assert images.ct is not None
    half = np.sqrt(0.5)
    oblique = Grid(  # not parallel: the way through SimpleITK
        shape=(5, 8, 8),
        spacing_mm=(4.0, 4.0, 4.0),
        origin_mm=(-8.0, -16.0, 32.0),
        direction=((0.0, 0.0, 1.0), (-half, half, 0.0), (half, half, 0.0)),
    )
    turned = [
        to_common_grid(volume, oblique, fill=0, kind=kind).array
        for volume, kind in ((images.suv, "pet"), (images.ct, "ct"))
    ]
    arrays = [images.suv.array, images.ct.array, *turned]
    before = [array.copy() for array in arrays]
    for path in tmp_path.rglob("*-*"):
        path.unlink()
    del images
    gc.collect()
    filler = [np.full(array.shape, 77, array.dtype) for array in arrays for _ in range(50)]
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    assert len(filler) == 50 * len(arrays)
    assert all(_owner(array) for array in arrays)


def _owner(array: np.ndarray) -> bool:
    """Tell whether memory belongs to an array, not to something that NumPy does not know."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base is None


def test_a_reference_object_with_a_coarse_slope_is_right_within_its_unit() -> None:
    """IBSI's DRO_2_3 stores steps of 0.01: it holds 0.985 where others hold 1.00."""
    folder = need("suv_dro", "DRO_2_3")
    scan = find_scans(folder).scans[0]
    images = read_scan(scan)
    unit = max(one.slope for one in scan.pet.slices) * images.provenance.factor_max
    inside = images.suv.array[images.suv.array > 0.1]
    assert abs(float(np.median(inside)) - 1.0) <= unit
    assert abs(float(inside.max()) - 4.0) <= unit


def test_a_folder_named_dl_beside_a_script_is_left_alone(tmp_path: Path) -> None:
    """GDCM imports whatever has that name, which breaks pydicom; users keep models there."""
    (tmp_path / "dl.py").write_text("raise RuntimeError('imported by somebody else')")
    script = tmp_path / "script.py"
    script.write_text(
        "import fedpet.imaging.scan, pydicom.pixels, sys; assert 'dl' not in sys.modules"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_sender_that_waits_for_receipts_is_not_kept_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nagle's algorithm there and delayed receipts here make 23 files a second of any network."""
    if quick.QUICKACK is None:
        pytest.skip("this system cannot ask for immediate receipts")
    files = write_series(tmp_path / "source", VALUES[:, :4, :4].repeat(3, axis=0))
    settings = PacsSettings(
        ae_title="FEDPET",
        pacs=Peer(ae_title="PACSCHU", host="127.0.0.1", port=1),
        listen=Listen(port=free_port()),
        limits=Limits(timeout_s=10.0, free_gb=0.0, retries=1),
    )

    def seconds(name: str) -> float:
        inbox = Inbox(tmp_path / name, settings.limits)
        with receiver(settings, tmp_path, inbox) as port:
            start = time.perf_counter()
            assert set(send(files, port, called="FEDPET")) == {0}
            return time.perf_counter() - start

    at_once = min(seconds(f"quick-{number}") for number in range(4))
    monkeypatch.setattr(quick, "QUICKACK", None)
    delayed = seconds("delayed")
    assert delayed > len(files) * DELAYED_RECEIPT_S / 2  # pynetdicom's sender waits, as DCMTK's
    assert at_once < delayed / 2
