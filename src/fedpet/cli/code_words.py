"""A plan's own code, for the person who approves it: what it reaches for, and its whole text."""

from __future__ import annotations

from fedpet.models.code_report import report_of
from fedpet.plan import Model


def code_in_words(model: Model) -> tuple[str, ...]:
    """Return what there is to say of a plan's own network; nothing for an installed one.

    Examples:
        >>> code_in_words(Model())
        ()
    """
    if not model.code:
        return ()
    file, _, name = model.code.partition(":")
    report = report_of(model.source)
    told = [
        f"The network is the plan's own: class {name} in {file}, {report.lines} lines, printed "
        "below in full and covered by the fingerprint.",
        "It runs in a worker without network, files, new processes or privileges, if the "
        "hospital's policy takes such code at all; `fedpet node isolation` tries that worker.",
    ]
    if report.mistake:
        return (*told, f"It is no valid Python: {report.mistake}.")
    told.append(f"It imports {', '.join(report.imports) or 'nothing'}.")
    if report.unusual:
        told.append(f"Look at why it needs {', '.join(report.unusual)}.")
    if report.calls:
        told.append(f"Look at its calls of {', '.join(report.calls)}.")
    if report.hidden:
        told.append(f"Look at what it does with {', '.join(report.hidden)}.")
    if not (report.unusual or report.calls or report.hidden):
        told.append("Nothing in it names a file, a network or another program.")
    return tuple(told)


def code_lines(model: Model) -> tuple[str, ...]:
    """Return the text of a plan's own network with line numbers; nothing for an installed one."""
    lines = model.source.splitlines() if model.code else []
    return tuple(f"{number:5d}  {line}" for number, line in enumerate(lines, start=1))
