"""Who takes part in a run: everyone by name, nobody twice, and the same after an interruption."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fedpet import plan as plans
from fedpet import planfile
from fedpet.cli.main import run
from fedpet.federation.journal import Journal
from fedpet.node.gate import Node
from fedpet.node.policy import Policy, write_policy
from fedpet.plan import Evaluation, Training
from toy import toy_hospitals, toy_plan
from toy_folders import write_toy_cohort, write_toy_hospitals

PLAN = toy_plan(
    training=Training(rounds=1, batch_size=16),
    evaluation=Evaluation(folds=4, bootstrap=0, baselines=("tmtv",)),
)


@pytest.fixture
def place(tmp_path) -> Path:
    """Four hospitals and a plan."""
    write_toy_hospitals(tmp_path / "hospitals", sites=4, subjects=26)
    (tmp_path / "plan.toml").write_text(planfile.dumps(PLAN))
    return tmp_path


def start(place: Path, *more: str) -> int:
    args = ["run", place / "plan.toml", "--sites", place / "hospitals", "--out", place / "r"]
    return run([*map(str, args), "-q", "--workers", "1", *more])


def interrupted(place: Path) -> None:
    """Leave a run behind that has begun."""
    assert start(place) == 0
    (place / "r/results.json").unlink()


def test_a_cohort_built_anew_does_not_mix_with_steps_of_the_old_one(place, capsys):
    """Half the numbers would be of other data, and nobody would see it."""
    interrupted(place)
    shutil.rmtree(place / "hospitals/site-1")
    other = toy_hospitals(sites=4, subjects=26, seed=9)["site-1"]
    write_toy_cohort(place / "hospitals/site-1", other, site="site-1")
    assert run(["resume", str(place / "r"), "-q"]) == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "the cohort of 'site-1' is another one" in told
    assert not (place / "r/results.json").exists()


def test_a_hospital_that_went_away_is_named(place, capsys):
    """Whoever resumes should not have to guess which folder is missing."""
    interrupted(place)
    shutil.rmtree(place / "hospitals/site-1")
    assert run(["resume", str(place / "r"), "-q"]) == 3
    assert "'site-1' is no longer there" in " ".join(capsys.readouterr().err.split())


def test_the_same_subjects_at_two_hospitals_are_found(place, capsys):
    """A copied folder would put one subject into training and test at once."""
    shutil.copytree(place / "hospitals/site-1", place / "hospitals/site-9")
    assert start(place) == 3
    assert "'site-1' and 'site-9' hold" in capsys.readouterr().err


def test_a_hospital_whose_cohort_is_not_built_is_not_left_out_unseen(place, capsys):
    """Ten folders and nine hospitals in the report: somebody must have said why."""
    (place / "hospitals/site-9").mkdir()
    (place / "hospitals/site-9/cohort.toml").write_text("")
    check = ["plan", "check", place / "plan.toml", "--sites", place / "hospitals"]
    assert run([*map(str, check)]) == 3
    assert "site-9: has no built cohort yet" in " ".join(capsys.readouterr().err.split())
    assert start(place) == 0
    assert "Left out, for want of a built cohort: site-9." in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="drops a right of Linux")
def test_a_hospital_that_may_not_be_read_is_not_left_out_unseen(place):
    """A glob passes over a locked folder in silence; the results would be of fewer hospitals."""
    (place / "hospitals/site-1/cohort").chmod(0)
    args = ["run", place / "plan.toml", "--sites", place / "hospitals", "--out", place / "r"]
    command = [sys.executable, "-m", "fedpet.cli.main", *map(str, args)]
    if os.geteuid() == 0:  # root reads everything unless it gives the right away
        if shutil.which("setpriv") is None:
            pytest.skip("root cannot be locked out without setpriv")
        rights = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    (place / "hospitals/site-1/cohort").chmod(0o700)
    assert done.returncode == 3
    assert "Hospital 'site-1'" in done.stderr


@pytest.mark.parametrize(
    ("name", "told"), [("policy.toml", "site-1: "), ("state.db", "Hospital 'site-1'")]
)
def test_a_broken_file_of_a_hospital_is_told_with_its_name(place, capsys, name, told):
    """Of ten hospitals one is at fault; the message says which."""
    (place / "hospitals/site-1/node").mkdir(exist_ok=True)
    (place / "hospitals/site-1/node" / name).write_text("garbage [" * 200)
    assert start(place) == 3
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"spacing_mm": 2.0}, "site-1: prepared images at 2 mm, the plan reads them at 4 mm."),
        ({"name": "else"}, "site-1: has cohort 'else', the plan asks for 'toy'."),
        ({"columns": ("age", "ecog", "nlr", "tmtv_ml", "suvmax")}, "has no column 'age_years'."),
    ],
)
def test_a_cohort_that_does_not_fit_the_plan_ends_the_run_before_it_begins(
    place, capsys, changes, told
):
    """After an hour of rounds is no time to learn that a column is missing; nothing is written."""
    shutil.rmtree(place / "hospitals/site-1")
    other = replace(toy_hospitals(sites=4, subjects=26)["site-1"], **changes)
    write_toy_cohort(place / "hospitals/site-1", other, site="site-1")
    (place / "hospitals/site-2/node").mkdir()
    write_policy(Policy(endpoints=("os",)), place / "hospitals/site-2/node/policy.toml")
    assert start(place) == 3
    err = " ".join(capsys.readouterr().err.split())
    assert told in err
    assert "site-2: objects:" in err
    assert not (place / "r").exists()


def test_a_hospitals_no_ends_the_run_only_where_too_few_remain(place, capsys):
    """Three hospitals cannot be held out in four folds; that is known before the first round."""
    (place / "hospitals/site-2/node").mkdir()
    write_policy(Policy(endpoints=("os",)), place / "hospitals/site-2/node/policy.toml")
    assert start(place) == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "site-2: objects:" in told
    assert "all together: evaluation.folds is 4, but only 3 sites take part." in told
    assert not (place / "r").exists()


def test_the_reserved_name_is_refused(place, capsys):
    """A hospital named like the pooled comparison would be silently replaced by it."""
    (place / "hospitals/site-1").rename(place / "hospitals/pooled")
    assert start(place) == 3
    assert "may not be named 'pooled'" in capsys.readouterr().err


def test_starting_a_run_does_not_override_a_hospitals_no(place):
    """A withdrawal stands until a person of the hospital says otherwise."""
    node = Node(site="site-1", folder=place / "hospitals/site-1/node", cohorts={})
    node.propose(planfile.dumps(PLAN))
    node.decide(plans.fingerprint(PLAN), "withdrawn", person="data protection officer")
    node.close()
    (place / "plan.toml").write_text(planfile.dumps(PLAN))
    assert start(place) == 3  # three hospitals are too few for four folds
    node = Node(site="site-1", folder=place / "hospitals/site-1/node", cohorts={})
    assert node.decision(plans.fingerprint(PLAN)) == "withdrawn"
    node.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sites": 3}', '{"sites": ".", "ceiling": 1}'])
def test_altered_settings_of_a_run_are_refused_in_words(place, capsys, text):
    """A file that was edited by hand, or lost to a full disk, is no fault of ours."""
    (place / "r").mkdir()
    (place / "r/plan.toml").write_text(planfile.dumps(PLAN))
    (place / "r/run.json").write_text(text)
    assert run(["resume", str(place / "r")]) == 3
    assert "run.json was altered" in capsys.readouterr().err


def test_a_network_that_is_not_installed_is_told_before_the_run(place, capsys):
    """`plan check` exists to save the hour after which the first network step would fail."""
    unknown = replace(PLAN, model=replace(PLAN.model, name="resnet"))
    (place / "plan.toml").write_text(planfile.dumps(unknown))
    hospitals = str(place / "hospitals")
    assert run(["plan", "check", str(place / "plan.toml"), "--sites", hospitals]) == 3
    assert "no network named 'resnet'" in " ".join(capsys.readouterr().err.split())


def test_closed_output_is_no_fault(tmp_path):
    """A job scheduler may start us with nothing to write to."""
    command = f"{sys.executable} -m fedpet.cli.main help"
    for closed, code in ((">&-", 0), (">&- 2>&-", 0), ("x9 2>/dev/full", 6)):
        done = subprocess.run(
            f"{command} {closed}", shell=True, cwd=tmp_path, env=os.environ, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == code
        assert "Traceback" not in done.stderr


def test_a_findings_own_words_stay_in_the_hospital(place):
    """They hold counts of one, and what everybody there has in common; the code says enough."""
    findings = [
        {"code": "FP-2165", "severity": "info", "title": "1 subject with an odd thing.",
         "subjects": ["0a"], "fix": "Ask about the one."},
        {"code": "FP-2181", "severity": "warning", "title": "smoking_ever is 1 in all of 26.",
         "subjects": [], "fix": "Look at smoking_ever."},
    ]  # fmt: skip
    path = place / "hospitals/site-1/cohort/findings.json"
    path.write_text(json.dumps(findings))
    assert start(place) == 0
    told = json.loads((place / "r/results.json").read_text())["findings"]
    assert [(row["code"], row["subjects"]) for row in told] == [("FP-2165", "<5"), ("FP-2181", 0)]
    assert "odd thing" not in json.dumps(told)
    assert "smoking" not in json.dumps(told)
    assert told[0]["title"].startswith("A progression was not confirmed")


def test_the_journal_remembers_the_cohorts(place):
    """The comparison of a resumed run rests on this fact."""
    assert start(place) == 0
    with Journal(place / "r") as journal:
        assert "site-3" in journal.fact("cohorts")


@pytest.mark.parametrize("permitting", [0, 3, 4])
def test_real_subjects_are_pooled_only_where_every_hospital_permits_it(tmp_path, permitting):
    """One hospital that says no keeps all data apart; the federated arms run all the same."""
    for number, (site, cohort) in enumerate(toy_hospitals(sites=4, subjects=26).items()):
        folder = write_toy_cohort(
            tmp_path / "hospitals" / site, replace(cohort, phantom=False), site=site
        )
        (folder / "node").mkdir()
        extra = ("pooling",) if number < permitting else ()
        write_policy(Policy(releases=("counts", *extra)), folder / "node/policy.toml")
    plan = replace(PLAN, evaluation=replace(PLAN.evaluation, baselines=("pooled",)))
    (tmp_path / "plan.toml").write_text(planfile.dumps(plan))
    assert start(tmp_path) == 0
    results = json.loads((tmp_path / "r/results.json").read_text())
    arms = {arm["id"] for arm in results["arms"]}
    assert ("network-pooled" in arms) == (permitting == 4)
    assert "network-federated" in arms
    assert results["experiment"]["phantom"] is False
