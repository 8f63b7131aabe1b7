"""Faces go, brains and bodies stay."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fedpet.cohort.pseudonyms import Pseudonyms
from fedpet.cohort.release import Released, deidentify
from fedpet.imaging.deidentify.face import Face, find_face
from fedpet.imaging.deidentify.profile import Options
from fedpet.imaging.deidentify.refusals import WANTED, objection
from fedpet.imaging.index import find_scans
from fedpet.imaging.reading import read_header
from fedpet.imaging.scan import Images, read_scan
from fedpet.imaging.volume import Grid, Volume
from fedpet.synthetic.subject import Roll, write_subjects
from pet_files import need, write_series

SECRET = Pseudonyms(b"k" * 32)
# Hospitals whose phantoms have arms up and down, CT and PET of three vendors, counts, slopes.
HOSPITALS = (0, 3)
NOSE, CHIN = 120.0, 190.0  # mm below the vertex


@cache
def _scans(index: int) -> tuple[Images, Images, int]:
    """Return a phantom's images before and after, and the pixels that were replaced."""
    folder = Path(mkdtemp())
    write_subjects(Roll(seed=5, index=index, subjects=1), range(1), folder / "in")
    *_, last = deidentify(
        folder / "in", folder / "out", pseudonyms=SECRET, options=Options(deface=True)
    )
    assert isinstance(last, Released)
    assert not any(one.refused for one in last.series if one.modality in ("PT", "CT"))
    before, after = (read_scan(find_scans(folder / name).scans[0]) for name in ("in", "out"))
    return before, after, sum(one.face_pixels for one in last.series)


def _heights(volume: Volume) -> np.ndarray:
    index = np.zeros((volume.array.shape[0], 3))
    index[:, 0] = np.arange(len(index))
    return volume.grid.to_lps(index)[:, 2]


def _front_mm(volume: Volume, body: np.ndarray, below_vertex_mm: float) -> np.ndarray:
    """Return the LPS y of the skin along the middle 60 mm of one height."""
    heights = _heights(volume)
    top = heights[body.any(axis=(1, 2))].max()
    number = int(np.abs(heights - (top - below_vertex_mm)).argmin())
    columns = np.nonzero(body[number])[1]
    half = int(30 / volume.grid.spacing_mm[2])
    middle = int(np.median(columns))
    part = body[number][:, middle - half : middle + half + 1]
    row = part.argmax(axis=0)
    return volume.grid.origin_mm[1] + row * volume.grid.spacing_mm[1]


EVERY_PHANTOM = pytest.mark.parametrize("index", HOSPITALS)


@EVERY_PHANTOM
def test_the_face_is_gone_and_what_is_left_is_flat(index):
    """Nose, lips and chin lie behind a plane: a rendering shows none of their shape."""
    before, after, replaced = _scans(index)
    assert replaced > 1000
    for was, now, level in ((before.suv, after.suv, 0.15), (before.ct, after.ct, -300)):
        if was is None:
            continue
        for depth in (NOSE + 20, CHIN):
            old = _front_mm(was, was.array > level, depth)
            new = _front_mm(now, now.array > level, depth)
            assert (new - old).min() > 0
            assert (new - old).max() > 20
            assert np.ptp(new) <= now.grid.spacing_mm[1] + 1e-6


@EVERY_PHANTOM
def test_the_brain_and_all_below_the_head_are_untouched(index):
    """SUV of the brain is a reference; of the body it is what the study is about."""
    before, after, _ = _scans(index)
    heights = _heights(before.suv)
    top = heights[(before.suv.array > 0.15).any(axis=(1, 2))].max()
    hot = (before.suv.array > 4.5) & (heights > top - 180)[:, None, None]
    labels, _ = ndimage.label(hot)
    brain = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    assert brain.sum() * before.suv.grid.voxel_ml > 500
    np.testing.assert_array_equal(before.suv.array[brain], after.suv.array[brain])
    below = heights < top - 330
    np.testing.assert_array_equal(before.suv.array[below], after.suv.array[below])
    if before.ct is not None and after.ct is not None:
        low = _heights(before.ct) < top - 330
        np.testing.assert_array_equal(before.ct.array[low], after.ct.array[low])


@EVERY_PHANTOM
def test_pet_and_ct_lose_the_same_region(index):
    """A face that is cut from one image and not from the other is not gone."""
    before, after, _ = _scans(index)
    if before.ct is None or after.ct is None:
        pytest.skip("this phantom has no CT")
    gone = before.ct.array != after.ct.array
    places = before.ct.grid.to_lps(np.argwhere(gone).astype(float))
    there = np.rint(before.suv.grid.to_index(places)).astype(int)
    inside = ((there >= 0) & (there < before.suv.array.shape)).all(axis=1)
    # Half a voxel at the surface may fall on either side.
    values = after.suv.array[tuple(there[inside].T)]
    assert (values > 0.15).mean() < 0.12


@cache
def _head() -> Images:
    return _scans(0)[0]


@cache
def _plain_face() -> Face | None:
    return find_face(None, _head().ct)


def _left(face: Face, volume: Volume) -> np.ndarray:
    array = volume.array.copy()
    for number in range(len(array)):
        array[number][face.mask(volume.grid, number)] = -1000
    return array


@settings(max_examples=5, deadline=None)
@given(
    bumps=st.lists(
        st.tuples(
            st.floats(-35, 35), st.floats(115, 185), st.floats(6, 14), st.sampled_from([0, -1000])
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_left_does_not_depend_on_the_face(bumps):
    """Noses, lips and hollow eyes of any shape: after the cut nobody can tell which they were."""
    ct = _head().ct
    assert ct is not None
    heights = _heights(ct)
    body = ct.array > -300
    top = heights[body.any(axis=(1, 2))].max()
    index = np.argwhere(np.ones(ct.array.shape, bool)).astype(float)
    x, y, z = (part.reshape(ct.array.shape) for part in ct.grid.to_lps(index).T)
    middle = float(x[body & (z > top - 150)].mean())
    other = ct.array.copy()
    for across, below, radius, value in bumps:
        row = _front_mm(ct, body, below)
        distance = (x - middle - across) ** 2 + (y - row.min()) ** 2 + (z - (top - below)) ** 2
        other[distance < radius**2] = value
    plain, changed = _plain_face(), find_face(None, Volume(array=other, grid=ct.grid))
    assert plain is not None
    assert changed is not None
    np.testing.assert_array_equal(
        _left(plain, ct), _left(changed, Volume(array=other, grid=ct.grid))
    )


def test_the_face_of_a_real_pet_is_cut_off_although_its_top_lies_at_the_eyes():
    """No CT, arms up, scan from the eyes downwards: the hardest common case."""
    images = read_scan(find_scans(need("sts_001_pet", "image")).scans[0])
    face = find_face(images.suv, None)
    assert face is not None
    assert not face.whole
    top = _heights(images.suv).max()
    assert 100 < top - face.z[0] < 190  # the chin lies about 120 mm below the eyes
    lost = np.stack([face.mask(images.suv.grid, n) for n in range(len(images.suv.array))])
    assert not lost[_heights(images.suv) < top - 200].any()


def test_a_scan_without_a_head_loses_nothing():
    """From the shoulders downwards there is no face to look for."""
    images = _head()
    assert images.ct is not None
    heights = _heights(images.ct)
    chest = heights < heights.max() - 320
    order = np.flatnonzero(chest)
    grid = Grid(
        shape=(len(order), *images.ct.grid.shape[1:]),
        spacing_mm=images.ct.grid.spacing_mm,
        origin_mm=tuple(images.ct.grid.to_lps(np.array([order[0], 0.0, 0.0]))),
        direction=images.ct.grid.direction,
    )
    assert find_face(None, Volume(array=images.ct.array[order], grid=grid)) is None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"], "axial"),
        ("ImageType", ["DERIVED", "SECONDARY", "MIP"], "axial"),
        ("NumberOfFrames", "20", "multi-frame"),
    ],
)
def test_images_in_which_no_face_can_be_found_are_refused_then(tmp_path, name, value, reason):
    """A side view shows the profile; asked to remove faces, it is not released."""
    path = write_series(tmp_path, np.zeros((1, 4, 4)), change=lambda d, _: setattr(d, name, value))[
        0
    ]
    header = read_header(str(path), WANTED)
    assert header is not None
    assert objection(header, Options()) == ""
    assert reason in objection(header, Options(deface=True))


def test_a_series_that_is_no_volume_is_refused_when_faces_go(tmp_path):
    """With slices missing the head might not be found; then nothing is released."""
    stored = np.random.default_rng(1).integers(0, 100, (8, 8, 8))
    paths = write_series(tmp_path / "in", stored)
    paths[3].unlink()
    *_, last = deidentify(
        tmp_path / "in", tmp_path / "out", pseudonyms=SECRET, options=Options(deface=True)
    )
    assert isinstance(last, Released)
    assert "cannot be looked for" in last.series[0].refused


def test_defaced_images_say_so():
    """PS3.15 E.3.2: no recognizable features, option 113102 among the methods."""
    folder = Path(mkdtemp())
    write_subjects(Roll(seed=5, index=0, subjects=1), range(1), folder / "in")
    options = Options(deface=True)
    list(deidentify(folder / "in", folder / "out", pseudonyms=SECRET, options=options))
    path = next(p for p in (folder / "out").rglob("*.dcm") if p.parent.name.startswith("CT"))
    dataset = pydicom.dcmread(path)
    assert dataset.RecognizableVisualFeatures == "NO"
    codes = {item.CodeValue for item in dataset.DeidentificationMethodCodeSequence}
    assert "113102" in codes


def test_an_image_that_calls_itself_something_else_is_refused_when_faces_go(tmp_path):
    """Whoever looks for faces by (0008,0060) alone passes over such a file with its face."""
    stored = np.random.default_rng(1).integers(0, 100, (4, 8, 8))
    write_series(tmp_path / "in", stored, change=lambda d, _: setattr(d, "Modality", "OT"))
    *_, last = deidentify(
        tmp_path / "in", tmp_path / "out", pseudonyms=SECRET, options=Options(deface=True)
    )
    assert isinstance(last, Released)
    assert "disagree" in last.series[0].refused
