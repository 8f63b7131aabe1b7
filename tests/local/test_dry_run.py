"""Changing the network in five minutes, as the guide says, and what goes wrong meanwhile."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet import plan as plans
from fedpet import planfile
from fedpet.cli.main import run
from fedpet.contradictions import UNSEEN, contradictions
from fedpet.errors import NotFoundError, PlanError
from fedpet.imaging.grid import Grid, mip_shape, mips
from fedpet.imaging.volume import Volume
from fedpet.local.dry_run import dry_run
from toy import toy_plan

GUIDE = Path(__file__).resolve().parents[2] / "docs/guides/your-own-network.md"


@pytest.fixture
def followed(tmp_path, monkeypatch):
    """Do what the guide says up to its first check."""
    monkeypatch.chdir(tmp_path)
    text = GUIDE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (line,) = re.findall(r"```toml\n(.*?)\n```", text, flags=re.DOTALL)
    assert run(["plan", "new", "plan.toml"]) == 0
    (tmp_path / "model.py").write_text(code)
    plan = (tmp_path / "plan.toml").read_text()
    (tmp_path / "plan.toml").write_text(re.sub(r"(?m)^code = .*$", line, plan))
    return tmp_path


def test_the_guide_works_as_it_is_printed(followed, capsys):
    """Its network, its line of TOML and its commands, in its order."""
    assert run(["plan", "check", "plan.toml", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "finite" in told
    assert "logits: pfs 8, os 8, response 1" in told
    assert run(["plan", "show", "plan.toml"]) == 0
    shown = capsys.readouterr().out
    for line in (followed / "model.py").read_text().splitlines():
        assert line in shown
    assert "It imports torch." in shown


def test_a_mistake_is_told_in_the_networks_own_words(followed, capsys):
    """Data are made up here, so that the author may read the whole error."""
    text = (followed / "model.py").read_text()
    (followed / "model.py").write_text(text.replace("16 + covariates", "15 + covariates"))
    assert run(["plan", "check", "plan.toml", "--dry-run"]) == 3
    told = capsys.readouterr().err
    assert "FP-2012" in told
    assert "mat1 and mat2 shapes cannot be multiplied" in told


def test_weights_that_differ_between_hospitals_are_found():
    """A source of randomness that the plan's seed does not reach makes averages of nothing."""
    code = GUIDE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    code = code.replace("import torch\n", "import os\nimport torch\n", 1)
    code += (
        "\n    def __new__(cls, **given):\n"
        "        made = super().__new__(cls)\n"
        "        torch.manual_seed(int.from_bytes(os.urandom(4), 'little'))\n"
        "        return made\n"
    )
    plan = toy_plan(model=plans.Model(code="model.py:Net", source=code))
    with pytest.raises(PlanError, match="same weights") as told:
        dry_run(replace(plan, inputs=replace(plan.inputs, spacing_mm=16.0)))
    assert told.value.code == "FP-2012"


def test_the_code_is_part_of_what_is_approved(followed):
    """One character of the file is another plan; a written plan needs no file beside it."""
    plan = planfile.load(followed / "plan.toml")
    kept = planfile.loads(planfile.dumps(plan))
    assert kept == plan
    (followed / "model.py").write_text((followed / "model.py").read_text() + "# changed\n")
    other = planfile.load(followed / "plan.toml")
    assert plans.fingerprint(other) != plans.fingerprint(plan)


def test_a_run_keeps_the_code_that_it_began_with(followed, tmp_path):
    """The copy of the plan in a run's folder holds the text, whatever becomes of the file."""
    plan = planfile.load(followed / "plan.toml")
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    (run_folder / "plan.toml").write_text(planfile.dumps(plan))
    assert planfile.load(run_folder / "plan.toml") == plan


def test_a_missing_file_and_a_misleading_one_are_refused(followed):
    """Characters that a screen hides could show a reader other code than the one that runs."""
    (followed / "model.py").write_text("x = 1 \u202e # harmless\n", encoding="utf-8")
    with pytest.raises(PlanError, match="screen does not show"):
        planfile.load(followed / "plan.toml")
    (followed / "model.py").unlink()
    with pytest.raises(NotFoundError, match=r"model\.py"):
        planfile.load(followed / "plan.toml")


@pytest.mark.parametrize("code", ["../model.py:Net", "model:Net", "/etc/x.py:Net", "m.py:Net()"])
def test_code_is_a_file_beside_the_plan_and_a_class(code):
    """No path leads out of the plan's folder, and no expression is evaluated."""
    plan = toy_plan(model=plans.Model(code=code, source="x = 1\n"))
    assert contradictions(plan)[0][0] == "model.code"


@given(st.lists(st.text(st.characters(exclude_categories=UNSEEN)), min_size=1))
def test_any_text_that_can_be_read_survives_the_plans_file(lines):
    """Quotes, backslashes and every alphabet: what runs is what was read."""
    plan = toy_plan(model=plans.Model(code="model.py:Net", source="\n".join(lines) + "\n"))
    assert tomllib.loads(planfile.dumps(plan))["model"]["source"] == plan.model.source


def test_made_up_images_have_the_shape_of_real_ones():
    """A network that fits the dry run fits the hospitals."""
    for spacing in (4.0, 5.5, 8.0):
        views, z, width = mip_shape(spacing)
        from fedpet.imaging.grid import _shape

        whole = np.zeros(_shape(spacing), np.float32)
        grid = Grid(shape=whole.shape, spacing_mm=(spacing,) * 3, origin_mm=(0.0, 0.0, 0.0))
        assert mips(Volume(array=whole, grid=grid)).shape == (views, z, width)
