"""One DICOM file without its patient: the table's actions carried out, nested sequences and all.

Values are judged as bytes: nothing is interpreted that is only to be dropped, and a value that is
not what its type says is dropped too. Read `Deidentifier.apply` first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from fedpet.errors import DataError
from fedpet.imaging import tags
from fedpet.imaging.deidentify.profile import EDITION, Action, Options, action_for, read_table
from fedpet.imaging.deidentify.values import (
    REPLACEMENT,
    cap_age,
    clean_label,
    dummy,
    is_well_formed,
    shift,
    vocabulary,
    words_of,
)
from fedpet.imaging.reading import UNREADABLE
from fedpet.imaging.regions import is_lesion

STANDARD_ROOT: Final = "1.2.840.10008."
DEPTH_MAX: Final = 24
PIXEL_GROUP: Final = 0x7FE0
# Value types that hold characters.
TEXTS: Final = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())  # noqa: SIM905
_SWEPT: Final = frozenset(("CS", "LO", "SH", "UC", "ST", "LT", "UT", "UR"))
_REGION_NAMES: Final = frozenset((tags.REGION_NAME, tags.SEGMENT_LABEL))
_PIXEL_OPTIONS: Final = {
    "113101": "Clean Pixel Data Option",
    "113102": "Clean Recognizable Visual Features Option",
}
_PADDED: Final = b" \0"
# Attributes whose values name the patient, the people around and the place.
_NAMING: Final = frozenset(
    (
        *(0x00100020, 0x00100030, 0x00101000, 0x00101040, 0x00102154, 0x00101090, 0x00080050),
        *(0x00380010, 0x00080080, 0x00080081, 0x00401001, 0x00080092, 0x00101001, 0x00101060),
    )
)
# Words of a hospital's name that vendors' and protocols' names hold too.
_COMMON: Final = frozenset(
    (
        *("medical", "center", "centre", "hospital", "hôpital", "hopital", "clinic", "clinique"),
        *("university", "université", "universite", "institute", "institut", "imaging", "nuclear"),
        *(
            "medicine",
            "department",
            "radiology",
            "health",
            "systems",
            "system",
            "group",
            "and",
            "the",
            "von",
        ),
        *("van", "der", "den", "les", "des", "road", "street", "rue", "avenue"),
    )
)
_PRIVATE_FORM: Final = {
    tags.PHILIPS_SUV: "DS",
    tags.PHILIPS_ACTIVITY: "DS",
    tags.GE_SCAN_DATETIME: "DT",
    tags.SIEMENS_DECAY_DATETIME: "DT",
}


class Secret(Protocol):
    """What a hospital's key turns identifiers into."""

    def of(self, patient_id: str) -> str:
        """Return a pseudonym."""
        ...

    def uid(self, uid: str) -> str:
        """Return the UID that stands for another one, always the same."""
        ...

    def shift_days(self, patient_id: str) -> int:
        """Return by how many days a patient's dates are moved, always the same."""
        ...


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is known of the patient while a file is worked on."""

    days: int
    words: frozenset[str]
    pattern: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Deidentifier:
    """Takes the patient out of DICOM files.

    Args:
        secret: From the hospital's key.
        options: What is retained and cleaned.
    """

    secret: Secret
    options: Options

    def apply(self, dataset: Dataset, *, patient_id: str) -> Counter[str]:
        """Change a dataset, read by `pydicom.dcmread`, in place.

        Args:
            dataset: With its file meta information and pixels.
            patient_id: (0010,0020) as `reading.read_header` decodes it.

        Returns:
            How many attributes were kept, removed, emptied, replaced, shifted, cleaned or got a
            new UID, and how many were `malformed` or `private` (both removed).

        Raises:
            DataError: If there is no patient ID, or sequences are nested beyond reason.

        Source:
            DICOM PS3.15 E.2 and Table E.1-1; see `profile`.
        """
        if not patient_id.strip():
            raise DataError("It has no (0010,0020) Patient ID.", code="FP-2201")
        names = tuple(sorted(set(_naming_texts(dataset, 0))))
        words = words_of(names) - _COMMON
        subject = _Subject(
            days=self.secret.shift_days(patient_id), words=words, pattern=_pattern(names, words)
        )
        tally: Counter[str] = Counter()
        self._walk(dataset, subject, tally, 0)
        self._sign(dataset, self.secret.of(patient_id))
        return tally

    def _walk(self, dataset: Dataset, subject: _Subject, tally: Counter[str], depth: int) -> None:
        if depth > DEPTH_MAX:
            raise DataError("Its sequences are nested too deeply.", code="FP-2201")
        safe = self._safe_private(dataset, subject)
        for tag in list(dataset.keys()):
            if tag >> 16 & 1:
                del dataset[tag]
                tally["private"] += 1
            else:
                tally[self._treat(dataset, tag, subject, tally, depth)] += 1
        for element in safe:
            dataset[element.tag] = element
            tally["private"] -= element.tag & 0xFFFF >= 0x1000
            tally[Action.KEEP.value] += element.tag & 0xFFFF >= 0x1000

    def _treat(
        self, dataset: Dataset, tag: BaseTag, subject: _Subject, tally: Counter[str], depth: int
    ) -> str:
        """Carry out the action for one attribute and return what was done."""
        vr = _known_vr(tag)
        action = action_for(tag, vr, self.options)
        if action is Action.REMOVE:
            del dataset[tag]
            return action.value
        if vr == "SQ":
            return self._treat_sequence(dataset, tag, action, subject, tally, depth)
        if vr not in TEXTS:
            return _treat_binary(dataset, tag, action, subject)
        value = _raw_text(dataset, tag)
        if value is None:
            return _malformed(dataset, tag, vr)
        made = self._text(tag, vr, value, action, subject)
        if made is None:
            return _malformed(dataset, tag, vr)
        if made != value or action is not Action.KEEP:
            _set(dataset, tag, vr, made)
        return action.value if made != value or action is Action.SHIFT else Action.KEEP.value

    def _text(self, tag: int, vr: str, value: str, action: Action, subject: _Subject) -> str | None:
        """Return the new value of a text; None if it is not what its type says."""
        if action is Action.EMPTY:
            return ""
        if action is Action.REPLACE:
            return dummy(vr) if value else ""
        if action is Action.SHIFT:
            return shift(vr, value, subject.days)
        if action is Action.UID:
            return self._uids(value) if is_well_formed("UI", value) else None
        if action is Action.CLEAN:
            cleaned = clean_label(value, forbidden=subject.words)
            if tag in _REGION_NAMES and is_lesion(cleaned) != is_lesion(value):
                cleaned = "lesion" if is_lesion(value) else "background"
            required = "D" in read_table()[tag].basic if tag in read_table() else bool(value)
            return cleaned or (REPLACEMENT if required and value else "")
        if not is_well_formed(vr, value):
            return None
        if vr == "AS":
            return cap_age(value)
        if vr in _SWEPT and subject.pattern is not None and subject.pattern.search(value):
            return REPLACEMENT
        return value

    def _uids(self, value: str) -> str:
        return "\\".join(
            uid if not uid or uid.startswith(STANDARD_ROOT) else self.secret.uid(uid)
            for uid in (part.strip(" \0") for part in value.split("\\"))
        )

    def _treat_sequence(
        self,
        dataset: Dataset,
        tag: BaseTag,
        action: Action,
        subject: _Subject,
        tally: Counter[str],
        depth: int,
    ) -> str:
        if action in (Action.EMPTY, Action.REPLACE):
            dataset[tag] = DataElement(tag, "SQ", Sequence())
            return action.value
        items = _items(dataset, tag)
        if items is None:
            return _malformed(dataset, tag, "SQ")
        for item in items:
            self._walk(item, subject, tally, depth + 1)
        return Action.KEEP.value

    def _safe_private(self, dataset: Dataset, subject: _Subject) -> list[DataElement]:
        """Return the private attributes that SUV needs, with their creators' proper names."""
        if not (self.options.safe_private and any(tag >> 16 & 1 for tag in dataset.keys())):  # noqa: SIM118
            return []
        kept: list[DataElement] = []
        for plain, creator in tags.PRIVATE_CREATORS.items():
            found = _private_value(dataset, plain, creator)
            if found is None:
                continue
            block, value = found
            form = _PRIVATE_FORM[plain]
            if form == "DT":
                made = shift("DT", value, subject.days) if self.options.dates else None
            else:
                made = value if is_well_formed(form, value) else None
            if made:
                kept.append(DataElement(tags.creator_of(plain, block), "LO", creator))
                kept.append(DataElement(tags.in_block(plain, block), form, made))
        return kept

    def _sign(self, dataset: Dataset, pseudonym: str) -> None:
        """Write down what was done, and who the subject is now."""
        dataset.PatientID = dataset.PatientName = pseudonym
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = f"DICOM PS3.15 {EDITION} by fedpet"
        codes = []
        for code, meaning in {**_earlier(dataset), **dict(self.options.codes)}.items():
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning
            codes.append(item)
        dataset.DeidentificationMethodCodeSequence = Sequence(codes)
        dataset.LongitudinalTemporalInformationModified = (
            "MODIFIED" if self.options.dates else "REMOVED"
        )
        meta = getattr(dataset, "file_meta", None)
        if meta is not None:
            wanted = {0x00020002, 0x00020010}
            for tag in [tag for tag in meta.keys() if int(tag) not in wanted]:  # noqa: SIM118
                del meta[tag]
            meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "")


def _earlier(dataset: Dataset) -> dict[str, str]:
    """Return what an earlier de-identification did to the pixels, which stays true."""
    items = _items(dataset, 0x00120064) if 0x00120064 in dataset else None
    found = {_text_of(item, tags.CODE_VALUE).strip() for item in items or ()}
    return {code: meaning for code, meaning in _PIXEL_OPTIONS.items() if code in found}


@cache
def _known_vr(tag: int) -> str:
    """Return the value type after the dictionary; empty if it does not know the tag."""
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return ""
    return str(vr).split(" or ")[0]


def _raw_text(dataset: Dataset, tag: int) -> str | None:
    """Return a value as text, whatever type the file gives it; None if it cannot be one."""
    try:
        element = dataset.get_item(tag)
        value = element.value
        if isinstance(value, bytes):
            return _decoded(value.rstrip(_PADDED))
        if value is None:
            return ""
        if isinstance(element, RawDataElement) or element.VR in ("SQ", "OB", "OW", "UN"):
            return None
        parts = value if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
        return "\\".join(str(part) for part in parts)
    except UNREADABLE:
        return None


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _text_of(dataset: Dataset, tag: int) -> str:
    return (_raw_text(dataset, tag) or "") if tag in dataset else ""


def _items(dataset: Dataset, tag: int) -> Sequence | None:
    try:
        value = dataset[tag].value
    except UNREADABLE:
        return None
    return value if isinstance(value, Sequence) else None


def _treat_binary(dataset: Dataset, tag: BaseTag, action: Action, subject: _Subject) -> str:
    """Keep or drop a value that holds no characters, after a look at its type."""
    if action is Action.REPLACE:
        vr = _known_vr(tag)
        dataset[tag] = DataElement(
            tag, vr, b"\0\0" if vr[0] in "OU" and vr not in ("UL", "US", "UV") else 0
        )
        return action.value
    if action is not Action.KEEP:
        dataset[tag] = DataElement(tag, _known_vr(tag), None)
        return Action.EMPTY.value
    try:
        element = dataset.get_item(tag)
        vr, value = element.VR, element.value
    except UNREADABLE:
        vr, value = "LO", None
    found = False
    if isinstance(value, bytes) and tag >> 16 != PIXEL_GROUP and subject.pattern is not None:
        found = subject.pattern.search(_decoded(value)) is not None
    if found or vr in TEXTS or vr == "SQ":
        del dataset[tag]
        return "malformed"
    return action.value


def _malformed(dataset: Dataset, tag: BaseTag, vr: str) -> str:
    """Drop a value that is not what its type says; a required one stays, empty."""
    row = read_table().get(tag)
    if vr == "SQ" or (row is not None and row.basic == "X"):
        del dataset[tag]
    else:
        _set(dataset, tag, vr, "")
    return "malformed"


def _set(dataset: Dataset, tag: BaseTag, vr: str, text: str) -> None:
    """Write a text of plain characters without having it interpreted again."""
    old = dataset.get_item(tag)
    value = text.encode("ascii", errors="replace")
    if len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    implicit = bool(getattr(old, "is_implicit_VR", False)) if old is not None else False
    little = getattr(old, "is_little_endian", True)
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, implicit, bool(little), True)


def _private_value(dataset: Dataset, plain: int, creator: str) -> tuple[int, str] | None:
    """Find a vendor's value by its creator, as `Header.private` does; its block and text."""
    named = False
    for block in tags.PRIVATE_BLOCKS:
        name = _text_of(dataset, tags.creator_of(plain, block))
        named = named or bool(name)
        place = tags.in_block(plain, block)
        if name.lower().startswith(creator.lower()) and place in dataset:
            text = _raw_text(dataset, place)
            return None if text is None else (block, text.strip())
    if named or plain not in dataset:
        return None
    text = _raw_text(dataset, plain)
    return None if text is None else (0x10, text.strip())


def _naming_texts(dataset: Dataset, depth: int) -> Iterator[str]:
    """Yield the texts that name the patient, people and places, from nested items too."""
    for tag in list(dataset.keys()):
        vr = "" if tag >> 16 & 1 else _known_vr(tag)
        if vr == "PN" or tag in _NAMING:
            text = _text_of(dataset, tag).strip(" ^=")
            if text:
                yield text
        elif vr == "SQ" and depth <= DEPTH_MAX:
            for item in _items(dataset, tag) or ():
                yield from _naming_texts(item, depth + 1)


_PATTERNS: dict[tuple[str, ...], re.Pattern[str] | None] = {}


def _pattern(names: tuple[str, ...], words: frozenset[str]) -> re.Pattern[str] | None:
    """Return what finds a name, whole or a word of it, in any text."""
    if names not in _PATTERNS:
        if len(_PATTERNS) > 1000:
            _PATTERNS.clear()
        known = vocabulary()
        whole = sorted({name for name in names if len(name) > 5}, key=len, reverse=True)
        parts = [re.escape(name) for name in whole]
        parts += [rf"(?<![^\W_]){re.escape(word)}(?![^\W_])" for word in sorted(words - known)]
        _PATTERNS[names] = re.compile("|".join(parts), re.IGNORECASE) if parts else None
    return _PATTERNS[names]


def meanings(tally: Mapping[str, int]) -> dict[str, int]:
    """Return counts in a fixed order, zeros left out."""
    order = [*(action.value for action in Action), "malformed", "private"]
    return {name: tally[name] for name in order if tally.get(name)}
