"""What a column is likely to be, by its name; every guess is for a person to check."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A variable that plans use, and the names that columns give it.

    Args:
        pattern: Of the column's name, in lower case with `_` between words.
        type: `number`, `integer` or `category`.
        unit: Canonical unit.
        range: Plausible values.
        yes: Codes that count 1, for a category; `*` stands for any ending.
        no: Codes that count 0.
        description: For people.
    """

    pattern: str
    type: str = "number"
    unit: str = ""
    range: tuple[float, float] | None = None
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    description: str


YES = ("yes", "y", "oui", "o", "ja", "true", "vrai", "checked", "1", "present", "current*",
       "former*", "actif*", "ancien*", "ever")  # fmt: skip
NO = ("no", "n", "non", "nein", "false", "faux", "unchecked", "0", "absent", "never*", "jamais*")
MALE = ("m", "h", "male", "masculin", "man", "men", "homme", "mann", "maennlich", "1")
FEMALE = ("f", "w", "female", "feminin", "woman", "women", "femme", "frau", "weiblich", "2", "0")
VARIABLES: dict[str, Known] = {
    "age_years": Known(pattern=r"age(_.*)?|.*_age", unit="years", range=(18, 110),
                       description="Age at first infusion"),
    "sex_male": Known(pattern=r"sexe?|gender|geschlecht", type="category",
                      yes=MALE, no=FEMALE, description="Sex"),
    "ecog": Known(pattern=r"ecog.*|.*performance_status.*|ps(_.*)?|who_ps", type="integer",
                  range=(0, 4), description="ECOG performance status"),
    "pdl1_tps_percent": Known(pattern=r".*pd_?l_?1.*|tps.*", unit="%", range=(0, 100),
                              description="PD-L1 tumour proportion score"),
    "nlr": Known(pattern=r"nlr|rnl|neutrophil.*lymphocyte.*ratio", range=(0.05, 200),
                 description="Neutrophil-to-lymphocyte ratio"),
    "ldh_uln_ratio": Known(pattern=r"ldh_(n|uln|ratio).*|ldh_over.*", range=(0.1, 50),
                           description="LDH over its upper limit of normal"),
    "ldh_u_l": Known(pattern=r"ldh(_u_l|_ui_l|_iu_l|_baseline)?", unit="U/L", range=(20, 20000),
                     description="LDH"),
    "albumin_g_l": Known(pattern=r"alb(umine?)?(_.*)?", unit="g/L", range=(10, 60),
                         description="Albumin"),
    "anc_10e9_l": Known(pattern=r"anc|neutro(phile?s?)?(_.*)?|pnn", unit="10^9/L",
                        range=(0.1, 100), description="Neutrophils"),
    "wbc_10e9_l": Known(pattern=r"wbc|leu[ck]ocytes?|white.*cell.*|gb", unit="10^9/L",
                        range=(0.1, 200), description="White blood cells"),
    "lymphocytes_10e9_l": Known(pattern=r"alc|lympho(cytes?)?(_.*)?", unit="10^9/L",
                                range=(0.01, 100), description="Lymphocytes"),
    "weight_kg": Known(pattern=r"(body_)?weight(_kg)?|poids(_kg)?", unit="kg", range=(25, 300),
                       description="Body weight"),
    "height_m": Known(pattern=r"(body_)?height(_m)?|taille(_m)?|size", unit="m", range=(1.2, 2.3),
                      description="Height"),
    "smoking_ever": Known(pattern=r"smok.*|tabac.*|tobacco.*", type="category", yes=YES, no=NO,
                          description="Ever smoked"),
    "line": Known(pattern=r"line(_of.*)?|ligne.*|treatment_line|.*_line", type="integer",
                  range=(1, 9), description="Line of treatment"),
    "brain_metastases": Known(pattern=r"(brain|cerebral).*met.*|met.*_(brain|cereb).*",
                              type="category", yes=YES, no=NO,
                              description="Brain metastases known"),
}  # fmt: skip
ROLES: dict[str, str] = {
    "progression_confirmed": r".*confirm.*",
    "progression": r".*progress.*|.*(^|_)pd_?date|date_(de_)?pd",
    "death": r".*death.*|.*dece[sd].*|dod|.*died.*",
    "last_contact": r".*last_(contact|follow|news|seen|visit).*|.*dernier.*|.*follow_?up.*|dln",
    "origin": r".*(first_infusion|first_dose|premiere_cure|ici_start|treatment_start|start_date|"
    r"date_start|start_of_(treatment|therapy).*|therapy_start|infusion.*|debut.*trait.*|c1d1|c1j1).*",
}
SUBJECT = (
    r"patient_?id|participant_?id|subject(_?id)?|record_?id|study_?id|ipp|num_?patient|folder_name"
)
RESPONSE = r".*best.*resp.*|.*meilleure.*rep.*|bor|(objective_)?response|.*recist.*|.*percist.*"
IDENTIFYING = (
    r"(.*_)?(sur|last|first|family|given|full|maiden|middle)?_?names?|nom(_.*)?|prenoms?|"
    r".*(birth|naissance|geburt).*|dob|ddn|.*address.*|.*adresse.*|.*phone.*|.*telephone.*|"
    r".*e_?mail.*|mrn|.*medical_record.*|ssn|nss|nir|insee|.*insurance.*|.*zip.*|.*postal.*|"
    r"initials?|initiales"
)


def plain(name: str) -> str:
    """Return a column's name in lower case, without accents, `_` between words.

    Examples:
        >>> plain("Date de décès")
        'date_de_deces'
    """
    folded = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "_", letters).strip("_")


def variable_of(*names: str) -> str | None:
    """Return the canonical variable that one of a column's names resembles.

    Examples:
        >>> variable_of("Albumine (g/L)"), variable_of("favourite_colour")
        ('albumin_g_l', None)
    """
    for variable, known in VARIABLES.items():
        if any(re.fullmatch(known.pattern, plain(name)) for name in names):
            return variable
    return None


def role_of(*names: str) -> str | None:
    """Return the date that one of a column's names resembles."""
    for role, pattern in ROLES.items():
        if any(re.fullmatch(pattern, plain(name)) for name in names):
            return role
    return None


def resembles(pattern: str, *names: str) -> bool:
    """Tell whether one of a column's names resembles a pattern."""
    return any(re.fullmatch(pattern, plain(name)) for name in names)


def number_of(code: str, known: Known) -> float | None:
    """Return the number of a code of a known category; None where it is not evident.

    Examples:
        >>> [number_of(code, VARIABLES["sex_male"]) for code in ("Male", "Femme", "diverse")]
        [1.0, 0.0, None]
    """
    word = plain(code)
    for number, meant in ((1.0, known.yes), (0.0, known.no)):
        for one in meant:
            if word == one or (one.endswith("*") and word.startswith(one[:-1])):
                return number
    return None
