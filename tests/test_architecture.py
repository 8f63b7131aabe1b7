"""Rooms see what they may see, and the coordinator runs where no torch and no DICOM is."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

COORDINATOR = """
import importlib, pkgutil, sys
from importlib.metadata import distribution, packages_distributions
from packaging.requirements import Requirement

def needed(name, extras=()):
    found, waiting = set(), [(name, frozenset())]
    while waiting:
        name, wanted = waiting.pop()
        key = name.lower().replace("_", "-")
        if key in found:
            continue
        found.add(key)
        try:
            requires = distribution(name).requires or []
        except importlib.metadata.PackageNotFoundError:
            continue  # needed on another platform or Python only
        for text in requires:
            required = Requirement(text)
            if required.marker is None or required.marker.evaluate({"extra": ""}):
                waiting.append((required.name, frozenset()))
    return found

base = needed("fedpet")
blocked = {
    module
    for module, owners in packages_distributions().items()
    if not any(owner.lower().replace("_", "-") in base for owner in owners)
}
for module in ("torch", "pydicom", "SimpleITK", "blosc2", "nibabel", "highdicom"):
    assert module in blocked, f"{module} must not be needed by the coordinator"
for module in [name for name in sys.modules if name.split(".")[0] in blocked]:
    del sys.modules[module]  # what this program itself needed so far

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ImportError(f"{name} is not a base requirement of fedpet")

sys.meta_path.insert(0, Refuse())

for room in ("federation", "engines", "privacy", "report"):
    package = importlib.import_module(f"fedpet.{room}")
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)

import tempfile
from pathlib import Path
import numpy as np
from fedpet.engines.in_process import InProcessEngine
from fedpet.federation.arms import fit_cox, train_federated
from fedpet.federation.asking import Execution
from fedpet.federation.journal import Journal
from fedpet.federation.messages import Reply, decode, encode
from fedpet.federation.moments import moments_of
from fedpet.federation.preparation import enrol, everybody
from fedpet.plan import Inputs, Plan, Training, fingerprint
from fedpet.survival import cox
from fedpet.survival.baseline import exposure_sums
from fedpet.survival.describe import histogram_sums
from fedpet.survival.preprocessing import Preprocessing, moment_sums

def site(name, seed):
    rng = np.random.default_rng(seed)
    table, time = rng.normal(size=(40, 1)) + 5, rng.exponential(300, 40)
    event = rng.random(40) < 0.7
    def answer(data):
        asked = decode(data)
        arrays, design = dict(asked.arrays), None
        if "prep.mean" in arrays:
            scaling = {n[5:]: a for n, a in arrays.items() if n.startswith("prep.")}
            design = Preprocessing.from_arrays(scaling, columns=["age"]).transform(table)
        if asked.kind == "count":
            said = {"subjects": np.array([40.0]), "events.pfs": np.array([1.0]),
                    "events.os": np.array([1.0])}
        elif asked.kind == "moments":
            said = moment_sums(table, log=np.array([False]), center=arrays.get("center"))
        elif asked.kind == "histogram":
            said = histogram_sums(table, arrays["edges"])
        elif asked.kind == "cox":
            said = cox.to_arrays(cox.cox_sums(design, time, event, arrays["beta"]))
        elif asked.kind == "exposure":
            said = exposure_sums(np.zeros(40), time, event, np.array([0.0, 100.0]))
        else:
            said = {"w": np.ones(3) * 40, "weight.shared": np.array([40.0]),
                    "loss.shared": np.array([4.0])}
        return encode(Reply(site=name, experiment=asked.experiment, step=asked.step, attempt=0,
                            status="ok", arrays=said))
    return answer

def finish(walk):
    while True:
        try:
            next(walk)
        except StopIteration as stop:
            return stop.value

plan = Plan(name="p", title="t", cohort="c", inputs=Inputs(clinical=("age",), biomarkers=()),
            training=Training(rounds=2))
with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as journal:
    engine = InProcessEngine({f"s{i}": site(f"s{i}", i) for i in range(3)}, workers=2)
    run = Execution(plan=plan, fingerprint=fingerprint(plan), experiment="e", engine=engine,
                    journal=journal)
    fold, moments = finish(moments_of(run, everybody(finish(enrol(run)))))
    prep = moments.preprocessing(("age",))
    _, fit = finish(fit_cox(run, fold, prep, arm="cox", endpoint="pfs", site=None))
    network, losses = finish(train_federated(run, fold, prep, {"w": np.zeros(3)},
                                            subjects=120))
assert fit.subjects == 120 and np.isfinite(fit.params).all()
assert network.arrays["model.w"].tolist() == [2.0, 2.0, 2.0]
print("done", sorted(name for name in sys.modules if name in blocked))
"""


def test_the_import_contracts_hold():
    """Layers, no cycles, no patient at the coordinator, torch in four rooms only."""
    program = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run(
        [program, "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


def test_the_coordinator_runs_with_the_base_requirements_alone():
    """Every other installed package is refused: rooms import, and steps of an experiment run."""
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COORDINATOR],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout == "done []\n"
