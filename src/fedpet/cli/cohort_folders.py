"""`fedpet cohort dictionary|import`: a hospital's folder from what a hospital already has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal

if TYPE_CHECKING:
    from fedpet.cohort.draft import Draft
    from fedpet.cohort.imported import Imported, Layout

PLACE = click.Path(path_type=Path)


@click.command("dictionary", cls=FedpetCommand, short_help="Draft a table's data dictionary")
@click.argument("folder", type=PLACE)
@click.option("--redcap", type=PLACE, help="REDCap's data dictionary, CSV of 18 columns.")
@click.option("--table", default="", help="The table; clinical.csv or clinical.xlsx unless told.")
@click.option("-o", "--output", type=PLACE, help="Where; FOLDER/dictionary.toml unless told.")
@click.pass_obj
def dictionary(
    terminal: Terminal, folder: Path, redcap: Path | None, table: str, output: Path | None
) -> Answer:
    """Draft dictionary.toml from a table's header, or from REDCap's data dictionary.

    Reads the table in FOLDER, CSV or Excel, and guesses by the names of its columns what each one
    holds. With --redcap it also knows types, choices and ranges, from a raw or a labels export
    alike; fields that the project marks under `Identifier?` are listed as `identifying` and are
    never read into the cohort. Writes FOLDER/dictionary.toml, where every guess is marked
    "check": read it before you build.

      fedpet cohort dictionary hospitals/lyon
      fedpet cohort dictionary hospitals/lyon --redcap lyon_DataDictionary.csv

    Next: correct FOLDER/dictionary.toml, then `fedpet cohort build FOLDER`.
    """
    from fedpet.cohort.draft import draft_dictionary
    from fedpet.cohort.manifest import write_private
    from fedpet.cohort.redcap import read_redcap
    from fedpet.cohort.tablefile import read_sheet
    from fedpet.errors import NotFoundError, StoreError

    del terminal
    to = output or folder / "dictionary.toml"
    if to.exists():
        raise StoreError(
            f"{to.name} exists already, and is not written over.",
            do="Name another file: -o draft.toml",
            code="FP-3010",
        )
    fields = () if redcap is None else read_redcap(redcap)
    names = (table,) if table else ("clinical.csv", "clinical.xlsx")
    path = next((folder / name for name in names if (folder / name).exists()), None)
    if path is None and not fields:
        raise NotFoundError(
            f"There is no {' or '.join(names)} in the folder.", do="Name the table with --table."
        )
    columns = [name for field in fields for pair in field.columns for name in pair]
    draft = draft_dictionary(None if path is None else read_sheet(path, columns), fields)
    write_private(to, draft.text.encode())
    return Answer(data={"dictionary": str(to), **_told(draft)}, text=_words(draft, to))


@click.command("medicalfolder", cls=FedpetCommand, short_help="Import a MedicalFolderDataset")
@click.argument("source", type=PLACE)
@click.argument("folder", type=PLACE)
@click.option("--pet-units", type=click.Choice(["suv"]), help="suv: the PET holds body-weight SUV.")
@click.option("--pet", default="", help="Name of the PET's modality folder.")
@click.option("--ct", default="", help="Name of the CT's modality folder.")
@click.option("--mask", default="", help="Name of the lesion masks' modality folder.")
@click.option("--table", default="", help="The demographics; the only table in SOURCE unless told.")
@click.option("--name", default="imported", help="Name of the cohort, as plans call it.")
@click.option("--site", default="", help="Name of the hospital; that of FOLDER unless told.")
@click.pass_obj
def medicalfolder(
    terminal: Terminal,
    source: Path,
    folder: Path,
    pet_units: Literal["suv"] | None,
    pet: str,
    ct: str,
    mask: str,
    table: str,
    name: str,
    site: str,
) -> Answer:
    """Import images and demographics laid out as Fed-BioMed's MedicalFolderDataset.

    Reads SOURCE/SUBJECT/MODALITY/*.nii.gz and the table in SOURCE; writes a hospital's folder:
    DICOM images, NIfTI masks, clinical.csv, a drafted dictionary.toml and cohort.toml. NIfTI does
    not say what a PET's values are, so you must: with --pet-units suv they are body-weight SUV.
    SOURCE stays as it is.

      fedpet cohort import medicalfolder data hospitals/lyon --pet-units suv

    Next: correct FOLDER/dictionary.toml, then `fedpet cohort build FOLDER`.
    """
    from fedpet.cohort.medical_folder import MedicalFolder

    layout = MedicalFolder(
        root=source, pet_units=pet_units, pet=pet, ct=ct, mask=mask, table_name=table
    )
    return _imported(terminal, layout, folder, name=name, site=site)


@click.command("bids", cls=FedpetCommand, short_help="Import a BIDS data set with PET")
@click.argument("source", type=PLACE)
@click.argument("folder", type=PLACE)
@click.option("--session", default="", help="Label of the session; the first one unless told.")
@click.option("--name", default="imported", help="Name of the cohort, as plans call it.")
@click.option("--site", default="", help="Name of the hospital; that of FOLDER unless told.")
@click.pass_obj
def bids(
    terminal: Terminal, source: Path, folder: Path, session: str, name: str, site: str
) -> Answer:
    """Import a BIDS data set with PET.

    Reads SOURCE/sub-*/[ses-*/]pet/*_pet.nii.gz with their JSON sidecars, a CT beside them, lesion
    masks under derivatives, and participants.tsv; writes a hospital's folder with DICOM images.
    SUV comes from Units, InjectedRadioactivity, InjectionStart, TracerRadionuclide,
    ImageDecayCorrected and ImageDecayCorrectionTime of the sidecar and the weight in
    participants.tsv; a subject without them is left out and told. SOURCE stays as it is.

      fedpet cohort import bids data hospitals/lyon

    Next: correct FOLDER/dictionary.toml, then `fedpet cohort build FOLDER`.
    """
    from fedpet.cohort.bids import Bids

    return _imported(terminal, Bids(root=source, session=session), folder, name=name, site=site)


def _imported(terminal: Terminal, layout: Layout, folder: Path, *, name: str, site: str) -> Answer:
    from fedpet.cohort.imported import Imported, SubjectDone, import_layout

    last: Imported | None = None
    site = site or re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.casefold()).strip("-._")
    for record in import_layout(layout, folder, name=name, site=site):
        if isinstance(record, Imported):
            last = record
        elif isinstance(record, SubjectDone) and record.number % 10 == 0:
            terminal.say(f"{record.number} subjects")
    assert last is not None
    data = {
        "folder": str(folder),
        "subjects": last.subjects,
        "masks": last.masks,
        "left_out": [{"reason": reason, "subjects": count} for reason, count in last.refused],
        **_told(last.draft),
    }
    return Answer(data=data, text=_import_words(last, folder))


def _import_words(done: Imported, folder: Path) -> str:
    lines = [f"{done.subjects} subjects with PET written to {folder}, {done.masks} with masks."]
    lines += [f"! {count} left out: {reason}" for reason, count in done.refused]
    return "\n".join([*lines, _words(done.draft, folder / "dictionary.toml")])


def _told(draft: Draft) -> dict[str, object]:
    return {
        "guessed": draft.guessed,
        "open": list(draft.open),
        "identifying": list(draft.identifying),
        "unused": draft.unused,
    }


def _words(draft: Draft, to: Path) -> str:
    from fedpet.cohort.findings import counted

    lines = [f"{to}: a draft with {counted(draft.guessed, 'column')}, to be checked one by one."]
    if draft.identifying:
        lines.append(
            f"Never read, as they name a person: {counted(len(draft.identifying), 'column')}."
        )
    if draft.unused:
        lines.append(f"Not used: {counted(draft.unused, 'column')}; describe what you want of it.")
    if draft.open:
        lines.append(f"Fill in: {', '.join(draft.open)}.")
    return "\n".join(lines)
