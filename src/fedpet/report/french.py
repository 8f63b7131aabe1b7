"""The report in French. Keys are those of `english.py`."""

from __future__ import annotations

from collections.abc import Mapping

THIN, WIDE = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"


def typeset(sentence: str) -> str:
    r"""Set the spaces that French wants before signs so that no line breaks there.

    Examples:
        >>> typeset("Oui ? « Non »")
        'Oui\u202f? «\xa0Non\xa0»'
    """
    for sign in ";?!%":
        sentence = sentence.replace(f" {sign}", f"{THIN}{sign}")
    for plain, set_ in ((" :", f"{WIDE}:"), ("« ", f"«{WIDE}"), (" »", f"{WIDE}»")):
        sentence = sentence.replace(plain, set_)
    return sentence


_SENTENCES: Mapping[str, str] = {
    # notation
    "decimal": ",",
    "thousands": "\N{NARROW NO-BREAK SPACE}",
    "percent": "{value}\N{NARROW NO-BREAK SPACE}%",
    "dash": "{low}–{high}",
    "to": "{low} à {high}",
    "value_interval": "{value} ({interval})",
    "and": "et",
    "p_tiny": "< 0,001",
    "B": "{value}\N{NARROW NO-BREAK SPACE}o",
    "kB": "{value}\N{NARROW NO-BREAK SPACE}ko",
    "MB": "{value}\N{NARROW NO-BREAK SPACE}Mo",
    "GB": "{value}\N{NARROW NO-BREAK SPACE}Go",
    "seconds": "{value}\N{NARROW NO-BREAK SPACE}s",
    "minutes": "{minutes} min {seconds} s",
    "hours": "{hours} h {minutes} min",
    "first_of_month": "1er",
    "months": "janvier février mars avril mai juin juillet août septembre octobre novembre "
    "décembre",
    "not_estimable": "non estimable",
    "no_interval": "pas d’intervalle",
    "withheld": "masqué",
    # names
    "model": "Modèle",
    "arm:network-federated": "Réseau, fédéré",
    "arm:network-pooled": "Réseau, données réunies",
    "arm:network-local": "Réseau, un seul hôpital",
    "arm:network-personal": "Réseau propre à chaque hôpital, à côté du fédéré",
    "arm:network-ensemble": "Réseau, ensemble des réseaux locaux",
    "arm:cox-federated": "Cox, clinique + biomarqueurs",
    "arm:cox-clinical": "Cox, clinique seule",
    "arm:tmtv": "TMTV seul",
    "the:network-federated": "le réseau fédéré",
    "the:network-pooled": "le réseau entraîné sur les données réunies",
    "the:network-local": "les réseaux entraînés dans un seul hôpital",
    "the:network-personal": "le réseau propre à chaque hôpital, à côté du fédéré",
    "the:network-ensemble": "l'ensemble des réseaux entraînés dans un seul hôpital",
    "the:cox-federated": "le modèle de Cox fédéré",
    "the:cox-clinical": "le modèle de Cox sur les seules données cliniques",
    "the:tmtv": "le TMTV seul",
    "inputs:PET projections + clinical": "projections TEP + clinique",
    "inputs:clinical + biomarkers": "clinique + biomarqueurs",
    "inputs:clinical": "clinique",
    "inputs:TMTV": "volume tumoral métabolique total",
    "endpoint:pfs": "survie sans progression",
    "endpoint:os": "survie globale",
    "endpoint:response": "réponse au traitement",
    "endpoint:early_failure": "échec précoce du traitement",
    "short:pfs": "SSP",
    "short:os": "SG",
    "event_free": "Sans événement, par tiers de risque prédit (intervalle à 95 %)",
    "event_free:pfs": "En vie sans progression, par tiers de risque prédit (intervalle à 95 %)",
    "event_free:os": "En vie, par tiers de risque prédit (intervalle à 95 %)",
    "third:low": "Risque prédit bas",
    "third:middle": "Intermédiaire",
    "third:high": "Risque prédit élevé",
    "variable:age_years": "Âge",
    "variable:sex_male": "Sexe masculin",
    "variable:ecog": "Indice de performance ECOG",
    "variable:pdl1_tps_percent": "Score PD-L1 (TPS)",
    "variable:nlr": "Rapport neutrophiles / lymphocytes",
    "variable:ldh_uln_ratio": "LDH / limite supérieure normale",
    "variable:albumin_g_l": "Albumine",
    "variable:smoking_ever": "A fumé",
    "variable:line": "Ligne de traitement",
    "variable:brain_metastases": "Métastases cérébrales",
    "variable:tmtv_ml": "TMTV",
    "variable:tlg_g": "TLG",
    "variable:suvmax": "SUVmax",
    "variable:suvmean": "SUVmoyen",
    "variable:suvpeak": "SUVpic",
    "variable:lesion_count": "Nombre de lésions",
    "variable:dmax_mm": "Dmax (plus grande distance entre lésions)",
    "severity:error": "× erreur",
    "severity:warning": "! avertissement",
    "severity:info": "i information",
    "judged:held-out-sites": "des sujets d’hôpitaux sur lesquels il n’a jamais été entraîné",
    "judged:held-out-subjects": "des sujets sur lesquels il n’a jamais été entraîné",
    "judged:other": "des sujets mis de côté",
    "reason:no pair of subjects can be compared": "aucune paire de sujets n’est comparable",
    "nav": "Sommaire",
    "left:counts of subjects and events": "Nombres de sujets et d’événements",
    "left:sums for means and spreads of covariates": "Sommes pour moyennes et dispersions des "
    "covariables",
    "left:Cox log-likelihood, gradient and information": "Log-vraisemblance, gradient et "
    "information de Cox",
    "left:events and time at risk by interval": "Événements et temps à risque par intervalle",
    "left:initial weights (from the seed, not from data)": "Poids initiaux (tirés de la graine, "
    "non des données)",
    "left:model updates": "Mises à jour du modèle",
    "left:histograms of predicted risk": "Histogrammes du risque prédit",
    "left:sums and products of what the network sees": "Sommes et produits de ce que voit le "
    "réseau",
    "left:histogram of distances from the mean of all subjects": "Histogrammes des distances à la "
    "moyenne de tous les sujets",
    "left:histogram of predicted levels at which subjects failed": "Histogrammes des niveaux "
    "prédits auxquels survient l’événement",
    "left:sums of prediction errors and pairs": "Sommes des erreurs de prédiction et des paires",
    "left:models trained at one hospital (comparison on phantoms)": "Modèles entraînés dans un "
    "seul hôpital (comparaison sur fantômes)",
    "left:a hospital's own results (named release)": "Résultats propres à un hôpital (diffusion "
    "nommée)",
    "left:sums of losses that judge a candidate": "Sommes de pertes qui jugent un candidat",
    "left:a hospital's vote on a candidate (named release, one bit)": "Vote d’un hôpital sur un "
    "candidat (diffusion nommée, un bit)",
    "left:a hospital's signed statement on the models (named release)": "Déclaration signée d’un "
    "hôpital sur les modèles (diffusion nommée)",
    "timing:Acceptance of models": "Acceptation des modèles",
    "timing:Counting and scaling": "Comptages et mise à l’échelle",
    "timing:Cox models": "Modèles de Cox",
    "timing:Network, federated": "Réseau fédéré",
    "timing:Networks, pooled and local-only": "Réseaux, données réunies et un seul hôpital",
    "timing:Evaluation": "Évaluation",
    # banner, header, frame
    "banner": "Réservé à la recherche. Ne pas utiliser pour décider du soin d’un patient.",
    "banner_phantom": "Tous les sujets de ce rapport sont simulés.",
    "skip": "Aller aux résultats",
    "report_kind": "Rapport d’une expérience fédérée",
    "header_line": "{date} · {sites} hôpitaux · fedpet {version}",
    "plan_name": "Plan",
    "fingerprint": "empreinte",
    "contents": "Dans cette page",
    "footer": "Chaque nombre de cette page figure dans {name}. Produit par fedpet {version} ; "
    "cette page ne charge rien d’ailleurs.",
    "scroll_hint": "Tableau large : faire défiler vers la droite",
    # cards and verdict
    "cards": "Les nombres principaux",
    "card_c": "Indice C : {arm}",
    "card_c_note": "{endpoint}, à l’intérieur des hôpitaux, sur {who}",
    "card_people": "Hôpitaux",
    "card_people_note": "{subjects} sujets.",
    "card_refused_one": "1 hôpital n’a pas participé.",
    "card_refused": "{n} hôpitaux n’ont pas participé.",
    "card_phantom": "Tous simulés.",
    "card_gain": "Gain d’indice C sur {arm}",
    "card_gain_none": "Gain sur une méthode plus simple",
    "card_gain_none_note": "Le plan ne demandait aucune comparaison.",
    "not_compared": "non comparé",
    "card_ceiling": "Meilleur indice C possible",
    "card_ceiling_note": "Connu car les sujets sont simulés ; aucun modèle ne peut faire mieux en "
    "moyenne.",
    "card_cox_note": "Le modèle de Cox fédéré exact, même critère et mêmes sujets.",
    "difference_better": "L’intervalle à 95 % exclut zéro.",
    "difference_worse": "Négatif : l’autre fait mieux, et l’intervalle à 95 % exclut zéro.",
    "difference_undecided": "L’intervalle à 95 % contient zéro : aucune différence démontrée.",
    "difference_unknown": "Trop peu de réplicats pour un intervalle : rien ne peut être conclu.",
    "verdict": "En une phrase",
    "verdict_nothing": "Aucun modèle n’a été jugé pour le critère « {endpoint} » : rien ne peut "
    "être conclu.",
    "verdict_no_c": "Pour le critère « {endpoint} », l’indice C n’est pas estimable ({arm}) : rien "
    "ne peut être conclu.",
    "verdict_lead": "Pour le critère « {endpoint} », sur {who}, {arm} atteint un indice C de {c} à "
    "l’intérieur des hôpitaux",
    "verdict_compared": "{lead} : {parts}.",
    "verdict_better": "il fait mieux que {arms}",
    "verdict_undecided": "aucune différence n’est démontrée, l’intervalle contenant zéro, avec "
    "{arms}",
    "verdict_unknown": "aucune comparaison n’est possible, faute d’intervalle, avec {arms}",
    "verdict_worse": "il fait moins bien que {arms}",
    "verdict_clause": "{arm} ({difference} ; {interval})",
    # curves
    "km_heading": "{endpoint} selon le tiers de risque prédit",
    "km_lead": "Les sujets sont classés selon le risque qu’un modèle leur a prédit sans avoir été "
    "entraîné sur eux, puis répartis en tiers. Plus les courbes s’écartent, mieux le modèle "
    "sépare.",
    "km_title": "{arm}",
    "km_description": "Courbes de Kaplan-Meier de trois groupes de risque prédit avec bandes à "
    "95 % ; le tableau qui suit donne les mêmes nombres. Une courbe s’arrête quand moins de {n} "
    "sujets restent à risque.",
    "km_y": "Part sans événement",
    "km_none": "Pas de courbe : aucun modèle prédisant un risque par sujet n’a été jugé.",
    "months_axis": "Mois depuis la première perfusion",
    "at_risk": "Sujets à risque",
    "third": "Risque prédit",
    "at_month": "{month}\N{NO-BREAK SPACE}mois",
    "at_months": "À {month} mois",
    "month_short": "{month}\N{NO-BREAK SPACE}mois",
    "few_at_risk": "< {n} à risque",
    "logrank": "Test du log-rank entre tiers : p {p}.",
    "logrank_none": "Test du log-rank : non estimable, car moins de deux groupes étaient à risque "
    "en même temps.",
    # forest by hospital
    "forest_heading": "Dans chaque hôpital",
    "forest_lead_held-out-sites": "Chaque hôpital est jugé par un modèle qui n’a jamais été "
    "entraîné sur ses sujets. Les petits hôpitaux ont de larges intervalles.",
    "forest_lead_other": "Chaque hôpital est jugé sur ses propres sujets mis de côté. Les petits "
    "hôpitaux ont de larges intervalles.",
    "forest_none": "Les résultats propres aux hôpitaux ne figurent pas dans ce rapport : le plan "
    "ne les demandait pas, ou aucun hôpital ne les a diffusés.",
    "forest_caption": "Indice C par hôpital : {arm}",
    "hospital": "Hôpital",
    "c_index": "Indice C",
    "c_within": "Indice C à l’intérieur des hôpitaux",
    "value_95": "Valeur (IC à 95 %)",
    "n_events": "{n} sujets, {events} événements",
    "all_hospitals": "Tous les hôpitaux",
    "within_hospitals": "paires d’un même hôpital",
    "chance": "hasard, {value}",
    "ceiling_line": "meilleur possible, {value}",
    # comparison
    "worth_heading": "La fédération en valait-elle la peine ?",
    "worth_lead": "Les mêmes sujets, prédits de différentes façons. Les barres partent de 0,5, le "
    "hasard ; le trait fin est l’intervalle à 95 %.",
    "worth_none": "Aucun modèle n’a été jugé pour ce critère.",
    "bars_caption": "Indice C à l’intérieur des hôpitaux, {endpoint}",
    "comparison_heading": "Toutes les mesures, tous les modèles",
    "comparison_caption": "Performance, {endpoint} : valeur et intervalle à 95 %",
    "comparison_note": "Jugés sur {subjects} sujets avec {events} événements. Toutes les paires et "
    "l’AUC comparent les sujets selon le rang de leur risque parmi les sujets d’entraînement du "
    "modèle. Les réseaux entraînés dans un seul hôpital sont moyennés ; leurs risques n’ont pas "
    "d’échelle commune, les sujets d’hôpitaux différents ne sont donc pas comparés (–). AUC et "
    "score de Brier sont pondérés pour la "
    "censure ; un score de Brier plus bas est meilleur, un rapport observé/attendu de 1 est "
    "parfait.",
    "incomplete_note": "Non estimable : plus aucun sujet, ou seulement des sujets au même devenir, "
    "n’est suivi à cette date.",
    "within": "dans les hôpitaux",
    "global": "toutes les paires",
    "uno": "Uno",
    "mean": "moyenne",
    "auc": "AUC",
    "brier": "Score de Brier",
    "calibration_oe": "Observé/attendu",
    "no_predictors": "Kaplan-Meier de tous",
    "no_predictors_note": "aucun prédicteur",
    "differences_heading": "Différences entre modèles",
    "differences_caption": "Différence d’indice C à l’intérieur des hôpitaux, {endpoint}",
    "difference": "Différence",
    "difference_axis": "Premier moins second",
    "minus": "{a} − {b}",
    "reading": "Lecture",
    "sign_better": "premier meilleur",
    "sign_worse": "second meilleur",
    "sign_undecided": "non démontrée",
    "sign_unknown": "sans intervalle",
    "differences_note": "▲ le premier est meilleur, ▼ le second est meilleur, = aucune différence "
    "démontrée : l’intervalle contient zéro. Les intervalles viennent des mêmes réplicats "
    "bootstrap des mêmes sujets. Ils ne sont pas corrigés pour le nombre de comparaisons.",
    # other endpoints
    "secondary_heading": "Critère secondaire : {endpoint}",
    "secondary_lead": "À lire avec prudence : l’expérience est conçue pour le critère principal.",
    "binary_heading": "Critère secondaire : {endpoint}",
    "binary_lead": "Oui ou non, prédit par une tête du même réseau.",
    "binary_note": "{subjects} sujets dont la réponse est connue, dont {positives} oui.",
    # calibration
    "calibration_heading": "Les risques prédits sont-ils justes ?",
    "calibration_lead": "Chaque marque est un groupe de sujets de risque prédit voisin "
    "({endpoint}) ; sur la ligne tiretée, prédiction et observation concordent. En dessous, le "
    "modèle prédit trop d’événements, au-dessus trop peu.",
    "calibration_title": "Calibration, {endpoint}, à {month} mois",
    "calibration_note": "{arm} : observé/attendu {ratio}, pente {slope}.",
    "calibration_none": "La calibration n’est pas estimable : aucun groupe de sujets n’est assez "
    "grand.",
    "d_calibration": "Sur tout le suivi (D-calibration ; un petit p dit que prédictions et durées "
    "ne s’accordent pas) : {arms}.",
    "d_calibration_arm": "{arm} p {p}",
    "average_hospital": "Hôpital moyen",
    "another_hospital": "Un autre hôpital est attendu à {interval}.",
    "heterogeneity": "I² {i2}.",
    "nav_decisions": "Décisions",
    "decisions_heading": "Vaut-il la peine d’agir selon la prédiction ?",
    "decisions_lead": "Bénéfice net d’une action pour tous ceux dont le risque prédit atteint un "
    "seuil : vrais positifs moins faux positifs à la cote du seuil, en part de tous. Un modèle est "
    "utile là où sa ligne est au-dessus de celle d’une action pour tous et au-dessus de zéro, qui "
    "est l’action pour personne.",
    "decisions_none": "Les courbes de décision ne sont pas dans ces résultats.",
    "decision_title": "Courbe de décision, {endpoint}, à {month} mois",
    "decision_note": "{arm} : utile aux seuils de {low} à {high}.",
    "decision_never": "{arm} : utile à aucun seuil.",
    "treat_all": "Action pour tous",
    "threshold": "Seuil",
    "net_benefit": "Bénéfice net",
    "predicted_risk": "Risque prédit",
    "observed_risk": "Risque observé",
    # training
    "training_heading": "Comment le réseau a été entraîné",
    "training_title": "Perte d’entraînement par tour",
    "training_description": "La perte du modèle conservé passe de {first} à {last} en {rounds} "
    "tours.",
    "training_note": "Trait épais : le modèle conservé, entraîné dans tous les hôpitaux. Traits "
    "fins : les modèles des plis, qui ne servent qu’à l’évaluation.",
    "acceptance_caption": "Votes des hôpitaux sur les candidats du réseau",
    "acceptance_note": f"Jugés sur des sujets qui n’ont servi à entraîner aucun réseau{WIDE}; ceux "
    "qu’un pli met de côté ne votent pas. Perte moyenne sur tous les hôpitaux, sommée sur les "
    "critères.",
    "votes": "Votes favorables",
    "outcome_of_vote": "Issue",
    "votes_of": "{accepts} sur {votes}",
    "loss_before": "Perte avant",
    "loss_after": "Perte après",
    "verdict_accepted": "accepté",
    "verdict_votes": f"rejeté{WIDE}: trop peu de votes",
    "verdict_loss": f"rejeté{WIDE}: la perte moyenne a augmenté",
    "back_to": "retour au tour {round}",
    "back_first": "retour au réseau non entraîné",
    "training_none": "Aucun entraînement par tours n’est enregistré.",
    "kept": "conservé",
    "loss": "Perte",
    "round": "Tour",
    "participation_caption": "Qui a répondu à quel tour",
    "answered": "{n} sur {rounds}",
    "answered_head": "Réponses",
    "state_ok": "a répondu",
    "state_missed": "interrogé, sans réponse utilisable",
    "state_absent": "non interrogé",
    # hazard ratios
    "hazard_heading": "Ce que le modèle de Cox a appris",
    "hazard_lead": "Modèle de Cox exact, stratifié par hôpital, ajusté sur tous les hôpitaux par "
    "des sommes. Rapport de risques par écart-type ; au-dessus de 1, l’événement survient plus "
    "tôt. La pénalité ridge tire les rapports vers 1 : les valeurs p sont approchées.",
    "hazard_none": "Aucun modèle de Cox n’a été ajusté.",
    "hazard_ratio": "Rapport de risques",
    "variable": "Variable",
    "variable_missing": "{variable} : manquant",
    "log_scale": "en log(1 + x)",
    # cohort
    "cohort_heading": "La cohorte, hôpital par hôpital",
    "cohort_caption": "Hôpitaux interrogés",
    "cohort_none": "Les résultats ne nomment aucun hôpital.",
    "subjects": "Sujets",
    "events_of": "Événements, {endpoint}",
    "held_out_in": "Mis de côté dans",
    "fold_number": "pli {n}",
    "state": "A participé",
    "took_part": "✓ oui",
    "not_taking_part": "× non : {reason}",
    "no_reason": "aucune raison donnée",
    "suppressed_note": "Les nombres qui décrivent moins de {n} sujets ne sont pas montrés ; si "
    "l’un d’eux pouvait être retrouvé par soustraction, un autre est masqué.",
    "findings_heading": "Qualité des données",
    "findings_caption": "Ce que les contrôles des hôpitaux ont trouvé",
    "findings_none": "Les contrôles des hôpitaux n’ont rien signalé.",
    "severity": "Gravité",
    "code": "Code",
    "finding": "Constat",
    "remedy": "Remède",
    # what left
    "left_heading": "Ce qui a quitté chaque hôpital",
    "left_lead": "Images et dossiers sont restés. Le coordinateur a reçu ceci, de tous les "
    "hôpitaux ensemble :",
    "left_caption": "Messages des hôpitaux, par contenu",
    "left_none": "Aucun message d’un hôpital n’est enregistré.",
    "left_note": "De chaque sorte, seule la somme sur les hôpitaux est conservée, sauf diffusions "
    "nommées (résultats propres à un hôpital, modèle entraîné dans un seul hôpital), que la "
    "politique d’un hôpital autorise ou refuse.",
    "what": "Contenu",
    "messages": "Messages",
    "bytes": "Taille",
    "total": "Total",
    # trust
    "trust_heading": "Peut-on se fier à ce rapport ?",
    "checks_heading": "Vérifications",
    "checks_none": "Aucune vérification n’a pu être faite.",
    "check": "Vérification",
    "check_value": "Trouvé",
    "check_limit": "Limite",
    "check_result": "Résultat",
    "check_passed": "✓ réussie",
    "check_failed": "× échouée",
    "check_cox": "Le Cox fédéré égale le Cox stratifié sur données réunies, {endpoint} : plus "
    "grande différence d’un coefficient",
    "check_same": "Tous les modèles jugés sur les mêmes sujets et événements, {endpoint}",
    "check_held_out": "Hôpitaux mis de côté exactement une fois",
    "groups": "{n}",
    "judging_heading": "Comment les modèles ont été jugés",
    "scheme:held-out-sites": "Validation interne-externe : les hôpitaux sont répartis en {folds} "
    "groupes ; chaque groupe est prédit par des modèles ajustés, mis à l’échelle et imputés sur "
    "les seuls autres groupes.",
    "scheme:held-out-subjects": "Chaque hôpital met de côté une partie de ses sujets dans chacun "
    "des {folds} plis ; ils sont prédits par des modèles ajustés sur les seuls autres sujets.",
    "scheme:other": "Schéma « {name} » avec {folds} plis ; les prédictions portent sur des sujets "
    "mis de côté.",
    "intervals_heading": "Ce que disent les intervalles",
    "intervals_mean": "Intervalles percentiles à 95 % de {n} réplicats bootstrap de Poisson, tirés "
    "dans chaque hôpital. Ils disent combien un nombre varierait avec d’autres sujets des mêmes "
    "hôpitaux, pour ces modèles ajustés ; non avec d’autres hôpitaux, une autre graine ou un autre "
    "entraînement. Les courbes ont des bandes de Greenwood log-log, les rapports de risques des "
    "intervalles de Wald.",
    "limits_heading": "Limites",
    "limit_research": "Réservé à la recherche : ce n’est pas un dispositif médical, et rien n’est "
    "validé pour un usage chez un patient.",
    "limit_phantom": "Les sujets sont simulés. Les résultats montrent que le logiciel fonctionne ; "
    "ils ne disent rien de vrais patients.",
    "limit_intervals": "Aucun modèle n’a été réajusté pour les intervalles, qui sont donc plutôt "
    "trop étroits.",
    "limit_many": "De nombreuses comparaisons sont montrées, aucune n’est corrigée pour leur "
    "nombre ; le critère principal était fixé d’avance dans le plan.",
    "limit_censoring": "Les estimations à date fixe supposent que les sujets quittent "
    "l’observation pour des raisons sans lien avec leur risque.",
    "limit_c_index": "Un indice C dit si les sujets sont bien classés, non si un traitement doit "
    "être donné.",
    "limit_no_noise": "Aucun bruit de confidentialité n’est ajouté aux mises à jour : le plan ne "
    "fixe pas d’epsilon.",
    "limit_noise_local": "Chaque hôpital a bruité lui-même l’entraînement du réseau "
    "(confidentialité différentielle par patient) ; effectifs, modèles de Cox et évaluation sont "
    "des sommes exactes.",
    "limit_noise_distributed": "Chaque hôpital a ajouté sa part du bruit à chaque pas de "
    "l’entraînement (confidentialité différentielle par patient) ; effectifs, modèles de Cox et "
    "évaluation sont des sommes exactes.",
    "limit_noise_meaning": "Dans le plus petit hôpital, epsilon vaut {epsilon} pour delta "
    "{delta} : parmi les sujets qui ont participé, aucune attaque n’en retrouve plus de {found} % "
    "pour 1 % de fausses alertes.",
    "limit_noise_unknown": "Epsilon n’a pas été calculé ici : le comptable n’était pas installé.",
    "limit_masked": "Les sommes étaient masquées : le coordinateur a vu le total des hôpitaux et "
    "la part d’aucun seul, sauf dans les communications nommées.",
    "limit_not_masked": "Les sommes n’étaient pas masquées : le logiciel du coordinateur a "
    "additionné lui-même les contributions des hôpitaux.",
    "limit_masked_unknown": "Les résultats n’indiquent pas si les sommes étaient masquées au "
    "coordinateur.",
    "limit_cells": "Les petites cellules sont supprimées : aucun nombre à risque inférieur à 10 "
    "n’est montré, ni aucun nombre décrivant moins de 5 sujets.",
    "provenance_heading": "Provenance",
    "fact_fingerprint": "Empreinte du plan (SHA-256)",
    "fact_results": "{name} (SHA-256)",
    "fact_cohort": "Cohorte de {site}",
    "fact_model": "Modèle {name} (SHA-256)",
    "fact_experiment": "Expérience",
    "fact_started": "Début",
    "fact_software": "Version de fedpet",
    "fact_seed": "Graine",
    "fact_bootstrap": "Réplicats bootstrap",
    "timings_heading": "Où le temps est passé",
    "timings_lead": "{duration} en tout.",
    "timings_none": "Aucune durée n’est enregistrée.",
    "plan_heading": "Le plan",
    "plan_lead": "Ce que chaque hôpital a approuvé, mot pour mot.",
    "plan_show": "Afficher le plan",
    # navigation
    "nav_results": "Résultats",
    "nav_hospitals": "Hôpitaux",
    "nav_worth": "Fédération",
    "nav_calibration": "Calibration",
    "nav_training": "Entraînement",
    "nav_hazard": "Modèle de Cox",
    "nav_cohort": "Cohorte",
    "nav_left": "Ce qui est sorti",
    "nav_trust": "Confiance",
    "nav_plan": "Plan",
    # model card
    "mc_title": "Fiche du modèle : {title}",
    "mc_generated": "Produite à partir de {name} ; aucun nombre n’est saisi à la main.",
    "mc_use": "Usage prévu",
    "mc_use_text": "Recherche uniquement. Le modèle classe des sujets selon le risque prédit "
    "(critère : {endpoint}). Ce n’est pas un dispositif médical et il ne doit pas servir à décider "
    "du soin d’un patient.",
    "mc_out": "Hors du champ : autres maladies, autres traitements, images préparées autrement, "
    "sujets différents de ceux de la cohorte.",
    "mc_data": "Données",
    "mc_data_text": "{sites} hôpitaux, {subjects} sujets. {phantom}",
    "mc_real": "Les sujets sont pseudonymisés ; images et dossiers n’ont pas quitté les hôpitaux.",
    "mc_training": "Entraînement",
    "mc_training_text": "{rounds} tours, graine {seed}. {scheme}",
    "mc_setting": "Réglage",
    "mc_value": "Valeur",
    "mc_performance": "Performance",
    "mc_limits": "Limites et considérations éthiques",
    "mc_fairness": "La performance varie d’un hôpital à l’autre ; voir le tableau par hôpital du "
    "rapport avant d’utiliser le modèle dans un hôpital semblable au plus faible.",
    "mc_provenance": "Provenance",
}

FRENCH: Mapping[str, str] = {key: typeset(sentence) for key, sentence in _SENTENCES.items()}
