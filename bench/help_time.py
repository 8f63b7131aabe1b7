"""Time `fedpet --help` as a whole process, beside a bare interpreter and bare click."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 15
FEDPET = str(Path(sys.executable).with_name("fedpet"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import click": [sys.executable, "-c", "import click"],
    "fedpet --help": [FEDPET, "--help"],
}


def seconds(command: list[str]) -> float:
    """Return the wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    return time.perf_counter() - started


def main() -> None:
    """Run all commands in turn, so that a change of the machine's speed meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS + 1):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    print(f"{'command':<16}{'median':>9}{'fastest':>9}   ({RUNS} runs after one warm-up)")
    for name, measured in times.items():
        kept = measured[1:]
        print(f"{name:<16}{statistics.median(kept):>8.3f}s{min(kept):>8.3f}s")


if __name__ == "__main__":
    main()
