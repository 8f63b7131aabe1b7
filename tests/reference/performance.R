# Reference numbers of tests/survival on performance and summaries over hospitals.
#
#   Rscript performance.R ../../../shared/data/tcga_brca > performance.json
#
# lung: the NCCTG data that survival ships (Loprinzi 1994), rows with inst, age, sex, ph.ecog.
# bcg: 13 trials (Colditz 1994), log risk ratios, as metafor's metadat ships them.
# aSAH: 113 patients, marker s100b (Turck 2010), as pROC ships them.
suppressMessages({library(survival); library(metafor); library(pROC)})

exact <- function(x) paste0("[", paste(sprintf("%.15g", x), collapse = ", "), "]")
show <- function(name, ...) {
  items <- list(...)
  body <- paste0('"', names(items), '": ', vapply(items, exact, ""), collapse = ", ")
  sprintf(' "%s": {%s}', name, body)
}
version <- function(p) sprintf('"%s": "%s"', p, packageVersion(p))
out <- sprintf(' "made_by": {"R": "%s", %s}', getRversion(),
               paste(sapply(c("survival", "metafor", "pROC"), version), collapse = ", "))

bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
out <- c(out, show("bcg", estimate = bcg$yi, variance = bcg$vi))
for (method in c("REML", "DL")) {
  r <- rma(yi, vi, data = bcg, method = method, control = list(threshold = 1e-14, maxiter = 1000))
  p <- predict(r, pi.type = "riley")
  out <- c(out, show(paste0("bcg_", method), estimate = r$b, se = r$se, low = r$ci.lb, high = r$ci.ub,
                     prediction_low = p$pi.lb, prediction_high = p$pi.ub, tau2 = r$tau2, q = r$QE,
                     q_p = r$QEp, i2 = r$I2 / 100))
}
fixed <- rma(yi, vi, data = bcg, method = "EE")
out <- c(out, show("bcg_fixed", estimate = fixed$b, se = fixed$se))

data(aSAH)
r <- roc(aSAH$outcome, aSAH$s100b, levels = c("Good", "Poor"), direction = "<")
limits <- ci.auc(r, method = "delong")
out <- c(out, show("asah", label = as.integer(aSAH$outcome == "Poor"), score = aSAH$s100b),
         show("asah_roc", auc = as.numeric(r$auc), variance = var(r, method = "delong"),
              low = limits[1], high = limits[3]))

d <- lung[complete.cases(lung[, c("inst", "age", "sex", "ph.ecog")]), ]
d$status <- as.integer(d$status == 2)
efron <- coxph(Surv(time, status) ~ age + sex + ph.ecog, d,
               control = coxph.control(eps = 1e-14, iter.max = 50))
d$risk <- predict(efron, type = "lp")
within <- concordance(Surv(time, status) ~ risk + strata(inst), d, reverse = TRUE)
global <- concordance(Surv(time, status) ~ risk, d, reverse = TRUE)
out <- c(out, show("lung_concordance", within = within$concordance, within_se = sqrt(within$var),
                   global = global$concordance, global_se = sqrt(global$var)))
taus <- c(365, 540, 730, 1022)
uno <- sapply(taus, function(tau)
  concordance(Surv(time, status) ~ risk, d, reverse = TRUE, timewt = "n/G2", ymax = tau)$concordance)
out <- c(out, show("lung_uno", tau = taus, c = uno))
half <- coxph(Surv(time, status) ~ I(risk / 2), d, control = coxph.control(eps = 1e-14))
half_strat <- coxph(Surv(time, status) ~ I(risk / 2) + strata(inst), d,
                    control = coxph.control(eps = 1e-14))
out <- c(out, show("lung_slope", pooled = coef(half), pooled_se = sqrt(vcov(half)),
                   within = coef(half_strat), within_se = sqrt(vcov(half_strat))))

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
  test <- data.frame(T = b$T[!train], E = b$E[!train], site = b$site[!train],
                     lp = drop(Z[!train, ] %*% coef(fit)))
  exactly <- coxph.control(eps = 1e-14)
  one <- coxph(Surv(T, E) ~ lp, test, control = exactly)
  own <- coxph(Surv(T, E) ~ lp + strata(site), test, control = exactly)
  all <- concordance(Surv(T, E) ~ lp, test, reverse = TRUE)
  uno <- concordance(Surv(T, E) ~ lp, test, reverse = TRUE, timewt = "n/G2")
  out <- c(out, show("brca_test", slope = coef(one), slope_se = sqrt(vcov(one)), slope_within = coef(own),
                     slope_within_se = sqrt(vcov(own)), c = all$concordance, c_se = sqrt(all$var),
                     uno = uno$concordance))
}
cat("{\n", paste(out, collapse = ",\n"), "\n}\n", sep = "")
