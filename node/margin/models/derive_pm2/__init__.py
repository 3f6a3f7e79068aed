"""`derive-pm2`: Derive's portfolio margin, second version (PMRM_2), complete.

    evaluate(portfolio, parameters)    → Result: every scenario, contingency and margin of one account

The worst of the scenarios (regular, tail and skew) and of the basis contingency, which competes with them, is what an
account may lose; contingencies come on top. `rules` has the formulas, `portfolio` what they read, `vectors` reads the
published test files and `components` compares with them. Must not know other models.
"""

from node.margin.models.derive_pm2.evaluate import ExpiryLine, Result, ScenarioLine, evaluate
from node.margin.models.derive_pm2.portfolio import Parameters, Portfolio, Scenario, Shock

__all__ = ["ExpiryLine", "Parameters", "Portfolio", "Result", "Scenario", "ScenarioLine", "Shock", "evaluate"]
