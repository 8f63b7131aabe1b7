"""What runs beside us is known, and its licences allow it."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def sbom():
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "tools/sbom.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_that_runs_in_a_hospital_is_under_the_gpl(sbom):
    """A hospital's lawyers ask, and the answer must not change unseen."""
    packages = sbom.closure("fedpet", frozenset({"node"}))
    assert {"fedpet", "torch", "numpy", "pydicom", "cryptography"} <= set(packages)
    assert not {"pytest", "hypothesis", "lifelines"} & set(packages)
    wrong = {name: sbom.objection(sbom.licence_of(one)) for name, one in packages.items()}
    assert {name: why for name, why in wrong.items() if why} == {}


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("GNU General Public License v3 (GPLv3)", False),
        ("GNU Affero General Public License v3", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", True),
        ("Apache-2.0 OR GPL-2.0-only", True),
        ("Apache-2.0 AND GPL-2.0-only", False),
        ("", False),
    ],
)
def test_licences_are_told_apart(sbom, licence, allowed):
    """By expression, and by the long names of classifiers."""
    assert (sbom.objection(licence) == "") is allowed


def test_the_bill_is_the_same_for_the_same_packages(sbom):
    """Two builds of one release can be compared by their bills."""
    packages = sbom.closure("fedpet", frozenset())
    first, second = (json.dumps(sbom.bill(packages)) for _ in range(2))
    assert first == second
    told = json.loads(first)
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    names = [one["name"] for one in told["components"]]
    assert names == sorted(names)
    assert "torch" not in names
