"""Commands that are imported only when they are called, so that `fedpet --help` is quick.

Every command takes the global options too: `fedpet plan check p.toml --format json` is what
people type, whatever the manual says about the order.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from fedpet.cli.terminal import Terminal

EPILOG = "Every command also takes --format json, -q, -v and --no-color."


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command lives, and its one line in the list of commands.

    Args:
        place: `module:attribute`.
        short: What it does, as a list shows it.
    """

    place: str
    short: str


def _set_format(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        _terminal(ctx).format = value


def _set_quiet(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        _terminal(ctx).verbosity = -1


def _set_verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        _terminal(ctx).verbosity = 1


def _set_color(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        _terminal(ctx).color = False


def _terminal(ctx: click.Context) -> Terminal:
    terminal = ctx.find_root().obj
    assert isinstance(terminal, Terminal)
    return terminal


def with_examples(text: str | None) -> str:
    """Mark indented paragraphs of a help text, so that their lines stay as they are."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(f"\b\n{told}" if told.startswith("  ") else told for told in paragraphs)


@click.pass_context
def _help_unless_told(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def global_options(*, hidden: bool) -> list[click.Parameter]:
    """Return the options that every command takes; listed by `fedpet --help` only."""
    return [
        click.Option(
            ["--format"],
            type=click.Choice(["text", "json"]),
            callback=_set_format,
            expose_value=False,
            hidden=hidden,
            help="Answer for people (text, the default) or for programs (json).",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            callback=_set_quiet,
            expose_value=False,
            hidden=hidden,
            help="Show no progress.",
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            callback=_set_verbose,
            expose_value=False,
            hidden=hidden,
            help="Show every step.",
        ),
        click.Option(
            ["--no-color"],
            is_flag=True,
            callback=_set_color,
            expose_value=False,
            hidden=hidden,
            help="Show no colours; the variable NO_COLOR does the same.",
        ),
    ]


class FedpetCommand(click.Command):
    """A command that takes the global options and tells the terminal its name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epilog = EPILOG
        self.help = with_examples(self.help)
        self.params.extend(global_options(hidden=True))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the command's name before anything can go wrong."""
        _terminal(ctx).command = ctx.command_path.partition(" ")[2]
        return super().parse_args(ctx, args)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called.

    Args:
        entries: Its commands, by name, in the order of display.
        top: Whether this is the program itself, which lists the global options.
    """

    def __init__(
        self, *args: Any, entries: Mapping[str, Entry], top: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.invoke_without_command = True
        self.no_args_is_help = False
        self.callback = _help_unless_told
        self.help = with_examples(self.help)
        self.params.extend(global_options(hidden=not top))
        self.entries = dict(entries)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the walk."""
        del ctx
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None."""
        del ctx
        if cmd_name not in self.entries:
            return None
        module, _, attribute = self.entries[cmd_name].place.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is meant, or say which one may be."""
        name = args[0]
        if name not in self.entries and not name.startswith("-"):
            close = difflib.get_close_matches(name, self.entries, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise click.UsageError(f"No such command '{name}'.{hint}", ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.short) for name, entry in self.entries.items()])
