"""Why an image is no candidate, by its header alone, and which reasons a person may lift."""

from __future__ import annotations

from typing import Final

from fedpet.imaging import tags
from fedpet.imaging.header import Header

QUANTITATIVE: Final = ("BQML", "GML", "CM2ML", "CNTS")
PET_CLASS: Final = "1.2.840.10008.5.1.4.1.1.128"
MULTI_FRAME: Final = {
    "PT": ("1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1"),
    "CT": ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"),
}
IMAGE_CLASSES: Final = {
    "PT": (PET_CLASS, *MULTI_FRAME["PT"]),
    "CT": ("1.2.840.10008.5.1.4.1.1.2", *MULTI_FRAME["CT"]),
}
PROJECTIONS: Final = frozenset(
    ("MIP", "PROJECTION", "PROJECTION IMAGE", "LOCALIZER", "SCREEN SAVE", "MAX_IP", "MIN_IP")
)
REFORMATTED: Final = frozenset(("REFORMATTED", "MPR", "RESAMPLED"))
# JPEG baseline and extended, JPEG-LS near-lossless: pixels that nobody measured.
LOSSY: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in ("50", "51", "81"))
# JPEG 2000 and its high-throughput form may be either; (0028,2110) tells.
MAYBE_LOSSY: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in ("91", "203"))


# Only words of the standard are repeated: a damaged header may hold a name in any attribute.
_MODALITIES = (
    "PT CT MR NM SEG RTSTRUCT RTPLAN RTDOSE RTIMAGE RTRECORD SR PR KO OT SC US DX CR XA MG RF REG "
    "RWV DOC FID SM ES GM XC IO IVUS OPT HC ECG EPS STAIN PLAN M3D ST TG DG"
)
_UNITS = (
    "CNTS NONE CM2 CM2ML PCNT CPS BQML MGMINML UMOLMINML MLMING MLG 1CM UMOLML PROPCNTS PROPCPS "
    "MLMINML MLML GML STDDEV"
)
KNOWN_MODALITIES: Final = frozenset(_MODALITIES.split())
KNOWN_UNITS: Final = frozenset(_UNITS.split())
KNOWN_DECAY: Final = ("", "NONE", "START", "ADMIN")
KNOWN_SUV: Final = ("", "BW", "BSA", "LBM", "LBMJAMES128", "LBMJANMA", "IBW")


def modality_of(header: Header) -> str:
    """Return the modality if the standard knows it, or nothing."""
    modality = header.text(tags.MODALITY)
    return modality if modality in KNOWN_MODALITIES else ""


def is_multi_frame(header: Header) -> bool:
    """Tell whether a file holds a whole PET or CT volume."""
    return header.text(tags.SOP_CLASS) in MULTI_FRAME.get(header.text(tags.MODALITY), ())


def objection(header: Header) -> str:
    """Tell why an image can never be a candidate; empty if it may be one."""
    modality = modality_of(header)
    classes = IMAGE_CLASSES.get(modality)
    if classes is None:
        return f"It is {modality or 'of no known modality'}, neither PET, CT nor a lesion mask."
    if header.text(tags.SOP_CLASS) not in classes:
        return "It is not stored as a PET or CT image, but for example as a secondary capture."
    views = PROJECTIONS & {word.upper() for word in header.words(tags.IMAGE_TYPE)}
    if views:
        return f"It is a derived view ({', '.join(sorted(views))}), not a volume."
    return _objection_to_pet(header) if modality == "PT" else ""


def reservation(header: Header) -> str:
    """Tell why a candidate is not used unless a person chooses it; empty if there is no reason."""
    views = REFORMATTED & {word.upper() for word in header.words(tags.IMAGE_TYPE)}
    if views:
        return f"It is a derived view ({', '.join(sorted(views))}), not as it was reconstructed."
    if header.text(tags.MODALITY) != "PT":
        return ""
    kinds = {*header.words(tags.SERIES_TYPE), *header.words(tags.IMAGE_TYPE)[2:]}
    for kind in ("DYNAMIC", "GATED"):
        if kind in kinds:
            return f"It is {kind.lower()}; static and whole-body PET are read."
    return ""


def _objection_to_pet(header: Header) -> str:
    if "REPROJECTION" in header.words(tags.SERIES_TYPE):
        return "It is a reprojection, not a volume."
    corrected = header.words(tags.CORRECTED_IMAGE)
    if "ATTN" not in corrected:
        return "It is not attenuation corrected: (0028,0051) lacks ATTN."
    if "DECY" not in corrected and header.text(tags.DECAY_CORRECTION) != "NONE":
        return "It does not say that decay was corrected: (0028,0051) lacks DECY."
    units = header.text(tags.UNITS)
    if units not in QUANTITATIVE:
        known = units if units in KNOWN_UNITS else ""
        return f"Its units (0054,1001) are '{known}', not activity or SUV."
    if header.text(tags.DECAY_CORRECTION) not in KNOWN_DECAY:
        return "Its (0054,1102) Decay Correction is none that the standard knows."
    if header.text(tags.SUV_TYPE) not in KNOWN_SUV:
        return "Its (0054,1006) SUV Type is none that the standard knows."
    if header.number(tags.INTERCEPT) not in (None, 0.0):
        return "Its rescale intercept is not zero."
    return _lossy(header)


def _lossy(header: Header) -> str:
    told = header.text(tags.LOSSY)
    if header.syntax in LOSSY or told == "01" or (header.syntax in MAYBE_LOSSY and told != "00"):
        return "It was compressed with loss, (0028,2110): its values are not those measured."
    return ""
