"""Run an experiment over the network: from a coordinator's folder to the hospitals that joined."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedpet import plan as plans
from fedpet import planfile
from fedpet.cli.run_files import RunFiles, keep, replace
from fedpet.engines.nats.correspondence import Patience
from fedpet.engines.nats.engine import NatsEngine
from fedpet.engines.nats.home import Home
from fedpet.errors import NotFoundError, StoreError, UpdateError
from fedpet.federation import experiment
from fedpet.federation.asking import Execution
from fedpet.federation.journal import Journal
from fedpet.federation.messages import Request
from fedpet.federation.records import Finished, Record
from fedpet.federation.results import Context
from fedpet.federation.secure_sums import SecureSums
from fedpet.plan import Plan
from fedpet.privacy.identity import Roster

ASK_AGAIN_S = 5.0
LOOK_S = 0.5
GATHER_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a run deals with hospitals that are not there.

    Args:
        away_s: How long a step waits for a hospital without any sign of it.
        deadline_s: How long a step waits in all.
        wait_s: How long the run waits while too few hospitals are there; None for ever.
    """

    away_s: float = 60.0
    deadline_s: float = 86_400.0
    wait_s: float | None = None


def start_networked(
    plan: Plan,
    *,
    coordinator: Path,
    folder: Path,
    wishes: Wishes,
    ceiling: dict[str, Any] | None = None,
    phantom: bool = False,
) -> None:
    """Lay out a new run's folder.

    Args:
        plan: The plan.
        coordinator: The coordinator's folder.
        folder: The run's folder; must not hold a run of another plan.
        wishes: How to deal with hospitals that are not there.
        ceiling: Best reachable C-index by endpoint, known for phantoms only.
        phantom: Whether the hospitals are simulated.

    Raises:
        StoreError: If the folder already holds a run of another plan.
    """
    files = RunFiles(folder=folder)
    if files.plan.exists():
        begun = plans.fingerprint(planfile.load(files.plan))
        if begun != plans.fingerprint(plan):
            raise StoreError(
                "The folder already holds a run of another plan.",
                do="Choose another folder with --out, or resume that run with `fedpet resume`.",
            )
    folder.mkdir(parents=True, exist_ok=True)
    files.plan.write_text(planfile.dumps(plan), encoding="utf-8")
    settings = {
        "coordinator": str(coordinator.resolve()),
        "away_s": wishes.away_s,
        "deadline_s": wishes.deadline_s,
        "wait_s": wishes.wait_s,
        "ceiling": ceiling or {},
        "phantom": phantom,
    }
    replace(files.settings, json.dumps(settings, indent=1).encode())


def is_networked(folder: Path) -> bool:
    """Return whether a run's folder is that of a run over the network."""
    try:
        return "coordinator" in json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def run_networked(folder: Path, *, say: Callable[[str], None]) -> Generator[Record, None, None]:
    """Run, or resume, the experiment of a run's folder over the network.

    When too few hospitals answer, the run waits until enough are there and walks again from the
    top; what is closed is in its journal.

    Args:
        folder: Laid out by `start_networked`.
        say: Called with what the run waits for.

    Yields:
        The experiment's records; after `Finished`, results and models are on disk.

    Raises:
        UpdateError: If too few hospitals were there for longer than the run may wait.
        NotFoundError: If the plan names a hospital that is not a member.
    """
    files = RunFiles(folder=folder)
    plan = planfile.load(files.plan)
    told = _settings(files.settings)
    fingerprint = plans.fingerprint(plan)
    with ExitStack() as stack:
        home = stack.enter_context(Home(Path(told["coordinator"])))
        journal = stack.enter_context(Journal(folder))
        name = f"{plan.name}-{fingerprint[:8]}-{secrets.token_hex(4)}"
        execution_name = journal.remember("experiment", name)
        engine = stack.enter_context(
            NatsEngine(
                home.office(),
                experiment=execution_name,
                members=home.sites,
                patience=Patience(away_s=told["away_s"], deadline_s=told["deadline_s"]),
                folder=folder,
            )
        )
        gathering = Gathering(plan, engine, execution_name, wait_s=told["wait_s"], say=say)
        execution = Execution(
            plan=plan,
            fingerprint=fingerprint,
            experiment=execution_name,
            engine=engine,
            journal=journal,
        )
        context = Context(
            started=journal.remember("started", datetime.now(UTC).isoformat(timespec="seconds")),
            phantom=told["phantom"],
            ceiling=told["ceiling"],
        )
        gathering.propose()
        for record in _walked(execution, context, gathering, roster=home.members.roster):
            if isinstance(record, Finished):
                keep(files, record, home.identity)
            yield record


def _walked(
    execution: Execution,
    context: Context,
    gathering: Gathering,
    *,
    roster: Callable[[], Roster | None],
) -> Iterator[Record]:
    """Walk the experiment, again from the top whenever too few hospitals answered a step."""
    while True:
        closed = len(execution.journal.history())
        try:
            members = roster()
            sums = None if members is None else SecureSums(members)
            yield from experiment.run(changed(execution, sums=sums), context)
        except UpdateError as error:
            gathering.wait(error, progress=len(execution.journal.history()) > closed)
        else:
            return


class Gathering:
    """Bring enough hospitals together, at the start and whenever too few are left.

    Args:
        plan: The plan.
        engine: How they are reached.
        experiment: Identifier of the execution.
        wait_s: How long to wait; None for ever.
        say: Called with what is waited for.
    """

    def __init__(
        self,
        plan: Plan,
        engine: NatsEngine,
        experiment: str,
        *,
        wait_s: float | None,
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._experiment = experiment
        self._wait_s = wait_s
        self._say = say
        self._tries = 0
        self._said = ""

    def propose(self) -> None:
        """Send the plan to the hospitals until enough have approved it.

        Raises:
            NotFoundError: If the plan names a hospital that is not a member.
            UpdateError: If that takes longer than the run may wait.
        """
        unknown = [site for site in self._plan.sites.names if site not in self._engine.sites]
        if unknown:
            raise NotFoundError(
                f"The plan names hospital '{unknown[0]}', which is no member of this federation.",
                why=f"Members: {', '.join(self._engine.sites) or 'none'}.",
                do=f"Invite it: fedpet site invite {unknown[0]}",
                code="FP-6105",
            )
        started = time.monotonic()
        least = self._plan.sites.sites_min
        self._gather(started)
        while True:
            answers = self._ask()
            ready = [site for site, reasons in answers.items() if not reasons]
            if len(ready) >= least:
                return
            waits = "; ".join(f"{site}: {' '.join(why)}" for site, why in answers.items() if why)
            self._tell(f"{len(ready)} of {least} hospitals are ready. {waits}")
            self._pause(started, waits)

    def wait(self, error: UpdateError, *, progress: bool) -> None:
        """Wait until enough hospitals are there again.

        Args:
            error: Why the walk ended.
            progress: Whether it had closed a step before.

        Raises:
            UpdateError: The same, if it takes longer than the run may wait.
        """
        self._tell(f"Waiting: {error.title} {error.why}")
        started = time.monotonic()
        if not progress:
            time.sleep(ASK_AGAIN_S)  # they were there, and did not answer: not at once again
        while len(self._engine.present) < self._plan.sites.sites_min or not self._ready():
            if self._wait_s is not None and time.monotonic() - started > self._wait_s:
                raise error
            time.sleep(LOOK_S)
        self._tell(f"Trying again with {len(self._engine.present)} hospitals.")

    def _ready(self) -> bool:
        answers = self._ask()
        ready = [site for site, reasons in answers.items() if not reasons]
        return len(ready) >= self._plan.sites.sites_min

    def _gather(self, started: float) -> None:
        """Give every hospital that is asked a moment to show that it is there."""
        wanted = set(self._plan.sites.names or self._engine.sites)
        while not wanted <= set(self._engine.present):
            if time.monotonic() - started > GATHER_S:
                away = ", ".join(sorted(wanted - set(self._engine.present)))
                self._tell(f"Not there: {away}.")
                return
            time.sleep(0.05)

    def _ask(self) -> dict[str, tuple[str, ...]]:
        """Propose the plan to the hospitals that are there; return what each objects to."""
        self._tries += 1
        text, fingerprint = planfile.dumps(self._plan), plans.fingerprint(self._plan)
        asked = set(self._plan.sites.names or self._engine.sites)
        here = [site for site in self._engine.present if site in asked]
        answers = dict.fromkeys(asked, ("The hospital is not there.",))
        requests = [
            Request(
                site=site,
                experiment=self._experiment,
                plan=fingerprint,
                step=f"propose/{self._tries}",
                kind="propose",
                body={"plan": text},
            )
            for site in here
        ]
        found: dict[str, tuple[str, ...]] = dict(answers)
        for reply in self._engine.exchange(requests):
            found[reply.site] = reply.reasons
        return dict(sorted(found.items()))

    def _pause(self, started: float, why: str) -> None:
        if self._wait_s is not None and time.monotonic() - started > self._wait_s:
            raise UpdateError(
                "Too few hospitals are there and have approved the plan.",
                why=why,
                do="Nothing is lost: `fedpet resume` the run when they are ready.",
                code="FP-7003",
            )
        time.sleep(ASK_AGAIN_S)

    def _tell(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._say(line)


def _settings(path: Path) -> dict[str, Any]:
    """Return what `start_networked` wrote.

    Raises:
        StoreError: If it is anything else.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {
            "coordinator": str(told["coordinator"]),
            "away_s": float(told["away_s"]),
            "deadline_s": float(told["deadline_s"]),
            "wait_s": None if told["wait_s"] is None else float(told["wait_s"]),
            "ceiling": dict(told["ceiling"]),
            "phantom": bool(told["phantom"]),
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            "run.json was altered; it is not what fedpet wrote.",
            do="Write it anew: fedpet run PLAN --coordinator FOLDER --out RUN",
        ) from error
