"""REDCap's data dictionary: what each field of a project is, and which fields name a person."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fedpet.cohort.tablefile import read_sheet
from fedpet.errors import DataError

# The 18 columns of the export, as REDCap writes them; only those with a key here are used.
COLUMNS = {
    "Variable / Field Name": "name",
    "Form Name": "form",
    "Field Type": "type",
    "Field Label": "label",
    "Choices, Calculations, OR Slider Labels": "choices",
    "Text Validation Type OR Show Slider Number": "validation",
    "Text Validation Min": "least",
    "Text Validation Max": "greatest",
    "Identifier?": "identifier",
    "Required Field?": "required",
}
SHORT = {
    "field_name": "name", "form_name": "form", "field_type": "type", "field_label": "label",
    "select_choices_or_calculations": "choices",
    "text_validation_type_or_show_slider_number": "validation", "text_validation_min": "least",
    "text_validation_max": "greatest", "identifier": "identifier", "required_field": "required",
}  # fmt: skip
CHOICE_TYPES = frozenset({"radio", "dropdown", "checkbox"})
TAG = re.compile(r"<[^>]{0,200}>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a REDCap project.

    Args:
        name: Its name, the column of a raw export.
        label: Its label, the column of a labels export.
        type: `text`, `radio`, `dropdown`, `checkbox`, `yesno`, `truefalse`, `calc`, `notes` ...
        validation: Such as `integer`, `number` or `date_dmy`; empty if there is none.
        choices: Code and label of each choice, in order.
        range: Least and greatest value; None where one is open.
        identifier: Whether the project marks it as naming a person.
        required: Whether it must be filled in.
    """

    name: str
    label: str
    type: str
    validation: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    range: tuple[float, float] | None = None
    identifier: bool = False
    required: bool = False

    @property
    def is_date(self) -> bool:
        """Whether it holds a day."""
        return self.validation.startswith(("date_", "datetime_"))

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Columns of the field in a raw export and in a labels export.

        Examples:
            >>> Field(name="mets", label="Metastases", type="checkbox",
            ...       choices=(("1", "Brain"),)).columns
            (('mets___1', 'Metastases (choice=Brain)'),)
        """
        if self.type != "checkbox":
            return ((self.name, self.label),)
        return tuple(
            (f"{self.name}___{code.lower()}", f"{self.label} (choice={label})")
            for code, label in self.choices
        )


def read_redcap(path: Path) -> tuple[Field, ...]:
    """Read the data dictionary that REDCap exports (18 columns, CSV).

    Raises:
        NotFoundError: If there is no such file.
        DataError: If it is not such a dictionary (FP-2107).
    """
    sheet = read_sheet(path, tuple(COLUMNS))
    place: dict[str, int] = {}
    for at, title in enumerate(sheet.header):
        key = COLUMNS.get(title) or SHORT.get(title)
        if key is not None:
            place.setdefault(key, at)
    if lacking := [t for t, key in COLUMNS.items() if key in NEEDED and key not in place]:
        told = ", ".join(f"'{title}'" for title in lacking)
        raise DataError(
            f"{path.name} is not a data dictionary of REDCap: it has no column {told}.",
            do="In REDCap: Project Setup, Download the current Data Dictionary.",
            code="FP-2107",
        )
    fields = []
    for row in sheet.rows:
        told_row = {key: row[at] for key, at in place.items()}
        if told_row["name"] and told_row["type"] != "descriptive":
            fields.append(_field(told_row))
    if not fields:
        raise DataError(f"{path.name} describes no field.", code="FP-2107")
    return tuple(fields)


NEEDED = frozenset({"name", "type", "label", "choices", "validation", "identifier"})


def _field(row: dict[str, str]) -> Field:
    kind = row["type"].casefold()
    choices = parse_choices(row["choices"]) if kind in CHOICE_TYPES else ()
    if kind == "yesno":
        choices = (("1", "Yes"), ("0", "No"))
    elif kind == "truefalse":
        choices = (("1", "True"), ("0", "False"))
    return Field(
        name=row["name"],
        label=" ".join(TAG.sub("", row["label"]).split()),
        type=kind,
        validation=row["validation"].casefold(),
        choices=choices,
        range=_range(row.get("least", ""), row.get("greatest", "")),
        identifier=row["identifier"].casefold() in ("y", "yes", "1", "true"),
        required=row.get("required", "").casefold() in ("y", "yes", "1", "true"),
    )


def parse_choices(text: str) -> tuple[tuple[str, str], ...]:
    """Return code and label of each choice.

    Examples:
        >>> parse_choices("1, Male | 2, Female")
        (('1', 'Male'), ('2', 'Female'))
        >>> parse_choices("0, No, never|1, Yes, once |")
        (('0', 'No, never'), ('1', 'Yes, once'))
    """
    found = []
    for part in text.split("|"):
        code, comma, label = part.partition(",")
        if comma and code.strip():
            found.append((code.strip(), " ".join(TAG.sub("", label).split())))
    return tuple(found)


def _range(least: str, greatest: str) -> tuple[float, float] | None:
    try:
        low, high = float(least), float(greatest)
    except ValueError:
        return None
    return (low, high) if low < high else None
