"""The report in English. Keys are the same in every language."""

from __future__ import annotations

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    # notation
    "decimal": ".",
    "thousands": ",",
    "percent": "{value}%",
    "dash": "{low}–{high}",
    "to": "{low} to {high}",
    "value_interval": "{value} ({interval})",
    "and": "and",
    "p_tiny": "< 0.001",
    "B": "{value} B",
    "kB": "{value} kB",
    "MB": "{value} MB",
    "GB": "{value} GB",
    "seconds": "{value} s",
    "minutes": "{minutes} min {seconds} s",
    "hours": "{hours} h {minutes} min",
    "first_of_month": "1",
    "months": "January February March April May June July August September October November "
    "December",
    "not_estimable": "not estimable",
    "no_interval": "no interval",
    "withheld": "withheld",
    # names
    "model": "Model",
    "arm:network-federated": "Network, federated",
    "arm:network-pooled": "Network, pooled",
    "arm:network-local": "Network, local only",
    "arm:cox-federated": "Cox, clinical + biomarkers",
    "arm:cox-clinical": "Cox, clinical only",
    "arm:tmtv": "TMTV alone",
    "the:network-federated": "the federated network",
    "the:network-pooled": "the network trained on pooled data",
    "the:network-local": "networks trained at one hospital alone",
    "the:cox-federated": "the federated Cox model",
    "the:cox-clinical": "the Cox model on clinical data only",
    "the:tmtv": "TMTV alone",
    "inputs:PET projections + clinical": "PET projections + clinical",
    "inputs:clinical + biomarkers": "clinical + biomarkers",
    "inputs:clinical": "clinical",
    "inputs:TMTV": "total metabolic tumour volume",
    "endpoint:pfs": "progression-free survival",
    "endpoint:os": "overall survival",
    "endpoint:response": "response to treatment",
    "endpoint:early_failure": "early failure of treatment",
    "short:pfs": "PFS",
    "short:os": "OS",
    "event_free": "Event-free, by third of predicted risk (95% interval)",
    "event_free:pfs": "Alive without progression, by third of predicted risk (95% interval)",
    "event_free:os": "Alive, by third of predicted risk (95% interval)",
    "third:low": "Low predicted risk",
    "third:middle": "Middle",
    "third:high": "High predicted risk",
    "variable:age_years": "Age",
    "variable:sex_male": "Male sex",
    "variable:ecog": "ECOG performance status",
    "variable:pdl1_tps_percent": "PD-L1 tumour proportion score",
    "variable:nlr": "Neutrophil-to-lymphocyte ratio",
    "variable:ldh_uln_ratio": "LDH over upper limit of normal",
    "variable:albumin_g_l": "Albumin",
    "variable:smoking_ever": "Ever smoker",
    "variable:line": "Line of treatment",
    "variable:brain_metastases": "Brain metastases",
    "variable:tmtv_ml": "TMTV",
    "variable:tlg_g": "TLG",
    "variable:suvmax": "SUVmax",
    "variable:suvmean": "SUVmean",
    "variable:suvpeak": "SUVpeak",
    "variable:lesion_count": "Number of lesions",
    "variable:dmax_mm": "Dmax (largest distance between lesions)",
    "severity:error": "× error",
    "severity:warning": "! warning",
    "severity:info": "i information",
    "judged:held-out-sites": "subjects of hospitals that it was never trained on",
    "judged:held-out-subjects": "subjects that it was never trained on",
    "judged:other": "held-out subjects",
    "reason:no pair of subjects can be compared": "no pair of subjects can be compared",
    "nav": "Contents",
    "left:counts of subjects and events": "Counts of subjects and events",
    "left:sums for means and spreads of covariates": "Sums for means and spreads of covariates",
    "left:Cox log-likelihood, gradient and information": "Cox log-likelihood, gradient and "
    "information",
    "left:events and time at risk by interval": "Events and time at risk by interval",
    "left:initial weights (from the seed, not from data)": "Initial weights (from the seed, not "
    "from data)",
    "left:model updates": "Model updates",
    "left:histograms of predicted risk": "Histograms of predicted risk",
    "left:sums of prediction errors and pairs": "Sums of prediction errors and pairs",
    "left:models trained at one hospital (comparison on phantoms)": "Models trained at one "
    "hospital (comparison on phantoms)",
    "left:a hospital's own results (named release)": "A hospital's own results (named release)",
    "timing:Counting and scaling": "Counting and scaling",
    "timing:Cox models": "Cox models",
    "timing:Network, federated": "Network, federated",
    "timing:Networks, pooled and local-only": "Networks, pooled and local-only",
    "timing:Evaluation": "Evaluation",
    # banner, header, frame
    "banner": "Research use only. Not for decisions about any patient.",
    "banner_phantom": "All subjects of this report are simulated.",
    "skip": "Skip to the results",
    "report_kind": "Report of a federated experiment",
    "header_line": "{date} · {sites} hospitals · fedpet {version}",
    "plan_name": "Plan",
    "fingerprint": "fingerprint",
    "contents": "On this page",
    "footer": "Every number of this page stands in {name}. Made by fedpet {version}; this page "
    "loads nothing from elsewhere.",
    "scroll_hint": "Wide table: scroll sideways",
    # cards and verdict
    "cards": "The main numbers",
    "card_c": "C-index of {arm}",
    "card_c_note": "{endpoint}, within hospitals, on {who}",
    "card_people": "Hospitals",
    "card_people_note": "{subjects} subjects.",
    "card_refused_one": "1 hospital did not take part.",
    "card_refused": "{n} hospitals did not take part.",
    "card_phantom": "All simulated.",
    "card_gain": "Gain in C-index over {arm}",
    "card_gain_none": "Gain over a simpler way",
    "card_gain_none_note": "The plan asked for no comparison.",
    "not_compared": "not compared",
    "card_ceiling": "Best reachable C-index",
    "card_ceiling_note": "Known because the subjects are simulated; no model can do better on "
    "average.",
    "card_cox_note": "The exact federated Cox model, same endpoint and subjects.",
    "difference_better": "The 95% interval excludes zero.",
    "difference_worse": "Negative: the other does better, and the 95% interval excludes zero.",
    "difference_undecided": "The 95% interval includes zero: no difference is shown.",
    "difference_unknown": "Too few replicates for an interval: nothing can be concluded.",
    "verdict": "In one sentence",
    "verdict_nothing": "No model was judged on {endpoint}, so that nothing can be concluded.",
    "verdict_no_c": "For {endpoint}, the C-index of {arm} is not estimable, so that nothing can be "
    "concluded.",
    "verdict_lead": "For {endpoint}, on {who}, {arm} reaches a C-index of {c} within hospitals",
    "verdict_compared": "{lead}: {parts}.",
    "verdict_better": "better than {arms}",
    "verdict_undecided": "not shown to differ from {arms}, because the interval includes zero",
    "verdict_unknown": "not comparable, for want of an interval, with {arms}",
    "verdict_worse": "worse than {arms}",
    "verdict_clause": "{arm} ({difference}; {interval})",
    # curves
    "km_heading": "{endpoint} by predicted risk third",
    "km_lead": "Subjects are ranked by the risk that a model predicted for them without having "
    "been trained on them, and split into thirds. The further apart the curves, the better the "
    "model separates.",
    "km_title": "{arm}",
    "km_description": "Kaplan-Meier curves of three groups of predicted risk with 95% bands; the "
    "table after the chart gives the same numbers. A curve stops where fewer than {n} subjects "
    "remain at risk.",
    "km_y": "Share event-free",
    "km_none": "No curves: no model that predicts one risk per subject was judged.",
    "months_axis": "Months since first infusion",
    "at_risk": "Subjects at risk",
    "third": "Predicted risk",
    "at_month": "{month} months",
    "at_months": "At {month} months",
    "month_short": "{month}\N{NO-BREAK SPACE}mo",
    "few_at_risk": "< {n} at risk",
    "logrank": "Log-rank test between thirds: p {p}.",
    "logrank_none": "Log-rank test: not estimable, because fewer than two groups were at risk "
    "together.",
    # forest by hospital
    "forest_heading": "In every hospital",
    "forest_lead_held-out-sites": "Each hospital is judged by a model that was never trained on "
    "its subjects. Small hospitals have wide intervals.",
    "forest_lead_other": "Each hospital is judged on its own held-out subjects. Small hospitals "
    "have wide intervals.",
    "forest_none": "The hospitals' own results are not in this report: the plan did not ask for "
    "them, or no hospital released them.",
    "forest_caption": "C-index by hospital: {arm}",
    "hospital": "Hospital",
    "c_index": "C-index",
    "c_within": "C-index within hospitals",
    "value_95": "Value (95% interval)",
    "n_events": "{n} subjects, {events} events",
    "all_hospitals": "All hospitals",
    "within_hospitals": "pairs within the same hospital",
    "chance": "chance, {value}",
    "ceiling_line": "best reachable, {value}",
    # comparison
    "worth_heading": "Was federation worth it?",
    "worth_lead": "The same subjects, predicted in different ways. Bars start at 0.5, which is "
    "chance; the thin line is the 95% interval.",
    "worth_none": "No model was judged on this endpoint.",
    "bars_caption": "C-index within hospitals, {endpoint}",
    "comparison_heading": "All measures, all models",
    "comparison_caption": "Performance on {endpoint}: value and 95% interval",
    "comparison_note": "Judged on {subjects} subjects with {events} events. All pairs "
    "and AUC compare subjects by the rank of their risk among the model's training subjects. "
    "Networks trained at one hospital are averaged; their risks share no scale, so that subjects "
    "of different hospitals are not compared (–). AUC and Brier score are weighted for "
    "censoring; a lower Brier score is better, an observed/expected ratio of 1 is perfect.",
    "incomplete_note": "Not estimable: nobody, or only subjects with the same outcome, is left "
    "under observation at that time.",
    "within": "within hospitals",
    "global": "all pairs",
    "uno": "Uno",
    "mean": "mean",
    "auc": "AUC",
    "brier": "Brier score",
    "calibration_oe": "Observed/expected",
    "no_predictors": "Kaplan-Meier of everybody",
    "no_predictors_note": "no predictor",
    "differences_heading": "Differences between models",
    "differences_caption": "Difference in C-index within hospitals, {endpoint}",
    "difference": "Difference",
    "difference_axis": "First minus second",
    "minus": "{a} − {b}",
    "reading": "Reading",
    "sign_better": "first better",
    "sign_worse": "second better",
    "sign_undecided": "not shown",
    "sign_unknown": "no interval",
    "differences_note": "▲ the first is better, ▼ the second is better, = no difference is shown: "
    "the interval includes zero. Intervals are from the same bootstrap replicates of the same "
    "subjects. They are not adjusted for the number of comparisons.",
    # other endpoints
    "secondary_heading": "Secondary endpoint: {endpoint}",
    "secondary_lead": "Read with care: the experiment was laid out for the primary endpoint.",
    "binary_heading": "Secondary endpoint: {endpoint}",
    "binary_lead": "Yes or no, predicted by a head of the same network.",
    "binary_note": "{subjects} subjects with a known answer, of whom {positives} yes.",
    # calibration
    "calibration_heading": "Are the predicted risks right?",
    "calibration_lead": "Each mark is a group of subjects with similar predicted risk of an event "
    "({endpoint}); on the dashed line, prediction and observation agree. Below it the model "
    "predicts too many events, above it too few.",
    "calibration_title": "Calibration, {endpoint}, at {month} months",
    "calibration_note": "{arm}: observed/expected {ratio}, slope {slope}.",
    "calibration_none": "Calibration is not estimable: no group of subjects is large enough.",
    "d_calibration": "Over the whole follow-up (D-calibration; a small p says that predictions and "
    "times do not fit): {arms}.",
    "d_calibration_arm": "{arm} p {p}",
    "average_hospital": "Average hospital",
    "another_hospital": "Another hospital is expected at {interval}.",
    "heterogeneity": "I² {i2}.",
    "nav_decisions": "Decisions",
    "decisions_heading": "Is it worth acting on the prediction?",
    "decisions_lead": "Net benefit of acting on everybody whose predicted risk of an event reaches "
    "a threshold: true positives minus false positives at the odds of the threshold, as a share "
    "of all. A model is of use where its line lies above that of acting on everybody and above "
    "zero, which is acting on nobody.",
    "decisions_none": "Decision curves are not in these results.",
    "decision_title": "Decision curve, {endpoint}, at {month} months",
    "decision_note": "{arm}: of use at thresholds from {low} to {high}.",
    "decision_never": "{arm}: at no threshold of use.",
    "treat_all": "Acting on everybody",
    "threshold": "Threshold",
    "net_benefit": "Net benefit",
    "predicted_risk": "Predicted risk",
    "observed_risk": "Observed risk",
    # training
    "training_heading": "How the network was trained",
    "training_title": "Training loss by round",
    "training_description": "The loss of the kept model falls from {first} to {last} over {rounds} "
    "rounds.",
    "training_note": "Thick: the model that is kept, trained at all hospitals. Thin: the models "
    "of the folds, used for evaluation only.",
    "training_none": "No training by rounds is recorded.",
    "kept": "kept",
    "loss": "Loss",
    "round": "Round",
    "participation_caption": "Who answered in which round",
    "answered": "{n} of {rounds}",
    "answered_head": "Answered",
    "state_ok": "answered",
    "state_missed": "asked, but no usable answer",
    "state_absent": "not asked",
    # hazard ratios
    "hazard_heading": "What the Cox model learned",
    "hazard_lead": "Exact Cox model, stratified by hospital, fitted on all hospitals through sums. "
    "Hazard ratio per standard deviation; above 1 the event comes sooner. The ridge penalty "
    "pulls ratios towards 1, so that p-values are approximate.",
    "hazard_none": "No Cox model was fitted.",
    "hazard_ratio": "Hazard ratio",
    "variable": "Variable",
    "variable_missing": "{variable}: missing",
    "log_scale": "as log(1 + x)",
    # cohort
    "cohort_heading": "The cohort, hospital by hospital",
    "cohort_caption": "Hospitals that were asked",
    "cohort_none": "The results name no hospital.",
    "subjects": "Subjects",
    "events_of": "Events, {endpoint}",
    "held_out_in": "Held out in",
    "fold_number": "fold {n}",
    "state": "Took part",
    "took_part": "✓ yes",
    "not_taking_part": "× no: {reason}",
    "no_reason": "no reason given",
    "suppressed_note": "Counts that describe fewer than {n} subjects are not shown; where one "
    "could be found by subtraction, another is withheld.",
    "findings_heading": "Data quality",
    "findings_caption": "What the hospitals' own checks found",
    "findings_none": "The hospitals' checks reported no finding.",
    "severity": "Severity",
    "code": "Code",
    "finding": "Finding",
    "remedy": "Remedy",
    # what left
    "left_heading": "What left each hospital",
    "left_lead": "Images and records stayed. The coordinator received these, from all hospitals "
    "together:",
    "left_caption": "Messages from hospitals, by content",
    "left_none": "No message from a hospital is recorded.",
    "left_note": "Of each kind only the sum over sites was kept, except named releases (a "
    "hospital's own results, a model trained at one hospital), which a hospital's policy allows or "
    "refuses.",
    "what": "Content",
    "messages": "Messages",
    "bytes": "Size",
    "total": "Total",
    # trust
    "trust_heading": "Can you trust this report?",
    "checks_heading": "Checks",
    "checks_none": "No check could be made.",
    "check": "Check",
    "check_value": "Found",
    "check_limit": "Limit",
    "check_result": "Result",
    "check_passed": "✓ passed",
    "check_failed": "× failed",
    "check_cox": "Federated Cox equals pooled stratified Cox, {endpoint}: largest difference of a "
    "coefficient",
    "check_same": "All models judged on the same subjects and events, {endpoint}",
    "check_held_out": "Hospitals held out exactly once",
    "groups": "{n}",
    "judging_heading": "How the models were judged",
    "scheme:held-out-sites": "Internal-external validation: the hospitals were split into {folds} "
    "groups; each group was predicted by models that were fitted, scaled and imputed on the other "
    "groups only.",
    "scheme:held-out-subjects": "Each hospital held out a part of its subjects in each of {folds} "
    "folds; they were predicted by models fitted on the other subjects only.",
    "scheme:other": "Scheme '{name}' with {folds} folds; predictions are on held-out subjects.",
    "intervals_heading": "What the intervals mean",
    "intervals_mean": "95% percentile intervals from {n} Poisson bootstrap replicates, drawn at "
    "each hospital. They tell how much a number would vary with other subjects of the same "
    "hospitals, for these fitted models; not how it would vary with other hospitals, another seed "
    "or another training. Curves have log-log Greenwood bands, hazard ratios Wald intervals.",
    "limits_heading": "Limits",
    "limit_research": "For research only: not a medical device, not validated for use on a "
    "patient.",
    "limit_phantom": "The subjects are simulated. The results show that the software works; they "
    "say nothing about real patients.",
    "limit_intervals": "No model was refitted for the intervals, which are therefore rather too "
    "narrow.",
    "limit_many": "Many comparisons are shown, none is adjusted for their number; the primary "
    "endpoint was fixed in the plan beforehand.",
    "limit_censoring": "Estimates at fixed times assume that subjects leave observation for "
    "reasons unrelated to their risk.",
    "limit_c_index": "A C-index tells how well subjects are ranked, not whether a treatment should "
    "be given.",
    "limit_no_noise": "No privacy noise was added to updates: the plan sets no epsilon.",
    "limit_noise_local": "Every hospital added noise to the training of the network itself "
    "(differential privacy for each patient); counts, Cox models and evaluation are exact sums.",
    "limit_noise_distributed": "Every hospital added a share of the noise to each step of training "
    "(differential privacy for each patient); counts, Cox models and evaluation are exact sums.",
    "limit_noise_meaning": "At the smallest hospital epsilon is {epsilon} at delta {delta}: of the "
    "subjects who took part, no attack finds more than {found} % at 1 % false alarms.",
    "limit_noise_unknown": "Epsilon was not computed here: the accountant was not installed.",
    "limit_masked": "Sums were masked: the coordinator saw what hospitals added up to, and no "
    "single hospital's part of it, releases excepted.",
    "limit_not_masked": "Sums were not masked: the coordinator's software added the hospitals' "
    "contributions itself.",
    "limit_masked_unknown": "The results do not record whether sums were masked from the "
    "coordinator.",
    "limit_cells": "Small cells are suppressed: no number at risk below 10 is shown, no count that "
    "describes fewer than 5 subjects.",
    "provenance_heading": "Provenance",
    "fact_fingerprint": "Plan fingerprint (SHA-256)",
    "fact_results": "{name} (SHA-256)",
    "fact_cohort": "Cohort of {site}",
    "fact_model": "Model {name} (SHA-256)",
    "fact_experiment": "Experiment",
    "fact_started": "Started",
    "fact_software": "fedpet version",
    "fact_seed": "Seed",
    "fact_bootstrap": "Bootstrap replicates",
    "timings_heading": "Where the time went",
    "timings_lead": "{duration} in all.",
    "timings_none": "No timings are recorded.",
    "plan_heading": "The plan",
    "plan_lead": "What every hospital approved, word for word.",
    "plan_show": "Show the plan",
    # navigation
    "nav_results": "Results",
    "nav_hospitals": "Hospitals",
    "nav_worth": "Federation",
    "nav_calibration": "Calibration",
    "nav_training": "Training",
    "nav_hazard": "Cox model",
    "nav_cohort": "Cohort",
    "nav_left": "What left",
    "nav_trust": "Trust",
    "nav_plan": "Plan",
    # model card
    "mc_title": "Model card: {title}",
    "mc_generated": "Generated from {name}; no number is typed by hand.",
    "mc_use": "Intended use",
    "mc_use_text": "Research only. The model ranks subjects by predicted risk (primary endpoint: "
    "{endpoint}). It is not a medical device and must not be used for decisions about any patient.",
    "mc_out": "Out of scope: other diseases, other treatments, scans not prepared by the same "
    "steps, subjects unlike those of the cohort.",
    "mc_data": "Data",
    "mc_data_text": "{sites} hospitals, {subjects} subjects. {phantom}",
    "mc_real": "Subjects are pseudonymised; images and records did not leave the hospitals.",
    "mc_training": "How it was trained",
    "mc_training_text": "{rounds} rounds, seed {seed}. {scheme}",
    "mc_setting": "Setting",
    "mc_value": "Value",
    "mc_performance": "Performance",
    "mc_limits": "Limits and ethical considerations",
    "mc_fairness": "Performance differs between hospitals; see the report's table by hospital "
    "before using the model at a hospital like the weakest.",
    "mc_provenance": "Provenance",
}
