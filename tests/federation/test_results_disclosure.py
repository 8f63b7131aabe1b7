"""The document that a run leaves is passed on: no small count stands in it."""

from fedpet.federation.preparation import Enrolled, Fold
from fedpet.federation.results import Evidence, _finding, _sites


def evidence(events: dict[str, int]) -> Evidence:
    sites = tuple(sorted(events))
    return Evidence(
        enrolled=Enrolled(
            subjects=dict.fromkeys(sites, 20),
            events={site: {"pfs": count} for site, count in events.items()},
            refusals={},
        ),
        folds=[
            Fold(index=0, train_sites=sites, test_sites=sites, train_part="all", test_part="all")
        ],
        losses={},
        fits={},
        pooled={},
        judged={},
        labels={},
    )


def test_few_events_and_few_others_are_hidden_and_cannot_be_subtracted():
    """Two events of 20 could be recognised, and so could two subjects without one."""
    listed = _sites(evidence({"a": 2, "b": 18, "c": 10, "d": 11}))
    assert [site["events"]["pfs"] for site in listed] == ["<5", ">15", 10, 11]
    listed = _sites(evidence({"a": 2, "b": 9, "c": 10}))
    assert [site["events"]["pfs"] for site in listed] == ["<5", "?", 10]


def test_a_finding_about_few_subjects_has_no_number():
    """Three subjects without a dose are few enough to be recognised; none is nobody."""
    assert _finding({"code": "FP-2150", "subjects": 3})["subjects"] == "<5"
    assert _finding({"code": "FP-2150", "subjects": 30})["subjects"] == 30
    assert _finding({"code": "FP-2150", "subjects": 0})["subjects"] == 0
