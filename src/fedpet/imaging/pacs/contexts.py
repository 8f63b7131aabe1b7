"""What we accept: the kinds of objects that a cohort is made of, and how they may be encoded."""

from __future__ import annotations

from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context, build_role

CLASSES = {
    "1.2.840.10008.5.1.4.1.1.128": "PT",  # Positron Emission Tomography Image Storage
    "1.2.840.10008.5.1.4.1.1.130": "PT",  # Enhanced PET
    "1.2.840.10008.5.1.4.1.1.128.1": "PT",  # Legacy Converted Enhanced PET
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",  # Legacy Converted Enhanced CT
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
}
PLAIN = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")  # explicit, implicit; little endian
COMPRESSED = (
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.5",  # RLE
)


def storage_contexts(modalities: tuple[str, ...] = ()) -> list[PresentationContext]:
    """Return contexts for C-GET: one for plain encodings, one for each lossless compression.

    The PACS chooses one encoding in each context, so that it can send what it holds without
    compressing or expanding. Lossy encodings are not accepted: they change SUV.

    Args:
        modalities: Kinds of objects; all that we accept if empty.

    Examples:
        >>> len(storage_contexts(("PT", "CT")))
        30
    """
    return [
        build_context(uid, list(syntaxes))
        for uid in classes_of(modalities)
        for syntaxes in (PLAIN, *((one,) for one in COMPRESSED))
    ]


def receiver_contexts() -> list[PresentationContext]:
    """Return contexts for a receiver: every kind in every encoding."""
    return [build_context(uid, [*PLAIN, *COMPRESSED]) for uid in CLASSES]


def storage_roles(modalities: tuple[str, ...] = ()) -> list[SCP_SCU_RoleSelectionNegotiation]:
    """Return the reversed roles for C-GET: the PACS sends, we keep."""
    return [build_role(uid, scp_role=True) for uid in classes_of(modalities)]


def classes_of(modalities: tuple[str, ...]) -> list[str]:
    """Return the storage classes of modalities; all that we accept if none is told."""
    return [uid for uid, kind in CLASSES.items() if not modalities or kind in modalities]
