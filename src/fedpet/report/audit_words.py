"""Sentences of the privacy audit's page, for the data-protection officer, in every language."""

from __future__ import annotations

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    "kind": "Privacy audit",
    "banner": "For research only. An attack that fails here proves no absence of risk.",
    "line": "Plan {name}, fingerprint {fingerprint}. {date}, fedpet {version}.",
    "phantom": "The subjects are simulated.",
    "verdict": "In one sentence",
    "verdict_within": "The attacks prove an epsilon of at least {proved}; the bound that the noise "
    "promises is {bound}. They agree.",
    "verdict_above": "The attacks prove an epsilon of at least {proved}, above the bound of "
    "{bound} "
    "that the noise promises: the training is not what it claims to be.",
    "verdict_none": "No attack told members from others more often than chance allows, and nothing "
    "is proved. The training adds no noise, so there is no bound either.",
    "verdict_seen": "At {false} false alarms an attack found {true} of the members: membership "
    "shows through, though an epsilon is not proved with so few subjects. The training adds no "
    "noise, so there is no bound.",
    "verdict_some": "The attacks prove that membership can be told: epsilon is at least {proved}. "
    "The training adds no noise, so there is no bound from above.",
    "member_heading": "Can anybody tell from the model who trained it?",
    "member_lead": "The network was trained on a random half of every hospital's subjects: "
    "{members} members, {others} others, {sites} hospitals. An attacker who knows a subject's "
    "images, clinical data and outcome guesses whether it was a member, by its loss alone, or "
    "beside {references} models trained on other halves. Each hospital counted its own; only sums "
    "of counts left.",
    "attack": "Attack",
    "attack:loss": "by the loss alone",
    "attack:reference": "beside reference models",
    "meant": "False alarms meant",
    "false": "False alarms, 95 %",
    "true": "Members found, 95 %",
    "epsilon": "Epsilon proved",
    "nothing": "none",
    "member_note": "Chance finds as many members as it raises false alarms. Limits of shares are "
    "exact (Clopper-Pearson); a proof of epsilon holds for all rows together. False alarms are "
    "ranked within each hospital: one subject of each is the fewest that can be meant.",
    "power": "With {members} members and {others} others even a perfect attack could prove no more "
    "than an epsilon of {best}. What lies above cannot be seen with so few.",
    "roc": "Members found against false alarms",
    "roc_text": "Two curves, one for each attack, and the diagonal of chance.",
    "invert_heading": "Can an image be rebuilt from what a hospital sends?",
    "invert_lead": "Made-up subjects, tiny networks, one step of training: the worst case for a "
    "patient. The error is that of the rebuilt image as a share of the mean image's: 0 is the very "
    "image, 1 is no better than knowing what people look like on average.",
    "network": "Network",
    "network:linear": "linear",
    "network:hidden": "one hidden layer",
    "seen": "What the attacker sees",
    "seen:clear": "update of one subject, in clear",
    "seen:mixed": "update of one step over {subjects} subjects, in clear",
    "seen:masked": "the same update under the secure sum",
    "error": "Error, median of {trials}",
    "worse": "> 1",
    "invert_note": "fedpet never sends an update in clear under the default policy, nor one of few "
    "subjects. That the attack on a step over several fails does not prove that a better one "
    "would.",
    "rows_heading": "Can rows of a table be rebuilt from statistics?",
    "rows_lead": "Sums over those at risk at several times, of {subjects} made-up subjects. Where "
    "one subject leaves between two times, the difference is that subject's row.",
    "grid": "Times",
    "grid:days": "every day (refused)",
    "grid:weeks": "every week, unchecked (refused)",
    "grid:checked": "weeks, merged until each is left by several (what is told)",
    "rows": "Rows found",
    "limits_heading": "What this does not tell",
    "limit_1": "Stronger attackers exist: with more references, with the updates of single rounds, "
    "or with a copy of the subject's data from elsewhere.",
    "limit_2": "The audited training used half of the subjects; the model in use was trained on "
    "all, "
    "which usually tells less of each.",
    "limit_3": "Membership says that a person's data were used, and with them the disease. It is "
    "not "
    "the only harm: attributes can be guessed from any good model.",
    "limit_4": "A model trained on personal data is not anonymous for having passed. Who may "
    "have it "
    "remains a decision of people.",
    "decimal": ".",
}

FRENCH: Mapping[str, str] = {
    "kind": "Audit de confidentialité",
    "banner": "Réservé à la recherche. Une attaque qui échoue ici ne prouve pas l’absence de "
    "risque.",
    "line": "Plan {name}, empreinte {fingerprint}. {date}, fedpet {version}.",
    "phantom": "Les sujets sont simulés.",
    "verdict": "En une phrase",
    "verdict_within": "Les attaques prouvent un epsilon d’au moins {proved} ; la borne que "
    "promet le "
    "bruit est {bound}. Les deux concordent.",
    "verdict_above": "Les attaques prouvent un epsilon d’au moins {proved}, au-dessus de la borne "
    "{bound} que promet le bruit : l’entraînement n’est pas ce qu’il prétend être.",
    "verdict_none": "Aucune attaque n’a distingué les membres des autres plus souvent que le "
    "hasard "
    "ne le permet, et rien n’est prouvé. L’entraînement n’ajoute pas de bruit : il n’y a pas de "
    "borne non plus.",
    "verdict_seen": "À {false} de fausses alertes, une attaque a trouvé {true} des membres : "
    "l’appartenance transparaît, même si aucun epsilon n’est prouvé avec si peu de sujets. "
    "L’entraînement n’ajoute pas de bruit : il n’y a pas de borne.",
    "verdict_some": "Les attaques prouvent que l’appartenance peut être reconnue : epsilon vaut au "
    "moins {proved}. L’entraînement n’ajoute pas de bruit : il n’y a pas de borne supérieure.",
    "member_heading": "Peut-on savoir, d’après le modèle, qui a servi à l’entraîner ?",
    "member_lead": "Le réseau a été entraîné sur une moitié tirée au sort des sujets de chaque "
    "hôpital : {members} membres, {others} autres, {sites} hôpitaux. Un attaquant qui connaît les "
    "images, les données cliniques et le devenir d’un sujet devine s’il était membre, par sa seule "
    "perte, ou à côté de {references} modèles entraînés sur d’autres moitiés. Chaque hôpital a "
    "compté les siens ; seules des sommes de comptes sont sorties.",
    "attack": "Attaque",
    "attack:loss": "par la perte seule",
    "attack:reference": "à côté de modèles de référence",
    "meant": "Fausses alertes visées",
    "false": "Fausses alertes, 95 %",
    "true": "Membres trouvés, 95 %",
    "epsilon": "Epsilon prouvé",
    "nothing": "aucun",
    "member_note": "Le hasard trouve autant de membres qu’il donne de fausses alertes. Les limites "
    "des parts sont exactes (Clopper-Pearson) ; une preuve d’epsilon vaut pour toutes les lignes "
    "ensemble. Les fausses alertes sont classées dans chaque hôpital : un sujet de chacun est le "
    "moins qui puisse être visé.",
    "power": "Avec {members} membres et {others} autres, même une attaque parfaite ne prouverait "
    "pas "
    "plus qu’un epsilon de {best}. Ce qui est au-dessus ne se voit pas avec si peu de sujets.",
    "roc": "Membres trouvés selon les fausses alertes",
    "roc_text": "Deux courbes, une par attaque, et la diagonale du hasard.",
    "invert_heading": "Peut-on reconstruire une image d’après ce qu’un hôpital envoie ?",
    "invert_lead": "Sujets inventés, réseaux minuscules, un seul pas d’entraînement : le pire cas "
    "pour un patient. L’erreur est celle de l’image reconstruite, en part de celle de l’image "
    "moyenne : 0 est l’image même, 1 ne vaut pas mieux que de savoir à quoi ressemblent les gens "
    "en "
    "moyenne.",
    "network": "Réseau",
    "network:linear": "linéaire",
    "network:hidden": "une couche cachée",
    "seen": "Ce que voit l’attaquant",
    "seen:clear": "mise à jour d’un sujet, en clair",
    "seen:mixed": "mise à jour d’un pas sur {subjects} sujets, en clair",
    "seen:masked": "la même mise à jour sous la somme sécurisée",
    "error": "Erreur, médiane de {trials}",
    "worse": "> 1",
    "invert_note": "Avec la politique par défaut, fedpet n’envoie jamais de mise à jour en "
    "clair, ni "
    "de mise à jour de peu de sujets. L’échec de l’attaque sur un pas de plusieurs sujets ne "
    "prouve "
    "pas qu’une meilleure échouerait.",
    "rows_heading": "Peut-on reconstruire des lignes de tableau d’après des statistiques ?",
    "rows_lead": "Sommes sur les sujets à risque à plusieurs dates, pour {subjects} sujets "
    "inventés. "
    "Là où un seul sujet sort entre deux dates, la différence est la ligne de ce sujet.",
    "grid": "Dates",
    "grid:days": "chaque jour (refusé)",
    "grid:weeks": "chaque semaine, sans contrôle (refusé)",
    "grid:checked": "semaines, réunies jusqu’à ce que plusieurs sortent de chacune (ce qui est "
    "dit)",
    "rows": "Lignes trouvées",
    "limits_heading": "Ce que cela ne dit pas",
    "limit_1": "Il existe des attaquants plus forts : avec plus de références, avec les mises à "
    "jour "
    "de chaque tour, ou avec une copie des données du sujet venue d’ailleurs.",
    "limit_2": "L’entraînement audité a utilisé la moitié des sujets ; le modèle en service a été "
    "entraîné sur tous, ce qui en dit d’ordinaire moins sur chacun.",
    "limit_3": "L’appartenance dit que les données d’une personne ont servi, et avec elles sa "
    "maladie. Ce n’est pas le seul tort : tout bon modèle permet de deviner des attributs.",
    "limit_4": "Un modèle entraîné sur des données personnelles n’est pas anonyme pour avoir "
    "réussi "
    "cet audit. Qui peut l’avoir reste une décision humaine.",
    "decimal": ",",
}

NO_BREAK = "\N{NO-BREAK SPACE}"


def set_in_french(sentences: Mapping[str, str]) -> dict[str, str]:
    """Return sentences whose signs cannot be parted from the word before."""
    found = {}
    for key, sentence in sentences.items():
        for sign in ":;?!%":
            sentence = sentence.replace(f" {sign}", f"{NO_BREAK}{sign}")
        found[key] = sentence
    return found


CATALOGUES = {"en": ENGLISH, "fr": set_in_french(FRENCH)}
