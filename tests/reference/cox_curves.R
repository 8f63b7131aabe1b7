# Reference numbers of the Cox and Kaplan-Meier families, from R's survival and metafor packages.
#
#   Rscript cox_curves.R > cox_curves.json
#   Rscript cox_curves.R ../../../shared/data/tcga_brca > cox_curves.json   # with Fed-TCGA-BRCA
#
# lung: as in survival.R; d has complete covariates (n = 226), m a known institution (n = 227).
suppressMessages({library(survival); library(metafor)})

exact <- function(x) paste0("[", paste(sprintf("%.15g", x), collapse = ", "), "]")
show <- function(name, ...) {
  items <- list(...)
  body <- paste0('"', names(items), '": ', vapply(items, exact, ""), collapse = ", ")
  sprintf(' "%s": {%s}', name, body)
}
out <- sprintf(' "made_by": {"R": "%s", "survival": "%s", "metafor": "%s"}', getRversion(),
               packageVersion("survival"), packageVersion("metafor"))
add <- function(...) out <<- c(out, show(...))

d <- lung[complete.cases(lung[, c("inst", "age", "sex", "ph.ecog")]), ]
d$status <- as.integer(d$status == 2)
d$id <- seq_len(nrow(d))
d$entry <- pmin(seq_len(nrow(d)) %% 7 * 20, d$time - 1)
d$week <- ceiling(d$time / 7) * 7
control <- coxph.control(eps = 1e-14, iter.max = 50, toler.chol = 1e-15)
forms <- list(pooled = Surv(time, status) ~ age + sex + ph.ecog,
              stratified = Surv(time, status) ~ age + sex + ph.ecog + strata(inst),
              late = Surv(entry, time, status) ~ age + sex + ph.ecog,
              late_stratified = Surv(entry, time, status) ~ age + sex + ph.ecog + strata(inst),
              weekly = Surv(week, status) ~ age + sex + ph.ecog)
days <- c(100, 365, 730)
for (name in names(forms)) for (ties in c("efron", "breslow")) {
  one <- function(form = forms[[name]]) do.call(coxph, list(form, quote(d), ties = ties, control = control))
  fit <- one()
  items <- list(paste0(name, "_", ties), beta = coef(fit), se = sqrt(diag(vcov(fit))),
                log_likelihood = fit$loglik, score = fit$score,
                robust_site = sqrt(diag(vcov(one(update(forms[[name]], . ~ . + cluster(inst)))))),
                robust_subject = sqrt(diag(vcov(one(update(forms[[name]], . ~ . + cluster(id)))))))
  for (g in c("identity", "log", "km", "rank")) {
    z <- try(cox.zph(fit, transform = g)$table[, "chisq"], silent = TRUE)
    if (!inherits(z, "try-error")) items[[paste0("zph_", g)]] <- z
  }
  if (!grepl("stratified", name)) {
    base <- basehaz(fit, centered = FALSE)
    items$hazard <- base$hazard[findInterval(days, base$time)]
  }
  out <- c(out, do.call(show, items))
}
ridge <- coxph(Surv(time, status) ~ ridge(age, sex, ph.ecog, theta = 5, scale = FALSE), d,
               control = coxph.control(eps = 1e-14, iter.max = 50, outer.max = 50))
add("ridge_pooled", beta = coef(ridge))

# Curves
m <- lung[!is.na(lung$inst), ]
m$status <- as.integer(m$status == 2)
m$entry <- pmin(seq_len(nrow(m)) %% 7 * 20, m$time - 1)
m$week <- ceiling(m$time / 7) * 7
at <- c(180, 365, 730)
curve <- function(name, form) {
  items <- list(name, days = at)
  for (type in c("plain", "log", "log-log")) {
    fit <- survfit(form, m, conf.type = type)
    s <- summary(fit, times = at)
    key <- gsub("-", "_", type)
    items[[paste0("low_", key)]] <- s$lower
    items[[paste0("high_", key)]] <- s$upper
    q <- quantile(fit, 0.5)
    items[[paste0("median_", key)]] <- c(q$quantile, q$lower, q$upper)
  }
  q <- quantile(fit, c(0.25, 0.75))
  items$quartiles <- q$quantile
  items$survival <- s$surv; items$se <- s$std.err; items$at_risk <- s$n.risk
  items$hazard <- s$cumhaz; items$hazard_se <- s$std.chaz
  r <- summary(fit, rmean = 365)$table
  items$rmst <- r[c("rmean", "se(rmean)")]
  r <- summary(fit, rmean = 700)$table
  items$rmst_700 <- r[c("rmean", "se(rmean)")]
  out <<- c(out, do.call(show, items))
}
curve("km", Surv(time, status) ~ 1)
curve("km_late", Surv(entry, time, status) ~ 1)
curve("km_weekly", Surv(week, status) ~ 1)
rank <- function(form, rho = 0) survdiff(form, m, rho = rho)$chisq
add("log_rank", sex = rank(Surv(time, status) ~ sex), inst = rank(Surv(time, status) ~ inst),
    sex_by_inst = rank(Surv(time, status) ~ sex + strata(inst)),
    sex_rho_1 = rank(Surv(time, status) ~ sex, 1),
    sex_rho_half = rank(Surv(time, status) ~ sex, 0.5),
    sex_by_inst_rho_1 = rank(Surv(time, status) ~ sex + strata(inst), 1),
    ecog = rank(Surv(time, status) ~ ph.ecog), ecog_by_inst = rank(Surv(time, status) ~ ph.ecog + strata(inst)))
# survdiff takes no entry times; the score test of a Breslow Cox model is the log-rank test
# without the correction for ties.
late <- coxph(Surv(entry, time, status) ~ sex, m, ties = "breslow")
add("log_rank_late", breslow_score = late$score)

# Random effects: the BCG trials (log relative risk), and the hospitals of lung by sex.
bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
effects <- function(name, yi, vi) {
  items <- list(name, estimate = yi, variance = vi)
  for (method in c("DL", "REML")) for (test in c("z", "knha")) {
    fit <- rma(yi, vi, method = method, test = test, control = list(threshold = 1e-12, maxiter = 1000))
    p <- predict(fit)
    items[[paste(tolower(method), test, sep = "_")]] <-
      c(fit$beta, fit$se, fit$ci.lb, fit$ci.ub, fit$tau2, fit$QE, fit$I2, p$pi.lb, p$pi.ub)
  }
  out <<- c(out, do.call(show, items))
}
effects("bcg", bcg$yi, bcg$vi)
site <- do.call(rbind, lapply(split(d, d$inst), function(one) {
  if (nrow(one) < 12) return(NULL)
  fit <- coxph(Surv(time, status) ~ age + sex + ph.ecog, one, control = control)
  cbind(inst = one$inst[1], b = coef(fit)["sex"], v = vcov(fit)["sex", "sex"])
}))
effects("lung_sites", site[, "b"], site[, "v"])
add("lung_sites_inst", inst = site[, "inst"])

folder <- commandArgs(trailingOnly = TRUE)
if (length(folder)) {
  b <- merge(read.csv(file.path(folder, "brca.csv"), check.names = FALSE),
             read.csv(file.path(folder, "train_test_split.csv")), by = "pid", sort = FALSE)
  b$site <- sub(".*_", "", b$fold2)
  columns <- setdiff(names(b), c("pid", "E", "T", "fold", "fold2", "site"))
  train <- b$fold == "train"
  Z <- as.matrix(b[, columns])
  Z <- sweep(sweep(Z, 2, colMeans(Z[train, ])), 2, apply(Z[train, ], 2, sd), "/")
  Z[is.nan(Z)] <- 0
  t1 <- data.frame(T = b$T[train], E = b$E[train])
  Zt <- Z[train, ]
  fit <- coxph(Surv(T, E) ~ ridge(Zt, theta = 10, scale = FALSE), t1,
               control = coxph.control(eps = 1e-14, iter.max = 100, outer.max = 100, toler.chol = 1e-14))
  # basehaz() of a model with ridge() cannot set x to 0; the definition, with Efron's steps.
  w <- exp(drop(Zt %*% coef(fit)))
  h <- sapply(365.25 * 1:5, function(end) {
    sum(sapply(sort(unique(t1$T[t1$E == 1 & t1$T <= end])), function(u) {
      dead <- t1$T == u & t1$E == 1; k <- sum(dead)
      sum(1 / (sum(w[t1$T >= u]) - (seq_len(k) - 1) / k * sum(w[dead])))
    }))
  })
  add("brca_baseline", days = 365.25 * 1:5, hazard = h)
  names(b) <- make.names(names(b))
  add("brca_columns", count = length(columns))
  s <- summary(survfit(Surv(T, E) ~ 1, b), times = c(365.25, 1826.25))
  add("brca_km", days = s$time, survival = s$surv)
  add("brca_log_rank", region = survdiff(Surv(T, E) ~ site, b)$chisq)
}
cat("{\n", paste(out, collapse = ",\n"), "\n}\n", sep = "")
