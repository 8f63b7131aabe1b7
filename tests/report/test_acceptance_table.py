"""How candidates for the network were judged, as the report tells it."""

from __future__ import annotations

import pytest

from fedpet.report.document import open_results
from fedpet.report.sections.models import acceptance
from fedpet.report.words import words_of

VERDICTS = [
    {"fold": 0, "round": 5, "accepts": 3, "votes": 3, "loss_before": 2.0, "loss": 1.5,
     "why": "accepted", "back_to": 5},
    {"fold": None, "round": 10, "accepts": 1, "votes": 4, "loss_before": 1.5, "loss": 9.0,
     "why": "votes", "back_to": 5},
    {"fold": None, "round": 15, "accepts": 4, "votes": 4, "loss_before": 1.5, "loss": 1.9,
     "why": "loss", "back_to": 0},
]  # fmt: skip


def opened(verdicts):
    return open_results(
        {"schema": "fedpet-results/1", "plan": {"primary": "pfs"}, "acceptance": verdicts}
    )


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["accepted", "rejected: too few votes, back to round 5",
                "rejected: the mean loss rose, back to the untrained network"]),
        ("fr", ["accepté", "rejeté : trop peu de votes, retour au tour 5",
                "rejeté : la perte moyenne a augmenté, retour au réseau non entraîné"]),
    ],
)  # fmt: skip
def test_every_verdict_says_why_and_where_training_went_on(language, told):
    """Whoever reads the report learns that a model was taken back, and why."""
    table = acceptance(opened(VERDICTS), words_of(language))
    assert table is not None
    shown = [row[-1].replace("\N{NO-BREAK SPACE}", " ") for row in table.rows]
    assert shown == told
    assert table.rows[1][2] in ("1 of 4", "1 sur 4")


def test_a_run_without_votes_has_no_such_table():
    """Nothing is shown where nothing was asked."""
    assert acceptance(opened([]), words_of("en")) is None
