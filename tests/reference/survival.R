# Reference numbers of tests/survival, from R's survival package.
#
#   Rscript survival.R > survival.json
#   Rscript survival.R ../../../shared/data/tcga_brca > survival.json    # with Fed-TCGA-BRCA
#
# lung: the NCCTG data that survival ships (Loprinzi 1994); inst, the enrolling institution, is
# the site. Rows without inst, age, sex or ph.ecog are dropped: n = 226, 163 events.
# brca: Fed-TCGA-BRCA (FLamby), 39 columns, standardised by the training fold's mean and sd.
library(survival)

exact <- function(x) paste0("[", paste(sprintf("%.15g", x), collapse = ", "), "]")
show <- function(name, ...) {
  items <- list(...)
  body <- paste0('"', names(items), '": ', vapply(items, exact, ""), collapse = ", ")
  sprintf(' "%s": {%s}', name, body)
}
fit_of <- function(name, fit) {
  show(name, beta = coef(fit), se = sqrt(diag(vcov(fit))), log_likelihood = fit$loglik[2],
       log_likelihood_null = fit$loglik[1])
}

d <- lung[complete.cases(lung[, c("inst", "age", "sex", "ph.ecog")]), ]
d$status <- as.integer(lung$status[as.integer(rownames(d))] == 2)
control <- coxph.control(eps = 1e-14, iter.max = 50)
f <- Surv(time, status) ~ age + sex + ph.ecog
efron <- coxph(f, d, control = control)
breslow <- coxph(f, d, ties = "breslow", control = control)
strat <- coxph(update(f, . ~ . + strata(inst)), d, control = control)
strat_breslow <- coxph(update(f, . ~ . + strata(inst)), d, ties = "breslow", control = control)
weights <- 1 + (seq_len(nrow(d)) %% 3)
weighted <- coxph(f, d, weights = weights, control = control)
entry <- pmin(seq_len(nrow(d)) %% 7 * 20, d$time - 1)
late <- coxph(Surv(entry, time, status) ~ age + sex + ph.ecog, d, control = control)
ridge <- coxph(Surv(time, status) ~ ridge(age, sex, ph.ecog, theta = 5, scale = FALSE), d,
               control = coxph.control(eps = 1e-14, iter.max = 50, outer.max = 50))

out <- c(
  sprintf(' "made_by": {"R": "%s", "survival": "%s"}', getRversion(), packageVersion("survival")),
  show("counts", subjects = nrow(d), events = sum(d$status), times = length(unique(d$time[d$status == 1]))),
  fit_of("efron", efron), fit_of("breslow", breslow),
  fit_of("stratified", strat), fit_of("stratified_breslow", strat_breslow),
  fit_of("weighted", weighted), fit_of("late_entry", late),
  show("ridge_5", beta = coef(ridge))
)

base <- basehaz(efron, centered = FALSE)
at <- function(t) base$hazard[findInterval(t, base$time)]
out <- c(out, show("baseline_efron", days = c(180, 365, 540), hazard = at(c(180, 365, 540))))

m <- lung[!is.na(lung$inst), ]
m$status <- as.integer(m$status == 2)
km <- survfit(Surv(time, status) ~ 1, m, conf.type = "log-log")
s <- summary(km, times = c(180, 365, 730))
out <- c(out, show("kaplan_meier", days = s$time, survival = s$surv, se = s$std.err, low = s$lower,
                   high = s$upper, at_risk = s$n.risk))
out <- c(out, show("log_rank", sex = survdiff(Surv(time, status) ~ sex, m)$chisq,
                   inst = survdiff(Surv(time, status) ~ inst, m)$chisq))

risk <- predict(efron, type = "lp")
global <- concordance(Surv(time, status) ~ risk, d, reverse = TRUE)
strat_risk <- as.matrix(d[, c("age", "sex", "ph.ecog")]) %*% coef(strat)
within <- concordance(Surv(time, status) ~ strat_risk + strata(inst), d, reverse = TRUE)
within_efron <- concordance(Surv(time, status) ~ risk + strata(inst), d, reverse = TRUE)
sums <- function(c) { k <- c$count; if (is.matrix(k)) colSums(k)[1:3] else k[1:3] }
out <- c(out, show("concordance", pooled = global$concordance, pooled_counts = sums(global),
                   within = within$concordance, within_counts = sums(within),
                   within_efron = within_efron$concordance, within_efron_counts = sums(within_efron)))

# Brier score and AUC with inverse probability of censoring weights: 1 / G(T-) for events before
# the horizon, 1 / G(horizon) for survivors (the convention of riskRegression). Among the
# censored, G steps down after events of the same time.
g <- function(t, left) {
  times <- sort(unique(d$time))
  value <- 1; before <- numeric(0); after <- numeric(0)
  for (u in times) {
    before <- c(before, value)
    lost <- sum(d$time == u & d$status == 0)
    risk_set <- sum(d$time >= u) - sum(d$time == u & d$status == 1)
    if (lost > 0) value <- value * (1 - lost / risk_set)
    after <- c(after, value)
  }
  i <- findInterval(t, times)
  ifelse(i == 0, 1, if (left) ifelse(times[pmax(i, 1)] == t, before[pmax(i, 1)], after[pmax(i, 1)]) else after[pmax(i, 1)])
}
X <- as.matrix(d[, c("age", "sex", "ph.ecog")])
judge <- function(h) {
  p <- exp(-at(h) * exp(X %*% coef(efron)))
  case <- d$time <= h & d$status == 1; alive <- d$time > h
  w <- ifelse(case, 1 / g(d$time, TRUE), 1 / g(h, FALSE))
  brier <- sum(ifelse(case, w * p^2, ifelse(alive, w * (1 - p)^2, 0))) / nrow(d)
  gt <- outer(p[case], p[alive], "<") + 0.5 * outer(p[case], p[alive], "==")
  auc <- sum(w[case] * rowSums(gt)) / (sum(w[case]) * sum(alive))
  c(brier, auc)
}
j <- sapply(c(180, 365, 540), judge)
out <- c(out, show("accuracy", days = c(180, 365, 540), brier = j[1, ], auc = j[2, ]))

folder <- commandArgs(trailingOnly = TRUE)
if (length(folder)) {
  b <- merge(read.csv(file.path(folder, "brca.csv"), check.names = FALSE),
             read.csv(file.path(folder, "train_test_split.csv")), by = "pid", sort = FALSE)
  b$site <- sub(".*_", "", b$fold2)
  columns <- setdiff(names(b), c("pid", "E", "T", "fold", "fold2", "site"))
  train <- b$fold == "train"
  Z <- as.matrix(b[, columns])
  Z <- sweep(sweep(Z, 2, colMeans(Z[train, ])), 2, apply(Z[train, ], 2, sd), "/")
  colnames(Z) <- paste0("x", seq_along(columns))
  Z[is.nan(Z)] <- 0
  t1 <- data.frame(T = b$T[train], E = b$E[train], site = b$site[train])
  Zt <- Z[train, ]
  c0 <- coxph.control(eps = 1e-14, iter.max = 100, outer.max = 100, toler.chol = 1e-14)
  one <- function(stratified) {
    form <- Surv(T, E) ~ ridge(Zt, theta = 10, scale = FALSE)
    if (stratified) form <- update(form, . ~ . + strata(site))
    coxph(form, t1, control = c0)
  }
  for (name in c("brca_pooled", "brca_stratified")) {
    fit <- one(name == "brca_stratified")
    lp <- drop(Z[!train, ] %*% coef(fit))
    test <- data.frame(T = b$T[!train], E = b$E[!train], site = b$site[!train], lp = lp)
    all <- concordance(Surv(T, E) ~ lp, test, reverse = TRUE)
    own <- concordance(Surv(T, E) ~ lp + strata(site), test, reverse = TRUE)
    out <- c(out, show(name, beta = coef(fit), log_likelihood = fit$loglik[2],
                       c_global = all$concordance, c_global_counts = sums(all),
                       c_within = own$concordance, c_within_counts = sums(own)))
  }
}
cat("{\n", paste(out, collapse = ",\n"), "\n}\n", sep = "")
