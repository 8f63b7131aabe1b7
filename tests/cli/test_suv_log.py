"""`fedpet cohort suv`: a physicist can follow every number by hand."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from fedpet.cli.main import run
from fedpet.cohort.pseudonyms import load_pseudonyms
from fedpet.imaging.index import find_scans
from fedpet.synthetic.hospitals import write_hospitals


@pytest.fixture(scope="module")
def hospital(tmp_path_factory) -> Path:
    """A phantom hospital with a Siemens scanner: activity in Bq/mL, corrected to the start."""
    folder = tmp_path_factory.mktemp("suvlog")
    list(write_hospitals(folder, subjects=2, sites=1, workers=1))
    load_pseudonyms(folder / "lyon")
    return folder / "lyon"


def asked(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(args) == 0
    return capsys.readouterr().out


def test_one_line_for_each_scan(hospital: Path, capsys) -> None:
    """Where does a hospital's SUV come from? At a glance, with nothing built."""
    out = asked(["cohort", "suv", str(hospital)], capsys)
    scans = find_scans(hospital / "images").scans
    pseudonyms = load_pseudonyms(hospital)
    for scan in scans:
        assert pseudonyms.of(scan.patient_id) in out
        assert scan.patient_id not in out
    assert "2 scans, 0 of them cannot be converted." in out


def test_the_printed_formula_gives_the_printed_factor(hospital: Path, capsys) -> None:
    """Typed into a calculator, the line with the numbers is the factor that was used."""
    subject = load_pseudonyms(hospital).of(find_scans(hospital / "images").scans[0].patient_id)
    out = asked(["cohort", "suv", str(hospital), subject[:8]], capsys)
    line = next(line for line in out.splitlines() if line.strip().startswith("factor = "))
    formula = re.sub(r" (Bq|kg|g|s)(?![a-z])", "", line.partition("=")[2]).replace("^", "**")
    assert re.fullmatch(r"[0-9eE.+*/() -]+", formula)
    factor = float(re.search(r"SUV = rescaled value \* ([0-9.e-]+)", out)[1])
    assert eval(formula) == pytest.approx(factor, rel=1e-8)
    for word in ("candidate: series time (used)", "injection: ", "liver, 3 cm sphere: "):
        assert word in out


def test_programs_read_the_same_decision(hospital: Path, capsys) -> None:
    """With every candidate, and no NaN."""
    out = asked(["cohort", "suv", str(hospital), "--format", "json"], capsys)
    scans = json.loads(out)["data"]["scans"]
    assert len(scans) == 2
    assert scans[0]["provenance"]["candidates"][0][1] == 0.0
    assert "NaN" not in out


def test_a_scan_that_cannot_be_converted_ends_with_code_3(hospital: Path, capsys) -> None:
    """And a subject that is not there with code 6."""
    assert run(["cohort", "suv", str(hospital), "nobody"]) == 6
    scan = find_scans(hospital / "images").scans[0]
    subject = load_pseudonyms(hospital).of(scan.patient_id)
    fixes = hospital / "fixes.csv"
    fixes.write_text(
        f"subject,field,value\n{scan.patient_id},injection_datetime,2001-01-01T09:00\n"
    )
    try:
        assert run(["cohort", "suv", str(hospital), subject]) == 3
        assert "fixes.csv" in capsys.readouterr().err
        assert "refused" in asked(["cohort", "suv", str(hospital)], capsys)
    finally:
        fixes.unlink()


def test_the_scans_of_several_hospitals_are_listed_by_hospital(hospital: Path, capsys) -> None:
    """A physicist who looks after two hospitals asks once; one that is broken stops no other."""
    place = hospital.parent
    (place / "nice").mkdir()
    (place / "nice" / "cohort.toml").write_text("name = 3\n")
    assert run(["cohort", "suv", str(place), "--format", "json"]) == 3
    answer = json.loads(capsys.readouterr().out)
    assert list(answer["data"]["hospitals"]) == ["lyon"]
    assert len(answer["data"]["hospitals"]["lyon"]["scans"]) == 2
    assert "nice" in answer["error"]["why"]
    shutil.rmtree(place / "nice")
    alone = json.loads(asked(["cohort", "suv", str(place), "--format", "json"], capsys))
    assert alone["data"] == answer["data"]
