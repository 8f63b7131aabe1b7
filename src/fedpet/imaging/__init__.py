"""DICOM folder to SUV volume and CT on a known grid."""

import sys
from contextlib import suppress
from importlib import import_module


def _load_gdcm() -> None:
    """Load GDCM before pydicom does, out of reach of a folder named `dl` beside a user's script.

    Its module asks for one of that name, which Python 2 had, and takes whatever it finds.
    """
    theirs = sys.modules.get("dl")
    sys.modules["dl"] = None  # type: ignore[assignment]
    try:
        with suppress(ImportError):
            import_module("gdcm")
    finally:
        if theirs is None:
            del sys.modules["dl"]
        else:
            sys.modules["dl"] = theirs


_load_gdcm()
