"""The plan: every value counts, nothing else does, and every mistake is told at once."""

import contextlib
import json
import re
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet import plan as plans
from fedpet import planfile
from fedpet.contradictions import contradictions
from fedpet.errors import NotFoundError, PlanError
from fedpet.plan import Inputs, Plan, fingerprint

PLAN = Plan(
    name="pfs-mip",
    title="Who progresses under immunotherapy?",
    cohort="nsclc-io",
    inputs=Inputs(
        clinical=("age_years", "ecog", "nlr"), biomarkers=("tmtv_ml",), log=("nlr", "tmtv_ml")
    ),
)
MINIMAL = """
name = "p"
title = "t"
cohort = "c"

[inputs]
clinical = ["age_years"]
biomarkers = ["tmtv_ml"]
"""


def other(value):
    """Return a value that differs from `value`, of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 4
    if isinstance(value, str):
        return value + "x"
    return (*value, "extra") if not value or isinstance(value[0], str) else (*value, 99.0)


def leaves():
    for field in fields(Plan):
        value = getattr(PLAN, field.name)
        if is_dataclass(value):
            yield from ((field.name, inner.name) for inner in fields(value))
        else:
            yield (field.name,)


def changed(path: tuple[str, ...]) -> Plan:
    if len(path) == 1:
        return replace(PLAN, **{path[0]: other(getattr(PLAN, path[0]))})
    section = getattr(PLAN, path[0])
    return replace(
        PLAN, **{path[0]: replace(section, **{path[1]: other(getattr(section, path[1]))})}
    )


@pytest.mark.parametrize("path", list(leaves()), ids=".".join)
def test_every_key_changes_the_fingerprint(path):
    """What a hospital approved is every value, the defaults too."""
    assert fingerprint(changed(path)) != fingerprint(PLAN)


def test_no_two_changes_share_a_fingerprint():
    """A value cannot slip from one key into another."""
    paths = list(leaves())
    assert len({fingerprint(changed(path)) for path in paths}) == len(paths)


def test_the_fingerprint_is_that_of_the_canonical_bytes():
    """Anybody can check it with sha256sum; JSON, sorted keys, no white space."""
    import hashlib

    data = plans.canonical_bytes(PLAN)
    assert hashlib.sha256(data).hexdigest() == fingerprint(PLAN)
    assert json.loads(data) == json.loads(json.dumps(asdict(PLAN)))


def test_comments_order_and_white_space_do_not_matter():
    """The same values in another dress are the same plan."""
    text = planfile.dumps(PLAN)
    blocks = re.split(r"\n(?=\[)", text)
    shuffled = "\n# a remark\n\n".join([blocks[0], *reversed(blocks[1:])]).replace(" = ", "   =  ")
    assert planfile.loads(shuffled) == PLAN
    assert fingerprint(planfile.loads(shuffled)) == fingerprint(PLAN)


def test_defaults_written_out_or_left_out_are_the_same_plan():
    """A default is a value like any other."""
    short = planfile.loads(MINIMAL)
    assert planfile.loads(planfile.dumps(short)) == short


def test_whole_numbers_may_stand_for_decimal_ones():
    """12 and 12.0 are the same month, and the same fingerprint."""
    one = planfile.loads(MINIMAL + "\n[endpoints]\nhorizons_months = [12]\n")
    two = planfile.loads(MINIMAL + "\n[endpoints]\nhorizons_months = [12.0]\n")
    assert fingerprint(one) == fingerprint(two)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MINIMAL + "\n[training]\nround = 3\n", 'line 11: unknown key "round" in [training]. Did'),
        (
            MINIMAL + "\n[trainning]\nrounds = 3\n",
            'unknown key "trainning". Did you mean "training"',
        ),
        (MINIMAL.replace("cohort", "cohrt"), 'unknown key "cohrt". Did you mean "cohort"?'),
        (MINIMAL.replace('cohort = "c"\n', ""), '"cohort" is missing.'),
        (MINIMAL + "\n[training]\nrounds = 0\n", 'line 11: "rounds" in [training] is 0'),
        (MINIMAL + "\n[training]\nrounds = '3'\n", "\"rounds\" in [training] is '3'"),
        (MINIMAL + "\n[training]\nlearning_rate = nan\n", '"learning_rate" in [training]'),
        (MINIMAL + "\n[training]\nlearning_rate = inf\n", '"learning_rate" in [training]'),
        (MINIMAL + "\n[training]\naugment = 1\n", '"augment" in [training] is 1'),
        (MINIMAL + "\n[training]\nrounds = 2026-01-01\n", '"rounds" in [training]'),
        (MINIMAL + "\n[evaluation]\nbaselines = ['magic']\n", '"baselines" in [evaluation]'),
        (MINIMAL + "\n[strategy]\nname = 'fedsgd'\n", "\"name\" in [strategy] is 'fedsgd'"),
        (
            MINIMAL + f"\n[evaluation]\nbaselines = ['tmtv']\n[sites]\nnames = {['a'] * 2000}\n",
            "; it should have at most 1000 items, not 2000",
        ),
        (MINIMAL + "\ntraining = 3\n", "unknown key"),
        ("training = 3\n" + MINIMAL, '"training" is 3'),
        ("name = 'a'\nname = 'b'", "is not TOML"),
        ("name = ", "is not TOML"),
        ("[" * 5000, "is not TOML"),
        ("", '"name" is missing'),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_was_meant(text, told):
    """Where, what was found, what is expected."""
    with pytest.raises(PlanError) as caught:
        planfile.loads(text)
    assert told in str(caught.value)


def test_all_mistakes_are_told_at_once():
    """Nobody should have to run the check five times."""
    text = MINIMAL + "\n[training]\nround = 3\nbatch_size = -1\n\n[cox]\nties = 'exact'\n"
    with pytest.raises(PlanError, match="3 mistakes") as caught:
        planfile.loads(text)
    assert [f"line {n}" in caught.value.why for n in (11, 12, 15)] == [True] * 3


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"endpoints": plans.Endpoints(primary="dfs")}, "endpoints.primary"),
        ({"endpoints": plans.Endpoints(binary=("os",))}, "endpoints.binary"),
        ({"endpoints": plans.Endpoints(horizons_months=(7.0,))}, "endpoints.horizons_months"),
        ({"model": plans.Model(intervals_months=(0.0, 9.0, 6.0, 24.0))}, "model.intervals_months"),
        ({"model": plans.Model(width=6)}, "model.width"),
        ({"sites": plans.Sites(names=("nice", "lyon"))}, "sites.names"),
        ({"sites": plans.Sites(names=("a", "b", "pooled"))}, "sites.names"),
        ({"inputs": replace(PLAN.inputs, log=("ldh",))}, "inputs.log"),
        ({"inputs": replace(PLAN.inputs, clinical=("nlr", "nlr"))}, "inputs.clinical"),
        ({"inputs": Inputs(clinical=("nlr",), biomarkers=())}, "evaluation.baselines"),
        ({"strategy": plans.Strategy(name="fedadam", server_rate=1.0)}, "strategy.server_rate"),
        ({"strategy": plans.Strategy(name="fedbn")}, "strategy.name"),
        (
            {
                "strategy": plans.Strategy(name="scaffold"),
                "privacy": plans.Privacy(differential_privacy="local"),
            },
            "strategy.name",
        ),
    ],
)
def test_what_cannot_be_true_together_is_told_by_its_key(changes, key):
    """Each value is fine by itself; together they are not."""
    assert key in [name for name, _ in contradictions(replace(PLAN, **changes))]
    with pytest.raises(PlanError):
        planfile.loads(planfile.dumps(replace(PLAN, **changes)))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"sites": plans.Sites(names=("a", "a", "b"))}, "sites.names"),
        ({"endpoints": plans.Endpoints(survival=("pfs", "pfs"))}, "endpoints.survival"),
        (
            {"endpoints": plans.Endpoints(horizons_months=(12.0, 12.0))},
            "endpoints.horizons_months",
        ),
        ({"inputs": replace(PLAN.inputs, biomarkers=("tmtv_ml", "ecog"))}, "inputs.biomarkers"),
        ({"endpoints": plans.Endpoints(survival=("pfs", "a/b"))}, "endpoints.survival"),
        ({"endpoints": plans.Endpoints(survival=("pfs", "a.b"))}, "endpoints.survival"),
        ({"endpoints": plans.Endpoints(horizons_months=(0.0, 12.0))}, "endpoints.horizons_months"),
    ],
)
def test_names_that_would_collide_are_told(changes, key):
    """A name listed twice, or one that would break names of steps and heads."""
    assert key in [name for name, _ in contradictions(replace(PLAN, **changes))]


TOML_SCRAPS = st.lists(
    st.sampled_from(
        [
            "name = 'p'", "title = 't'", "cohort = 'c'", "[inputs]", "[training]", "[model]",
            "clinical = ['a']", "biomarkers = []", "rounds = 3", "rounds = -1", "width = 8",
            "seed = 99999999999999999999", "[[inputs]]", "a.b.c = 1", "x = {y = [1, {z = 2}]}",
            "intervals_months = [0, 1, nan]", "names = [1, [2]]", "sites = []", "'' = 1",
            '"ключ" = "значение"', "d = 2026-01-01T00:00:00Z", "t = 07:32:00", "[inputs.deep]",
            "horizons_months = ['12']", "inputs = 'x'", "privacy = {update_norm_max = true}",
        ]
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=150)
@given(TOML_SCRAPS)
def test_scraps_of_toml_end_in_a_plan_or_a_plan_error(lines):
    """No input of a person ends in a traceback."""
    with contextlib.suppress(PlanError):
        assert isinstance(planfile.loads("\n".join(lines)), Plan)


@settings(max_examples=150)
@given(st.text(max_size=80))
def test_any_text_ends_in_a_plan_error(text):
    """Random characters are not a plan, and say so."""
    with pytest.raises(PlanError):
        planfile.loads(text)


@settings(max_examples=60)
@given(st.integers(0, 2000), st.text(max_size=3))
def test_a_damaged_plan_ends_in_a_plan_or_a_plan_error(position, scrap):
    """One place overwritten, anywhere in the file."""
    text = planfile.dumps(PLAN)
    position %= len(text)
    with contextlib.suppress(PlanError):
        assert planfile.loads(text[:position] + scrap + text[position + 1 :])


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path):
    """Missing, a folder, not UTF-8, too large: each has its sentence."""
    with pytest.raises(NotFoundError, match=r"no plan at 'x\.toml'"):
        planfile.load(tmp_path / "x.toml")
    with pytest.raises(NotFoundError):
        planfile.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes("title = 'é'".encode("latin-1"))
    with pytest.raises(PlanError, match="UTF-8"):
        planfile.load(tmp_path / "latin.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 20) + b"##")
    with pytest.raises(PlanError, match="1 MiB"):
        planfile.load(tmp_path / "large.toml")


def test_every_key_of_the_schema_is_listed():
    """`keys()` is what did-you-mean and the documentation draw from."""
    assert set(planfile.keys()) == {".".join(path) for path in leaves()}
