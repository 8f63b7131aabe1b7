"""`fedpet plan new|check|show`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fedpet import planfile
from fedpet.cli.demo import Wanted, fitted
from fedpet.cli.main import run
from fedpet.cli.plan_words import plan_in_words
from fedpet.cli.plans import template
from fedpet.node.policy import Policy, write_policy
from fedpet.plan import Evaluation, Inputs, Sites, fingerprint
from toy import toy_plan
from toy_folders import write_toy_cohort, write_toy_hospitals

BAD = """\
name = "x"
title = "t"
cohort = "c"
[inputs]
clinical = ["age_years"]
biomarkers = []
log = ["nlr"]
[training]
runds = 3
[evaluation]
folds = "two"
"""


def answer(capsys, *args):
    """Call a command with JSON; return exit code and envelope."""
    code = run([*map(str, args), "--format", "json"])
    envelope = json.loads(capsys.readouterr().out)
    assert envelope["ok"] is (code == 0)
    return code, envelope


def test_the_template_is_a_valid_plan_that_explains_every_key():
    """A plan to start from that leaves a key out hides a choice."""
    planfile.loads(template())
    for key in sorted(set(planfile.keys()) - {"model.source"}):  # fedpet writes that one
        name = key.split(".")[-1]
        lines = [line for line in template().splitlines() if line.startswith(f"{name} =")]
        assert lines, key
        assert any("#" in line for line in lines) or name in ("title", "log"), key


def test_a_new_plan_can_be_checked_and_never_overwrites(tmp_path, capsys):
    """The first two commands that anybody types about plans."""
    file = tmp_path / "mine.toml"
    code, envelope = answer(capsys, "plan", "new", file, "--cohort", "lung")
    assert code == 0
    plan = planfile.load(file)
    assert (plan.name, plan.cohort) == ("mine", "lung")
    assert envelope["data"]["fingerprint"] == fingerprint(plan)
    file.write_text(file.read_text() + "\n# mine\n")
    code, envelope = answer(capsys, "plan", "new", file)
    assert code == 3
    assert envelope["error"]["code"] == "FP-3002"
    assert file.read_text().endswith("# mine\n")


def test_all_mistakes_are_told_at_once_with_line_and_remedy(tmp_path, capsys):
    """One mistake per attempt is how an afternoon is lost."""
    file = tmp_path / "bad.toml"
    file.write_text(BAD)
    assert run(["plan", "check", str(file)]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    unwrapped = " ".join(told.err.split())  # lines break where the terminal ends
    assert 'line 9: unknown key "runds" in [training]. Did you mean "rounds"?' in unwrapped
    assert "line 11" in unwrapped
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"name = ", b"[[[[", b"x" * (2 << 20), b"a = {b = {c = []}}"]
)
def test_nonsense_is_a_plan_error_and_no_traceback(tmp_path, capsys, content):
    """Whatever stands in the file, the answer is a sentence."""
    file = tmp_path / "nonsense.toml"
    file.write_bytes(content)
    code, envelope = answer(capsys, "plan", "check", file)
    assert code == 3
    assert envelope["error"]["code"].startswith("FP-20")


def test_a_plan_is_checked_against_every_hospital(tmp_path, capsys):
    """What a hospital lacks, or objects to, is known before anything is computed."""
    hospitals = write_toy_hospitals(tmp_path / "hospitals", sites=5)
    write_toy_cohort(
        tmp_path / "hospitals/other",
        replace(_cohort(), name="else", spacing_mm=2.0),
        site="other",
    )
    (hospitals["site-0"] / "node").mkdir()
    write_policy(Policy(plan_rounds_max=1), hospitals["site-0"] / "node/policy.toml")
    inputs = Inputs(clinical=("age_years", "ecogg"), biomarkers=("tmtv_ml",), log=("tmtv_ml",))
    file = tmp_path / "plan.toml"
    file.write_text(planfile.dumps(toy_plan(inputs=inputs)))
    code, envelope = answer(capsys, "plan", "check", file, "--sites", tmp_path / "hospitals")
    assert code == 3
    why = envelope["error"]["why"]
    assert "site-0, site-1, site-2, site-3, site-4, other" in why.replace(
        "other, site-0, site-1, site-2, site-3, site-4",
        "site-0, site-1, site-2, site-3, site-4, other",
    )
    assert "has no column 'ecogg'. Did you mean 'ecog'?" in why
    assert "other: has cohort 'else', the plan asks for 'toy'." in why
    assert "other: prepared images at 2 mm" in why
    assert "site-0: objects: The plan trains for 3 rounds; this hospital allows 1." in why
    assert "all together: 0 hospitals could take part" in why


def test_a_plan_that_fits_is_ready_to_run(tmp_path, capsys):
    """And the answer names the command that comes next."""
    write_toy_hospitals(tmp_path / "hospitals")
    file = tmp_path / "plan.toml"
    file.write_text(planfile.dumps(toy_plan()))
    assert run(["plan", "check", str(file), "--sites", str(tmp_path / "hospitals")]) == 0
    told = capsys.readouterr().out
    assert "6 hospitals with 315 subjects could answer it." in told
    assert "Next: fedpet run" in told


def test_too_many_folds_for_the_hospitals_are_found_before_the_run(tmp_path, capsys):
    """The experiment would refuse it only after counting."""
    write_toy_hospitals(tmp_path / "hospitals", sites=4)
    file = tmp_path / "plan.toml"
    file.write_text(planfile.dumps(toy_plan(evaluation=Evaluation(folds=2))))
    code, envelope = answer(capsys, "plan", "check", file, "--sites", tmp_path / "hospitals")
    assert code == 3
    assert "leaves 2 sites to fit" in envelope["error"]["why"]


def test_a_plan_in_words_names_everything_that_leaves(tmp_path, capsys):
    """What a hospital reads before it approves must hold the numbers that matter."""
    file = tmp_path / "plan.toml"
    plan = toy_plan()
    file.write_text(planfile.dumps(plan))
    assert run(["plan", "show", str(file)]) == 0
    told = capsys.readouterr().out
    for word in (fingerprint(plan), "age_years", "pfs", "Sums only", "9 in all", "'site-results'"):
        assert word in told
    without = replace(
        plan,
        sites=Sites(names=("a", "b", "c")),
        evaluation=Evaluation(baselines=(), site_results=False),
    )
    words = "\n".join(line for _, lines in plan_in_words(without) for line in lines)
    assert "a, b, c" in words
    assert "site-results" not in words
    assert "local-model" not in words


@pytest.mark.parametrize("sites", range(4, 11))
def test_the_demos_plan_fits_any_number_of_hospitals(sites):
    """Holding out hospitals must leave enough of them to fit."""
    plan = planfile.loads(fitted(template(), Wanted(subjects=24 * sites, sites=sites, rounds=7)))
    assert plan.training.rounds == 7
    assert plan.evaluation.folds <= sites


def _cohort():
    from toy import toy_cohort

    return toy_cohort("other", subjects=40, seed=5)
