"""From a painted body to what one hospital's scanner shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from fedpet.imaging.volume import Grid, Volume
from fedpet.synthetic.anatomy import LENGTH_MM, paint_body
from fedpet.synthetic.canvas import Canvas, blank, lump
from fedpet.synthetic.lesions import Organ
from fedpet.synthetic.profiles import Scanner

Array = NDArray[np.float32]
FIELD_MM = (304.0, 448.0)
ABOVE_HEAD_MM = 12.0
COVER_MIN = 0.45
NECROSIS_MIN_ML = 25.0
CT_NOISE_HU = 18.0
_FWHM = 2.3548


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What the images of one subject depend on.

    Args:
        scale: Size relative to the standard body along (x, y, z).
        male: Sex.
        organ: `Organ` of each lesion, [k].
        centre_mm: Lesion centres, [k, 3].
        volume_ml: Lesion volumes, [k].
        suv: Lesion uptakes, [k].
    """

    scale: tuple[float, float, float]
    male: bool
    organ: NDArray[np.int8]
    centre_mm: NDArray[np.float64]
    volume_ml: NDArray[np.float64]
    suv: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One simulated PET-CT; all volumes share one frame of reference, head first.

    Args:
        suv: float32, g/mL.
        ct: int16, HU.
        lesions: uint16 on the PET grid, lesion number from 1, 0 elsewhere.
        painted_ml: Volume of each lesion as painted, before it was cut into voxels, [k].
    """

    suv: Volume
    ct: Volume
    lesions: Volume
    painted_ml: NDArray[np.float64]


def acquire(body: Body, scanner: Scanner, rng: np.random.Generator) -> Scan:
    """Paint a body with its lesions and look at it through a scanner.

    Args:
        body: The subject.
        scanner: Voxel sizes, point spread, noise and calibration.
        rng: Source of the subject's own anatomy and of the noise.
    """
    origin = (float(rng.uniform(-8, 8)), float(rng.uniform(-8, 8)), float(rng.uniform(-40, 40)))
    pet = _grid(scanner.pet_mm, body, origin)
    ct = _grid(scanner.ct_mm, body, origin)
    z, y, x = (_axis(pet, axis, origin) for axis in range(3))
    canvas = blank(z, y, x)
    paint_body(canvas.stretched(body.scale), rng, arms_up=rng.random() < 0.9, male=body.male)
    labels, painted = _paint_lesions(canvas, body, rng, voxel_ml=pet.voxel_ml)
    suv = _seen(canvas.suv, scanner, rng)
    hu = canvas.hu
    for axis in range(3):
        hu = _interpolated(hu, axis, _axis(pet, axis, origin), _axis(ct, axis, origin))
    hu += CT_NOISE_HU * rng.standard_normal(hu.shape, dtype=np.float32)
    return Scan(
        suv=Volume(array=suv, grid=pet),
        ct=Volume(array=np.clip(np.rint(hu), -1024, 3071).astype(np.int16), grid=ct),
        lesions=Volume(array=labels, grid=pet),
        painted_ml=painted,
    )


def _grid(voxel_mm: tuple[float, float, float], body: Body, origin: tuple[float, ...]) -> Grid:
    """Return an LPS grid, first slice above the head, centred on the body in x and y."""
    length = LENGTH_MM * body.scale[2]
    shape = (
        int(np.ceil(length / voxel_mm[0])),
        int(FIELD_MM[0] // voxel_mm[1]),
        int(FIELD_MM[1] // voxel_mm[2]),
    )
    half_y, half_x = ((shape[i] - 1) / 2 * voxel_mm[i] for i in (1, 2))
    return Grid(
        shape=shape,
        spacing_mm=voxel_mm,
        origin_mm=(
            round(origin[0] - half_x, 3),
            round(origin[1] - half_y, 3),
            round(origin[2] + ABOVE_HEAD_MM, 3),
        ),
        direction=((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )


def _axis(grid: Grid, axis: int, origin: tuple[float, ...]) -> Array:
    """Return voxel centres along an array axis, in the coordinates of the body."""
    steps = np.arange(grid.shape[axis], dtype=np.float32) * np.float32(grid.spacing_mm[axis])
    start = np.float32(grid.origin_mm[2 - axis] - origin[2 - axis])
    return start - steps if axis == 0 else start + steps


def _paint_lesions(
    canvas: Canvas, body: Body, rng: np.random.Generator, *, voxel_ml: float
) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    labels = np.zeros(canvas.suv.shape, np.uint16)
    painted = np.zeros(len(body.volume_ml))
    for k, volume in enumerate(body.volume_ml):
        ratios = np.exp(0.14 * rng.normal(size=3))
        ratios /= np.prod(ratios) ** (1 / 3)
        radius = (750 * volume / np.pi) ** (1 / 3)
        a, b, c = (float(radius * ratio) for ratio in ratios)
        centre = (
            float(body.centre_mm[k, 0]),
            float(body.centre_mm[k, 1]),
            float(body.centre_mm[k, 2]),
        )
        bumps = rng.normal(size=(3, 3)).astype(np.float32)
        bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
        cover, box = lump(canvas, centre, (a, b, c), bumps=bumps)
        if not cover.any():
            continue
        hu = 160.0 if body.organ[k] == Organ.BONE else 42.0
        canvas.fill(cover, box, suv=float(body.suv[k]), hu=hu)
        if volume > NECROSIS_MIN_ML:
            core, inner = lump(canvas, centre, (0.45 * a, 0.45 * b, 0.45 * c), bumps=bumps)
            canvas.fill(core, inner, suv=0.3 * float(body.suv[k]), hu=20.0)
        taken = cover > COVER_MIN
        if not taken.any():
            taken = cover == cover.max()
        labels[box][taken] = k + 1
        painted[k] = float(cover.sum()) * voxel_ml
    return labels, painted


def _seen(suv: Array, scanner: Scanner, rng: np.random.Generator) -> Array:
    """Blur with the point spread, add noise that grows with the root of activity, calibrate."""
    sigma = [np.hypot(scanner.psf_mm / voxel, 0.7) / _FWHM for voxel in scanner.pet_mm]
    damped = np.prod([_rms(_kernel(float(width))) for width in sigma])
    level = np.float32(scanner.noise * np.sqrt(2.25) / damped)
    seen = suv + level * np.sqrt(suv) * rng.standard_normal(suv.shape, dtype=np.float32)
    for axis, width in enumerate(sigma):
        seen = _smoothed(seen, axis, _kernel(float(width)))
    np.maximum(seen, 0, out=seen)
    seen *= np.float32(scanner.calibration)
    return seen


def _kernel(sigma_voxels: float) -> Array:
    """Return the right half of a Gaussian, centre first, such that the whole adds up to one."""
    half = np.exp(-0.5 * (np.arange(ceil(3 * sigma_voxels) + 1) / sigma_voxels) ** 2)
    kernel: Array = (half / (2 * half.sum() - half[0])).astype(np.float32)
    return kernel


def _rms(kernel: Array) -> float:
    """Return the standard deviation that white noise of 1 keeps under the whole kernel."""
    return float(np.sqrt(2 * (kernel**2).sum() - kernel[0] ** 2))


def _smoothed(array: Array, axis: int, kernel: Array) -> Array:
    """Convolve along one axis; outside lies air.

    Without a linear algebra library, so that the bytes do not depend on a number of threads.
    """
    source = np.moveaxis(array, axis, 0)
    out = source * kernel[0]
    for step, weight in enumerate(kernel[1:], 1):
        part = source * weight
        out[step:] += part[:-step]
        out[:-step] += part[step:]
    return np.moveaxis(out, 0, axis)


def _interpolated(array: Array, axis: int, known: Array, wanted: Array) -> Array:
    """Interpolate linearly along one axis of evenly spaced points, flat at the ends."""
    if np.array_equal(known, wanted):
        return array
    place = np.clip((wanted - known[0]) / (known[1] - known[0]), 0, len(known) - 1)
    left = np.minimum(place.astype(np.int64), len(known) - 2)
    shape = [1, 1, 1]
    shape[axis] = len(wanted)
    share = (place - left).astype(np.float32).reshape(shape)
    low, high = np.take(array, left, axis), np.take(array, left + 1, axis)
    between: Array = low + share * (high - low)
    return between
