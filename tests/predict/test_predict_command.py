"""`fedpet predict`: one subject's page, made and kept in its hospital."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import numpy as np
import pytest

from fedpet import planfile
from fedpet.cli.main import run
from fedpet.cohort.samples import open_cohort
from fedpet.parameters import from_bytes
from fedpet.plan import Evaluation, Training
from toy import toy_plan
from toy_folders import write_toy_hospitals

PLAN = toy_plan(
    training=Training(rounds=4, batch_size=16, learning_rate=1e-2),
    evaluation=Evaluation(folds=3, bootstrap=5, baselines=(), site_results=False),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Hospitals and a run that ended."""
    folder = tmp_path_factory.mktemp("predict")
    write_toy_hospitals(folder / "hospitals", sites=5, subjects=26)
    (folder / "plan.toml").write_text(planfile.dumps(PLAN))
    args = ["run", folder / "plan.toml", "--sites", folder / "hospitals", "--out", folder / "run"]
    assert run([*map(str, args), "-q", "--workers", "1"]) == 0
    return folder


def predict(place: Path, *more: str, subject: str = "site-1-3", site: str = "site-1") -> int:
    """Type the command."""
    home = place / "hospitals" / site
    return run(["predict", str(place / "run"), "--site", str(home), "--subject", subject, *more])


def test_the_page_needs_nothing_else_and_is_for_its_owner_only(place, capsys):
    """No address but pictures inside it; nobody else on the machine can read it."""
    assert predict(place, "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    told = told.get("data", told)
    page = place / "hospitals/site-1/predictions/site-1-3.html"
    text = page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)
    assert "site-1-3" in text
    assert told["unseen"] is True
    assert 0 < told["share_as_far"] <= 1
    assert all(
        low <= one <= high
        for low, one, high in zip(told["low"], told["event_free"], told["high"], strict=True)
    )


def test_the_network_is_the_one_that_held_the_hospital_out(place, capsys):
    """A subject must not be told a risk by a network that learned its outcome."""
    results = json.loads((place / "run/results.json").read_text())
    fold = next(one["fold"] for one in results["sites"] if one["name"] == "site-1")
    assert predict(place) == 0
    capsys.readouterr()
    page = (place / "hospitals/site-1/predictions/site-1-3.html").read_text()
    assert f"network-federated-fold-{fold}" in page


def test_the_companion_holds_sums_and_no_subject(place):
    """What travels with the model: moments, a histogram, one curve of shares per endpoint."""
    kept = from_bytes((place / "run/models/network-federated-companion.safetensors").read_bytes())
    cohorts = [open_cohort(home / "cohort") for home in (place / "hospitals").iterdir()]
    assert kept["likeness.histogram"].sum() == sum(len(one.subjects) for one in cohorts)
    assert np.all(np.diff(kept["failures.pfs"]) >= 0)
    assert set(kept) == {
        "likeness.mean", "likeness.inverse", "likeness.histogram", "failures.pfs", "failures.os",
    }  # fmt: skip


def test_the_french_page_says_the_same_numbers(place, capsys):
    """Two languages, one prediction."""
    assert predict(place) == 0
    assert predict(place, "--language", "fr") == 0
    capsys.readouterr()
    home = place / "hospitals/site-1/predictions"
    curves = [
        re.search(r'polyline points="([^"]+)"', (home / name).read_text())
        for name in ("site-1-3.html", "site-1-3.fr.html")
    ]
    assert curves[0] is not None
    assert curves[1] is not None
    assert curves[0].group(1) == curves[1].group(1)


def test_an_unknown_subject_ends_with_code_six_and_names_nobody(place, capsys):
    """Whoever mistypes a pseudonym is told where to find them."""
    assert predict(place, subject="nobody") == 6
    said = capsys.readouterr().err
    assert "FP-6023" in said
    assert "site-1-" not in said


def test_a_damaged_model_is_named(place, capsys):
    """A file that was cut is no traceback."""
    path = place / "run/models/network-federated.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    try:
        assert predict(place) == 3
    finally:
        path.write_bytes(whole)
    assert "altered" in capsys.readouterr().err


def test_a_subject_that_was_taken_out_is_not_predicted(place, capsys):
    """Consent withdrawn: the node computes nothing on the subject, and neither does this."""
    home = place / "hospitals/site-2"
    assert run(["node", "subject", "remove", str(home), "site-2-5", "--person", "A. Dupont"]) == 0
    assert predict(place, site="site-2", subject="site-2-5") in (5, 6)
    assert not (home / "predictions").exists()
    capsys.readouterr()
