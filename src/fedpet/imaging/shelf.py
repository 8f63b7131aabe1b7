"""Files as they come in, sorted into volumes, masks and the rest, by header alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fedpet.errors import DataError
from fedpet.imaging import tags
from fedpet.imaging.archives import MAGIC, OTHER_ENDINGS
from fedpet.imaging.frames import frames_of
from fedpet.imaging.header import Header
from fedpet.imaging.intake import SeriesIntake, volume_key
from fedpet.imaging.mask_files import MASK_MODALITIES, MaskFile, mask_file
from fedpet.imaging.objections import IMAGE_CLASSES, is_multi_frame, modality_of, objection
from fedpet.imaging.places import INSIDE
from fedpet.imaging.reading import Seen, look_at
from fedpet.imaging.remarks import Rejected
from fedpet.imaging.series import identity_of

Aside = tuple[str, str, str, str, str, str]


class Shelf:
    """What was found in files so far; shelves of other files can be joined to it."""

    def __init__(self) -> None:
        self.intakes: dict[tuple[str, ...], SeriesIntake] = {}
        self.masks: list[MaskFile] = []
        self.aside: dict[Aside, int] = {}
        self.reasons: Counter[str] = Counter()
        self.archives: list[str] = []
        self.directories: list[str] = []

    def take_in_all(self, places: Iterable[str]) -> None:
        """Take in files one after the other; none of them can end the work."""
        for place in places:
            self.take_in(place)

    def take_in(self, place: str) -> None:
        """Look at one file, and put it where it belongs."""
        try:
            seen = look_at(place)
            header = seen.header
            if header is None:
                self._pass_over(place, seen.magic)
            elif header.text(tags.DIRECTORY_OFFSET):
                self.directories.append(place)
            elif header.text(tags.MODALITY) in MASK_MODALITIES:
                self.masks.append(mask_file(place, header, seen.size, seen.modified_ns))
            elif is_multi_frame(header):
                self._take_frames(place, header, seen)
            else:
                self._take_image(place, header, seen)
        except DataError as error:
            self.reasons[error.title] += 1

    def _pass_over(self, place: str, magic: bytes) -> None:
        if magic in MAGIC:
            if INSIDE in place:
                self.reasons["An archive inside a zip archive is not opened; unpack it."] += 1
            else:
                self.archives.append(place)
        elif place.lower().endswith(OTHER_ENDINGS):
            self.reasons["An archive that is not a zip is not opened; unpack it."] += 1

    def _take_frames(self, place: str, header: Header, seen: Seen) -> None:
        try:
            for number, frame in enumerate(frames_of(header)):
                self._take_image(place, frame, seen, number=number)
        except DataError as error:
            self._set_aside(header, error.title)

    def _take_image(self, place: str, header: Header, seen: Seen, *, number: int = 0) -> None:
        key = volume_key(header)
        intake = self.intakes.get(key)
        if intake is None:
            reason = objection(header) if header.text(tags.PATIENT_ID) else ""
            if header.text(tags.MODALITY) not in IMAGE_CLASSES or reason:
                self._set_aside(header, reason or objection(header), count=number == 0)
                return
            intake = self.intakes[key] = SeriesIntake(header, identity_of(key))
        intake.add(place, header, size=seen.size, modified_ns=seen.modified_ns, frame=number)

    def _set_aside(self, header: Header, reason: str, *, count: bool = True) -> None:
        text = header.text
        key = (
            text(tags.PATIENT_ID),
            text(tags.SERIES_UID),
            modality_of(header),
            reason,
            text(tags.STUDY_DATE) or text(tags.SERIES_DATE),
            text(tags.SERIES_NUMBER),
        )
        self.aside[key] = self.aside.get(key, 0) + (count or key not in self.aside)

    def is_empty(self) -> bool:
        """Tell whether there was nothing worth a word."""
        found = (self.intakes, self.masks, self.aside, self.reasons, self.directories)
        return not any(found)

    def join(self, other: Shelf) -> None:
        """Add what was found in files that come after these."""
        for key, intake in other.intakes.items():
            mine = self.intakes.get(key)
            if mine is None:
                self.intakes[key] = intake
            else:
                mine.join(intake)
        for aside, files in other.aside.items():
            self.aside[aside] = self.aside.get(aside, 0) + files
        self.masks += other.masks
        self.reasons += other.reasons
        self.archives += other.archives
        self.directories += other.directories

    def rejected(self) -> list[Rejected]:
        """Tell what was set aside, and why."""
        found = [
            Rejected(
                patient_id=patient,
                series=series,
                modality=modality,
                reason=reason,
                files=files,
                identity=identity_of((patient, series, modality, reason)),
                date=date,
                number=number,
            )
            for (patient, series, modality, reason, date, number), files in self.aside.items()
        ]
        found += [
            Rejected(patient_id="", series="", modality="", reason=reason, files=files)
            for reason, files in self.reasons.items()
        ]
        return found
