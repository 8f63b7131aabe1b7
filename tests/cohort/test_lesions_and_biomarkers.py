"""Lesion methods and groups of biomarkers through the build; lesions to a viewer and back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from fedpet.biomarkers.catalogue import BIOMARKERS, DEFAULT_GROUPS, biomarkers_of
from fedpet.cli.main import run
from fedpet.cohort.build import Built, build
from fedpet.cohort.lesion_files import write_lesions
from fedpet.cohort.samples import Cohort, open_cohort
from fedpet.errors import DataError
from fedpet.synthetic.hospitals import write_hospitals

SUBJECTS = 4


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One phantom hospital with masks."""
    folder = tmp_path_factory.mktemp("phantoms")
    list(write_hospitals(folder, subjects=SUBJECTS, sites=1, workers=1))
    return folder / "lyon"


def told(folder: Path, **settings: object) -> Path:
    """Change lines of cohort.toml."""
    path = folder / "cohort.toml"
    text = path.read_text(encoding="utf-8")
    for name, value in settings.items():
        text = re.sub(rf"(?m)^{name} = .*\n", "", text) + f"{name} = {json.dumps(value)}\n"
    path.write_text(text, encoding="utf-8")
    return folder


def built(folder: Path) -> Cohort:
    *_, last = build(folder, workers=1)
    assert isinstance(last, Built)
    return open_cohort(folder / "cohort")


def records(folder: Path) -> list[dict[str, object]]:
    return [json.loads(one.read_bytes()) for one in folder.glob("cohort/cache/*/record.json")]


def test_a_cohort_holds_the_groups_that_it_asks_for(written: Path, tmp_path: Path) -> None:
    """All groups give their columns; the default gives the seven, with the same values."""
    default = built(Path(shutil.copytree(written, tmp_path / "a")))
    folder = told(
        Path(shutil.copytree(written, tmp_path / "b")),
        biomarkers=["metabolic", "spread", "organs", "radiomics"],
    )
    everything = built(folder)
    assert default.columns[-7:] == tuple(biomarkers_of(DEFAULT_GROUPS))
    assert everything.columns[-len(BIOMARKERS) :] == tuple(BIOMARKERS)
    ours = [everything.columns.index(name) for name in default.columns]
    assert np.array_equal(everything.table[:, ours], default.table, equal_nan=True)
    measured = everything.table[:, -len(BIOMARKERS) :]
    missing = [
        name for name, row in zip(BIOMARKERS, measured.T, strict=True) if np.isnan(row).all()
    ]
    assert missing == ["muscle_index_cm2_m2"]


@pytest.mark.parametrize("method", ["suv2.5", "41%", "percist"])
def test_each_method_is_named_in_the_record(written: Path, tmp_path: Path, method: str) -> None:
    """A tumour volume without its method is not comparable to any other."""
    folder = told(Path(shutil.copytree(written, tmp_path / "a")), lesions=method)
    cohort = built(folder)
    found = records(folder)
    assert {record["lesions"] for record in found} == {method}
    for record in found:
        provenance = record["provenance"]
        assert isinstance(provenance, dict)
        assert 2 < provenance["lesion_threshold_suv"] < 8
    assert (cohort.table[:, cohort.columns.index("tmtv_ml")] > 0).all()


def test_lesions_go_out_and_come_back_as_the_same_cohort(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Export, confirm, import: the biomarkers of the given masks are those that were measured."""
    folder = told(Path(shutil.copytree(written, tmp_path / "a")), lesions="percist")
    first = built(folder)
    out = tmp_path / "out"
    assert run(["cohort", "lesions", str(folder), "--out", str(out)]) == 0
    assert f"{SUBJECTS} of {SUBJECTS} scans" in capsys.readouterr().out
    for path in out.glob("*.dcm"):
        if shutil.which("dciodvfy"):
            said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
            assert "Error" not in said.stderr + said.stdout
    for path in (folder / "images").rglob("*.dcm"):
        if pydicom.dcmread(path, stop_before_pixels=True).Modality in ("SEG", "RTSTRUCT"):
            path.unlink()
    shutil.copytree(out, folder / "images" / "confirmed")
    second = built(told(folder, lesions="given"))
    assert {record["lesions"] for record in records(folder)} == {"given"}
    assert second.subjects == first.subjects
    assert np.array_equal(second.table, first.table, equal_nan=True)


def test_an_unknown_method_is_told_before_any_scan_is_read(written: Path, tmp_path: Path) -> None:
    """Settings from an older version are refused with the words that are known."""
    with pytest.raises(DataError, match="unknown"):
        next(write_lesions(written, tmp_path / "out", method="threshold"))
    folder = told(Path(shutil.copytree(written, tmp_path / "a")), lesions="threshold")
    with pytest.raises(DataError, match=r"suv4\.0"):
        built(folder)
    told(folder, lesions="given", biomarkers=["texture"])
    with pytest.raises(DataError, match="radiomics"):
        built(folder)
