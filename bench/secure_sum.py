"""How much does the secure sum cost? `make bench-secure-sum`.

One round in clear beside the same round under the secure sum, in this process: a coordinator, an
engine that passes encoded messages, and sites that hold an update of the model in memory and do
all that a node does to an answer (bound, mask, encode, hash), without training. Beside it the
masking primitives of Flower's SecAgg+, where pip can install flwr into the peers' environment.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fedpet.engines.in_process import InProcessEngine
from fedpet.federation.asking import total
from fedpet.federation.journal import Journal
from fedpet.federation.messages import Reply, Request, decode, encode, question_digest
from fedpet.federation.secure_sums import SecureSums, Summed
from fedpet.parameters import Array, Parameters, digest, require_finite
from fedpet.privacy.clipping import clip_update
from fedpet.privacy.identity import Identity, Roster
from fedpet.privacy.secure_sum.lanes import layout_of
from fedpet.privacy.secure_sum.site import SiteSession
from fedpet.privacy.secure_sum.terms import Batch, Scope, Terms
from fedpet.training.lanes import lanes_of

PLAN, EXPERIMENT = "p" * 64, "bench"
SUBJECTS = 100.0


class MemoryLedger:
    """Promises of a site that lives as long as the measurement."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, ...], str] = {}

    def vector(self, scope: Scope, step: str, attempt: int, digest: str) -> str:
        """Keep the first vector of an attempt."""
        return self._said.setdefault((scope.experiment, step, str(attempt)), digest)

    def view(self, scope: Scope, step: str, survivors: str) -> str:
        """Keep the first set of sites of a step."""
        return self._said.setdefault((scope.experiment, step), survivors)

    def summed(self, scope: Scope, summand: str, survivors: str) -> str:
        """Keep what was added by its sites: the bench is one run, in which they may differ."""
        return self._said.setdefault((scope.experiment, summand, survivors), survivors)


class Site:
    """All that a node does to an answer, without policy, work and disk."""

    def __init__(self, name: str, identity: Identity, roster: Roster, update: Parameters) -> None:
        scope = Scope(plan=PLAN, experiment=EXPERIMENT, roster=roster.digest)
        self.update, self.lost = update, False
        self.seconds = 0.0
        self.session = SiteSession(
            site=name, identity=identity, roster=roster, scope=scope, ledger=MemoryLedger()
        )

    def handle(self, data: bytes) -> bytes:
        """Answer as a node does."""
        request = decode(data)
        assert isinstance(request, Request)
        if self.lost and request.kind in ("sum.mask", "sum.confirm", "sum.reveal"):
            return b""
        arrays = self._arrays(request)
        digest(arrays)  # as the audit does
        return encode(
            Reply(
                site=request.site,
                experiment=request.experiment,
                step=request.step,
                attempt=request.attempt,
                status="ok",
                arrays=arrays,
            )
        )

    def _arrays(self, request: Request) -> Parameters:
        told = request.body.get("sum", {})
        data = request.arrays["sum.data"].tobytes() if "sum.data" in request.arrays else b""
        if request.kind == "train":
            return self._released()
        if request.kind == "sum.mask":
            return self._masked(request)
        if request.kind == "sum.advertise":
            answer = self.session.advertise()
        elif request.kind == "sum.agree":
            answer = self.session.agree(data)
        elif request.kind == "sum.share":
            batch = Batch(cohort=tuple(told["cohort"]), name=told["batch"], slots=told["slots"])
            answer = self.session.share(batch, data, sites_min=3)
        elif request.kind == "sum.confirm":
            answer = self.session.confirm(
                told["batch"], told["slot"], told["survivors"], sites_min=3
            )
        else:
            answer = self.session.reveal(
                told["batch"], told["slot"], told["survivors"], data, sites_min=3
            )
        return {"sum.data": np.frombuffer(answer, np.uint8)}

    def _released(self) -> Parameters:
        require_finite(self.update, where="The answer")
        return clip_update(self.update, norm_max=10.0)[0]

    def _masked(self, request: Request) -> Parameters:
        told, arrays = request.body["sum"], self._released()
        body = {k: v for k, v in request.body.items() if k not in ("of", "sum")}
        question = {k: v for k, v in request.arrays.items() if not k.startswith("sum.")}
        terms = Terms(
            step=request.step,
            attempt=request.attempt,
            purpose="train",
            asked=question_digest("train", body, question),
            included=tuple(told["included"]),
            slot=told["slot"],
            total=told["total"],
        )
        layout = layout_of(
            arrays,
            kinds=lanes_of("train", arrays, bounded=True),
            sites=told["sites"],
            bound=10.0,
            total=told["total"],
        )
        if "sum.boxes" in request.arrays:
            self.session.receive(told["batch"], request.arrays["sum.boxes"].tobytes())
        began = time.thread_time()
        masked = self.session.mask(
            told["batch"], terms, arrays, layout, weight=SUBJECTS / told["total"], sites_min=3
        )
        self.seconds = time.thread_time() - began
        return {
            "sum.narrow": masked.narrow,
            "sum.wide": masked.wide,
            "sum.data": np.frombuffer(masked.message, np.uint8),
        }


class Rig:
    """Sites with one update each, shared by all of them: a sum of equal summands."""

    def __init__(self, sites: int, parameters: int, folder: Path) -> None:
        self.names = [f"site-{number:02d}" for number in range(sites)]
        identities = {
            name: Identity(bytes([number + 1]) * 32) for number, name in enumerate(self.names)
        }
        roster = Roster({name: one.public for name, one in identities.items()})
        rng = np.random.default_rng(1)
        change = rng.standard_normal(parameters, np.float32).astype(np.float64)
        change *= SUBJECTS * 5.0 / np.linalg.norm(change)
        self.update: dict[str, Array] = {
            **{f"layer-{k:02d}": part for k, part in enumerate(np.array_split(change, 20))},
            "weight.shared": np.array([SUBJECTS]),
        }
        self.model = {
            name: np.zeros(array.shape, np.float32)
            for name, array in self.update.items()
            if name != "weight.shared"
        }
        self.sites = {n: Site(n, identities[n], roster, self.update) for n in self.names}
        handlers = {name: site.handle for name, site in self.sites.items()}
        self.engine = InProcessEngine(handlers, workers=1)
        self.sums, self.journal = SecureSums(roster), Journal(folder)
        self.step = 0

    def requests(self) -> list[Request]:
        """Return the requests of the next round."""
        self.step += 1
        return [
            Request(
                site=name,
                experiment=EXPERIMENT,
                plan=PLAN,
                step=f"round-{self.step}",
                kind="train",
                body={"release": None},
                arrays=self.model,
            )
            for name in self.names
        ]

    def clear(self) -> Mapping[str, Array]:
        """Close a round in clear."""
        return total({r.site: r.arrays for r in self.engine.exchange(self.requests())})

    def masked(self) -> Mapping[str, Array]:
        """Close a round by a secure sum."""
        walk = self.sums.close(
            self.engine,
            self.journal,
            self.requests(),
            asked="",
            needed=3,
            total=SUBJECTS * len(self.names),
        )
        while True:
            try:
                next(walk)
            except StopIteration as stop:
                summed: Summed = stop.value
                assert summed.arrays is not None, summed.states
                return summed.arrays


def seconds(work: Callable[[], object], *, times: int) -> float:
    """Return the least wall time of some runs."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def memory_of_masking(rig: Rig) -> float:
    """Return the most that a node holds beside its update and its masked vector, in MiB."""
    site = rig.sites[rig.names[0]]
    rig.masked()
    shared = next(iter(rig.sums._batches.values()))
    terms = Terms(
        step="memory", attempt=0, purpose="train", asked="", included=tuple(rig.names),
        slot=shared.used, total=SUBJECTS * len(rig.names),
    )  # fmt: skip
    shared.used += 1
    layout = layout_of(
        site.update, kinds=lanes_of("train", site.update, bounded=True), sites=len(rig.names),
        bound=10.0, total=terms.total or 1.0,
    )  # fmt: skip
    tracemalloc.start()
    masked = site.session.mask(
        shared.batch.name, terms, site.update, layout, weight=1 / len(rig.names), sites_min=3
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (peak - masked.narrow.nbytes - masked.wide.nbytes) / 2**20


def measure(megabytes: int, sites: int, *, times: int) -> dict[str, float]:
    """Measure one size with one number of sites."""
    parameters = megabytes * 1_000_000 // 4
    with TemporaryDirectory() as folder:
        rig = Rig(sites, parameters, Path(folder))
        clear_sum, masked_sum = rig.clear(), rig.masked()
        name = "layer-00"
        gap = float(np.abs(clear_sum[name] - masked_sum[name]).max()) / (SUBJECTS * sites)
        clear, masked = seconds(rig.clear, times=times), seconds(rig.masked, times=times)
        mask = min(site.seconds for site in rig.sites.values())
        lost = 0.0
        if sites > 3:
            rig.sites[rig.names[-1]].lost = True
            lost = seconds(rig.masked, times=times)
        extra = memory_of_masking(rig)
        rig.journal.close()
    return {
        "MB": megabytes,
        "sites": sites,
        "clear_s": clear,
        "masked_s": masked,
        "ratio": masked / clear,
        "mask_ns_per_parameter": mask / parameters * 1e9,
        "dropout_s": lost,
        "error_of_mean": gap,
        "node_extra_MiB": extra,
        "process_peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def peer(python: Path, megabytes: int, sites: int) -> float | None:
    """Return what Flower's SecAgg+ primitives need to quantise and mask one update, in s of CPU."""
    size = megabytes * 1_000_000 // 4
    program = f"""
import importlib, pkgutil, time
import flwr, numpy as np
rooms = [m.name for m in pkgutil.walk_packages(flwr.__path__, "flwr.", onerror=lambda name: None)
         if m.name.endswith(("secaggplus_utils", "quantization", "ndarrays_arithmetic"))]
found = {{}}
for name in rooms:
    found |= vars(importlib.import_module(name))
rng = np.random.default_rng(1)
update = np.array_split(rng.standard_normal({size}, np.float32), 20)
began = time.thread_time()
vector = found["quantize"](update, 8.0, 2**22)
shapes = [part.shape for part in vector]
for key in range({sites}):
    mask = found["pseudo_rand_gen"](bytes([key + 1]) * 32, 2**24, shapes)
    change = found["parameters_addition" if key % 2 else "parameters_subtraction"]
    vector = change(vector, mask)
vector = found["parameters_mod"](vector, 2**24)
print(time.thread_time() - began)
"""
    told = subprocess.run(  # noqa: S603  (a program of ours)
        [python, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False
    )
    return float(told.stdout.split()[-1]) if told.returncode == 0 else None


def main(arguments: Sequence[str]) -> None:
    """Print a table, and the same as JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="Python with flwr")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--only", type=int, nargs=2, metavar=("MB", "SITES"))
    asked = parser.parse_args(arguments)
    cases = [tuple(asked.only)] if asked.only else [(10, 3), (10, 10), (100, 3), (100, 10)]
    rows = []
    for megabytes, sites in cases:
        # One process for each case, so that memory is that of the case.
        if asked.only is None:
            program = [sys.executable, __file__, "--only", str(megabytes), str(sites)]
            program += ["--times", str(asked.times), "--json", "/dev/stdout"]
            answer = subprocess.run(  # noqa: S603  (this program)
                program, capture_output=True, text=True, check=True
            )
            row = json.loads(answer.stdout.splitlines()[-1])[0]
        else:
            row = measure(megabytes, sites, times=asked.times)
        if asked.peers is not None and asked.only is None:
            row["flower_mask_ns_per_parameter"] = (
                (peer(asked.peers, megabytes, sites) or 0.0) / (megabytes * 250_000) * 1e9
            )
        rows.append(row)
        if asked.only is None:
            print("  ".join(f"{name} {value:.3g}" for name, value in row.items()))
    if asked.json is not None:
        asked.json.write_text(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
