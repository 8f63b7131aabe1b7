"""Libraries that read what a PACS sends keep silent: their messages quote values of patients."""

from __future__ import annotations

import logging
import warnings

LIBRARIES = ("pydicom", "pynetdicom", "dicomweb_client", "urllib3")


def hush() -> None:
    """Switch the logs and warnings of the DICOM libraries off for this process."""
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", category=UserWarning, module="|".join(LIBRARIES))
