"""The program as a whole: how quickly it answers, where it writes, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fedpet.cli import faults, main
from fedpet.cli.lazy import LazyGroup
from fedpet.cli.terminal import Answer, Terminal, block
from fedpet.errors import DataError, FedpetError, RefusalError

FEDPET = [sys.executable, "-m", "fedpet.cli.main"]
HEAVY = ("torch", "pandas", "pydicom", "matplotlib", "numpy", "scipy", "rich", "pydantic")


def call(*args: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """Call the program in a process of its own."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run(
        [*FEDPET, *args], capture_output=True, text=True, timeout=60, env=environment, **kwargs
    )


@pytest.mark.parametrize("args", [["--help"], ["plan", "--help"], ["cohort"], ["--version"]])
def test_help_imports_no_heavy_library(args):
    """The first thing that anybody sees must not wait for a learning library."""
    told = subprocess.run(
        [sys.executable, "-X", "importtime", *FEDPET[1:], *args],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.returncode == 0
    imported = {line.split("|")[-1].strip().split(".")[0] for line in told.stderr.splitlines()}
    assert imported & set(HEAVY) == set()


def groups() -> Iterator[tuple[click.Group, click.Context]]:
    """Yield every group of commands, with the context that the command line gives it."""
    settings = main.FEDPET.context_settings
    waiting: list[click.Context] = [click.Context(main.FEDPET, obj=Terminal(), **settings)]
    while waiting:
        context = waiting.pop()
        group = context.command
        assert isinstance(group, click.Group)
        yield group, context
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                waiting.append(click.Context(command, parent=context, info_name=name))


def test_every_command_is_listed_with_its_own_short_help():
    """The list is written without importing commands; it must not promise another set of them."""
    for group, context in groups():
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            assert command.name == name


def test_every_command_teaches():
    """Each help says what is read and written, shows an example, and names what comes next."""
    for group, context in groups():
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            told = command.help
            assert "Next:" in told, name
            assert "\b\n  fedpet " in told, name
            if not isinstance(command, LazyGroup):
                assert "Read" in told, name
                assert "rite" in told, name


def test_a_misspelt_command_names_the_one_that_is_meant():
    """Nobody should have to look up what a typing error was meant to be."""
    told = call("plan", "chek", "x")
    assert told.returncode == 2
    assert told.stdout == ""
    assert told.stderr.startswith("FP-1002  No such command 'chek'. Did you mean 'check'?")


def test_a_misspelt_option_names_the_one_that_is_meant():
    """The same for options."""
    told = call("plan", "check", "x", "--site", "y", "--formt", "json")
    assert told.returncode == 2
    assert "Did you mean" in told.stderr


@pytest.mark.parametrize("order", ["before", "after"])
def test_global_options_stand_before_or_after_the_command(order, tmp_path):
    """People put options where they think of them."""
    missing = str(tmp_path / "none.toml")
    args = ["plan", "check", missing]
    wanted = ["--format", "json"]
    told = call(*(wanted + args if order == "before" else args + wanted))
    assert told.returncode == 6
    envelope = json.loads(told.stdout)
    assert envelope["command"] == "plan check"
    assert envelope["error"]["code"] == "FP-6000"
    assert told.stderr == ""


def test_a_usage_error_is_json_for_those_who_asked_for_it():
    """A program that misuses a command must be able to read why."""
    envelope = json.loads(call("plan", "chek", "--format=json").stdout)
    assert envelope["ok"] is False
    assert envelope["schema"] == "fedpet/1"
    assert envelope["command"] == "plan"
    assert envelope["error"]["code"] == "FP-1002"


def test_the_program_alone_shows_its_help():
    """`fedpet` is what a stranger types first."""
    told = call()
    assert told.returncode == 0
    assert "fedpet demo" in told.stdout


def test_a_reader_that_leaves_ends_the_program_quietly():
    """`fedpet help | head -1` must not end in a complaint."""
    script = f"{sys.executable} -m fedpet.cli.main help | head -1; echo ${{PIPESTATUS[0]}}"
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert told.stderr == ""
    assert told.stdout.splitlines()[-1] in ("0", "141")


def test_an_error_block_says_what_why_and_what_to_do():
    """The four lines of the specification, in this order, wrapped under each other."""
    error = DataError(
        "Scan 3f2a has no weight.", why="One\nTwo", do=("Do this.", "Or that."), code="FP-2112"
    )
    assert block(error).splitlines() == [
        "FP-2112  Scan 3f2a has no weight.",
        "Why      One",
        "         Two",
        "Do       Do this.",
        "         Or that.",
        "More     fedpet help FP-2112",
    ]


def test_an_answer_with_an_error_never_ends_with_zero(capsys):
    """`ok` false and exit code 0 is a trap that scripts fall into."""
    terminal = Terminal(format="json", command="x")
    assert terminal.answer(Answer(data={"a": 1})) == 0
    assert terminal.answer(Answer(data={}, error=RefusalError("No."))) == 5
    first, second = capsys.readouterr().out.strip().split("\n}\n{")
    assert json.loads(first + "}")["ok"] is True
    assert json.loads("{" + second)["ok"] is False


def test_a_fault_of_ours_leaves_a_report_without_any_value(tmp_path, capsys, monkeypatch):
    """A crash report travels by mail; what a patient's file said must not travel with it."""

    def work(name: str) -> None:
        raise ValueError(f"could not parse {name}")

    terminal = Terminal(command="cohort build", crash_folder=tmp_path, resume="fedpet resume r")
    try:
        work("MARTIN^Jeanne 1951")
    except ValueError as error:
        code = faults.tell(error, terminal, args=[])
    told = capsys.readouterr().err
    reports = list(tmp_path.glob("crash-*.txt"))
    assert code == 1
    assert len(reports) == 1
    text = reports[0].read_text()
    assert "builtins.ValueError" in text
    assert "test_command_line:" in text
    for shown in (text, told):
        assert "MARTIN" not in shown
        assert "could not parse" not in shown
        assert "Traceback" not in shown
    assert "fedpet resume r" in told


def test_a_missing_hospital_side_is_said_in_words(capsys):
    """Who installed the coordinator only should be told what to install."""
    error = ModuleNotFoundError("No module named 'torch'", name="torch")
    assert faults.tell(error, Terminal(), args=[]) == 6
    assert "pip install 'fedpet[node]'" in capsys.readouterr().err


def test_a_full_disk_is_no_fault_of_ours_and_shows_no_path(capsys):
    """A path may hold a patient's name; only one that was typed is shown again."""
    error = OSError(28, "No space left on device", "/data/MARTIN/x.npy")
    assert faults.tell(error, Terminal(), args=["run"]) == 3
    told = capsys.readouterr().err
    assert "No space left on device" in told
    assert "MARTIN" not in told


def test_ctrl_c_says_that_nothing_is_lost(capsys):
    """Whoever stops a run must know at once how to go on."""
    terminal = Terminal(resume="fedpet resume runs/x")
    assert faults.tell(KeyboardInterrupt(), terminal, args=[]) == 130
    told = capsys.readouterr().err
    assert "Nothing is lost." in told
    assert "fedpet resume runs/x" in told


def test_every_error_class_has_the_exit_code_of_the_specification():
    """Scripts tell errors apart by these numbers."""
    codes = {kind.__name__: kind.exit_code for kind in FedpetError.__subclasses__()}
    assert codes == {
        "PlanError": 3,
        "DataError": 3,
        "StoreError": 3,
        "EngineError": 4,
        "RefusalError": 5,
        "NotFoundError": 6,
        "UpdateError": 7,
    }


def test_plan_commands_and_reports_work_without_the_hospital_side(tmp_path):
    """The coordinator installs neither torch nor DICOM."""
    blocker = tmp_path / "sitecustomize.py"
    blocker.write_text(
        "import sys\n"
        "for name in ('torch', 'pydicom', 'SimpleITK', 'blosc2', 'nibabel', 'highdicom'):\n"
        "    sys.modules[name] = None\n"
    )
    plan = tmp_path / "plan.toml"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for args in (["plan", "new", plan], ["plan", "check", plan], ["plan", "show", plan], ["help"]):
        told = subprocess.run(
            [*FEDPET, *map(str, args)], capture_output=True, text=True, timeout=60, env=environment
        )
        assert told.returncode == 0, told.stderr
    assert Path(plan).exists()
