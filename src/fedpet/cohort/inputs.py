"""What a hospital's folder says before any image is read, and how its scans are named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedpet.biomarkers.catalogue import BIOMARKERS
from fedpet.cohort.cache import PIPELINE
from fedpet.cohort.choices import Choices, load_choices
from fedpet.cohort.clinical import Table, read_table
from fedpet.cohort.dictionary import Dictionary, load_dictionary
from fedpet.cohort.fixes import FILE as FIXES
from fedpet.cohort.fixes import Fixes, load_fixes
from fedpet.cohort.listing import state_of
from fedpet.cohort.pseudonyms import Pseudonyms, load_pseudonyms
from fedpet.cohort.settings import FILE as SETTINGS
from fedpet.cohort.settings import Settings, load_settings
from fedpet.errors import FedpetError
from fedpet.imaging.rules import Rules

if TYPE_CHECKING:
    from fedpet.imaging.gathering import Holding
    from fedpet.imaging.index import Index
    from fedpet.imaging.pairing import Scan


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a hospital's folder says before any image is read.

    Args:
        folder: The hospital's folder.
        settings: Of `cohort.toml`.
        dictionary: Of the table.
        pseudonyms: With the hospital's key.
        fixes: Corrections of headers, of `fixes.csv`.
        choices: What people decided about single series.
    """

    folder: Path
    settings: Settings
    dictionary: Dictionary
    pseudonyms: Pseudonyms
    fixes: Fixes
    choices: Choices

    @property
    def table(self) -> Path:
        """The clinical table."""
        return self.folder / self.settings.table

    def index(self) -> Index:
        """Look through the images and masks."""
        from fedpet.imaging.gathering import look_through

        holding = look_through(
            self.folder / self.settings.images,
            masks=self.folder / self.settings.masks,
            workers=cores(),
        )
        rules = Rules(prefer=self.settings.prefer, origins=self._origins_of(holding))
        return self.choices.follow(holding, rules, self.pseudonyms)

    def origins(self, table: Table | None = None) -> dict[str, str]:
        """Return the day on which treatment began by subject, YYYYMMDD, where it is known.

        Args:
            table: The clinical table, if it has been read.
        """
        try:
            table = table or read_table(self.table, self.dictionary, self.pseudonyms)
        except FedpetError:  # told by whoever needs the table; the earliest PET is taken
            return {}
        days = table.dates["origin"].days.tolist()
        return {
            subject: f"{day:%Y%m%d}"
            for subject, day in zip(table.subjects, days, strict=True)
            if day is not None
        }

    def _origins_of(self, holding: Holding) -> dict[str, str]:
        """Return the days by patient id, if there is anybody with PETs of several days."""
        dates: dict[str, set[str]] = {}
        for one in holding.volumes:
            if one.modality == "PT":
                dates.setdefault(one.patient_id, set()).add(one.date)
        several = [patient for patient, days in dates.items() if patient and len(days) > 1]
        origins = self.origins() if several else {}
        known = {patient: origins.get(self.pseudonyms.of(patient), "") for patient in several}
        return {patient: day for patient, day in known.items() if day}

    def state(self, table: Table | None = None) -> str:
        """Digest all on which the index and the names of its cache entries depend.

        Args:
            table: The clinical table, if it has been read.
        """
        folders = [self.folder / self.settings.images, self.folder / self.settings.masks]
        said = f"{self.settings!r} {self.fixes!r} {self.choices!r} {self.origins(table)!r}"
        return state_of(folders, f"{PIPELINE} {said}", self.pseudonyms)

    def key_of(self, scan: Scan) -> str:
        """Name the cache entry of a scan: by its content, what is done to it, and the key."""
        content = scan.content_digest()
        how = f"{PIPELINE} {self.settings.spacing_mm!r} {self.settings.lesions} {content}"
        if (self.settings.head, self.settings.arms) != ("keep", "keep"):
            how += f" head {self.settings.head} arms {self.settings.arms}"
        how += self.settings.rules.told
        if self.settings.suv != "bw":
            how += f" {self.settings.suv}"
        if corrections := self.fixes.of(scan.patient_id):
            how += f" {corrections!r}"
        return self.pseudonyms.digest(how.encode())[:32]

    def digests(self, entries: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Digest all inputs, so that `check` can tell later whether they changed."""
        files = {
            SETTINGS: self.folder / SETTINGS,
            "dictionary": self.folder / self.settings.dictionary,
            "table": self.table,
        }
        if (self.folder / FIXES).exists():
            files[FIXES] = self.folder / FIXES
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
        fixes=load_fixes(folder),
        choices=load_choices(folder),
    )


def cores() -> int:
    """Return how many processes may run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
