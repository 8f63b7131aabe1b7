"""The hospital's rules, in its own words."""

import pytest

from fedpet.errors import StoreError
from fedpet.node.policy import Policy, read_policy, write_policy
from fedpet.plan import Endpoints, Inputs, Plan, Privacy, Sites, Training

PLAN = Plan(name="p", title="t", cohort="c", inputs=Inputs(clinical=("age_years",), biomarkers=()))


def test_a_plan_within_the_policy_meets_no_objection():
    """The default policy lets the default plan pass to a person."""
    assert Policy().objections(PLAN) == ()


def test_every_objection_is_told_at_once():
    """A researcher should not have to ask five times."""
    plan = Plan(
        name="p",
        title="t",
        cohort="c",
        inputs=PLAN.inputs,
        intended_use="diagnosis",
        sites=Sites(sites_min=2),
        endpoints=Endpoints(survival=("pfs", "weight_loss")),
        training=Training(rounds=10_000),
        privacy=Privacy(update_norm_max=1e6, secure_sum=False),
    )
    text = " ".join(Policy().objections(plan))
    for part in ("weight_loss", "from 2 sites", "10000", "diagnosis", "secure sum"):
        assert part in text
    assert len(Policy().objections(plan)) == 6


def test_a_policy_survives_its_file(tmp_path):
    """What the hospital wrote is what the node enforces."""
    policy = Policy(
        secure_sum="optional", subjects_min=30, sites_min=4, releases=(), update_norm_max=2.0
    )
    write_policy(policy, tmp_path / "policy.toml")
    assert read_policy(tmp_path / "policy.toml") == policy


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("subjects_mn = 3", "unknown key 'subjects_mn'"),
        ("subjects_min = 'ten'", "'subjects_min' is 'ten'"),
        ("subjects_min = -1", "not negative"),
        ("sites_min = [", "not TOML"),
        ("update_norm_max = nan", "'update_norm_max' is nan"),
        ("update_norm_max = inf", "'update_norm_max' is inf"),
        ("releases = [1]", "'releases'"),
        ("secure_sum = 'off'", "expected one of required, optional"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_reason(tmp_path, text, found):
    """A policy that is not understood must not be enforced as something else."""
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(StoreError) as caught:
        read_policy(tmp_path / "policy.toml")
    assert found in str(caught.value)
