"""The layout of Fed-BioMed's MedicalFolderDataset.

<root>/<demographics>.csv
<root>/<subject>/<modality>/<image>.nii.gz
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedpet.cohort.imported import Found, Item, Refused, images_in, require_folder
from fedpet.cohort.sheet import Sheet
from fedpet.cohort.tablefile import read_sheet
from fedpet.errors import DataError
from fedpet.imaging.image_writing import Whose

PET_NAMES = ("pet", "pt", "suv", "petsuv", "pet_suv", "fdg", "tep")
CT_NAMES = ("ct", "tdm", "ctac", "ct_hu")
MASK_NAMES = ("mask", "masks", "seg", "label", "labels", "lesion", "lesions", "tumor", "tumour",
              "segmentation", "gt")  # fmt: skip
TABLE_ENDINGS = (".csv", ".tsv", ".xlsx")


@dataclass(frozen=True, slots=True, kw_only=True)
class MedicalFolder:
    """Images of a MedicalFolderDataset.

    Args:
        root: Its root folder.
        pet_units: `suv`: the PET holds body-weight SUV. The layout does not say it, so a person
            must.
        pet: Name of the PET's modality folder; guessed where empty.
        ct: Name of the CT's.
        mask: Name of the lesion masks'.
        table_name: Of the demographics in the root; the only table there where empty.
    """

    root: Path
    pet_units: Literal["suv"] | None = None
    pet: str = ""
    ct: str = ""
    mask: str = ""
    table_name: str = ""

    def subjects(self) -> Iterator[Item]:
        """Yield what there is of each subject.

        Raises:
            DataError: If nobody said what the PET's values are (FP-2192).
        """
        require_folder(self.root)
        if self.pet_units != "suv":
            raise DataError(
                "The layout does not say what the values of its PET are.",
                why="NIfTI files carry neither weight nor dose, so activity cannot become SUV.",
                do="If they are body-weight SUV, say it: --pet-units suv. "
                "If not, import the DICOM files instead.",
                code="FP-2192",
            )
        for folder in sorted(self.root.iterdir()):
            if folder.is_dir() and not folder.name.startswith("."):
                yield self._subject(folder)

    def _subject(self, folder: Path) -> Item:
        try:
            pet = self._image(folder, self.pet, PET_NAMES)
            ct = self._image(folder, self.ct, CT_NAMES)
            mask = self._image(folder, self.mask, MASK_NAMES)
        except DataError as error:
            return Refused(reason=error.title)
        if pet is None:
            return Refused(reason="The subject has no PET.")
        whose = Whose(patient_id=folder.name)
        return Found(whose=whose, pet=pet, ct=ct, mask=mask, scale=1.0, activity=None)

    def _image(self, folder: Path, name: str, guesses: Sequence[str]) -> Path | None:
        """Return the one image of a modality, None if there is none."""
        wanted = (name.casefold(),) if name else guesses
        places = [
            one
            for one in sorted(folder.iterdir())
            if one.is_dir() and one.name.casefold() in wanted
        ]
        images = [image for place in places for image in images_in(place)]
        if len(images) > 1:
            raise DataError(f"A subject has several images of one modality ({wanted[0]}).")
        return images[0] if images else None

    def table(self) -> Sheet:
        """Return the demographics.

        Raises:
            DataError: If there is no table in the root, or several (FP-2192).
        """
        require_folder(self.root)
        tables = [
            path
            for path in sorted(self.root.iterdir())
            if path.is_file()
            and path.name.lower().endswith(TABLE_ENDINGS)
            and self.table_name in ("", path.name)
        ]
        if len(tables) != 1:
            raise DataError(
                f"There are {len(tables)} tables in the root of the layout, expected one.",
                do="Name it with --table, or move the others.",
                code="FP-2192",
            )
        return read_sheet(tables[0])
