"""What an account has: its holdings after reservations, and which of them secure it.

Must not know obligations or prices.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.types import Address, Amount, ChainId, Control, TokenFact
from node.margin import spec
from node.margin.context import MarginContext
from node.margin.policy import PICO_PER_MICRO, Policy
from node.model.health import ZERO, HoldingLine, Reason
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


@dataclass(frozen=True, slots=True)
class Standing:
    """A proven balance that secures its account, before any price.

    `there` is what of it the vault can pay at best: pro rata where it holds less than its books say. `chain` and `fact`
    are what is wrong with its chain and with its token, if anything is.
    """

    chain_id: ChainId
    token: Address
    asset: str
    amount: Amount
    decimals: int
    there: int
    chain: Reason | None
    fact: Reason | None

    @property
    def place(self) -> tuple[ChainId, Address]:
        return self.chain_id, self.token

    @property
    def is_uncertain(self) -> bool:
        """Whether nothing of it may be there: it then counts from nothing to its high end."""
        return self.chain is not None or self.fact not in (None, Reason.SHORTFALL)

    def is_dust(self, high: int, policy: Policy) -> bool:
        """Whether it is below its asset's minimum, worth `high` (1e-12 USD) at best."""
        return high < policy.asset_by_id[self.asset].min_value_micro_usd * PICO_PER_MICRO

    def nothing(self, reason: Reason) -> HoldingLine:
        """Its line where it does not count."""
        return _nothing(self.chain_id, self.token, self.asset, self.amount, reason)


def standings(view: AccountView, context: MarginContext) -> tuple[Standing | HoldingLine, ...]:
    """Every proven balance, by chain and token; of one that does not count whatever its price, the line that says so.

    What does not count (not enforceable, not admitted, not opted in) is at nothing at either end, so it makes no status
    unknown. A zero balance reads no price.
    """
    return tuple(
        _standing(view, context, chain_id, token, Amount(amount))
        for chain_id, balances in available(view).items()
        for token, amount in balances.items()
    )


def _standing(
    view: AccountView, context: MarginContext, chain_id: ChainId, token: Address, amount: Amount
) -> Standing | HoldingLine:
    recipe = context.policy.token_by_place.get((chain_id, token))
    asset = recipe.asset if recipe is not None else ""
    if amount == 0:
        return _nothing(chain_id, token, asset, amount)
    if view.holdings[chain_id].control is not Control.ENFORCEABLE:
        return _nothing(chain_id, token, asset, amount, Reason.NOT_ENFORCEABLE)
    if recipe is None or chain_id not in context.chain_reasons:
        return _nothing(chain_id, token, asset, amount, Reason.NOT_ADMITTED)
    if view.record is None or asset not in view.record.collateral:
        return _nothing(chain_id, token, asset, amount, Reason.NOT_OPTED_IN)
    there, fact = _there(context.tokens.get((chain_id, token)), amount)
    return Standing(chain_id, token, asset, amount, recipe.decimals, there, context.chain_reasons[chain_id], fact)


def _nothing(chain_id: ChainId, token: Address, asset: str, amount: Amount, *reasons: Reason) -> HoldingLine:
    return HoldingLine(chain_id, token, asset, amount, ZERO, ZERO, ZERO, reasons)


def _there(token: TokenFact | None, amount: int) -> tuple[int, Reason | None]:
    """What of an amount in the books the vault can pay at best, and what is wrong with the token."""
    if token is None:
        return amount, Reason.UNPROVEN
    if token.disputed:
        return amount, Reason.DISPUTED
    there = spec.pro_rata(amount, token.held, token.booked)
    return there, Reason.SHORTFALL if token.held < token.booked else None
