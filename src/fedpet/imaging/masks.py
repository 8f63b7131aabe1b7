"""A mask file of a scan brought to its PET: lesions, organs, and whether it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from fedpet.errors import DataError
from fedpet.imaging.contours import Drawn, read_structures
from fedpet.imaging.grid import on_lattice, place_labels
from fedpet.imaging.mask_files import MaskFile
from fedpet.imaging.nifti import read_nifti_mask
from fedpet.imaging.remarks import Remark
from fedpet.imaging.segmentation import read_segmentation
from fedpet.imaging.series import Series
from fedpet.imaging.volume import Grid, Volume

# How much of a mask may get lost, or be won, on its way to the PET without a word.
VOLUME_TOLERANCE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """What a mask file shows.

    Args:
        lesions: uint16 labels on the PET's grid, one per lesion; None if the file holds none.
        organs: `liver`, `spleen`, `marrow` on the PET's grid and `muscle` on its own, where drawn.
        remarks: What a person should know.
    """

    lesions: Volume | None
    organs: Mapping[str, Volume] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()


def read_masks(mask: MaskFile, *, pet: Series, ct: Series | None) -> Masks:
    """Read a mask file and bring it to the PET's grid.

    Args:
        mask: DICOM SEG, RTSTRUCT or NIfTI, binary or labelled.
        pet: The PET of the scan.
        ct: Its CT; a mask may be drawn on it.

    Raises:
        DataError: If the file is damaged, or its lesions do not lie in the PET.
    """
    drawn = _drawn(mask, pet=pet, ct=ct)
    organs = {
        name: volume if name == "muscle" else _placed(volume, pet.grid)
        for name, volume in drawn.organs.items()
    }
    remarks = []
    if drawn.left_out:
        text = f"{drawn.left_out} region(s) of the mask are organs or margins by their names."
        remarks.append(Remark(code="FP-2142", text=text))
    if drawn.labels is None:
        text = f"None of the mask's regions is a lesion ({drawn.left_out} left out)."
        return Masks(lesions=None, organs=organs, remarks=(Remark(code="FP-2141", text=text),))
    placed = _placed(drawn.labels, pet.grid)
    if drawn.labels.array.any() and not placed.array.any():
        raise DataError(
            "The lesion mask lies outside of the PET.",
            do="Check that it belongs to this scan.",
            code="FP-2117",
        )
    remarks += _about_volume(drawn.labels, placed)
    return Masks(lesions=placed, organs=organs, remarks=tuple(remarks))


def _drawn(mask: MaskFile, *, pet: Series, ct: Series | None) -> Drawn:
    if mask.kind == "NIFTI":
        grids = [pet.grid] if ct is None else [pet.grid, ct.grid]
        return Drawn(labels=read_nifti_mask(mask.path, allowed=grids), regions=1, left_out=0)
    grid = ct.grid if mask.target == "ct" and ct is not None else pet.grid
    if mask.kind == "RTSTRUCT":
        return read_structures(mask.path, grid)
    return read_segmentation(mask.path, step_mm=grid.spacing_mm[0])


def _placed(volume: Volume, grid: Grid) -> Volume:
    placed = place_labels(volume, grid)
    return replace(placed, array=np.ascontiguousarray(placed.array))


def _about_volume(drawn: Volume, placed: Volume) -> list[Remark]:
    """Say so if the PET holds less or more of the mask than was drawn."""
    before = int((drawn.array > 0).sum()) * drawn.grid.voxel_ml
    after = int((placed.array > 0).sum()) * placed.grid.voxel_ml
    if not before or abs(after - before) <= VOLUME_TOLERANCE * before:
        return []
    reason = (
        "a part of it lies outside of the PET"
        if on_lattice(drawn.grid, placed.grid)
        else "its voxels are not those of the PET"
    )
    text = f"The mask has {before:.1f} mL as drawn and {after:.1f} mL on the PET: {reason}."
    return [Remark(code="FP-2146", text=text)]
