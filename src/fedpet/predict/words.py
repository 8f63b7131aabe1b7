"""What the page about one subject says, in both languages."""

from __future__ import annotations

from collections.abc import Mapping

ENGLISH = {
    "title": "Prediction for one subject",
    "banner": "For research only. Not a medical device; not for decisions about a patient.",
    "stays": "This page is about one person. It was made in the hospital and stays there.",
    "subject": "Subject",
    "model": "Model",
    "plan": "Plan",
    "made": "Made",
    "curve": "Probability of being event-free",
    "curve_note": "Line: the network. Band: lowest and highest of {n} networks fitted with other "
    "subjects left out; it shows how much the answer hangs on who was learned from, and is no "
    "confidence interval.",
    "curve_alone": "The run kept no refitted networks; there is no band.",
    "axis": "Months since the time origin",
    "at": "At {months} months",
    "event_free": "event-free",
    "bound": "Event-free until, with 9 in 10 certainty",
    "bound_value": "{months} months",
    "bound_end": "{months} months, where the prediction ends",
    "bound_none": "Nothing can be promised",
    "bound_note": "Of 10 subjects like those judged in this run, at most about 1 has the event "
    "before the time given for it. It holds on average, if leaving follow-up tells nothing of the "
    "outcome, and not for each kind of subject. Conformal risk control, weighted for censoring.",
    "like": "Is this subject like those it learned from?",
    "like_yes": "Yes",
    "like_no": "No: distrust this page",
    "like_unknown": "Not known",
    "like_note": "{share} of the subjects of the training are at least as unusual in what the "
    "network sees.",
    "like_unknown_note": "The run kept nothing to compare with.",
    "like_few": "fewer than 1%",
    "unseen": "The network that tells the risk was fitted without this subject.",
    "seen": "This subject may have been among those of the training; the risk then looks surer "
    "than it is.",
    "looked": "Where the network looked",
    "looked_note": "Orange raises the risk of this subject, blue lowers it, against the same body "
    "with no uptake above SUV 2.5. What a network used is not what causes the outcome.",
    "view0": "Coronal",
    "view1": "Sagittal",
    "uptake": "uptake, SUV 0 to 8",
    "attribution": "attribution",
    "covariates": "What the clinical data add",
    "covariate": "Variable",
    "value": "Value",
    "amount": "Risk, percentage points",
    "missing": "missing",
    "images": "All images together",
    "average": "Average subject, no uptake above SUV 2.5",
    "this": "This subject",
    "risk_note": "Risk is the share of the {months} months that is lost on average. The lines add "
    "up: an average subject with this body and no "
    "uptake above SUV 2.5, the images, the clinical data, this subject. Rest of "
    "the integral: {rest}.",
}
FRENCH = {
    "title": "Prédiction pour un sujet",
    "banner": "Recherche uniquement. Pas un dispositif médical ; aucune décision pour un patient.",
    "stays": "Cette page concerne une personne. Elle a été faite à l’hôpital et y reste.",
    "subject": "Sujet",
    "model": "Modèle",
    "plan": "Plan",
    "made": "Établie",
    "curve": "Probabilité d’être sans événement",
    "curve_note": "Trait : le réseau. Bande : le plus bas et le plus haut de {n} réseaux ajustés "
    "sans d’autres sujets ; elle montre combien la réponse dépend de ceux dont il a appris, et "
    "n’est pas un intervalle de confiance.",
    "curve_alone": "L’exécution n’a pas gardé de réseaux réajustés ; il n’y a pas de bande.",
    "axis": "Mois depuis l’origine",
    "at": "À {months} mois",
    "event_free": "sans événement",
    "bound": "Sans événement jusqu’à, avec une certitude de 9 sur 10",
    "bound_value": "{months} mois",
    "bound_end": "{months} mois, où s’arrête la prédiction",
    "bound_none": "Rien ne peut être promis",
    "bound_note": "Sur 10 sujets semblables à ceux jugés ici, au plus 1 environ a l’événement "
    "avant le délai donné pour lui. Cela vaut en moyenne, si la fin du suivi ne dit rien du "
    "devenir, et "
    "non pour chaque sorte de sujets. Contrôle conforme du risque, pondéré pour la censure.",
    "like": "Ce sujet ressemble-t-il à ceux dont il a appris ?",
    "like_yes": "Oui",
    "like_no": "Non : ne pas se fier à cette page",
    "like_unknown": "Inconnu",
    "like_note": "{share} des sujets de l’apprentissage sont au moins aussi inhabituels dans ce "
    "que voit le réseau.",
    "like_unknown_note": "L’exécution n’a rien gardé pour comparer.",
    "like_few": "moins de 1 %",
    "unseen": "Le réseau qui donne le risque a été ajusté sans ce sujet.",
    "seen": "Ce sujet a pu faire partie de l’apprentissage ; le risque paraît alors plus sûr qu’il "
    "ne l’est.",
    "looked": "Où le réseau a regardé",
    "looked_note": "L’orange augmente le risque de ce sujet, le bleu le diminue, par rapport au "
    "même corps sans fixation au-dessus de SUV 2,5. Ce dont un réseau "
    "s’est servi n’est pas ce qui cause le devenir.",
    "view0": "Coronale",
    "view1": "Sagittale",
    "uptake": "fixation, SUV 0 à 8",
    "attribution": "attribution",
    "covariates": "Ce qu’ajoutent les données cliniques",
    "covariate": "Variable",
    "value": "Valeur",
    "amount": "Risque, points de pourcentage",
    "missing": "manquante",
    "images": "Toutes les images ensemble",
    "average": "Sujet moyen, aucune fixation au-dessus de SUV 2,5",
    "this": "Ce sujet",
    "risk_note": "Le risque est la part des {months} mois perdue en moyenne. Les lignes "
    "s’additionnent : un sujet moyen avec ce corps sans fixation au-dessus de SUV "
    "2,5, les images, les données cliniques, ce sujet. "
    "Reste de l’intégrale : {rest}.",
}
CATALOGUES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, "fr": FRENCH}


def decimal(value: float, places: int, *, language: str, signed: bool = False) -> str:
    """Return a number in the reader's notation.

    Examples:
        >>> decimal(-1.25, 1, language="fr"), decimal(2.0, 0, language="en", signed=True)
        ('−1,2', '+2')
    """
    told = f"{value:+.{places}f}" if signed else f"{value:.{places}f}"
    told = told.replace("-", "\N{MINUS SIGN}")
    return told.replace(".", ",") if language == "fr" else told


def percent(share: float, *, language: str, places: int = 0) -> str:
    """Return a share as a percentage in the reader's notation.

    Examples:
        >>> percent(0.256, language="en")
        '26%'
    """
    space = "\N{NARROW NO-BREAK SPACE}" if language == "fr" else ""
    return f"{decimal(100 * share, places, language=language)}{space}%"
