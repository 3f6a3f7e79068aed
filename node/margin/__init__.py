"""Health of an account as a pure function of ledger, frame and policy.

    MarginContext(policy, prices, chains, tokens, time_ms)    what accounts are judged against; MarginContext.of a state
    evaluate(view, context)                           → Health: an interval, a status, and the lines that explain them
    withdrawal_refusal(view, context, chain, token, amount)   → why collateral may not leave, or None
    plan_liquidation(view, context)                   → the seizures that pay what a liquidatable account owes

Everything is exact: integers, rounded against the account, equal on every machine. What an account holds and what is
reported of it is answered, never raised; an exception is a bug. What an account has is in `collateral`; by which rules
it is judged is the policy's to say (`account.Rules`): `portfolio`, the profile `hypothec`, or `haircuts`, static ones,
which are in `spec`, one a function, and meet what venues report in `claims`.

In short: a holding counts after its haircut, over what its price may be, or not at all. Each venue counts by itself,
up to what the owner's limit leaves beside all it ever seized; its profit reduces its own margin only. An account is
liquidatable when even the best of all that is possible does not cover claims and maintenance margin.
Must not know how inputs are agreed, or what becomes of an answer.

Beside it: `policy` has the risk parameters in force and `contracts` how venues name dated instruments; `screen` says
whom a move of the market can have brought below maintenance margin, by the bounds of `headroom`. `node.margin.models`
has the margin models of venues and lenders as profiles, `engine` the same for many accounts at once, `planning`
liquidation plans under any of them, and `math` the numbers that are the same on every machine.
"""

from node.margin.account import evaluate
from node.margin.context import MarginContext
from node.margin.liquidation import MAX_ITEMS, SeizureLeg, plan_liquidation
from node.margin.withdrawal import Refusal, withdrawal_refusal

__all__ = [
    "MAX_ITEMS",
    "MarginContext",
    "Refusal",
    "SeizureLeg",
    "evaluate",
    "plan_liquidation",
    "withdrawal_refusal",
]
