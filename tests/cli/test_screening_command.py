"""`fedpet biomarkers screen`: one page, corrected p-values, and forest plots over hospitals."""

from __future__ import annotations

import json
import re

import pytest

from fedpet import planfile
from fedpet.cli.main import run
from fedpet.plan import STATISTICS, Endpoints, Statistics
from toy import toy_plan
from toy_folders import write_toy_hospitals


@pytest.fixture(scope="module")
def screened(tmp_path_factory):
    """Screen two biomarkers of toy hospitals, one of which tells of the outcome."""
    folder = tmp_path_factory.mktemp("screen")
    write_toy_hospitals(folder / "hospitals", sites=3)
    plan = toy_plan(
        statistics=Statistics(allowed=STATISTICS),
        endpoints=Endpoints(survival=("pfs",), binary=()),
        title="Does <TMTV> tell?",
    )
    (folder / "plan.toml").write_text(planfile.dumps(plan))
    return folder


@pytest.fixture(scope="module")
def answer(screened):
    """Return the envelope of the screen."""
    import contextlib
    import io

    words = ["biomarkers", "screen", str(screened / "plan.toml"), "--adjust", "ecog"]
    words += ["--sites", str(screened / "hospitals"), "--out", str(screened / "page.html")]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert run([*words, "--format", "json"]) == 0
    return json.loads(out.getvalue())


def test_the_biomarker_that_tells_is_found_and_the_other_is_not(answer):
    """After correction for all tests, alone and adjusted."""
    found = {one["biomarker"]: one for one in answer["data"]["findings"]}
    assert set(found) == {"tmtv_ml", "suvmax"}
    for kind in ("alone", "adjusted"):
        assert found["tmtv_ml"][kind]["p_holm"] < 1e-4
        assert found["suvmax"][kind]["p_holm"] >= found["suvmax"][kind]["p"]
    cut = found["tmtv_ml"]["cutpoint"]
    assert cut["p_corrected"] >= cut["p_naive"]
    assert 1 < cut["hazard_ratio"] <= cut["hazard_ratio_seen"]
    assert set(found["tmtv_ml"]["by_hospital"]) == {"site-0", "site-1", "site-2"}
    assert answer["data"]["disclosure"]["left_out"] == {}


def test_the_page_needs_nothing_but_itself_and_names_every_hospital(answer, screened):
    """One file to be sent round; titles are text, not markup."""
    page = (screened / "page.html").read_text()
    assert "Does &lt;TMTV&gt; tell?" in page
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert page.count("<svg") > 10
    for site in ("site-0", "site-1", "site-2"):
        assert site in page
    assert "nan" not in page.lower().replace("finance", "")
