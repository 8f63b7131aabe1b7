"""The page tells what the results hold, and nothing else."""

from __future__ import annotations

import copy
import json
import math
import re
import time
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from reading import at, numbers_in, pictures, read
from results_of_ten_hospitals import ARMS, HORIZONS, SITES, results_document

from fedpet.errors import NotFoundError, StoreError
from fedpet.federation import results as federation_results
from fedpet.report import page
from fedpet.report.document import SCHEMA


@pytest.fixture(scope="module")
def document() -> dict:
    return results_document()


@pytest.fixture(scope="module", params=["en", "fr"])
def html(request, document) -> str:
    return page.render(document, language=request.param)


def test_every_number_with_an_address_equals_the_results(html, document):
    """A reader who checks the page against the JSON beside it finds no difference."""
    checked = set()
    for element in read(html).elements:
        pointer = element.attributes.get("data-path")
        if not pointer:
            continue
        found = at(document, pointer)
        if isinstance(found, dict):
            expected = [found["value"], found["low"], found["high"]]
        elif pointer.endswith("/hazard_ratio"):
            row = at(document, pointer.removesuffix("/hazard_ratio"))
            expected = [found, row["low"], row["high"]]
        else:
            expected = [found]
        written = re.findall(r"[.,](\d+)", element.text)
        shown = numbers_in(element.text.replace("–", " "))
        assert len(shown) == len(expected), (pointer, element.text)
        for one, truth, digits in zip(shown, expected, written, strict=True):
            assert abs(one - truth) <= 0.5 * 10 ** -len(digits) + 1e-12, (pointer, element.text)
        checked.add(pointer)
    wanted = {
        f"/performance/{endpoint}/{arm}/{measure}"
        for endpoint in ("pfs", "os")
        for arm in ARMS
        for measure in (
            "c_within",
            "c_global",
            *(f"{name}/{h}" for name in ("auc", "brier") for h in HORIZONS),
            *(f"calibration/{h}/observed_expected" for h in HORIZONS),
        )
    }
    assert wanted <= checked


def test_the_page_asks_for_nothing_outside_itself(html):
    """Hospitals open it without internet, and nobody learns that they did."""
    assert not re.search(r"""(?:src|href|action|data)\s*=\s*["']?(?!#)[^"'>\s]""", html)
    assert not re.search(r"@import|url\s*\(|https?://", html)
    assert not {"script", "link", "img", "iframe", "object"} & {e.tag for e in read(html).elements}


def test_the_page_is_well_formed(html):
    """Every tag closes in order and every identifier stands once."""
    reader = read(html)
    assert reader.faults == []
    assert reader.stack == []
    names = [e.attributes["id"] for e in reader.elements if "id" in e.attributes]
    assert len(names) == len(set(names))
    for element in reader.elements:
        for key in ("aria-labelledby", "aria-describedby"):
            assert set((element.attributes.get(key) or "").split()) <= set(names)
        if (element.attributes.get("href") or "#").startswith("#"):
            assert (element.attributes.get("href") or "#")[1:] in {"", *names}


def test_every_picture_is_xml_and_says_what_it_shows(html):
    """A screen reader hears a title; a chart that is not a table row also a description."""
    found = pictures(html)
    assert len(found) > 50
    for text in found:
        picture = ElementTree.fromstring(text)
        title = picture.find("title")
        assert title is not None
        assert title.text
        if "chart" in (picture.get("class") or ""):
            assert picture.find("desc").text


def test_headings_descend_without_a_gap_and_tables_name_their_headings(html):
    """Those who hear the page move through it by headings and by table cells."""
    reader = read(html)
    levels = [int(e.tag[1]) for e in reader.elements if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert all("scope" in e.attributes for e in reader.elements if e.tag == "th")
    tags = [e.tag for e in reader.elements]
    assert tags.count("main") == tags.count("header") == tags.count("footer") == 1
    assert tags.count("table") == tags.count("caption")


def test_a_site_that_is_named_like_a_script_stays_text(document):
    """Names come from other institutions and are not trusted."""
    evil = copy.deepcopy(document)
    name = "<script>alert('x')</script>\"&"
    evil["sites"][0]["name"] = name
    evil["plan"]["title"] = name
    evil["participation"]["state"] = {name: ["ok"] * 4}
    evil["site_performance"]["pfs"]["network-federated"][0]["site"] = name
    evil["arms"][0]["label"] = evil["arms"][0]["inputs"] = name
    evil["arms"].append({"id": name, "label": name, "inputs": name, "training": name})
    evil["performance"]["pfs"][name] = evil["performance"]["pfs"]["tmtv"]
    html = page.render(evil)
    reader = read(html)
    assert "script" not in {e.tag for e in reader.elements}
    assert reader.faults == []
    assert any(e.tag == "th" and name in e.text for e in reader.elements)
    for text in pictures(html):
        ElementTree.fromstring(text)


def test_no_number_at_risk_below_ten_is_shown(document):
    """Few people at risk can be recognised by those who know them."""
    html = page.render(document)
    text = " ".join(picture for picture in pictures(html) if 'class="count"' in picture)
    counts = re.findall(r'class="count"[^>]*>([^<]*)<', text.replace("&lt;", "below"))
    shown = [int(count) for count in counts if count.isdigit()]
    assert shown
    assert min(shown) >= 10
    assert any(count.startswith("below") for count in counts)


def test_curves_stop_where_their_numbers_at_risk_stop(document):
    """Picture and table must not contradict each other."""
    longer = copy.deepcopy(document)
    group = longer["kaplan_meier"]["pfs"]["network-federated"]["groups"][2]
    for key, last in (("months", 24.0), ("survival", 0.0), ("low", 0.0), ("high", 0.1)):
        group[key].append(last)
    assert page.render(longer).count("&lt; 10 at risk") == page.render(document).count(
        "&lt; 10 at risk"
    )


def test_a_hidden_count_is_shown_as_hidden(document):
    """The document says `<5` or `?` instead of a count, and so does the page, in its own words."""
    small = copy.deepcopy(document)
    small["sites"][3]["events"]["pfs"] = "<5"
    small["sites"][4]["events"]["pfs"] = "?"
    cells = [e.text for e in read(page.render(small)).elements if e.tag == "td"]
    assert "<\u202f5" in cells
    assert "withheld" in cells


def test_findings_count_few_subjects_without_a_number(document):
    """Three subjects without a dose are few enough to be recognised."""
    rows = [e.text for e in read(page.render(document)).elements if e.tag == "tr"]
    found = next(row for row in rows if "FP-2104" in row)
    assert "<\u202f5" in found
    assert "3" not in found.replace("FP-2104", "")


@pytest.mark.parametrize("key", sorted(set(results_document()) - {"schema", "plan"}))
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_part_that_is_absent_leaves_a_page_that_says_so(document, key, language):
    """An experiment without a network, a ceiling or findings still has a report."""
    for empty in ("remove", None, [], {}):
        less = {name: value for name, value in document.items() if name != key}
        if empty != "remove":
            less[key] = empty
        elements = read(page.render(less, language=language)).elements
        body = next(e.text for e in elements if e.tag == "body")
        assert not re.search(r"\b(nan|None|inf|undefined)\b", body)


def test_what_cannot_be_estimated_is_said_with_its_reason(document):
    """An empty cell would read as forgotten, NaN as a fault."""
    broken = copy.deepcopy(document)
    performance = broken["performance"]["pfs"]["network-federated"]
    performance["c_within"] = None
    performance["auc"]["24"] = {"value": math.nan, "low": None, "high": None}
    performance["brier"]["6"] = {"value": 0.2, "low": None, "high": None}
    broken["site_performance"]["pfs"]["network-federated"][0].update(
        c_within=None, subjects=0, events=0, reason="Lyon keeps its own results."
    )
    text = page.render(broken)
    assert "not estimable" in text
    assert "no interval" in text
    assert "Lyon keeps its own results." in text
    assert "nothing can be concluded" in text
    assert not re.search(r"\b(nan|None)\b", text)


def test_a_hospital_that_refused_stands_in_the_cohort_with_its_reason(document):
    """Who did not take part, and why, is a result."""
    refused = copy.deepcopy(document)
    refused["sites"].append(
        {"name": "far", "subjects": 0, "events": {}, "fold": None, "reason": "No consent for os."}
    )
    rows = [e.text for e in read(page.render(refused)).elements if e.tag == "tr"]
    assert any("far" in row and "No consent for os." in row for row in rows)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.09, "better than networks trained at one hospital alone"),
        (-0.09, -0.01, "worse than networks trained at one hospital alone"),
        (-0.02, 0.09, "because the interval includes zero"),
        (None, None, "for want of an interval"),
    ],
)
def test_the_verdict_says_what_the_interval_allows(document, low, high, words):
    """A difference whose interval includes zero is no gain, however large its value."""
    changed = copy.deepcopy(document)
    changed["differences"]["pfs"] = [
        {"a": "network-federated", "b": "network-local", "metric": "c_within",
         "value": 0.05 if low is None or low > 0 else low + 0.01, "low": low, "high": high}
    ]  # fmt: skip
    verdict = next(
        e.text
        for e in read(page.render(changed)).elements
        if e.attributes.get("class") == "verdict"
    )
    assert words in verdict


@pytest.mark.parametrize(
    "wrong", [{}, {"schema": "fedpet-results/2"}, {"schema": SCHEMA}, {"schema": SCHEMA, "plan": 3}]
)
def test_a_document_of_another_kind_is_refused_in_words(wrong):
    """The reader learns what was found and what to do, not a traceback."""
    with pytest.raises(StoreError, match=r"schema|plan"):
        page.render(wrong)
    with pytest.raises(NotFoundError, match="language 'de'"):
        page.render(results_document(), language="de")


def test_the_schema_is_the_one_that_experiments_write():
    """The rooms do not see each other; this test does."""
    assert SCHEMA == federation_results.SCHEMA


def test_the_page_is_small_quick_and_the_same_every_time(document):
    """It is mailed; and a digest of it can be signed."""
    page.render(document)
    start = time.process_time()
    first = page.render(document)
    assert time.process_time() - start < 0.5
    assert len(first.encode()) < 500_000
    assert first == page.render(json.loads(json.dumps(document)))


def test_hospitals_and_rounds_are_all_there(html):
    """Nobody is left out of the forest or of the grid of rounds."""
    rows = [e.text for e in read(html).elements if e.tag == "tr"]
    for site in SITES:
        assert sum(site in row for row in rows) >= 4
    assert html.count('class="state missed"') == len(SITES)


def test_decision_curves_and_the_average_hospital_are_drawn(html, document):
    """Three horizons of two endpoints; the summary over hospitals stands under the forest."""
    assert sum("decision" in picture for picture in pictures(html)) >= 6
    assert "/average_hospital/pfs/cox-federated/c_within" in html


def test_a_model_that_is_of_no_use_is_said_to_be_of_none(document):
    """Net benefit below that of acting on everybody at every threshold."""
    curve = document["performance"]["pfs"]["cox-federated"]["decision"]["6"]
    for one, everybody in zip(curve["model"], curve["treat_all"], strict=False):
        one["value"] = min(everybody, 0.0)
    assert "at no threshold of use" in page.render(document)
