"""pacs.toml of a hospital: read strictly, every mistake at once."""

from __future__ import annotations

import re
from pathlib import Path

from fedpet.errors import DataError, NotFoundError
from fedpet.imaging.pacs.settings import PacsSettings
from fedpet.tomldoor import Door, Mistake

FILE = "pacs.toml"
PACS = Door(
    error=DataError,
    code="FP-3011",
    do="Correct pacs.toml; every key is explained by `fedpet help pacs`.",
)
# PS3.5: an AE title is up to 16 characters of the basic set, without backslash or control.
TITLE = re.compile(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?")
TEMPLATE = """\
ae_title = "FEDPET"          # what we are called; the PACS administrator adds it

[pacs]
ae_title = "PACSCHU"         # what the PACS is called; upper and lower case count
host = "10.1.2.3"
port = 104
retrieve = "get"             # get: C-GET, move: C-MOVE to our receiver, web: DICOMweb
"""


def load_pacs(folder: Path) -> PacsSettings:
    """Read `pacs.toml`.

    Args:
        folder: Where it stands: the `node` folder of a hospital.

    Raises:
        NotFoundError: If the file is absent.
        DataError: Listing every mistake in it (FP-3011).
    """
    absent = NotFoundError(
        f"The hospital's folder has no {FILE}.",
        do="Write HOSPITAL/node/pacs.toml; see: fedpet help pacs",
    )
    text = PACS.text_of(folder / FILE, absent=absent)
    settings = PACS.values(text, PacsSettings, name=FILE)
    titles = [("ae_title", settings.ae_title), ("pacs.ae_title", settings.pacs.ae_title)]
    titles += [("listen.callers", name) for name in settings.listen.callers]
    mistakes = [
        Mistake(
            key,
            f'"{key}" is {title!r}; an AE title has up to 16 plain characters, no backslash and '
            "no space at its ends.",
        )
        for key, title in titles
        if not TITLE.fullmatch(title)
    ]
    if settings.pacs.retrieve == "web" and not settings.web.url:
        mistakes.append(Mistake("pacs.retrieve", '"retrieve" is "web", but [web] url is missing.'))
    if settings.listen.tls and not (settings.tls.certificate and settings.tls.ca):
        mistakes.append(
            Mistake("listen.tls", '"tls" under [listen] needs certificate, key and ca in [tls].')
        )
    if mistakes:
        raise PACS.refusal(FILE, text, mistakes)
    return settings
