"""What a run's folder holds, wherever the hospitals are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from fedpet.federation.passports import passport_bytes
from fedpet.federation.records import Finished
from fedpet.parameters import to_bytes
from fedpet.privacy.identity import Identity


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
    def key(self) -> Path:
        """The key of whoever runs the experiment on one machine; it signs the passports."""
        return self.folder / "keys" / "runner.pem"

    @property
    def results(self) -> Path:
        """Every number of the report."""
        return self.folder / "results.json"


def keep(files: RunFiles, finished: Finished, identity: Identity) -> None:
    """Write results, models and their passports; each is replaced when the new one is whole.

    Args:
        files: Of the run.
        finished: What the experiment ended with.
        identity: Who ran it, and signs the passports.
    """
    text = json.dumps(finished.results, indent=1, sort_keys=True, allow_nan=False)
    replace(files.results, text.encode())
    for name, arrays in finished.models.items():
        path = files.folder / "models" / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        data = to_bytes(arrays)
        replace(path, data)
        passport = passport_bytes(
            finished.evidence,
            name=name,
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            versions=finished.results["experiment"]["versions"],
            identity=identity,
        )
        replace(path.with_name(f"{name}.passport.json"), passport)


def replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_bytes(data)
    temporary.replace(path)
