"""`fedpet stats describe|table-one`: who the subjects are, over all hospitals and at each."""

from __future__ import annotations

from pathlib import Path

import click

from fedpet.cli.asking import asked, asks, told
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal

COLUMNS = click.option(
    "--columns", multiple=True, metavar="COLUMNS", help="Names with commas; all unless told."
)


@click.command("describe", cls=FedpetCommand, short_help="Counts, means, quantiles, categories")
@asks
@COLUMNS
@click.pass_obj
def describe(
    terminal: Terminal,
    plan_file: Path,
    sites: Path,
    complete: tuple[str, ...],
    where: tuple[str, ...],
    keep: Path | None,
    columns: tuple[str, ...],
) -> Answer:
    """Describe columns over all hospitals: known, missing, mean, SD, quartiles, categories.

    Quartiles are spread over a cell of at least five subjects, so that none is a patient's value;
    counts below five are hidden, and so is one more where it could be found by subtraction.

    Reads PLAN, which must allow 'describe', and each hospital's built cohort. Writes nothing but
    what each hospital's node writes down, and the folder of --keep.

      fedpet stats describe plan.toml --sites hospitals
      fedpet stats describe plan.toml --sites hospitals --columns age_years,ecog --where 'ecog<2'

    Next: `fedpet stats table-one PLAN --sites FOLDER` compares the hospitals.
    """
    from fedpet.cli.asking_words import columns_of, listed
    from fedpet.cli.stats_words import describe_data, draw_description

    with asked(terminal, plan_file, sites, complete=complete, where=where, keep=keep) as one:
        names = columns_of(one.plan, listed(columns))
        found = one.federation.describe(names, subjects=one.subjects)
        account = one.federation.disclosure
    return told(account, describe_data(found), lambda console: draw_description(found, console))


@click.command("table-one", cls=FedpetCommand, short_help="Each hospital's table 1, and alarms")
@asks
@COLUMNS
@click.pass_obj
def table_one(
    terminal: Terminal,
    plan_file: Path,
    sites: Path,
    complete: tuple[str, ...],
    where: tuple[str, ...],
    keep: Path | None,
    columns: tuple[str, ...],
) -> Answer:
    """Compare hospitals: each one's table 1, and what does not fit together between them.

    Alarms are about units, codes that may be exchanged, columns that are constant or filled in,
    much that is missing, and implausible times. Each hospital's policy allows or refuses its
    table ('table-1' in releases); means are rounded, and counts below its smallest cell hidden.

    Reads PLAN, which must allow 'describe', and each hospital's built cohort. Writes nothing but
    what each hospital's node writes down, and the folder of --keep.

      fedpet stats table-one plan.toml --sites hospitals

    Next: ask the hospitals that alarms name; then `fedpet stats cox PLAN --sites FOLDER`.
    """
    from fedpet.cli.asking_words import columns_of, listed
    from fedpet.cli.stats_words import draw_table_one, table_one_data

    with asked(terminal, plan_file, sites, complete=complete, where=where, keep=keep) as one:
        names = columns_of(one.plan, listed(columns))
        found = one.federation.table_one(names, subjects=one.subjects)
        account = one.federation.disclosure
    return told(account, table_one_data(found), lambda console: draw_table_one(found, console))


@click.command("duplicates", cls=FedpetCommand, short_help="Subjects who are at two hospitals")
@asks
@COLUMNS
@click.pass_obj
def duplicates(
    terminal: Terminal,
    plan_file: Path,
    sites: Path,
    complete: tuple[str, ...],
    where: tuple[str, ...],
    keep: Path | None,
    columns: tuple[str, ...],
) -> Answer:
    """Estimate how many subjects are at two hospitals: rows that are the same in every column.

    Each hospital marks its rows under a salt drawn for this question, and only the sum of the
    marks is kept. Whoever knows a whole row could ask whether it is there; so only hospitals whose
    policy lists 'duplicates' in releases answer.

    Reads PLAN, which must allow 'describe', and each hospital's built cohort. Writes nothing but
    what each hospital's node writes down, and the folder of --keep.

      fedpet stats duplicates plan.toml --sites hospitals --columns age_years,tmtv_ml,suvmax

    Next: the hospitals compare the subjects in question among themselves.
    """
    import secrets

    from fedpet.cli.asking_words import columns_of, listed

    with asked(terminal, plan_file, sites, complete=complete, where=where, keep=keep) as one:
        found = one.federation.find_duplicates(
            salt=secrets.token_hex(16),
            columns=columns_of(one.plan, listed(columns)),
            subjects=one.subjects,
        )
        account = one.federation.disclosure
    number = "fewer than 5" if found.estimate is None else f"about {found.estimate}"
    text = f"{number} of {found.rows} rows are at a second hospital as well."
    data: dict[str, object] = {
        "rows": found.rows,
        "estimate": found.estimate,
        "hospitals": list(found.sites),
    }
    return told(account, data, lambda console: console.print(text.capitalize()))
