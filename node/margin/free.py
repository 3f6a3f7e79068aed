"""What an account's watched wallets hold, at market value: for information, since the owner may spend it at any time.

Nothing here secures, supports a withdrawal or is planned with: it goes into the breakdown and nowhere else. Must not
know reservations or claims.
"""

from __future__ import annotations

from chains.types import Address, Amount, ChainId
from node.margin import spec
from node.margin.context import MarginContext
from node.model.health import ZERO, HoldingLine, Interval, Reason
from node.model.ledger import AccountView


def free_lines(view: AccountView, context: MarginContext) -> tuple[HoldingLine, ...]:
    """One line for each token of each watched wallet, by chain, wallet and token."""
    return tuple(
        _line(context, chain_id, held.wallet, token, amount)
        for chain_id, held in view.free
        for token, amount in held.balances
    )


def _line(
    context: MarginContext, chain_id: ChainId, wallet: Address, token: Address, amount: Amount | None
) -> HoldingLine:
    """What it is worth, as of the cut; of a token that is disputed the amount may be unknown, and is given as zero."""
    recipe = context.policy.token_by_place.get((chain_id, token))
    value, reasons = ZERO, [Reason.NOT_ENFORCEABLE]
    if recipe is None or chain_id not in context.chain_reasons:
        reasons.append(Reason.NOT_ADMITTED)
    else:
        mark, fact = context.token_marks[chain_id, token], context.tokens.get((chain_id, token))
        uncertain = context.chain_reasons[chain_id]
        if amount is None or (fact is not None and fact.disputed):
            uncertain = Reason.DISPUTED
        reasons += (reason for reason in (mark.reason, uncertain) if reason is not None)
        low, high = (
            spec.holding_value(amount or 0, price, recipe.decimals)
            for price in (mark.collateral.low, mark.collateral.high)
        )
        value = Interval(0 if uncertain else low, high)
    asset = recipe.asset if recipe is not None else ""
    return HoldingLine(chain_id, token, asset, amount or Amount(0), value, ZERO, ZERO, tuple(reasons), wallet)
