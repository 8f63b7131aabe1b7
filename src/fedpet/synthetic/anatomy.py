"""The standard body: organs with their uptake and density, painted in 1.70 m coordinates.

Positions are LPS in mm with the vertex of the head at z = 0: x rises to the body's left, y to
the back, z to the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.synthetic.canvas import Canvas, Point, capsule, ellipsoid, tube

Array = NDArray[np.float32]
LENGTH_MM = 905.0


def _curve(*values: float) -> Array:
    return np.array(values, np.float32)


# Height, half width, half depth and centre (back positive) of the skin, from the feet up.
_Z = _curve(-870, -835, -790, -740, -680, -620, -560, -480, -400, -345, -318, -300, -285, -262)
_A = _curve(172, 176, 174, 164, 150, 146, 152, 162, 170, 182, 190, 160, 92, 62)
_B = _curve(112, 118, 122, 116, 106, 104, 108, 112, 110, 98, 86, 74, 64, 60)
_NECK_Z = _curve(-275, -235, -222, -205, -170, -120, -70, -30, -12, -2)
_NECK_A = _curve(62, 58, 58, 64, 68, 74, 75, 58, 38, 8)
_NECK_B = _curve(60, 60, 74, 84, 90, 96, 94, 74, 48, 10)
_NECK_Y = _curve(10, 10, 0, -6, -4, 0, 2, 4, 4, 4)
_LEG_Z = _curve(-1000, -900, -860, -820, -800)
_LEG_A = _curve(68, 78, 82, 84, 80)
_LEG_B = _curve(74, 84, 90, 94, 90)
_SPINE_Z = _curve(-800, -760, -690, -620, -540, -420, -330, -270, -200, -150)
_SPINE_Y = _curve(66, 60, 56, 58, 64, 70, 66, 36, 24, 22)
_SPINE_R = _curve(21, 22, 21, 20, 18, 16, 14, 11, 10, 9)


@dataclass(frozen=True, slots=True)
class Part:
    """An ellipsoid of the standard body."""

    name: str
    centre: Point
    half_axes: Point
    hu: float


_PARTS: tuple[Part, ...] = (
    Part("lung", (-80, 2, -420), (60, 82, 122), -820),
    Part("lung", (80, 2, -418), (57, 80, 120), -820),
    Part("blood", (0, -12, -392), (34, 50, 88), 40),
    Part("liver", (-76, -6, -556), (70, 76, 72), 60),
    Part("liver", (-14, -40, -542), (58, 38, 38), 60),
    Part("spleen", (106, 46, -552), (27, 38, 48), 50),
    Part("stomach", (62, -34, -562), (36, 30, 44), 30),
    Part("kidney", (-62, 48, -634), (25, 26, 50), 35),
    Part("kidney", (62, 48, -622), (25, 26, 50), 35),
    Part("pelvis", (-54, 42, -636), (9, 9, 18), 10),
    Part("pelvis", (54, 42, -624), (9, 9, 18), 10),
    Part("bone", (-86, 34, -748), (30, 24, 44), 280),
    Part("bone", (86, 34, -748), (30, 24, 44), 280),
    Part("bone", (0, 68, -782), (34, 18, 44), 260),
    Part("bone", (-92, 2, -828), (25, 25, 26), 380),
    Part("bone", (92, 2, -828), (25, 25, 26), 380),
    Part("bone", (0, -100, -400), (15, 8, 70), 240),
    Part("bladder", (0, -48, -812), (34, 30, 26), 8),
    Part("skull", (0, 2, -78), (71, 89, 76), 700),
    Part("cortex", (0, 2, -80), (64, 82, 67), 37),
    Part("white", (-24, 4, -82), (24, 56, 40), 32),
    Part("white", (24, 4, -82), (24, 56, 40), 32),
    Part("cortex", (0, 46, -138), (44, 28, 22), 37),
    Part("gland", (-50, 12, -196), (9, 14, 18), 30),
    Part("gland", (50, 12, -196), (9, 14, 18), 30),
    Part("tongue", (0, -42, -200), (22, 26, 16), 50),
    Part("larynx", (0, -26, -248), (12, 10, 10), 60),
)
# Typical uptake (g/mL) and its spread between subjects on a log scale.
_UPTAKE = {
    "skin": (0.30, 0.15),
    "muscle": (0.62, 0.15),
    "lung": (0.48, 0.20),
    "blood": (1.65, 0.14),
    "liver": (2.25, 0.16),
    "spleen": (1.85, 0.16),
    "stomach": (1.9, 0.30),
    "kidney": (3.2, 0.20),
    "pelvis": (7.0, 0.30),
    "bone": (1.15, 0.20),
    "marrow": (1.55, 0.20),
    "bladder": (15.0, 0.30),
    "skull": (0.8, 0.10),
    "cortex": (9.0, 0.14),
    "white": (4.6, 0.14),
    "gland": (2.4, 0.25),
    "tongue": (1.9, 0.25),
    "larynx": (1.8, 0.30),
    "bowel": (1.3, 0.30),
    "heart": (5.5, 0.35),
}
_HEART_VISIBLE = 0.35


def paint_body(canvas: Canvas, rng: np.random.Generator, *, arms_up: bool, male: bool) -> None:
    """Paint a healthy body.

    Args:
        canvas: In the coordinates of the standard body; painted in place.
        rng: Source of the subject's own uptake, bowel and heart.
        arms_up: Whether the arms lie beside the head; otherwise they are out of the field.
        male: Narrower hips when true.
    """
    draw = {
        name: typical * float(np.exp(spread * rng.normal()))
        for name, (typical, spread) in _UPTAKE.items()
    }
    hips = np.where(_Z < -700, 0.97 if male else 1.04, 1.0).astype(np.float32)
    _shell(canvas, draw, hips)
    if arms_up:
        for side in (-1.0, 1.0):
            _limb(canvas, draw, (side * 158, 8, -322), (side * 196, 20, -60), radius_mm=36)
    for part in _PARTS[:3]:
        _organ(canvas, part, draw)
    _heart(canvas, draw, visible=bool(rng.random() < _HEART_VISIBLE))
    for part in _PARTS[3:11]:
        _organ(canvas, part, draw)
    _bowel(canvas, draw, rng)
    spine, box = tube(canvas, _SPINE_Z, _SPINE_R, _SPINE_R, x=0.0, y=_SPINE_Y)
    discs = 0.5 + 0.5 * np.cos(canvas.z[box[0]] * np.float32(2 * np.pi / 32))[:, None, None]
    canvas.fill(spine, box, suv=draw["marrow"] * (0.8 + 0.3 * discs), hu=120 + 160 * discs)
    for part in _PARTS[11:]:
        _organ(canvas, part, draw)


def _shell(canvas: Canvas, draw: dict[str, float], hips: Array) -> None:
    """Skin and fat outside, muscle inside; legs, trunk, then neck and head."""
    for thick, suv, hu in ((0.0, draw["skin"], -100.0), (14.0, draw["muscle"], 52.0)):
        for side in (-1.0, 1.0):
            leg = tube(canvas, _LEG_Z, _LEG_A - thick, _LEG_B - thick, x=side * 88, y=2.0)
            canvas.fill(*leg, suv=suv, hu=hu)
        trunk = tube(canvas, _Z, (_A - thick) * hips, _B - thick, x=0.0, y=0.0)
        canvas.fill(*trunk, suv=suv, hu=hu)
        thin = min(thick, 6.0)
        neck = tube(
            canvas,
            _NECK_Z,
            np.maximum(_NECK_A - thin, 2),
            np.maximum(_NECK_B - thin, 2),
            x=0.0,
            y=_NECK_Y,
        )
        canvas.fill(*neck, suv=suv, hu=hu)
    for side in (-1.0, 1.0):
        femur = capsule(canvas, (side * 104, 4, -850), (side * 92, 4, -1000), radius_mm=13)
        canvas.fill(*femur, suv=draw["bone"], hu=520)


def _limb(
    canvas: Canvas, draw: dict[str, float], start: Point, end: Point, *, radius_mm: float
) -> None:
    for radius, name, hu in (
        (radius_mm, "skin", -95.0),
        (radius_mm - 8, "muscle", 52.0),
        (11.0, "bone", 500.0),
    ):
        rod = capsule(canvas, start, end, radius_mm=radius)
        canvas.fill(*rod, suv=draw[name], hu=hu)


def _organ(canvas: Canvas, part: Part, draw: dict[str, float]) -> None:
    canvas.fill(*ellipsoid(canvas, part.centre, part.half_axes), suv=draw[part.name], hu=part.hu)


def _heart(canvas: Canvas, draw: dict[str, float], *, visible: bool) -> None:
    wall = draw["heart"] if visible else draw["blood"] * 1.15
    canvas.fill(*ellipsoid(canvas, (30, -34, -478), (44, 42, 46)), suv=wall, hu=45)
    canvas.fill(*ellipsoid(canvas, (22, -40, -470), (30, 28, 32)), suv=draw["blood"], hu=40)


def _bowel(canvas: Canvas, draw: dict[str, float], rng: np.random.Generator) -> None:
    for _ in range(7):
        centre = (rng.uniform(-95, 95), rng.uniform(-70, -15), rng.uniform(-765, -655))
        end = (centre[0] + rng.uniform(-45, 45), centre[1], centre[2] + rng.uniform(-35, 35))
        suv = draw["bowel"] * float(np.exp(0.35 * rng.normal()))
        rod = capsule(canvas, centre, end, radius_mm=float(rng.uniform(11, 17)))
        canvas.fill(*rod, suv=suv, hu=25)
