"""pacs.toml of a hospital: read strictly, every mistake at once."""

from __future__ import annotations

import re
from pathlib import Path

from fedpet.cohort.tomlfile import Mistake, read, refusal
from fedpet.imaging.pacs.settings import PacsSettings

FILE = "pacs.toml"
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
        NotFoundError: If the file is absent (FP-3011).
        DataError: Listing every mistake in it (FP-3011).
    """
    settings, text = read(
        folder / FILE,
        PacsSettings,
        code="FP-3011",
        do="Write HOSPITAL/node/pacs.toml; see: fedpet help pacs",
    )
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
        raise refusal(FILE, text, mistakes, code="FP-3011")
    return settings
