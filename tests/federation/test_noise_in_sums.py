"""Distributed noise under the secure sum: what is opened is all sites' gradients and all shares."""

from __future__ import annotations

import math
from contextlib import ExitStack

import numpy as np
from test_singled_out import Hospitals, closed

from fedpet.federation.asking import Question, answered
from fedpet.plan import Privacy, Sites, Training
from fedpet.training import private
from noisy import BODY, request
from toy import toy_plan

CLIP, MULTIPLIER, HONEST = 1.0, 6.0, 3
PRIVACY = Privacy(
    differential_privacy="distributed",
    clip_norm=CLIP,
    noise_multiplier=MULTIPLIER,
    honest_sites_min=HONEST,
    delta=1e-3,
)


def test_the_noise_of_a_masked_sum_is_that_of_all_shares(tmp_path, monkeypatch):
    """Nothing of it is lost in the ring, or wraps: the sum is exact, its noise as wide as told."""
    told = []
    share = private.share_of_noise

    def watched(summed, **values):
        noisy = share(summed, **values)
        told.append((summed, noisy))
        return noisy

    monkeypatch.setattr(private, "share_of_noise", watched)
    plan = toy_plan(
        sites=Sites(sites_min=3), privacy=PRIVACY, training=Training(rounds=3, batch_size=8)
    )
    with ExitStack() as stack:
        hospitals = Hospitals(tmp_path, stack, plan)
        hospitals.open()
        arrays = request(hospitals.cohorts["site-0"], plan)
        question = Question(
            step="all/network/step-00001",
            label="A step",
            kind="gradient",
            sites=hospitals.names,
            body=BODY,
            arrays=arrays,
        )
        found = closed(hospitals.run("a"), question)
    assert answered(found) == hospitals.names
    assert len(told) == len(hospitals.names)
    names = [name.removeprefix("model.") for name in arrays if name.startswith("model.")]
    opened = np.concatenate([found.arrays[name].ravel() for name in names])
    shares = np.sum([noisy for _, noisy in told], axis=0)
    assert sorted(opened) == sorted(shares)  # to the last bit, whatever the parameters' order
    noise = np.sum([noisy - clean for clean, noisy in told], axis=0)
    expected = MULTIPLIER * CLIP * math.sqrt(len(told) / HONEST)
    assert abs(noise.std() / expected - 1) < 4 / math.sqrt(2 * noise.size)
    assert expected >= MULTIPLIER * CLIP
