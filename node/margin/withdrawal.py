"""Whether collateral may leave for its owner."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from chains.types import Address, Amount, ChainId, Control
from node.margin.account import rules_of
from node.margin.collateral import available, open_reservations
from node.margin.context import MarginContext
from node.margin.outflow import NOTHING, Outflow
from node.model.digests import ReleaseKind
from node.model.ledger import AccountView, Reservation


class Refusal(StrEnum):
    """Why a withdrawal is refused; the text is signed with the decision."""

    AMOUNT_INVALID = "AMOUNT_INVALID"
    """Not above zero."""
    UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT"
    CHAIN_NOT_FOLLOWED = "CHAIN_NOT_FOLLOWED"
    CHAIN_NOT_LIVE = "CHAIN_NOT_LIVE"
    """The chain is halted or disputed, or its last certified cut is too old."""
    OPEN_RESERVATION = "OPEN_RESERVATION"
    """The vault's next nonce is taken, or a liquidation of the account is under way."""
    NOT_ENFORCEABLE = "NOT_ENFORCEABLE"
    """The network does not control the holding, so it cannot release it."""
    OUTFLOW_CAP = "OUTFLOW_CAP"
    """With what is under way it is more than the vault lets owners take in a window: ask for less, or later."""
    INSUFFICIENT_HOLDING = "INSUFFICIENT_HOLDING"
    BELOW_INITIAL_MARGIN = "BELOW_INITIAL_MARGIN"
    """What would be left does not certainly cover claims and initial margin."""


def withdrawal_refusal(
    view: AccountView,
    context: MarginContext,
    chain_id: ChainId,
    token: Address,
    amount: Amount,
    outflow: Outflow = NOTHING,
) -> Refusal | None:
    """Why `amount` (base units) of `token` may not leave the vault of a chain; None if it may.

    Only what a certified cut of a live chain shows can leave. What is left is judged at the low end, against claims
    and initial margin without any profit. An account that owes nothing has nothing to cover, whatever the prices.
    `outflow` is under way already, for all accounts.
    """
    if amount <= 0:
        return Refusal.AMOUNT_INVALID
    if view.record is None:
        return Refusal.UNKNOWN_ACCOUNT
    if chain_id not in context.chain_reasons:
        return Refusal.CHAIN_NOT_FOLLOWED
    if context.chain_reasons[chain_id] is not None:
        return Refusal.CHAIN_NOT_LIVE
    if any(_in_the_way(item, chain_id) for item in open_reservations(view)):
        return Refusal.OPEN_RESERVATION
    leaf = view.holdings.get(chain_id)
    if leaf is None or available(view)[chain_id].get(token, 0) < amount:
        return Refusal.INSUFFICIENT_HOLDING
    if leaf.control is not Control.ENFORCEABLE:
        return Refusal.NOT_ENFORCEABLE
    if outflow.within(context.policy, ReleaseKind.WITHDRAWAL, chain_id, token, amount) < amount:
        return Refusal.OUTFLOW_CAP
    left = _without(view, chain_id, token, amount)
    return None if rules_of(context.policy).is_covered(left, context) else Refusal.BELOW_INITIAL_MARGIN


def _in_the_way(reservation: Reservation, chain_id: ChainId) -> bool:
    # SECURITY: a seizure that expires unused brings its claim back, and haircut collateral worth less than that.
    return reservation.chain_id == chain_id or reservation.kind is ReleaseKind.SEIZURE


def _without(view: AccountView, chain_id: ChainId, token: Address, amount: int) -> AccountView:
    """The account after the amount has left."""
    leaf = view.holdings[chain_id]
    balances = tuple((each, Amount(held - amount) if each == token else held) for each, held in leaf.balances)
    return replace(view, holdings={**view.holdings, chain_id: replace(leaf, balances=balances)})
