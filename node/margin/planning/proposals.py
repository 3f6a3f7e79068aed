"""What an owner proposes, and the account after it.

    {"trade": "perpetual", "asset": "ETH", "amount": -1, "price": 2000, "fee": 1, "venue": "derive"}
    {"trade": "future", "asset": "ETH", "seconds": 2592000, "amount": 1}
    {"trade": "option", "asset": "ETH", "seconds": 2592000, "strike": 2200, "call": true, "amount": 2}
    {"withdraw": "ETH", "amount": 0.5}     {"deposit": "USD", "amount": 100}
    {"borrow": "USDC", "amount": 10}       {"repay": "USDC", "amount": 5}
    {"deposit": "USD", "amount": 100, "isolated": "punt"}

A trade's amount is signed and its price by default the market's; money is in USD. What is borrowed leaves the account,
and what repays comes from outside. `isolated` names the isolated account that it is for, which may be a new one. Any
other name is an error. Must not know what is admissible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from node.margin.models.book import PLACE
from node.margin.models.fields import Fields, leaves, refuse_unknown
from node.margin.models.fixed import PICO, WAD, Money, Wad, value
from node.margin.planning.account import NO_CHANGE, USD, Account, Change, Holding, Kind, text


class Act(StrEnum):
    """What is proposed."""

    TRADE = "trade"
    WITHDRAW = "withdraw"
    DEPOSIT = "deposit"
    BORROW = "borrow"
    REPAY = "repay"


_TRADED = {"perpetual": Kind.PERPETUAL, "future": Kind.FUTURE, "option": Kind.OPTION}
_TERMS = {
    Kind.PERPETUAL: ("asset",),
    Kind.FUTURE: ("asset", "seconds"),
    Kind.OPTION: ("asset", "seconds", "strike", "call"),
}
NAMES = leaves(*Act, *_TERMS[Kind.OPTION], *PLACE, "amount", "price", "fee", "isolated")
"""What is read of a proposal."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal. `kind` and `item` say what is traded or moved; `price` None is the market's."""

    act: Act
    kind: Kind
    asset: str
    amount: Wad
    item: Mapping[str, object]
    price: Wad | None
    fee: Money


def read_proposal(fields: Fields) -> Proposal:
    """Raises PortfolioError, which names the field."""
    refuse_unknown(fields, NAMES)
    acts = [act for act in Act if fields.has(act)]
    if len(acts) != 1:
        raise fields.wrong(f"give one of {', '.join(Act)}", "what_if")
    act, said = acts[0], fields.text(acts[0])
    if act is not Act.TRADE:
        kind = Kind.DEBT if act in {Act.BORROW, Act.REPAY} else Kind.COLLATERAL
        return Proposal(act, kind, said, fields.positive("amount"), {"asset": said}, None, Money(0))
    if said not in _TRADED:
        raise fields.wrong(f"give one of {', '.join(_TRADED)}", "trade")
    amount = fields.number("amount")
    if amount == 0:
        raise fields.wrong("give an amount to buy, or a negative one to sell", "amount")
    kind = _TRADED[said]
    return Proposal(
        act=act,
        kind=kind,
        asset=fields.text("asset"),
        amount=amount,
        item={name: fields.content[name] for name in (*_TERMS[kind], *PLACE) if fields.has(name)},
        price=fields.number("price", low=0) if fields.has("price") else None,
        fee=fields.money("fee", low=0, default=0),
    )


def carried_out(account: Account, proposal: Proposal) -> Account | None:
    """The account after it; None where it has not so much, or the market has no price for what is traded."""
    return _traded(account, proposal) if proposal.act is Act.TRADE else _moved(account, proposal)


def alone(account: Account, proposal: Proposal) -> Account:
    """The account with what a trade trades, and nothing else that has a price."""
    bare = replace(account, holdings={}, unread=())
    return _added(bare, proposal.kind, {**proposal.item, "amount": text(proposal.amount)})


def _moved(account: Account, proposal: Proposal) -> Account | None:
    """After a deposit, a withdrawal, a borrowing that leaves the account or a repayment from outside."""
    act, asset, amount = proposal.act, proposal.asset, proposal.amount
    gives = act in {Act.DEPOSIT, Act.REPAY}
    if asset == USD:
        cash = Money(amount * PICO // WAD if gives else -(-amount * PICO // WAD))
        if (act is Act.REPAY and cash > -account.cash) or (act is Act.WITHDRAW and cash > account.cash):
            return None
        return account.changed(Change(cash if gives else -cash))
    kind = Kind.DEBT if act in {Act.BORROW, Act.REPAY} else Kind.COLLATERAL
    signed = amount if act in {Act.DEPOSIT, Act.BORROW} else -amount
    held = next((each for each in account.holdings.values() if (each.kind, each.asset) == (kind, asset)), None)
    if held is None:
        return None if signed < 0 else _added(account, kind, {"asset": asset, "amount": text(amount)})
    return None if held.amount + signed < 0 else account.changed(Change(0, {held.name: signed}))


def _added(account: Account, kind: Kind, item: Mapping[str, object], change: Change = NO_CHANGE) -> Account:
    content = account.form.added(account.after(change), kind, Fields(item, account.name, "what_if"))
    return Account.read(account.form, account.setting, content, account.name)


def _traded(account: Account, proposal: Proposal) -> Account | None:
    """What it closes of an opposite position is settled in cash; what it adds to one is at an average price.

    Both are rounded against the account.
    """
    kind, amount, fee = proposal.kind, proposal.amount, proposal.fee
    new = next(iter(alone(account, proposal).holdings.values()), None)
    if new is None:
        return None
    same = next((each for each in account.holdings.values() if _is_same(account, each, new)), None)
    price = new.price if proposal.price is None else proposal.price
    item = {**new.item, "amount": text(amount)}
    if kind is Kind.OPTION:
        paid = account.settled(new.venue, value(-amount, price) - fee)
        if same is None:
            return _added(account, kind, item, paid)
        return account.changed(Change.total((paid, Change(0, {same.name: amount}))))
    if same is None:
        return _added(account, kind, {**item, "entry_price": text(price)}, account.settled(new.venue, -fee))
    if same.amount * amount > 0:
        both = same.amount + amount
        total = same.amount * same.entry + amount * price
        entry = -(-total // both) if both > 0 else total // both
        rest = replace(account, holdings={name: each for name, each in account.holdings.items() if each != same})
        item = {**same.item, "amount": text(both), "entry_price": text(entry)}
        return _added(rest, kind, item, account.settled(same.venue, -fee))
    closed = min(same.size, abs(amount))
    signed = closed if same.amount > 0 else -closed
    funding = same.funding * closed // same.size
    cash = account.settled(same.venue, value(signed, Wad(price - same.entry)) + funding - fee)
    after = account.changed(Change.total((cash, Change(0, {same.name: -signed}, {same.name: -funding}))))
    beyond = amount + signed
    return _added(after, kind, {**new.item, "amount": text(beyond), "entry_price": text(price)}) if beyond else after


def _is_same(account: Account, held: Holding, new: Holding) -> bool:
    """Whether they are one instrument: an account holds it once, or once at each venue that has terms."""
    if held.kind is not new.kind or (account.venues and held.venue != new.venue):
        return False
    return held.instrument == new.instrument
