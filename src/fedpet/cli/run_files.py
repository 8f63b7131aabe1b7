"""What a run's folder holds, wherever the hospitals are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from fedpet.federation.records import Finished
from fedpet.parameters import Parameters, to_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """Where a run keeps what it needs to be resumed and reported.

    Args:
        folder: The run's folder.
    """

    folder: Path

    @property
    def plan(self) -> Path:
        """The plan, as it was approved."""
        return self.folder / "plan.toml"

    @property
    def settings(self) -> Path:
        """Which hospitals, and what was known beforehand."""
        return self.folder / "run.json"

    @property
    def results(self) -> Path:
        """Every number of the report."""
        return self.folder / "results.json"


def keep(files: RunFiles, finished: Finished) -> None:
    """Write results and models; what was there is replaced when the new one is whole."""
    text = json.dumps(finished.results, indent=1, sort_keys=True, allow_nan=False)
    replace(files.results, text.encode())
    for name, arrays in finished.models.items():
        _write_model(files.folder / "models" / f"{name}.safetensors", arrays)


def _write_model(path: Path, arrays: Parameters) -> None:
    path.parent.mkdir(exist_ok=True)
    replace(path, to_bytes(arrays))


def replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_bytes(data)
    temporary.replace(path)
