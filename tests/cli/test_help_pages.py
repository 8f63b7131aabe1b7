"""Every number that an error shows can be looked up, and the manual is fresh."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fedpet.cli.helping import codes, topics
from fedpet.cli.main import run
from fedpet.cli.manual import manual

ROOT = Path(__file__).resolve().parents[2]


def used_codes() -> set[str]:
    """Codes that stand in the source, help pages excepted."""
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        found |= set(re.findall(r"FP-\d{4}", path.read_text(encoding="utf-8")))
    return found


def test_every_code_in_the_source_has_a_help_page():
    """`More: fedpet help FP-2004` must lead somewhere."""
    assert sorted(used_codes() - set(codes())) == []


def test_no_help_page_is_about_a_code_that_no_longer_exists():
    """Pages about what cannot happen hide the others."""
    assert sorted(set(codes()) - used_codes()) == []


@pytest.mark.parametrize("name", [*topics(), "fp-2004", "FP-3010"])
def test_a_page_can_be_read(name, capsys):
    """In either case of letters, as text and as JSON."""
    assert run(["help", name]) == 0
    assert len(capsys.readouterr().out) > 60
    assert run(["help", name, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["title"]


def test_a_page_that_is_not_there_is_not_found(capsys):
    """With the one that may be meant."""
    assert run(["help", "fodler"]) == 6
    assert "Did you mean 'folder'?" in capsys.readouterr().err


def test_commands_named_in_help_pages_exist():
    """A page that recommends a command that is not there is worse than none."""
    text = manual()
    told = "\n".join(page.text for page in [*codes().values(), *topics().values()])
    named = set(re.findall(r"(?:`|  )fedpet ((?:cohort|plan) [a-z]+|[a-z]+)", told))
    assert len(named) > 5
    for command in named:
        assert f"## fedpet {command}\n" in text, command


def test_the_manual_of_commands_is_fresh():
    """docs/reference/commands.md is made by `python -m fedpet.cli.manual`."""
    page = ROOT / "docs/reference/commands.md"
    assert page.read_text(encoding="utf-8") == manual()
