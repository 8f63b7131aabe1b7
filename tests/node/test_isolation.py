"""A researcher's code breaks out of nothing; each attack is also seen to succeed unconfined."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from federated import approve
from fedpet import plan as plans
from fedpet.cohort.samples import Cohort
from fedpet.errors import RefusalError, UpdateError
from fedpet.federation.messages import Request, encode
from fedpet.models.own import execute, provided_by
from fedpet.node.gate import Node
from fedpet.node.policy import Policy, write_policy
from fedpet.node.worker import seccomp
from fedpet.node.worker.answers import require_initial, require_update, require_usable
from fedpet.node.worker.confinement import DEFENCES
from fedpet.node.worker.process import Limits, Worker
from fedpet.node.worker.shipping import pack, unpack
from fedpet.node.worker.words import WORDS, FailedWorkError
from fedpet.node.worker.workshop import Workshop, require_level
from fedpet.parameters import digest
from fedpet.training.work import WORK
from toy import toy_cohort, toy_plan
from toy_folders import write_toy_cohort

linux = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux")
MEBIBYTE = 1 << 20

PREFACE = """
import ctypes, os, resource, signal, socket, subprocess, time
import numpy, torch
from torch import nn
PARENT = os.getppid()
LIBC = ctypes.CDLL(None, use_errno=True)

def try_write(line):
    try:
        os.write(line, (2).to_bytes(8, "little") + (1 << 40).to_bytes(8, "little") + b"{}")
    except OSError:
        pass
"""
NETWORK = """
class Net(nn.Module):
    def __init__(self, image_shape, covariates, outputs):
        super().__init__()
        self.heads = nn.ModuleDict({n: nn.Linear(covariates, k) for n, k in outputs.items()})
        self.sizes = dict(outputs)

    def forward(self, images, covariates):
        number = int(covariates[0, 0])
        try:
            worth = float(ATTACKS[number]())
        except (OSError, MemoryError, RuntimeError):
            worth = 0.0
        return {n: torch.full((len(images), k), worth) for n, k in self.sizes.items()}
"""
ATTACKS = {
    "reads the node's database": 'return len(open("{database}", "rb").read())',
    "reads a key": 'return len(open("{key}", "rb").read())',
    "reads another cohort": 'return len(open("{other}", "rb").read())',
    "lists the hospital's folder": 'return len(os.listdir("{home}"))',
    "follows a link that it made": (
        'link = "{link}"; os.path.lexists(link) and os.unlink(link); '
        'os.symlink("{key}", link); return len(open(link).read())'
    ),
    "opens a TCP connection": (
        's = socket.create_connection(("127.0.0.1", {port}), 2); s.close(); return 1'
    ),
    "sends a datagram": (
        's = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); '
        'return s.sendto(b"x", ("127.0.0.1", {port}))'
    ),
    "talks to a local service": (
        's = socket.socket(socket.AF_UNIX); s.connect("{service}"); s.close(); return 1'
    ),
    "forks": (
        "pid = os.fork(); pid or os._exit(0); os.waitpid(pid, 0); return 1"
    ),
    "starts a program": 'return subprocess.run(["/bin/true"]).returncode == 0',
    "writes beside its scratch": 'return open("{note}", "w").write("x")',
    "alters its own cohort": 'return os.truncate("{images}", 0) is None',
    "fills the disk": (
        'folder = os.environ["TMPDIR"]; '
        '[open(f"{{folder}}/{{i}}", "wb").write(b"x" * (10 << 20)) for i in range(12)]; return 1'
    ),
    "signals the node": "return os.kill(PARENT, 0) is None",
    "reads the node's environment": 'return len(open(f"/proc/{{PARENT}}/environ", "rb").read())',
    "limits the node": (
        "resource.prlimit(PARENT, resource.RLIMIT_CORE, "
        "resource.prlimit(PARENT, resource.RLIMIT_CORE)); return 1"
    ),
    "outlives the node": "return LIBC.prctl(1, 0, 0, 0, 0) == 0",
    "makes a file in memory": 'return os.memfd_create("x") > 0',
}  # fmt: skip

LOOSE = {
    "allocates without bound": (
        "return len([numpy.ones(16 << 20, dtype=numpy.uint8).repeat(2) for _ in range(24)]) / 24"
    ),
    "loops": "end = time.monotonic() + 2.5\n    while time.monotonic() < end: pass\n    return 1",
    "crashes": "ctypes.string_at(0)",
    "tells a name": 'raise ValueError("Marie Curie, born 1867-11-07, has progressed")',
    "promises": (
        "[try_write(line) for line in range(3, 20)]; time.sleep(5); return 1"
    ),
    "does nothing": "return 1",
}  # fmt: skip
EVERY = ATTACKS | LOOSE


def code_of(attacks: dict[str, str], **places: object) -> str:
    """Return a network that does the attack whose number stands in its first covariate."""
    bodies = [attack.format(**places) for attack in attacks.values()]
    functions = "\n".join(f"def attack_{i}():\n    {body}" for i, body in enumerate(bodies))
    table = ", ".join(f"attack_{i}" for i in range(len(bodies)))
    return f"{PREFACE}\n{functions}\nATTACKS = [{table}]\n{NETWORK}"


def plan_with(source: str) -> plans.Plan:
    return toy_plan(model=plans.Model(code="model.py:Net", source=source))


def weights(cohort: Cohort) -> dict[str, np.ndarray]:
    """Return weights that fit the networks of this page with three covariates."""
    del cohort
    sizes = {"pfs": 8, "os": 8, "response": 1}
    return {
        f"model.heads.{name}.{part}": np.zeros((size, 3) if part == "weight" else size, np.float32)
        for name, size in sizes.items()
        for part in ("weight", "bias")
    }


def attempt(worker: Worker, number: int) -> float:
    """Let the worker do one attack; return what it gained, 0 if nothing."""
    covariates = np.full((2, 3), number, np.float32)
    found = worker.forward(np.zeros((2, 2, 32, 16), np.float32), covariates)
    return float(found["pfs"][0, 0])


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """A hospital's folder with all that custom code must not reach, and a service that listens."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("hospital")
    places = {"home": home, "link": home / "link", "note": home / "note"}
    for name in ("database", "key", "other"):
        places[name] = home / name
        places[name].write_text("secret")
        places[name].chmod(0o600)
    from fedpet.cohort.samples import open_cohort

    write_toy_cohort(home, toy_cohort("lyon", subjects=20, seed=1), site="lyon")
    cohort = open_cohort(home / "cohort")
    places["images"] = Path(cohort.mips.filename)
    places["service"] = home / "service"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(places["service"]))
        local.listen()
        places["port"] = server.getsockname()[1]
        yield cohort, places


@pytest.fixture(scope="module")
def confined(hospital):
    cohort, places = hospital
    limits = Limits(memory_bytes=700 * MEBIBYTE)
    worker = Worker(plan_with(code_of(EVERY, **places)), cohort, limits)
    worker.load(weights(cohort), 3)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def free(hospital):
    cohort, places = hospital
    # Its own cohort stays whole: the other tests read it.
    harmless = {"alters its own cohort": 'return open("{images}", "r+b").close() is None'}
    attacks = EVERY | harmless
    limits = Limits(without=DEFENCES, memory_bytes=700 * MEBIBYTE)
    worker = Worker(plan_with(code_of(attacks, **places)), cohort, limits)
    worker.load(weights(cohort), 3)
    yield worker
    worker.close()


@linux
def test_every_defence_is_tried_before_it_is_called_in_force(confined):
    """A level that was only asked for protects nobody; here all five held when tried."""
    assert confined.held == DEFENCES
    assert confined.level == "full"


@linux
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_confined_worker_gains_nothing(confined, attack):
    """Files, network, processes and neighbours of the node are out of reach."""
    assert attempt(confined, list(ATTACKS).index(attack)) == 0


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_same_attack_succeeds_without_the_defences(free, attack):
    """An attack that never works would prove nothing."""
    assert attempt(free, list(ATTACKS).index(attack)) > 0


def test_an_unconfined_worker_says_so(free):
    """The level is what was found, not what was hoped for."""
    assert free.level == "limits"


def code_when(worker: Worker, name: str) -> str:
    with pytest.raises(UpdateError) as told:
        attempt(worker, list(EVERY).index(name))
    return told.value.code


@linux
def test_memory_has_an_end(confined):
    """Code that allocates without bound gets an error of its own; the worker goes on."""
    assert attempt(confined, list(EVERY).index("allocates without bound")) == 0
    assert attempt(confined, list(EVERY).index("does nothing")) == 1


@pytest.mark.parametrize("attack", ["allocates without bound", "loops"])
def test_without_limits_the_same_code_takes_what_it_wants(free, attack):
    """The attacks upon memory and time work where nothing stands in their way."""
    assert attempt(free, list(EVERY).index(attack)) == 1


@pytest.mark.parametrize(
    ("attack", "code"), [("loops", "FP-7011"), ("crashes", "FP-7010"), ("promises", "FP-7010")]
)
def test_the_end_of_a_worker_is_not_the_end_of_the_node(hospital, attack, code):
    """A loop without end, a crash, an answer of 1 TiB: told as a failure at once, and over."""
    cohort, places = hospital
    worker = Worker(plan_with(code_of(EVERY, **places)), cohort, Limits())
    worker.load(weights(cohort), 3)
    worker._limits = Limits(seconds=1.5)
    started = time.monotonic()
    assert code_when(worker, attack) == code
    assert time.monotonic() - started < 4
    assert not worker.alive
    worker.close()


def test_what_custom_code_says_stays_at_the_hospital(confined):
    """An error's text may hold patients; it reaches the site's own log, and words of ours leave."""
    with pytest.raises(FailedWorkError) as told:
        attempt(confined, list(EVERY).index("tells a name"))
    assert "Curie" in told.value.detail
    assert str(told.value) == WORDS["FP-7010"]


@linux
def test_a_worker_does_not_outlive_its_node(tmp_path):
    """A node that is killed leaves no process behind that computes for nobody."""
    program = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from toy import toy_cohort, toy_plan\n"
        "from fedpet.node.worker.process import Limits, Worker\n"
        "w = Worker(toy_plan(), toy_cohort('a', subjects=5, seed=1), Limits())\n"
        "print(w._child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    node = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    worker = int(node.stdout.readline())
    node.send_signal(signal.SIGKILL)
    node.wait()
    node.stdout.close()
    for _ in range(50):
        try:
            os.kill(worker, 0)
            state = Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[0]
            if state in "ZX":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.1)
    pytest.fail("The worker still runs.")


PATCHED = """
import numpy, torch
from torch import nn
from fedpet.training import work

def evil(cohort, plan, body, arrays):
    found = work.real(cohort, plan, {k: v for k, v in body.items() if k != "attack"}, arrays)
    name = "heads.pfs.bias"
    if body["attack"] == "nan": found[name] = found[name] * numpy.nan
    if body["attack"] == "shape": found[name] = found[name][:-1]
    if body["attack"] == "name": found["patient-4711"] = numpy.ones(1)
    if body["attack"] == "huge": found[name] = found[name] * 0 + 1e30
    if body["attack"] == "weight": found["weight.pfs"] = found["weight.pfs"] + 1000
    return found

if not hasattr(work, "real"):
    work.real = work.WORK["train"]
torch.isfinite = lambda found: torch.ones_like(found, dtype=torch.bool)
numpy.isfinite = lambda found: numpy.ones_like(found, dtype=bool)
work.WORK["train"] = evil

class Net(nn.Module):
    def __init__(self, image_shape, covariates, outputs):
        super().__init__()
        self.heads = nn.ModuleDict({n: nn.Linear(covariates, k) for n, k in outputs.items()})

    def forward(self, images, covariates):
        return {n: head(covariates) for n, head in self.heads.items()}
"""


@pytest.fixture(scope="module")
def patched(hospital):
    cohort, _ = hospital
    worker = Worker(plan_with(PATCHED), cohort, Limits())
    worker.load(weights(cohort), 3)  # by now it has changed the libraries under our feet
    yield worker, cohort
    worker.close()


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        ("none", None),
        ("nan", "FP-7014"),
        ("huge", "FP-7014"),
        ("shape", "FP-7013"),
        ("name", "FP-7013"),
        ("weight", "FP-7013"),
    ],
)
def test_libraries_changed_in_the_worker_change_no_check_of_the_node(patched, attack, code):
    """The node counts and looks for itself; what it refuses had reached it unharmed."""
    worker, cohort = patched
    plan = plan_with(PATCHED)
    body = {
        "round": 1,
        "columns": ["age_years", "ecog", "tmtv_ml"],
        "select": {"part": "all", "fold": None, "members": None},
        "attack": attack,
    }
    arrays = {**scaling(cohort), **weights(cohort)}
    found = worker.work("train", body, arrays)
    checks = {"cohort": cohort, "plan": plan, "body": body, "asked": arrays}
    if code is None:
        require_update(found, **checks)
        return
    with pytest.raises(UpdateError) as told:
        require_update(found, **checks)
    assert told.value.code == code


def scaling(cohort: Cohort) -> dict[str, np.ndarray]:
    """Return a scaling of three columns, as a request carries it."""
    from fedpet.survival.preprocessing import fit_preprocessing, moment_sums

    columns = ("age_years", "ecog", "tmtv_ml")
    table = cohort.table[:, [cohort.columns.index(name) for name in columns]]
    log = np.array([False, False, True])
    first = moment_sums(table, log=log)
    second = moment_sums(table, log=log, center=first["sum"] / first["count"])
    prep = fit_preprocessing(
        first, second, columns=columns, log=("tmtv_ml",), subjects=len(cohort.subjects)
    )
    return {f"prep.{name}": array for name, array in prep.to_arrays().items()}


def test_first_weights_are_looked_at_before_they_leave():
    """Names of parameters are a place where words could be smuggled out."""
    good = {"heads.pfs.bias": np.zeros(8, np.float32), "weight.shared": np.ones(1)}
    require_initial(good)
    for bad in (
        {"weight.shared": np.ones(1)},
        {**good, "Marie Curie": np.zeros(1)},
        {**good, "weight.shared": np.zeros(1)},
        {**good, "w": np.array([np.inf])},
    ):
        with pytest.raises(UpdateError):
            require_initial(bad)
    with pytest.raises(UpdateError):
        require_usable({"w": np.array(["text"])})


def test_custom_code_has_no_place_in_the_node_itself():
    """Without a worker that provides it, such a network is refused, and its text is not run."""
    from fedpet.training.networks import network_of

    plan = plan_with("raise SystemExit(9)\n")
    with pytest.raises(RefusalError) as told:
        network_of(plan, covariates=3, image_shape=(2, 32, 16))
    assert told.value.code == "FP-5010"
    with provided_by(lambda _, __: torch.nn.Identity()):
        network_of(plan, covariates=3, image_shape=(2, 32, 16))


def test_a_cohort_arrives_whole(hospital):
    """Whatever a cohort holds, the worker's copy holds, images mapped from the same file."""
    for cohort in (hospital[0], toy_cohort("a", subjects=7, seed=2)):
        there = unpack(*pack(cohort))
        for name in Cohort.__dataclass_fields__:
            here, found = getattr(cohort, name), getattr(there, name)
            if name == "outcomes":
                for endpoint, outcome in here.items():
                    np.testing.assert_array_equal(outcome.time_days, found[endpoint].time_days)
                    np.testing.assert_array_equal(outcome.event, found[endpoint].event)
            elif name == "binary":
                assert here.keys() == found.keys()
                np.testing.assert_array_equal(here["response"], found["response"])
            else:
                np.testing.assert_array_equal(here, found)


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """Run the filter as the kernel does, by the five instructions that it is made of."""
    data = {0: number, 4: seccomp.MACHINES[machine][1] if arch is None else arch}
    data |= {16 + 8 * i: value for i, value in enumerate(arguments)}
    steps, at, held = seccomp.program(pid=77, machine=machine), 0, 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == seccomp.RETURN:
            return value
        if code == seccomp.LOAD:
            held = data.get(value, 0)
            continue
        true = {
            seccomp.EQUAL: held == value,
            seccomp.AT_LEAST: held >= value,
            seccomp.ANY_BIT: bool(held & value),
        }[code]
        at += yes if true else no


@pytest.mark.parametrize("machine", seccomp.MACHINES)
def test_the_filter_refuses_what_it_says_on_both_architectures(machine):
    """Here only one processor can be tried; the other one's program is run by the book."""
    column = seccomp.MACHINES[machine][0]
    refused = seccomp.ERRNO | 1
    for name, numbers in seccomp.NEVER.items():
        if numbers[column] is not None:
            assert verdict(machine, numbers[column]) == refused, name
    kill, clone = (62, 129)[column], (56, 220)[column]
    assert verdict(machine, kill, 78) == refused
    assert verdict(machine, kill, 77) == seccomp.ALLOW
    assert verdict(machine, clone, seccomp.CLONE_THREAD | 0x100) == seccomp.ALLOW
    assert verdict(machine, clone, 0x1200011) == refused
    assert verdict(machine, (0, 63)[column]) == seccomp.ALLOW  # read
    assert verdict(machine, 0, arch=0x40000003) == seccomp.KILL  # 32-bit calls


PLAIN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, image_shape, covariates, outputs):
        super().__init__()
        self.image = nn.Conv2d(image_shape[0], 4, 3)
        self.heads = nn.ModuleDict({n: nn.Linear(4 + covariates, k) for n, k in outputs.items()})

    def forward(self, images, covariates):
        seen = self.image(images).amax(dim=(2, 3))
        joined = torch.cat([seen, covariates], dim=1)
        return {n: head(joined) for n, head in self.heads.items()}
"""


def test_the_worker_changes_no_number(hospital):
    """Weights, an update and its evaluation are bit for bit those of the same code in place."""
    cohort, _ = hospital
    plan = plan_with(PLAIN)
    policy = Policy(custom_code=True)
    body = {
        "round": 1,
        "columns": ["age_years", "ecog", "tmtv_ml"],
        "select": {"part": "all", "fold": None, "members": None},
        "model": "network",
        "endpoint": "pfs",
    }
    model = scaling(cohort)
    with closing(Workshop()) as workshop:
        for kind in ("initialise", "train", "evaluate"):
            there = workshop.compute(kind, cohort, plan, body, model, policy=policy)
            with provided_by(execute):
                here = WORK[kind](cohort, plan, body, model)
            assert digest(there) == digest(here), kind
            if kind == "initialise":
                model |= {f"model.{n}": a for n, a in here.items() if n != "weight.shared"}


def test_a_hospital_that_takes_no_code_starts_no_worker(hospital, tmp_path):
    """Off unless turned on; and below the level that it asks for, still off."""
    cohort, _ = hospital
    plan = plan_with(PLAIN)
    assert any("brings code" in why for why in Policy(sites_min=1).objections(plan))
    with closing(Workshop()) as workshop, pytest.raises(RefusalError) as told:
        workshop.compute("count", cohort, plan, {}, {}, policy=Policy())
    assert told.value.code == "FP-5010"
    with pytest.raises(RefusalError):
        require_level("partial", Policy(custom_code=True))
    require_level("partial", Policy(custom_code=True, isolation_min="partial"))


def test_no_reply_of_a_node_repeats_what_custom_code_said(hospital, tmp_path, caplog):
    """The whole door: a patient's name in an error is in the site's log, and not in the reply."""
    cohort, _ = hospital
    plan = replace(
        plan_with(PLAIN.replace("super().__init__()", "raise ValueError('Marie Curie')")),
        sites=plans.Sites(sites_min=1),
    )
    write_policy(
        Policy(secure_sum="optional", custom_code=True, sites_min=1), tmp_path / "policy.toml"
    )
    node = Node(site="lyon", folder=tmp_path, cohorts={"toy": cohort})
    approve(node, plan)
    request = Request(
        site="lyon",
        experiment="e",
        plan=plans.fingerprint(plan),
        step="fold-0/network/initial",
        kind="initialise",
        body={
            "columns": ["age_years", "ecog", "tmtv_ml"],
            "select": {"part": "all", "fold": None, "members": None},
        },
        arrays=scaling(cohort),
    )
    reply = node.handle_bytes(encode(request))
    node.close()
    assert WORDS["FP-7010"].encode() in reply
    assert b"Curie" not in reply
    assert "Curie" in caplog.text
