"""What a hospital's folder says before any image is read, and how its scans are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedpet.biomarkers.catalogue import BIOMARKERS
from fedpet.cohort.cache import PIPELINE
from fedpet.cohort.dictionary import Dictionary, load_dictionary
from fedpet.cohort.pseudonyms import Pseudonyms, load_pseudonyms
from fedpet.cohort.settings import FILE as SETTINGS
from fedpet.cohort.settings import Settings, load_settings
from fedpet.imaging.index import Index, find_scans


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a hospital's folder says before any image is read.

    Args:
        folder: The hospital's folder.
        settings: Of `cohort.toml`.
        dictionary: Of the table.
        pseudonyms: With the hospital's key.
    """

    folder: Path
    settings: Settings
    dictionary: Dictionary
    pseudonyms: Pseudonyms

    @property
    def table(self) -> Path:
        """The clinical table."""
        return self.folder / self.settings.table

    def index(self) -> Index:
        """Look through the images and masks."""
        return find_scans(
            self.folder / self.settings.images, masks=self.folder / self.settings.masks
        )

    def key_of(self, content: str) -> str:
        """Name the cache entry of a scan: by its content, what is done to it, and the key."""
        how = f"{PIPELINE} {self.settings.spacing_mm!r} {self.settings.lesions} {content}"
        return self.pseudonyms.digest(how.encode())[:32]

    def digests(self, entries: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Digest all inputs, so that `check` can tell later whether they changed."""
        files = {
            SETTINGS: self.folder / SETTINGS,
            "dictionary": self.folder / self.settings.dictionary,
            "table": self.table,
        }
        told = {name: (self.pseudonyms.digest(path.read_bytes()),) for name, path in files.items()}
        return {**told, "scans": tuple(sorted(entries))}


def read_inputs(folder: Path, *, make_key: bool = True) -> Inputs:
    """Read the settings, the dictionary and the key of a hospital's folder.

    Args:
        folder: The hospital's folder.
        make_key: Whether a key is made if there is none.

    Raises:
        NotFoundError: If a file is absent.
        DataError: Listing every mistake in a file.
        StoreError: If the key cannot be read.
    """
    settings = load_settings(folder)
    return Inputs(
        folder=folder,
        settings=settings,
        dictionary=load_dictionary(folder / settings.dictionary, reserved=tuple(BIOMARKERS)),
        pseudonyms=load_pseudonyms(folder, make=make_key),
    )
