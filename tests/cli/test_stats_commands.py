"""`fedpet stats`: what is asked, of whom, and what is withheld stands with every result."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fedpet import planfile
from fedpet.cli.main import run
from fedpet.node.policy import Policy, write_policy
from fedpet.plan import STATISTICS, Statistics
from toy import toy_plan
from toy_folders import write_toy_hospitals


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a plan and built hospitals."""
    folder = tmp_path_factory.mktemp("stats")
    write_toy_hospitals(folder / "hospitals", sites=4)
    plan = toy_plan(statistics=Statistics(allowed=STATISTICS))
    (folder / "plan.toml").write_text(planfile.dumps(plan))
    (folder / "silent.toml").write_text(planfile.dumps(toy_plan()))
    return folder


def stats(place, capsys, *args, plan="plan.toml"):
    """Ask one statistic as JSON; return exit code and envelope."""
    words = [*args, str(place / plan), "--sites", str(place / "hospitals"), "--format", "json"]
    code = run(["stats", *words])
    return code, json.loads(capsys.readouterr().out)


def test_describe_tells_numbers_and_what_was_withheld(place, capsys):
    """A program finds the same answer as the reader, and the disclosure report beside it."""
    code, envelope = stats(place, capsys, "describe", "--columns", "age_years,ecog")
    assert code == 0
    columns = envelope["data"]["columns"]
    assert list(columns) == ["age_years", "ecog"]
    assert sum(columns["ecog"]["levels"].values()) == envelope["data"]["subjects"] == 190
    assert columns["age_years"]["quantiles"]["0.5"] == pytest.approx(65, abs=3)
    report = envelope["data"]["disclosure"]
    assert report["questions"] >= 3
    assert report["floats_up"] > 0
    assert report["thresholds"]["count at least"] == 5


def test_text_ends_with_the_disclosure_report(place, capsys):
    """People read it without asking for it."""
    words = ["stats", "table-one", str(place / "plan.toml"), "--sites", str(place / "hospitals")]
    assert run(words) == 0
    told = capsys.readouterr().out
    assert "Withheld: nothing." in told
    assert "4 hospitals, 1 questions" in told


def test_a_kept_answer_is_not_asked_again(place, capsys, tmp_path):
    """With --keep the second time costs the hospitals nothing."""
    kept = ["describe", "--columns", "suvmax", "--keep", str(tmp_path / "kept")]
    _, first = stats(place, capsys, *kept)
    _, again = stats(place, capsys, *kept)
    assert first["data"]["columns"] == again["data"]["columns"]
    asked = again["data"]["disclosure"]
    assert asked["replayed"] == asked["questions"] > 0


def test_subjects_too_near_to_those_of_before_leave_a_hospital_out_by_name(place, capsys):
    """The reader learns which hospital, and why; nothing of any subject."""
    ages = np.array([60.0, 60.3, 60.6, 60.9, 61.2])
    notes = []
    for age in ages:
        where = f"age_years>={age}"
        _, envelope = stats(place, capsys, "describe", "--columns", "ecog", "--where", where)
        notes.append(" ".join(envelope["warnings"]) + str(envelope["error"]))
    assert any("subtraction" in note for note in notes)


@pytest.mark.parametrize(
    ("args", "plan", "code", "told"),
    [
        (["describe", "--columns", "ecogg"], "plan.toml", "FP-2014", 'Did you mean "ecog"?'),
        (["describe", "--where", "ecog=1"], "plan.toml", "FP-1002", "COLUMN>=NUMBER"),
        (["describe", "--where", "ecog>=1e"], "plan.toml", "FP-1002", "COLUMN>=NUMBER"),
        (["describe", "--complete", "x"], "plan.toml", "FP-2014", "no column 'x'"),
        (["describe"], "silent.toml", "FP-2013", "does not allow"),
        (["describe"], "nowhere.toml", "FP-6000", "no plan"),
    ],
)
def test_what_cannot_be_asked_is_told_with_its_remedy(place, capsys, args, plan, code, told):
    """A mistake of the reader ends with what to do."""
    _, envelope = stats(place, capsys, *args, plan=plan)
    assert envelope["error"]["code"] == code
    assert told in envelope["error"]["title"]


@pytest.mark.parametrize("command", ["evaluate", "leave-one-out", "matrix"])
def test_a_model_is_judged_here_and_elsewhere(place, capsys, command):
    """One call each; numbers in bounds, hospitals by name."""
    code, envelope = stats(place, capsys, command, "--endpoint", "pfs", "--covariates", "ecog")
    data = envelope["data"]
    assert code == 0
    assert data["endpoint"] == "pfs"
    if command == "matrix":
        assert data["hospitals"] == ["site-0", "site-1", "site-2", "site-3"]
        assert 0.4 < data["c_index"]["site-0"]["site-3"] < 1
    else:
        assert 0.5 < data["c_within"]["low"] < data["c_within"]["value"] < 0.8
        assert set(data["horizons"]) == {"6", "12", "24"}


def test_an_endpoint_that_the_plan_does_not_have_is_named(place, capsys):
    """With the one that may be meant."""
    _, envelope = stats(place, capsys, "evaluate", "--endpoint", "pfss")
    assert envelope["error"]["code"] == "FP-2014"
    assert 'Did you mean "pfs"?' in envelope["error"]["title"]


def test_curves_groups_and_models_are_told(place, capsys):
    """Survival, its comparison and hazard ratios, each with one call."""
    groups = ["--by", "ecog", "--levels", "0,1,2", "--endpoint", "os"]
    _, envelope = stats(place, capsys, "km", *groups)
    told = envelope["data"]["groups"]
    assert list(told) == ["ecog = 0", "ecog = 1", "ecog = 2"]
    assert told["ecog = 0"]["survival"]["6"]["value"] > told["ecog = 2"]["survival"]["6"]["value"]
    _, envelope = stats(place, capsys, "log-rank", *groups)
    assert envelope["data"]["freedom"] == 2
    assert envelope["data"]["p"] < 0.05
    _, envelope = stats(place, capsys, "cox", "--covariates", "ecog,suvmax", "--check")
    ratios = envelope["data"]["covariates"]
    assert ratios["ecog"]["low"] > 1
    assert 0 < envelope["data"]["proportional_hazards"]["global_p"] < 1


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["log-rank"], "--by COLUMN"),
        (["km", "--cuts", "1"], "need --by COLUMN"),
        (["km", "--by", "ecog", "--cuts", "2,1"], "numbers that increase"),
        (["km", "--by", "ecog", "--cuts", "one"], "numbers that increase"),
        (["km", "--by", "ecog"], "cuts or levels"),
        (["cox", "--covariates", "ecog,ecog"], "named once"),
        (["leave-one-out", "--where", "ecog<2"], "about everybody"),
    ],
)
def test_questions_that_make_no_sense_are_told_so(place, capsys, args, told):
    """Before any hospital is asked."""
    code, envelope = stats(place, capsys, *args)
    assert code != 0
    assert told in envelope["error"]["title"]


def test_duplicates_are_looked_for_where_hospitals_opted_in(place, capsys, tmp_path):
    """Off by default, and said so; where it is on, rows of two hospitals are counted."""
    code, envelope = stats(place, capsys, "duplicates")
    assert code == 7
    assert "duplicates" in envelope["error"]["why"]
    folders = write_toy_hospitals(tmp_path / "hospitals", sites=3)
    for folder in folders.values():
        (folder / "node").mkdir()
        policy = Policy(releases=("counts", "duplicates"))
        write_policy(policy, folder / "node/policy.toml")
    (tmp_path / "plan.toml").write_text((place / "plan.toml").read_text())
    code, envelope = stats(tmp_path, capsys, "duplicates", "--columns", "age_years,suvmax")
    assert code == 0
    assert envelope["data"]["estimate"] == 0
    assert envelope["data"]["rows"] == 135
