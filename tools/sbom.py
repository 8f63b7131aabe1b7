"""Write a CycloneDX bill of materials of what runs, and refuse licences that may not run with it.

Reads the metadata of the installed packages that fedpet needs, with the extras that are named;
needs no network. Ends with code 1 if a package is under the GPL or AGPL, or names no licence.

    python tools/sbom.py --extra node -o sbom.cdx.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import uuid
from collections import deque
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = "fedpet"
# LGPL libraries may be used unchanged beside us; GPL and AGPL ones may not.
COPYLEFT = re.compile(r"\bA?GPL|(?<!lesser )(?<!library )general public licen[cs]e", re.IGNORECASE)
WEAK = re.compile(r"lesser|library|LGPL|classpath|exception", re.IGNORECASE)
LICENCE_CHARACTERS = 120


def closure(root: str, extras: frozenset[str]) -> dict[str, metadata.Distribution]:
    """Return what `root` needs to run here, by canonical name, itself included."""
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = deque([(root, extras)])
    while waiting:
        name, wanted = waiting.popleft()
        key = (canonicalize_name(name), wanted)
        if key in seen:
            continue
        seen.add(key)
        one = metadata.distribution(name)
        found[key[0]] = one
        for line in one.requires or ():
            need = Requirement(line)
            here = need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in (wanted or {""}) | {""}
            )
            if here:
                waiting.append((need.name, frozenset(need.extras)))
    return found


def licence_of(one: metadata.Distribution) -> str:
    """Return a package's licence in its own words: expression, else classifiers, else text."""
    if expression := one.metadata.get("License-Expression"):
        return str(expression)
    classifiers = one.metadata.get_all("Classifier") or []
    told = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License :: ")]
    told = [line for line in told if line != "OSI Approved"]
    if told:
        return "; ".join(told)
    return str(one.metadata.get("License") or "").strip().split("\n")[0][:LICENCE_CHARACTERS]


def objection(licence: str) -> str:
    """Say why a package may not be run with ours, or nothing.

    Examples:
        >>> objection("MIT"), objection("LGPL-2.1-or-later"), objection("BSD-3-Clause OR GPL-2.0")
        ('', '', '')
        >>> objection("GPL-3.0-or-later"), objection("")
        ('is under the GPL', 'names no licence')
    """
    if not licence:
        return "names no licence"
    choices = re.split(r"\bOR\b|; ", licence)  # a choice of licences: one that fits is enough
    if all(COPYLEFT.search(choice) and not WEAK.search(choice) for choice in choices):
        return "is under the GPL"
    return ""


def component(name: str, one: metadata.Distribution) -> dict[str, object]:
    """Return one package as CycloneDX 1.6 describes it."""
    record = one.read_text("RECORD")
    described: dict[str, object] = {
        "type": "library",
        "name": name,
        "version": one.version,
        "purl": f"pkg:pypi/{name}@{one.version}",
        "bom-ref": f"pkg:pypi/{name}@{one.version}",
        "licenses": [{"license": {"name": licence_of(one)}}],
    }
    if record:
        digest = hashlib.sha256(record.encode()).hexdigest()
        described["properties"] = [{"name": "fedpet:sha256-of-RECORD", "value": digest}]
    return described


def bill(packages: dict[str, metadata.Distribution]) -> dict[str, object]:
    """Return the bill of materials; the same packages give the same one."""
    components = [component(name, one) for name, one in sorted(packages.items()) if name != ROOT]
    own = component(ROOT, packages[ROOT]) | {"type": "application"}
    own.pop("properties", None)  # an editable install has another RECORD on every machine
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([own, components], sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": own},
        "components": components,
    }


def main() -> int:
    """Write the bill and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--extra", action="append", default=[], help="extra of fedpet to include")
    parser.add_argument("-o", "--out", type=Path, default=Path("sbom.cdx.json"))
    asked = parser.parse_args()
    packages = closure(ROOT, frozenset(asked.extra))
    asked.out.write_text(json.dumps(bill(packages), indent=1) + "\n", encoding="utf-8")
    wrong = [
        f"{name} {one.version} {why} ('{licence_of(one)}')"
        for name, one in sorted(packages.items())
        if (why := objection(licence_of(one)))
    ]
    print(f"Wrote {asked.out}: {len(packages)} packages.")
    for line in wrong:
        print(f"Not allowed at run time: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
