"""The layout of BIDS for PET.

    <root>/participants.tsv
    <root>/sub-<label>/[ses-<label>/]pet/*_pet.nii.gz and .json
    <root>/sub-<label>/[ses-<label>/]{ct,anat}/*_ct.nii.gz
    <root>/derivatives/<any>/sub-<label>/[ses-<label>/]pet/*_{dseg,mask}.nii.gz

Times in the sidecar are seconds after its TimeZero. What is corrected for decay to another moment
than the start of the scan is brought there, so that one rule holds for all.

Source: BIDS 1.10, modality-specific files: positron emission tomography.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fedpet.cohort.imported import (
    Found,
    Item,
    Refused,
    images_in,
    number_in,
    require_folder,
)
from fedpet.cohort.sheet import Sheet
from fedpet.cohort.tablefile import read_sheet
from fedpet.errors import DataError
from fedpet.imaging.clock import parse_time
from fedpet.imaging.half_life import POSITRON_HALF_LIVES_S
from fedpet.imaging.image_writing import Activity, Whose

SIDECAR_BYTES = 4 << 20
ACTIVITY = {"bq": 1.0, "kbq": 1e3, "mbq": 1e6, "gbq": 1e9, "mci": 3.7e7, "uci": 3.7e4, "µci": 3.7e4}
SUV_UNITS = frozenset({"suv", "suvbw", "g/ml"})
WEIGHTS = ("weight", "weight_kg", "body_weight", "bodyweight", "BodyWeight", "Weight")
HEIGHTS = ("height", "height_m", "height_cm", "body_height", "Height")
SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}
DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ].*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bids:
    """Images of a BIDS data set.

    Args:
        root: Its root folder.
        session: Label of the session that is taken; the first one where empty.
    """

    root: Path
    session: str = ""

    def subjects(self) -> Iterator[Item]:
        """Yield what there is of each subject."""
        people = self._people()
        for folder in sorted(self.root.glob("sub-*")):
            if folder.is_dir():
                yield self._subject(folder, people.get(folder.name, {}))

    def table(self) -> Sheet:
        """Return participants.tsv."""
        require_folder(self.root)
        return read_sheet(self.root / "participants.tsv", ("participant_id",))

    def _people(self) -> dict[str, dict[str, str]]:
        sheet = self.table()
        if "participant_id" not in sheet.header:
            raise DataError("participants.tsv has no column participant_id.", code="FP-2192")
        at = sheet.header.index("participant_id")
        return {row[at]: dict(zip(sheet.header, row, strict=True)) for row in sheet.rows}

    def _subject(self, folder: Path, person: Mapping[str, str]) -> Item:
        sessions = sorted(one for one in folder.glob("ses-*") if one.is_dir()) or [folder]
        if self.session:
            sessions = [one for one in sessions if one.name == f"ses-{self.session}"]
        with_pet = [one for one in sessions if _images(one / "pet", "_pet")]
        if not with_pet:
            return Refused(reason="The subject has no PET.")
        place = with_pet[0]
        pets = _images(place / "pet", "_pet")
        if len(pets) > 1:
            return Refused(reason="A session has several PET images.")
        cts = [*_images(place / "ct", "_ct"), *_images(place / "anat", "_ct")]
        if len(cts) > 1:
            return Refused(reason="A session has several CT images.")
        masks = self._masks(place)
        if len(masks) > 1:
            return Refused(reason="A session has several lesion masks.")
        try:
            whose, scale, activity = _facts(folder.name, pets[0], person, self._sidecars(pets[0]))
        except DataError as error:
            return Refused(reason=error.title)
        return Found(
            whose=whose,
            pet=pets[0],
            ct=cts[0] if cts else None,
            mask=masks[0] if masks else None,
            scale=scale,
            activity=activity,
        )

    def _masks(self, place: Path) -> list[Path]:
        below = place.relative_to(self.root)
        found = []
        for one in sorted((self.root / "derivatives").glob("*")):
            for ending in ("_mask", "_dseg"):
                found += _images(one / below / "pet", ending)
        return found

    def _sidecars(self, image: Path) -> dict[str, object]:
        """Read the image's sidecar and what it inherits from folders above, nearest last."""
        told: dict[str, object] = {}
        suffix = _stem(image).rsplit("_", 1)[-1]
        entities = set(_stem(image).split("_"))
        place = image.parent
        chain = [place]
        while place != self.root:
            place = place.parent
            chain.append(place)
        for folder in reversed(chain):
            for path in sorted(folder.glob(f"*{suffix}.json"), key=lambda one: len(one.name)):
                if set(path.stem.split("_")) <= entities:
                    told |= _json(path)
        return told


def _images(folder: Path, ending: str) -> list[Path]:
    return [one for one in images_in(folder) if _stem(one).casefold().endswith(ending)]


def _stem(path: Path) -> str:
    return path.name.split(".nii")[0]


def _json(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > SIDECAR_BYTES:
            raise ValueError
        told = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError):
        raise DataError("A sidecar is not JSON.") from None
    if not isinstance(told, dict):
        raise DataError("A sidecar is not a JSON object.")
    return told


def _facts(
    name: str, pet: Path, person: Mapping[str, str], sidecar: Mapping[str, object]
) -> tuple[Whose, float, Activity | None]:
    """Return whose a PET is, what brings it to Bq/mL or SUV, and what turns it into SUV.

    Raises:
        DataError: If the sidecar lacks what SUV needs, or the image is not corrected.
    """
    row = dict(person)
    weight = number_in(row, WEIGHTS) or _number(sidecar, "BodyWeight", "PatientWeight")
    height = number_in(row, HEIGHTS)
    whose = Whose(
        patient_id=name,
        sex=SEXES.get(row.get("sex", "").casefold(), ""),
        day=_day(pet),
        height_m=height / 100 if height is not None and height > 3 else height,
        weight_kg=weight,
    )
    if "AttenuationCorrection" in sidecar and re.match(
        r"\s*(none|no\b|n/a|nac\b|uncorrected)",
        str(sidecar["AttenuationCorrection"]),
        re.IGNORECASE,
    ):
        raise DataError("The PET is not corrected for attenuation.")
    units = str(sidecar.get("Units", "")).replace(" ", "").casefold()
    if units in SUV_UNITS:
        return whose, 1.0, None
    per_ml = units.removesuffix("/ml").removesuffix("/cc").removesuffix("/cm3")
    if per_ml == units or per_ml not in ACTIVITY:
        raise DataError("Units in the sidecar are neither activity per mL nor SUV.")
    if weight is None:
        raise DataError("There is no weight in participants.tsv or the sidecar.")
    activity, to_start = _activity(sidecar, weight)
    return whose, ACTIVITY[per_ml] * to_start, activity


def _activity(sidecar: Mapping[str, object], weight_kg: float) -> tuple[Activity, float]:
    """Return what turns activity into SUV, and the factor that brings it to the scan's start."""
    dose = _number(sidecar, "InjectedRadioactivity")
    unit = str(sidecar.get("InjectedRadioactivityUnits", "")).strip().casefold()
    if dose is None or unit not in ACTIVITY:
        raise DataError("InjectedRadioactivity and its units are not in the sidecar.")
    half_life = _half_life(sidecar)
    zero = parse_time(str(sidecar.get("TimeZero", "")))
    injection = _number(sidecar, "InjectionStart")
    frames = sidecar.get("FrameTimesStart")
    if isinstance(frames, list) and len(frames) > 1:
        raise DataError(f"The PET is dynamic: FrameTimesStart has {len(frames)} frames.")
    start = _first(sidecar, "FrameTimesStart")
    if start is None:
        start = _number(sidecar, "ScanStart")
    if zero is None or injection is None or start is None:
        raise DataError("TimeZero, InjectionStart or FrameTimesStart is not in the sidecar.")
    corrected = sidecar.get("ImageDecayCorrected")
    if not isinstance(corrected, bool):
        raise DataError(
            "The sidecar does not say whether decay is corrected (ImageDecayCorrected)."
        )
    to_start = 1.0
    if corrected:
        at = _number(sidecar, "ImageDecayCorrectionTime")
        if at is None:
            raise DataError("ImageDecayCorrectionTime is not in the sidecar.")
        to_start = 2.0 ** (-(start - at) / half_life)
        if not 1e-3 < to_start < 1e3:
            raise DataError("ImageDecayCorrectionTime lies ten half lives from the scan.")
    return (
        Activity(
            dose_bq=dose * ACTIVITY[unit],
            half_life_s=half_life,
            weight_kg=weight_kg,
            injection_s=zero + injection,
            start_s=zero + start,
            duration_s=_first(sidecar, "FrameDuration") or 0.0,
            corrected=corrected,
        ),
        to_start,
    )


def _half_life(sidecar: Mapping[str, object]) -> float:
    told = re.sub(r"[^a-z0-9]", "", str(sidecar.get("TracerRadionuclide", "")).casefold())
    for name, seconds in POSITRON_HALF_LIVES_S.items():
        element = name.lstrip("0123456789")
        number = name.removesuffix(element)
        if told in (f"{element}{number}".casefold(), name.casefold()):
            return seconds
    if told == "fluorine18":
        return POSITRON_HALF_LIVES_S["18F"]
    raise DataError("TracerRadionuclide in the sidecar is none of PET.")


def _number(sidecar: Mapping[str, object], *names: str) -> float | None:
    for name in names:
        value = sidecar.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None


def _first(sidecar: Mapping[str, object], name: str) -> float | None:
    """Return the number of the first frame."""
    value = sidecar.get(name)
    if isinstance(value, list):
        return _number({name: value[0]}, name) if len(value) == 1 else None
    return _number(sidecar, name)


def _day(pet: Path) -> str:
    """Return the day of a scan from the session's scans.tsv, YYYYMMDD; empty if it is not there."""
    for table in sorted(pet.parent.parent.glob("*_scans.tsv")):
        try:
            sheet = read_sheet(table)
        except DataError:
            continue
        if "filename" in sheet.header and "acq_time" in sheet.header:
            name, time = sheet.header.index("filename"), sheet.header.index("acq_time")
            for row in sheet.rows:
                match = DAY.fullmatch(row[time])
                if row[name] == f"pet/{pet.name}" and match:
                    return "".join(match.groups())
    return ""
