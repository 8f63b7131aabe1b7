"""The page that stays at the hospital: complete, true to the cohort, and silent about people."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import stat
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.cli.main import run
from fedpet.cohort.build import build
from fedpet.cohort.cache import FOLDER, open_volume, read_entry
from fedpet.cohort.findings import KINDS, Finding, read_findings
from fedpet.cohort.manifest import read_manifest
from fedpet.cohort.page import render
from fedpet.cohort.page_charts import histogram
from fedpet.cohort.page_facts import Facts, facts_of
from fedpet.cohort.page_french import FINDINGS, FRENCH
from fedpet.cohort.page_words import ENGLISH
from fedpet.cohort.pictures import OUTLINE, png, thumbnail
from fedpet.cohort.remedies import REMEDIES
from fedpet.cohort.samples import open_cohort
from fedpet.cohort.summary import summary
from fedpet.errors import NotFoundError
from fedpet.imaging.remarks import TITLES
from fedpet.synthetic.hospitals import write_hospitals

VOID = {"meta", "img", "link", "br"}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory) -> Path:
    """A hospital with one subject of each kind: in order, to look at, left out."""
    folder = tmp_path_factory.mktemp("quality")
    list(write_hospitals(folder, subjects=8, sites=1, workers=1))
    hospital = folder / "lyon"
    table = hospital / "clinical.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[2] = re.sub(r"^([^,]+),[^,]*,", r"\1,1890-01-01,", lines[2])
    lines[3] = "GONE-" + lines[3]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    first = min(path for path in (hospital / "images").rglob("*") if path.is_file())
    patient = pydicom.dcmread(first, stop_before_pixels=True).PatientID
    for path in (hospital / "images").rglob("*"):
        if path.is_file():
            header = pydicom.dcmread(path, stop_before_pixels=True)
            if header.PatientID == patient and header.Modality == "PT":
                whole = pydicom.dcmread(path)
                whole.PatientWeight = None
                whole.save_as(path)
    list(build(hospital, workers=1))
    return hospital


@pytest.fixture(scope="module")
def facts(hospital) -> Facts:
    return facts_of(hospital, summary(hospital))


@pytest.fixture(scope="module", params=["en", "fr"])
def page(request, facts) -> str:
    return render(facts, language=request.param)


class Outline(HTMLParser):
    """Tags that are opened and closed, every attribute, and the text of each element by id."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_the_page_asks_for_nothing_from_elsewhere(page):
    """It is opened from a file share, in a network that sees everything."""
    for tag, name, value in outline(page).attributes:
        if name in ("src", "href", "action", "data", "poster", "srcset"):
            assert value.startswith(("data:image/png;base64,", "#")), (tag, name)
        assert name != "style", tag
        assert not name.startswith("on"), tag
    assert "<script" not in page
    assert "url(" not in page
    assert "http" not in page.replace("http-equiv", "")
    policy = re.search(r"style-src 'sha256-([^']+)'", page)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert policy is not None
    assert style is not None

    assert base64.b64decode(policy[1]) == hashlib.sha256(style[1].encode()).digest()


def test_no_identifier_is_on_the_page_nor_in_any_message(hospital, page, capsys):
    """Pseudonyms only: nothing of the table's first column, of names or of study dates."""
    shown = page
    for args in (["check"], ["check", "--format", "json"], ["check", "--html", "--language", "fr"]):
        run(["cohort", args[0], str(hospital), *args[1:]])
        told = capsys.readouterr()
        shown += told.out + told.err
    ids = set()
    for line in (hospital / "clinical.csv").read_text(encoding="utf-8").splitlines()[1:]:
        ids.add(line.split(",")[0])
    for path in (hospital / "images").rglob("*"):
        if path.is_file():
            header = pydicom.dcmread(path, stop_before_pixels=True)
            ids |= {str(header.PatientID), str(header.PatientName), str(header.StudyInstanceUID)}
            ids.add(str(header.SeriesInstanceUID))
    assert len(ids) > 20
    for one in ids - {""}:
        assert one not in shown


def test_the_strip_has_one_column_for_each_subject_and_says_what_the_findings_say(hospital, facts):
    """Number by number against findings.json and cohort.json, which the build wrote."""
    findings = read_findings(hospital / "cohort/findings.json")
    manifest = read_manifest(hospital / "cohort")
    used = {s.pseudonym for s in facts.subjects if s.used}
    assert used == set(manifest.subjects)
    lost = {s for f in findings if f.severity == "error" for s in f.subjects}
    assert {s.pseudonym for s in facts.subjects} - used == lost
    assert len(lost) == manifest.counts["left_out"] == 4
    for subject in facts.subjects:
        mine = {f.code: f.severity for f in findings if subject.pseudonym in f.subjects}
        assert {code for cell in subject.cells for code in cell.codes} == set(mine)
        for cell in subject.cells:
            worst = {mine[code] for code in cell.codes}
            if "error" in worst and cell.state != "none":
                assert cell.state == "fix"
            elif "warning" in worst and cell.state != "none":
                assert cell.state == "look"
    assert [s.used for s in facts.subjects] == sorted(s.used for s in facts.subjects)


def test_the_numbers_on_the_page_are_those_of_the_cohort(hospital, facts):
    """Cards, ranges and charts from the same arrays that models read."""
    page = render(facts)
    manifest, cohort = read_manifest(hospital / "cohort"), open_cohort(hospital / "cohort")
    cards = [int(n) for n in re.findall(r'<span class="v">(\d+)</span>', page)]
    look = sum(s.used and s.state == "look" for s in facts.subjects)
    assert cards == [
        len(manifest.subjects), 4, look, int(cohort.outcomes["pfs"].event.sum()),
    ]  # fmt: skip
    for column, values, told in zip(cohort.columns, cohort.table.T, facts.ranges, strict=True):
        known = values[~np.isnan(values)]
        assert told.name == column
        assert told.missing == np.isnan(values).sum()
        if known.size:
            np.testing.assert_allclose(told.five, np.quantile(known, [0, 0.25, 0.5, 0.75, 1]))
    out = hospital / "cohort"
    records = [read_entry(out / FOLDER, key) for key in manifest.entries.values()]
    assert sorted(facts.spreads["body_suv"]) == sorted(r.body_suv for r in records if r)
    assert sum(count for _, count in facts.rules) == len(records)
    assert page.count("<figure") == len(facts.spreads)
    for finding in facts.summary.findings:
        assert finding.fix.split("`")[0][:30] in page.replace("&#39;", "'").replace("&#34;", '"')


def test_pictures_show_the_projection_and_the_rim_of_the_lesions(hospital, facts):
    """Decoded with another program: white where there is nothing, black at SUV 8."""
    PIL = pytest.importorskip("PIL.Image")
    import io

    cohort = open_cohort(hospital / "cohort")
    for subject in facts.subjects:
        if not subject.used:
            assert subject.picture == b""
            continue
        row = cohort.subjects.index(subject.pseudonym)
        mip = np.asarray(cohort.mips[row, 0], np.float32)
        image = PIL.open(io.BytesIO(subject.picture))
        found = np.asarray(image)
        rim = found == OUTLINE
        expected = np.rint(np.clip(mip / 8, 0, 1) * 254)
        assert np.array_equal(found[~rim], expected[~rim])
        lesions = open_volume(hospital / "cohort", subject.pseudonym).lesions
        assert lesions is not None
        shadow = (lesions > 0).any(axis=1)
        assert not (rim & shadow).any()
        assert rim.any() == (shadow.any() and not shadow.all())
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


@given(
    levels=st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
        lambda s: st.lists(st.integers(0, 255), min_size=s[0] * s[1], max_size=s[0] * s[1]).map(
            lambda v: np.array(v, np.uint8).reshape(s)
        )
    )
)
def test_a_png_holds_what_was_drawn(levels):
    """Read by the letter of the format: chunks, checksums, lines."""
    data = png(levels, palette=bytes(768))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(body)
        chunks[body[:4]] = body[4:]
        at += 12 + length
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8)
    assert np.array_equal(lines.reshape(levels.shape[0], -1)[:, 1:], levels)


def test_large_projections_are_shrunk_without_losing_hot_spots():
    """At 4 mm a lesion of one voxel must still be seen."""
    PIL = pytest.importorskip("PIL.Image")
    import io

    mip = np.zeros((240, 112), np.float16)
    mip[101, 57] = 8.0
    found = np.asarray(PIL.open(io.BytesIO(thumbnail(mip, None))))
    assert found.shape == (120, 56)
    assert np.argwhere(found).tolist() == [[50, 28]]


@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=60))
def test_a_histogram_counts_every_value_once(values):
    """Whatever their range, and none falls off the edge."""
    drawn = histogram(values)
    assert sum(bar.count for bar in drawn.bars) == len(values)
    assert all(0 <= bar.x <= 320.01 and bar.height > 0 for bar in drawn.bars)


def test_both_languages_say_the_same_things():
    """A key that is missing in one language is found here and not by a reader."""
    assert ENGLISH.keys() == FRENCH.keys()
    for key, text in ENGLISH.items():
        names = set(re.findall(r"{(\w+)}", text))
        assert names == set(re.findall(r"{(\w+)}", FRENCH[key])), key
    assert set(KINDS) <= set(FINDINGS)
    assert set(TITLES) <= set(FINDINGS)
    assert set(TITLES) <= set(REMEDIES)


def test_a_language_that_is_not_there_is_told(facts):
    """With those that are."""
    with pytest.raises(NotFoundError, match="Use en or fr"):
        render(facts, language="de")


def test_names_and_cells_cannot_break_out_of_the_page(facts):
    """The titles of findings hold names of columns, which a hospital chooses."""
    from dataclasses import replace

    evil = "<script>alert(1)</script>\"'>"
    finding = Finding(code="FP-2167", severity="info", title=evil, fix=evil, details=(evil,))
    told = replace(facts.summary, findings=(finding,), site=evil, changes=(evil,))
    for language in ("en", "fr"):
        page = render(replace(facts, summary=told), language=language)
        assert "<script" not in page
        outline(page)


def test_the_command_writes_the_page_for_its_owner_alone(hospital, tmp_path, capsys):
    """Default place and a named one; check itself writes nothing else."""
    before = {p for p in hospital.rglob("*") if "quality" not in p.name}
    assert run(["cohort", "check", str(hospital), "--html", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["data"]["page"]
    assert told == str(hospital / "cohort" / "quality.html")
    assert stat.S_IMODE(Path(told).stat().st_mode) == 0o600
    named = tmp_path / "q.html"
    assert run(["cohort", "check", str(hospital), "--html", str(named), "--language", "fr"]) == 0
    assert '<html lang="fr">' in named.read_text(encoding="utf-8")
    assert {p for p in hospital.rglob("*") if "quality" not in p.name} == before
    shutil.rmtree(tmp_path)


def test_a_folder_of_hospitals_gets_a_page_for_each(hospital, tmp_path, capsys):
    """Whoever built all of them with one command checks them with one command."""
    for site in ("lyon", "nice"):
        shutil.copytree(hospital, tmp_path / "h" / site)
    (tmp_path / "h/nice/fixes.csv").write_text("subject,field,value\n")
    assert run(["cohort", "check", str(tmp_path / "h"), "--html", "one.html"]) == 2
    assert run(["cohort", "check", str(tmp_path / "h"), "--html", "--format", "json"]) == 3
    told = json.loads(capsys.readouterr().out)
    for site in ("lyon", "nice"):
        page = told["data"]["hospitals"][site]["page"]
        assert page == str(tmp_path / "h" / site / "cohort/quality.html")
        assert Path(page).exists()
    assert told["error"]["code"] == "FP-2190"
    assert told["error"]["why"].startswith("nice: The cohort is no longer what the folder holds.")


def test_a_cache_that_was_deleted_takes_no_subject_from_the_page(hospital, tmp_path):
    """The cache may be deleted at any time; the page then shows what is left."""
    folder = tmp_path / "lyon"
    shutil.copytree(hospital, folder, ignore=shutil.ignore_patterns("images"))
    shutil.rmtree(folder / "cohort" / "cache")
    facts = facts_of(folder, summary(folder))
    assert facts.rules == ()
    assert facts.spreads == {}
    assert len(facts.subjects) == 9
    for language in ("en", "fr"):
        outline(render(facts, language=language))


def test_a_build_in_which_nobody_can_be_used_has_a_page_too(hospital, tmp_path, capsys):
    """The first build of a hospital is the one that needs the page most."""
    folder = tmp_path / "lyon"
    shutil.copytree(hospital, folder, ignore=shutil.ignore_patterns("cohort"))
    table = folder / "clinical.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([lines[0], *(f"X{line}" for line in lines[1:])]) + "\n")
    assert run(["cohort", "build", str(folder), "--workers", "1", "-q"]) == 3
    capsys.readouterr()
    assert run(["cohort", "check", str(folder), "--html"]) == 3
    told = capsys.readouterr()
    assert "FP-2150" in told.out
    assert "No subject can be used." in told.err
    page = (folder / "cohort" / "quality.html").read_text(encoding="utf-8")
    outline(page)
    findings = read_findings(folder / "cohort" / "findings.json")
    lost = {s for f in findings for s in f.subjects}
    assert set(re.findall(r'id="s-([0-9a-f]{12})"', page)) == lost


class _Outline(HTMLParser):
    """What a screen reader goes by: language, headings, names of pictures, targets of links."""

    def __init__(self) -> None:
        super().__init__()
        self.language = ""
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.nameless: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "html":
            self.language = told.get("lang") or ""
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if told.get("id"):
            self.ids.append(str(told["id"]))
        if tag == "a" and str(told.get("href", "")).startswith("#"):
            self.targets.append(str(told["href"])[1:])
        named = "aria-label" in told or told.get("aria-hidden") == "true"
        if tag == "img" and "alt" not in told:
            self.nameless.append(tag)
        if tag == "svg" and not (named or told.get("role") == "img"):
            self.nameless.append(tag)
        if tag == "th" and "scope" not in told:
            self.nameless.append(tag)
        if told.get("role") == "img" and not named:
            self.nameless.append(f"{tag} with role img")
        if told.get("tabindex") == "0" and not named:
            self.nameless.append(f"{tag} that can be focused")


def test_a_screen_reader_can_tell_what_is_what(page):
    """As axe-core asks: a language, one h1, no skipped heading, names, targets that exist."""
    outline = _Outline()
    outline.feed(page)
    assert outline.language
    assert outline.levels.count(1) == 1
    assert outline.levels[0] == 1
    assert all(b - a <= 1 for a, b in zip(outline.levels, outline.levels[1:], strict=False))
    assert len(set(outline.ids)) == len(outline.ids)
    assert set(outline.targets) <= set(outline.ids)
    assert outline.nameless == []


def _contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        red, green, blue = (
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_stands_out_from_its_ground(page):
    """4.5 to 1, as WCAG AA asks: a data manager of sixty reads this page too."""
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    named = dict(re.findall(r"--(\w+):(#[0-9a-f]{3,6})", style[1]))

    def colour(told: str) -> str | None:
        found = re.fullmatch(r"var\(--(\w+)\)|(#[0-9a-f]{3}|#[0-9a-f]{6})", told)
        return None if found is None else named.get(found[1], found[2])

    pairs = []
    for body in re.findall(r"\{([^{}]*)\}", style[1]):
        rules = dict(part.split(":", 1) for part in body.split(";") if ":" in part)
        ink, ground = (colour(rules.get(name, "")) for name in ("color", "background"))
        if ink and ground:
            pairs.append((ink, ground))
    pairs += [
        (named[ink], paper)
        for ink in ("ink", "quiet", "accent")
        for paper in ("#ffffff", named["ground"])
    ]
    assert len(pairs) > 8
    assert [pair for pair in pairs if _contrast(*pair) < 4.5] == []
