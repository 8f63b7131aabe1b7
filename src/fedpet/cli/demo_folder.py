"""The demo's folder: what it was asked for, how far it came, and how long that took.

```
FOLDER/demo.json       this: marks the folder as a demo's
FOLDER/hospitals/      phantom hospitals, truth.json
FOLDER/plan.toml       the plan
FOLDER/run/            the experiment: journal, results, report
```
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fedpet.errors import StoreError

SCHEMA = "fedpet-demo/1"
MARKER = "demo.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a demo is asked for.

    Args:
        subjects: Simulated patients at all hospitals.
        sites: Hospitals.
        seed: Every random number follows from it.
        rounds: Rounds of training; the plan's own number if None.
    """

    subjects: int = 320
    sites: int = 10
    seed: int = 2026
    rounds: int | None = None


@dataclass(slots=True)
class DemoFolder:
    """A demo's folder, opened.

    Args:
        path: Where it is.
        wanted: What it was asked for.
        seconds: How long each closed or begun stage took, in all attempts together.
        closed: Stages that are complete.
    """

    path: Path
    wanted: Wanted
    seconds: dict[str, float] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)

    @property
    def hospitals(self) -> Path:
        """The phantom hospitals."""
        return self.path / "hospitals"

    @property
    def plan(self) -> Path:
        """The plan."""
        return self.path / "plan.toml"

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.path / "run"

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, in all attempts until the first that ends well; that one closes it."""
        started = time.monotonic()
        before = self.seconds.get(name, 0.0)
        was_closed = name in self.closed
        try:
            yield
            if name not in self.closed:
                self.closed.append(name)
        finally:
            if not was_closed:
                self.seconds[name] = before + time.monotonic() - started
            self.save()

    def save(self) -> None:
        """Write the marker, whole or not at all."""
        told = {
            "schema": SCHEMA,
            "wanted": asdict(self.wanted),
            "seconds": self.seconds,
            "closed": self.closed,
        }
        temporary = self.path / f"{MARKER}.part"
        temporary.write_text(json.dumps(told, indent=1), encoding="utf-8")
        temporary.replace(self.path / MARKER)


def open_demo(path: Path, *, asked: dict[str, int]) -> DemoFolder:
    """Open a demo's folder, or begin one; nothing else is ever written into.

    Args:
        path: The folder; made if absent.
        asked: What the reader asked for by name; the rest is as before, or as by default.

    Raises:
        StoreError: If the folder holds something else, or a demo that was asked for otherwise.
    """
    marker = path / MARKER
    if not marker.exists():
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise StoreError(
                f"'{path.name}' exists and is not a demo's folder; it was left as it is.",
                do="Choose another folder: fedpet demo FOLDER",
                code="FP-3003",
            )
        path.mkdir(parents=True, exist_ok=True)
        demo = DemoFolder(path, Wanted(**asked))
        demo.save()
        return demo
    demo = _read(path)
    known = asdict(demo.wanted)
    other = {name: value for name, value in asked.items() if known[name] != value}
    if other:
        told = ", ".join(f"{name} {known[name] or 'as planned'}" for name in other)
        raise StoreError(
            f"'{path.name}' holds a demo with other settings ({told}).",
            do=(
                "Call the command without these options to continue that demo,",
                "or choose another folder: fedpet demo FOLDER",
            ),
            code="FP-3003",
        )
    return demo


def _read(path: Path) -> DemoFolder:
    try:
        told = json.loads((path / MARKER).read_text(encoding="utf-8"))
        known = told["schema"] == SCHEMA
        return DemoFolder(
            path=path,
            wanted=Wanted(**told["wanted"]) if known else Wanted(),
            seconds=dict(told["seconds"]),
            closed=list(told["closed"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"demo.json in '{path.name}' is not what this fedpet writes.",
            do="Choose another folder: fedpet demo FOLDER",
            code="FP-3003",
        ) from error
