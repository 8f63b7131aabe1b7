"""What the documents promise is what the program has."""

import re
from pathlib import Path

from fedpet import planfile
from fedpet.node.policy import COMMENTS

ROOT = Path(__file__).resolve().parents[1]


def test_every_key_of_a_plan_is_explained():
    """A hospital that reads docs/plan.md knows every word that a plan can say."""
    text = (ROOT / "docs/plan.md").read_text(encoding="utf-8")
    assert [key for key in planfile.keys() if f"`{key}`" not in text] == []


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
            if not target.startswith(("http://", "https://")):
                if not (page.parent / target).exists():
                    broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []
