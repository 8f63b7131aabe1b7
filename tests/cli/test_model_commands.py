"""A model's passport: written by a run, checked offline, and no byte of it can be changed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from federated import DEFAULT, federation, small_hospitals, small_plan, walk
from fedpet import plan as plans
from fedpet.cli.main import run
from fedpet.cli.run_files import RunFiles, keep
from fedpet.errors import StoreError
from fedpet.federation.passports import verify_passport
from fedpet.privacy.identity import Identity

NAME = "network-federated"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return the models' folder of a run in which every hospital signs."""
    folder = tmp_path_factory.mktemp("run")
    hospitals = small_hospitals(sites=3)
    hospitals["a-hospital-with-a-long-name"] = hospitals.pop("site-1")
    plan = small_plan(
        training=plans.Training(rounds=1),
        evaluation=plans.Evaluation(folds=3, bootstrap=2, baselines=()),
        acceptance=plans.Acceptance(every=1, guard_share=0.4, accepts_min=0.0, loss_rise_max=5.0),
    )
    rules = replace(DEFAULT, releases=("counts", "votes", "passport"), subjects_min=4)
    signs = dict.fromkeys(hospitals, rules)
    signs["site-2"] = replace(rules, releases=("counts", "votes"))
    with federation(folder / "nodes", plan, hospitals, policies=signs) as execution:
        finished, _ = walk(execution)
    files = RunFiles(folder=folder / "run")
    files.folder.mkdir()
    keep(files, finished, Identity.load_or_create(files.key))
    return files.folder / "models"


@pytest.fixture
def models(kept, tmp_path):
    """Return a copy that a test may damage."""
    return shutil.copytree(kept, tmp_path / "models")


def verified(models, capsys, *options, code=0):
    assert run(["model", "verify", str(models / f"{NAME}.safetensors"), *options]) == code
    told = capsys.readouterr()
    return told.out + told.err


def test_an_untouched_model_is_verified_from_its_two_files(models, capsys):
    """Who signed, and who did not, is told."""
    told = verified(models, capsys)
    assert "NO" not in told
    assert "2 signed, 1 silent" in told
    assert "1 of 1 candidates accepted" in told
    assert run(["model", "show", str(models / f"{NAME}.passport.json")]) == 0
    shown = capsys.readouterr().out
    assert "site-2: did not sign" in shown
    assert "site-0: cohort site-0" in shown
    assert "a-hospital-with-a-long-name: cohort" in shown


def test_every_model_of_a_run_has_a_passport_that_holds(models, capsys):
    """The Cox models and the folds' networks as well as the network and its companion."""
    names = {path.name.split(".")[0] for path in models.glob("*.safetensors")}
    assert len(names) == 7
    assert names == {path.name.split(".")[0] for path in models.glob("*.passport.json")}
    for name in names:
        assert run(["model", "verify", str(models / f"{name}.safetensors")]) == 0, name
        assert "2 signed, 1 silent" in capsys.readouterr().out


def test_no_byte_of_a_passport_can_be_changed(models):
    """Every 97th byte is turned; each change is found, by whatever check."""
    data = (models / f"{NAME}.passport.json").read_bytes()
    sha256 = json.loads(data)["passport"]["model"]["sha256"]
    assert all(one.passed for one in verify_passport(data, model_sha256=sha256))
    for place in range(0, len(data), 97):
        changed = bytearray(data)
        changed[place] ^= 1
        try:
            checks = verify_passport(bytes(changed), model_sha256=sha256)
        except StoreError:
            continue
        assert not all(one.passed for one in checks), place


def test_another_model_does_not_pass_under_this_passport(models, capsys):
    """One byte of the model's file, and the check that failed is named; exit code 3."""
    path = models / f"{NAME}.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "NO  the model's file" in verified(models, capsys, code=3)


def resigned(models, tmp_path, change):
    """Alter a passport and sign it anew, as whoever holds some key could."""
    path = models / f"{NAME}.passport.json"
    passport = json.loads(path.read_bytes())["passport"]
    change(passport)
    forger = Identity.load_or_create(tmp_path / "forger.pem")

    def canonical(values):
        return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()

    signature = forger.sign(b"model passport", canonical(passport)).hex()
    signer = {"key": forger.public.key.hex(), "signature": signature}
    path.write_bytes(canonical({"passport": passport, "signer": signer}) + b"\n")


def flip(passport):
    ballot = passport["acceptance"][0]["ballots"][0]
    ballot["accepts"] = not ballot["accepts"]


def rename(passport):
    passport["plan"]["canonical"] = passport["plan"]["canonical"].replace("toy", "joy")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (flip, "votes of hospitals"),
        (rename, "the plan and its fingerprint"),
        (lambda p: p["statements"][0].update(cohort="other"), "statements of hospitals"),
        (lambda p: p["code"].update(own="0" * 64), "the code"),
        (lambda p: p["audit_heads"]["site-0"].update(number=999), "heads of hospitals' audits"),
        (lambda p: p.update(experiment="other"), "statements of hospitals"),
    ],
)
def test_who_signs_a_forged_passport_anew_is_found_by_what_hospitals_signed(
    models, tmp_path, capsys, change, named
):
    """The runner's signature alone cannot make a vote, a cohort or a plan."""
    resigned(models, tmp_path, change)
    assert f"NO  {named}" in verified(models, capsys, code=3)


def test_a_passport_of_another_signer_is_refused_when_one_is_expected(models, tmp_path, capsys):
    """Whoever knows the runner's fingerprint finds a passport that somebody else signed."""
    resigned(models, tmp_path, lambda passport: passport)
    assert "NO" not in verified(models, capsys)
    told = verified(models, capsys, "--signer", "0123456789abcdef", code=3)
    assert "NO  the passport is signed" in told


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"passport": 3, "signer": {}}', "[" * 5000])
def test_garbage_is_no_passport(models, capsys, text):
    """Whatever stands in the file, an error with a code and no traceback."""
    (models / f"{NAME}.passport.json").write_text(text)
    assert run(["model", "verify", str(models / f"{NAME}.safetensors")]) == 3
    assert run(["model", "show", str(models / f"{NAME}.safetensors")]) == 3
    assert "FP-3060" in capsys.readouterr().err
    assert run(["model", "verify", str(models / "nothing.txt")]) == 6
    assert run(["model", "verify", str(models / "nothing.safetensors")]) == 6
