"""Half lives of the tracers that a PET can show."""

from __future__ import annotations

from typing import Final

from fedpet.errors import DataError
from fedpet.imaging.body_size import needed
from fedpet.imaging.remarks import Remark

POSITRON_HALF_LIVES_S: Final = {
    "18F": 6586.2,
    "68Ga": 4057.7,
    "11C": 1223.4,
    "13N": 597.9,
    "15O": 122.2,
    "82Rb": 76.3,
    "64Cu": 45721.0,
    "89Zr": 282240.0,
    "124I": 360806.0,
}


def read_half_life(value: float | None) -> tuple[float, list[Remark]]:
    """Return the half life if it is that of a PET tracer; a remark unless it is fluorine-18.

    Args:
        value: (0018,1075), in s.

    Raises:
        DataError: If it is missing, or no positron emitter of PET has it.

    Examples:
        >>> read_half_life(6588.0)
        (6588.0, [])
    """
    half_life = needed(value, "half life (0018,1075)", low=60, high=1e6, unit="s")
    for name, expected in POSITRON_HALF_LIVES_S.items():
        if abs(half_life / expected - 1) <= 0.02:
            if name == "18F":
                return half_life, []
            text = f"The half life of {half_life:g} s is that of {name}."
            return half_life, [Remark(code="FP-2134", text=text)]
    raise DataError(
        f"The half life (0018,1075) is {half_life:g} s, which is no positron emitter of PET; "
        "18F has 6586 s.",
        do="Check that this is an FDG PET and not a SPECT stored as PET.",
        code="FP-2113",
    )
