"""The manual of all commands, made from their own help: `python -m fedpet.cli.manual`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from fedpet.cli.lazy import LazyGroup
from fedpet.cli.main import FEDPET
from fedpet.cli.terminal import Terminal

HEAD = """\
# Commands

Made from the commands' own help by `python -m fedpet.cli.manual`; a test fails when it is stale.
"""
WIDTH = 96


def manual() -> str:
    """Return the help of every command as one Markdown page."""
    root = click.Context(FEDPET, info_name="fedpet", obj=Terminal(), **FEDPET.context_settings)
    parts = [HEAD]
    for context in _contexts(root):
        context.terminal_width = context.max_content_width = WIDTH
        text = context.command.get_help(context)
        parts.append(f"## {context.command_path}\n\n```\n{text.rstrip()}\n```\n")
    return "\n".join(parts)


def _contexts(context: click.Context) -> Iterator[click.Context]:
    yield context
    command = context.command
    if isinstance(command, LazyGroup):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _contexts(click.Context(found, parent=context, info_name=name))


if __name__ == "__main__":
    sys.stdout.write(manual())
