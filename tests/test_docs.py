"""What the documents promise is what the program has."""

import re
import shlex
from pathlib import Path

import click
import pytest

from fedpet import planfile
from fedpet.cli.main import FEDPET
from fedpet.node.policy import COMMENTS

ROOT = Path(__file__).resolve().parents[1]


def test_every_key_of_a_plan_is_explained():
    """A hospital that reads docs/plan.md knows every word that a plan can say."""
    text = (ROOT / "docs/plan.md").read_text(encoding="utf-8")
    known = planfile.keys()
    assert [key for key in known if f"`{key}`" not in text] == []


def test_no_key_is_explained_that_a_plan_cannot_hold():
    """A document that promises more than the program has misleads its reader."""
    text = (ROOT / "docs/plan.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([\w.]+)` \|", text, flags=re.MULTILINE))
    assert told - set(planfile.keys()) == set()


def test_every_rule_of_a_hospital_is_explained():
    """A policy's file and its page in the documents name the same rules."""
    text = (ROOT / "docs/concepts/what-leaves.md").read_text(encoding="utf-8")
    assert [rule for rule in COMMENTS if f"`{rule}`" not in text] == []


def test_links_between_documents_lead_somewhere():
    """No page points to a file that is not there."""
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            outside = target.startswith(("http://", "https://"))
            if not outside and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def commands_in_documents() -> list[tuple[str, list[str]]]:
    """Return every fedpet command of a block, with the page it stands on."""
    found = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        if page.name == "commands.md":  # made from the help itself
            continue
        inside = False
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith("```"):
                inside = not inside
            elif inside and line.startswith("fedpet "):
                words = shlex.split(line, comments=True)
                found.append((str(page.relative_to(ROOT)), words[1:]))
    return found


@pytest.mark.parametrize(("page", "words"), commands_in_documents())
def test_every_command_of_a_document_exists(page, words):
    """What a reader copies from a page is a command, with options that it has."""
    # With the settings of the command line: click keeps the first help option that it makes.
    context = click.Context(FEDPET, info_name="fedpet", **FEDPET.context_settings)
    command: click.Command = FEDPET
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None, f"{page}: {name}"
        command, context = found, click.Context(found, info_name=name, parent=context)
    command.make_parser(context).parse_args(words)


def test_the_targets_of_the_readme_exist():
    """`make demo` and its like are in the Makefile."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make ([a-z-]+)", text, flags=re.MULTILINE))
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"demo", "test"} <= targets <= rules
