"""What an account has: its holdings after reservations, and at what they count.

Must not know obligations.
"""

from __future__ import annotations

from chains.types import Address, Amount, ChainId, Control, TokenFact
from node.margin import spec
from node.margin.context import MarginContext
from node.margin.policy import PICO_PER_MICRO
from node.model.health import ZERO, HoldingLine, Interval, Reason
from node.model.ledger import AccountView, Reservation


def open_reservations(view: AccountView) -> tuple[Reservation, ...]:
    """The releases that count as executed although no certified cut shows it.

    A chain's proven nonce that has reached the reservation's says that the proven balance is already without it.
    """
    if view.record is None:
        return ()
    return tuple(item for item in view.record.reservations if item.nonce > _proven_nonce(view, item.chain_id))


def _proven_nonce(view: AccountView, chain_id: ChainId) -> int:
    leaf = view.holdings.get(chain_id)
    return leaf.nonce if leaf is not None else 0


def available(view: AccountView) -> dict[ChainId, dict[Address, int]]:
    """Proven balances less open reservations, in base units; a balance that fell below them counts as nothing."""
    balances: dict[ChainId, dict[Address, int]] = {
        chain_id: dict(view.holdings[chain_id].balances) for chain_id in sorted(view.holdings)
    }
    for reservation in open_reservations(view):
        held = balances.get(reservation.chain_id, {})
        for token, amount, _ in reservation.items:
            if token in held:
                held[token] = max(0, held[token] - amount)
    return balances


def holding_lines(view: AccountView, context: MarginContext) -> tuple[HoldingLine, ...]:
    """One line for each proven balance, by chain and token."""
    return tuple(
        holding_line(view, context, chain_id, token, amount)
        for chain_id, balances in available(view).items()
        for token, amount in balances.items()
    )


def holding_line(
    view: AccountView, context: MarginContext, chain_id: ChainId, token: Address, amount: int
) -> HoldingLine:
    """At what a holding counts, and why not if it does not.

    What does not count (not enforceable, not admitted, not opted in, without a price, dust) is at nothing at either
    end, so it makes no status unknown. What is uncertain counts from nothing to its high end. A zero balance reads no
    price. Of a token of which the vault holds less than its books say, every holding counts pro rata.
    """
    recipe = context.policy.token_by_place.get((chain_id, token))
    asset_id = recipe.asset if recipe is not None else ""

    def nothing(*reasons: Reason) -> HoldingLine:
        return HoldingLine(chain_id, token, asset_id, Amount(amount), ZERO, ZERO, ZERO, reasons)

    if amount == 0:
        return nothing()
    if view.holdings[chain_id].control is not Control.ENFORCEABLE:
        return nothing(Reason.NOT_ENFORCEABLE)
    if recipe is None or chain_id not in context.chain_reasons:
        return nothing(Reason.NOT_ADMITTED)
    if view.record is None or asset_id not in view.record.collateral:
        return nothing(Reason.NOT_OPTED_IN)
    asset, mark = context.policy.asset_by_id[asset_id], context.token_marks[chain_id, token]
    if mark.obligation is None and mark.reason is not None:
        return nothing(mark.reason)
    there, standing = _there(context.tokens.get((chain_id, token)), amount)
    low, high = (
        spec.holding_value(there, price, recipe.decimals) for price in (mark.collateral.low, mark.collateral.high)
    )
    if high < asset.min_value_micro_usd * PICO_PER_MICRO:
        return nothing(Reason.DUST)
    halted = context.chain_reasons[chain_id]
    uncertain = halted is not None or standing not in (None, Reason.SHORTFALL)
    value = Interval(0 if uncertain else low, high)
    return HoldingLine(
        chain_id,
        token,
        asset_id,
        Amount(amount),
        value,
        _after_haircut(value, asset.initial_haircut_bps),
        _after_haircut(value, asset.maintenance_haircut_bps),
        tuple(reason for reason in (mark.reason, halted, standing) if reason is not None),
    )


def _there(token: TokenFact | None, amount: int) -> tuple[int, Reason | None]:
    """What of an amount in the books the vault can pay at best, and what is wrong with the token."""
    if token is None:
        return amount, Reason.UNPROVEN
    if token.disputed:
        return amount, Reason.DISPUTED
    there = spec.pro_rata(amount, token.held, token.booked)
    return there, Reason.SHORTFALL if token.held < token.booked else None


def _after_haircut(value: Interval, haircut_bps: int) -> Interval:
    return Interval(spec.after_haircut(value.low, haircut_bps), spec.after_haircut(value.high, haircut_bps))
