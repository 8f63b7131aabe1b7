"""The model card is made of the results alone."""

from __future__ import annotations

import copy
import hashlib
import json
import re

import pytest
from results_of_ten_hospitals import ARMS, results_document

from fedpet.errors import StoreError
from fedpet.report import card


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_card_gives_the_results_numbers(language):
    """No number of a card is typed by hand."""
    document = results_document()
    text = card.render(document, language=language)
    for arm in ARMS:
        value = f"{document['performance']['pfs'][arm]['c_within']['value']:.3f}"
        assert (value.replace(".", ",") if language == "fr" else value) in text
    assert document["plan"]["fingerprint"] in text
    assert not re.search(r"\b(nan|None)\b", text)


def test_the_card_names_the_file_that_lies_beside_it():
    """The digest is that of `results.json` as a run writes it."""
    document = results_document()
    written = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    assert hashlib.sha256(written.encode()).hexdigest() in card.render(document)


def test_names_cannot_write_markdown_or_html():
    """A title is another person's text."""
    document = copy.deepcopy(results_document())
    document["plan"]["title"] = "x\n\n## <img src=x> | y"
    text = card.render(document)
    assert "<img" not in text
    assert text.splitlines()[0].endswith(r"x \#\# &lt;img src=x&gt; \| y")


def test_every_table_of_the_card_has_the_same_cells_in_each_row():
    """Otherwise Markdown shows no table."""
    rows = [line for line in card.render(results_document()).splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in rows]
    heads = [index for index, line in enumerate(rows) if set(line) <= set("|-: ") and "-" in line]
    for head in heads:
        assert widths[head - 1] == widths[head] == widths[head + 1]


def test_a_card_needs_only_a_plan():
    """Parts that are absent are left out."""
    document = results_document()
    bare = {"schema": document["schema"], "plan": document["plan"]}
    assert "nothing can be concluded" in card.render(bare)
    with pytest.raises(StoreError, match="schema"):
        card.render({"schema": "other"})


@pytest.mark.parametrize(
    ("language", "told"), [("en", ("2.6", "more than 21 %")), ("fr", ("2,6", "plus de 21 %"))]
)
def test_epsilon_and_what_it_means_stand_in_the_card(language, told):
    """A number without its meaning is read as safety; no noise is said as plainly."""
    document = copy.deepcopy(results_document())
    noise = {"mode": "distributed", "delta": 1e-4, "epsilon": 2.604, "found": 0.2107}
    document["privacy"] = {**document.get("privacy", {}), "noise": noise}
    text = card.render(document, language=language).replace("\u202f", " ").replace("\xa0", " ")
    assert all(part in text for part in told)
    bare = {"en": "No privacy noise", "fr": "Aucun bruit"}[language]
    assert bare not in text
    assert bare in card.render(results_document(), language=language)
