// Seconds that @aave/math-utils takes for one account's health factor, of sums that are its own numbers already.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const from = createRequire(pathToFileURL(process.cwd() + "/"));
const { calculateHealthFactorFromBalances, valueToBigNumber } = from("@aave/math-utils");
const asked = JSON.parse(readFileSync(0, "utf8"));
const full = valueToBigNumber(10_000); // the sums are weighted: all of them counts
const accounts = asked.equity.map((equity, n) => ({
  collateralBalanceMarketReferenceCurrency: valueToBigNumber(equity),
  borrowBalanceMarketReferenceCurrency: valueToBigNumber(asked.debt[n]),
  currentLiquidationThreshold: full,
}));

const taken = [];
let factors = [];
for (let run = 0; run < 10; run++) {
  const start = process.cpuUsage();
  factors = accounts.map(calculateHealthFactorFromBalances);
  taken.push(process.cpuUsage(start).user / 1e6 / accounts.length);
}
const warm = taken.slice(3).sort((a, b) => a - b);
console.log(JSON.stringify({ seconds: warm[3], factors: factors.slice(0, 100).map(Number) }));
