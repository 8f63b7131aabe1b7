"""`fedpet node isolation`: how well a plan's own code would be confined on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from fedpet.cli.desk import require_hospital
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import RefusalError

WORDS = {
    "files": "no file but the cohort's images, Python and a small scratch in memory",
    "network": "no network, not even to this machine",
    "processes": "no new process, no program",
    "neighbours": "no signal to the node, no look into it",
    "memory": "memory, processors and time have an end",
}
DO = {
    "files": "Needs Linux 5.13 or newer with Landlock.",
    "network": "Needs user namespaces, or Linux 6.7 with Landlock.",
    "processes": "Needs Linux on x86-64 or ARM64 with seccomp.",
    "neighbours": "Follows from files and processes.",
    "memory": "Needs a system with resource limits.",
}


@click.command("isolation", cls=FedpetCommand, short_help="Tell how code would be confined")
@click.argument("hospital", type=click.Path(path_type=Path), required=False)
@click.pass_obj
def isolation(terminal: Terminal, hospital: Path | None) -> Answer:
    """Tell how well a plan's own network would be confined on this machine, by trying it.

    A worker is started that tries to read a file, open a connection, start a process and signal
    its node. Reads nothing; with HOSPITAL reads its node/policy.toml, and ends with code 5 if
    the level is below `isolation_min`. Writes nothing.

      fedpet node isolation
      fedpet node isolation hospitals/lyon

    Next: custom_code in HOSPITAL/node/policy.toml decides whether such code is taken at all.
    """
    from fedpet.node.policy import LEVELS, Policy, read_policy
    from fedpet.node.worker.confinement import DEFENCES, level_of
    from fedpet.node.worker.process import probe

    if hospital is not None:
        require_hospital(hospital)
    held = probe()
    level = level_of(held)
    lines = [f"Level {level}: tried just now, on this machine."]
    for name in DEFENCES:
        mark = "yes" if name in held else "NO "
        lines.append(f"  {mark}  {WORDS[name]}{'' if name in held else f'. {DO[name]}'}")
    data: dict[str, object] = {"level": level, "held": list(held)}
    error = None
    if hospital is not None:
        path = hospital / "node" / "policy.toml"
        policy = read_policy(path) if path.exists() else Policy()
        data |= {"isolation_min": policy.isolation_min, "custom_code": policy.custom_code}
        lines.append(
            f"This hospital {'takes' if policy.custom_code else 'takes no'} code of a plan; "
            f"it requires level {policy.isolation_min}."
        )
        if LEVELS.index(level) < LEVELS.index(policy.isolation_min):
            error = RefusalError(
                f"Level '{level}' is below '{policy.isolation_min}'; code of a plan is refused.",
                do="See the lines with NO, or lower isolation_min in policy.toml.",
                code="FP-5010",
            )
    del terminal
    return Answer(data=data, text="\n".join(lines), error=error)
