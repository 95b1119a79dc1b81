# Writes ttr_volatility.csv anew out of its own prices, with R 4.2.2 and TTR 0.24.3 (Debian: r-cran-ttr):
#   R --vanilla --no-echo -f ttr_volatility.R
# TTR counts prices for calc="close": its n of 21 are our 20 returns. N is the periods per year.
library(TTR)
bars <- read.csv("ttr_volatility.csv")[, c("open", "high", "low", "close")]
for (calc in c("close", "parkinson", "garman.klass", "yang.zhang")) {
  bars[[paste0("volatility_", gsub(".", "_", calc, fixed = TRUE))]] <-
    volatility(as.matrix(bars[, 1:4]), n = if (calc == "close") 21 else 20, calc = calc, N = 252)
}
bars[, 5:8] <- lapply(bars[, 5:8], function(x) trimws(formatC(x, digits = 17, format = "g")))
write.csv(bars, "ttr_volatility.csv", row.names = FALSE, quote = FALSE)
