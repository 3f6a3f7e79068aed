"""What a leg does: an amount of one thing closed or exchanged, and what that costs.

A leg is carried out as a whole, on one chain or at one venue; what hedges across venues is closed at several, and where
one of them acts alone, that loses no more than it costs. Costs are the fee on what is traded, the bonus of whoever
takes collateral for a debt, and what the size moves the price: V²/(100·depth) for a value V, so that a value of `depth`
costs 1 %; legs of one asset share its depth in their order. Roundings go against the account. Must not know which legs
are worth it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isqrt

from node.margin.models.fixed import PICO, WAD, Money, Wad, up, value
from node.margin.planning.account import CASH, Account, Change, Holding
from node.margin.planning.terms import Terms

_WAD_OF_USD = WAD // PICO
OWED = "cash owed"
"""Room for what cash may rise by; `cash` is room for what it may pay."""
_CRUMBS = Money(PICO // 100)
"""Less than a cent of collateral is not left behind."""


@dataclass(frozen=True, slots=True)
class Action:
    """So much of a holding (`amount` > 0) is given up; a debt of `settles` falls by `settled`, `cash` comes or goes.

    `funding` is what a position gives up of what it still receives; `cost` is within the figures already.
    """

    holding: str
    amount: Wad
    settles: str
    settled: Wad
    cash: Money
    funding: Money
    cost: Money


@dataclass(frozen=True, slots=True)
class Close:
    """Positions closed at the market: a part of one, or the same part of several, of one venue or across venues.

    Of one, `amount` is in its units; of several it is a fraction. Several go together where each protects the others.
    """

    name: str
    holdings: tuple[Holding, ...]

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def is_slice(self) -> bool:
        """Whether amounts are fractions of all its positions."""
        return len(self.holdings) > 1


@dataclass(frozen=True, slots=True)
class Exchange:
    """Collateral (or cash) for a debt (or cash): `amount` is what of the debt is settled, in its units.

    Whoever takes the collateral pays the debt for it, and keeps `bonus` on top.
    """

    name: str
    source: Holding
    target: Holding
    bonus: Wad

    def __hash__(self) -> int:
        return hash(self.name)


Candidate = Close | Exchange


@dataclass(frozen=True, slots=True)
class Leg:
    """A candidate carried out to an amount."""

    name: str
    amount: Wad
    actions: tuple[Action, ...]

    @property
    def cost(self) -> Money:
        """What it costs in all."""
        return Money(sum(each.cost for each in self.actions))

    def change(self, account: Account) -> Change:
        """What it does to the account."""
        return Change.total(_change(account, each) for each in self.actions)

    def pieces(self, account: Account) -> tuple[Leg, ...]:
        """Of one at several venues what each of them does, and what all but it do; nothing of any other."""
        at = [account.holdings[each.holding].venue if each.holding in account.holdings else "" for each in self.actions]
        return tuple(
            replace(
                self,
                actions=tuple(each for each, where in zip(self.actions, at, strict=True) if (where == venue) is alone),
            )
            for venue in sorted(set(at))
            for alone in (True, False)
            if len(set(at)) > 1
        )


def _change(account: Account, action: Action) -> Change:
    amounts: dict[str, int] = {}
    held = account.holdings.get(action.holding)
    if held is not None:
        amounts[action.holding] = -action.amount if held.amount > 0 else action.amount
    if held is not None and held.kind.is_position:
        funding = {action.holding: -action.funding} if action.funding else {}
        return replace(account.settled(held.venue, action.cash), amounts=amounts, funding=funding)
    if action.settles in account.holdings:
        amounts[action.settles] = -action.settled
    claimed = next((name for name in account.venues if action.settles == claim_of(name)), None)
    seized = {} if claimed is None else {claimed: action.settled * PICO // WAD}
    return Change(action.cash, amounts, seized=seized)


def after(account: Account, legs: Iterable[Leg]) -> Account:
    """The account after legs."""
    return account.changed(Change.total(leg.change(account) for leg in legs))


def claim_of(venue: str) -> str:
    """What a venue's claim is called where debts are."""
    return f"claim of {venue}"


@dataclass(frozen=True, slots=True)
class Room:
    """What may be done within one plan, and what is by now: taken of each holding, traded (a value) of each asset."""

    limits: Mapping[str, int]
    taken: dict[str, int] = field(default_factory=dict)
    traded: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Room:
        """The same, to go on from."""
        return Room(self.limits, dict(self.taken), dict(self.traded))

    def left(self, name: str) -> int:
        """What may still be taken of a holding."""
        return self.limits.get(name, 0) - self.taken.get(name, 0)

    def take(self, name: str, amount: int) -> bool:
        """Whether so much is left of a holding; it is gone then."""
        if amount > self.left(name):
            return False
        self.taken[name] = self.taken.get(name, 0) + amount
        return True

    def impact(self, asset: str, worth: Money, depth: Money) -> Money:
        """What trading a value costs beyond what was traded of the asset before, rounded up; at most the value."""
        before = self.traded.get(asset, 0)
        self.traded[asset] = before + worth
        if depth == 0:
            return Money(0)
        return Money(min(worth, -((before**2 - (before + worth) ** 2) // (100 * depth))))


def carried_out(terms: Terms, candidate: Candidate, amount: Wad, room: Room) -> Leg | None:
    """A candidate to an amount, after all that was done before in the room; None where there is not so much."""
    if isinstance(candidate, Close):
        actions = _closed(terms, candidate, amount, room)
    else:
        actions = _exchanged(terms, candidate, amount, room)
    return None if actions is None else Leg(candidate.name, amount, actions)


def _closed(terms: Terms, close: Close, amount: Wad, room: Room) -> tuple[Action, ...] | None:
    actions = []
    for held in close.holdings:
        size = _slice(held, amount, terms.of(held.asset).lot) if close.is_slice else amount
        if size == 0:
            continue
        if not room.take(held.name, size):
            return None
        rules, worth = terms.of(held.asset), held.notional(size)
        cost = Money(up(worth, rules.fee) + room.impact(held.asset, worth, rules.depth))
        signed = size if held.amount > 0 else -size
        funding = Money(held.funding * size // held.size)
        cash = Money(value(signed, Wad(held.price - held.entry)) + funding - cost)
        actions.append(Action(held.name, Wad(size), CASH, Wad(0), cash, funding, cost))
    return tuple(actions) if actions else None


def _slice(held: Holding, fraction: int, lot: int) -> int:
    """A fraction of a position, in whole lots; all of it for a fraction of 1."""
    return held.size if fraction == WAD else held.size * fraction // WAD // lot * lot


def _exchanged(terms: Terms, exchange: Exchange, amount: Wad, room: Room) -> tuple[Action, ...] | None:
    source, target = exchange.source, exchange.target
    worth = Money(-value(-amount, target.price))
    traded = target if source.name == CASH else source
    rules = terms.of(traded.asset)
    cost = Money(up(worth, rules.fee) + up(worth, exchange.bonus) + room.impact(traded.asset, worth, rules.depth))
    taken = -(-(worth + cost) * _WAD_OF_USD * WAD // source.price)
    left = room.left(source.name) - taken
    if left > 0 and source.name != CASH and value(left, source.price) < _CRUMBS:
        taken += left
    if not room.take(_place(target), amount) or not room.take(source.name, taken):
        return None
    cash = (worth if target.name == CASH else 0) - (worth + cost if source.name == CASH else 0)
    return (Action(source.name, Wad(taken), target.name, amount, Money(cash), Money(0), cost),)


# === How far a candidate can go ===


def most(candidate: Candidate) -> Wad:
    """The largest amount that it could ever have."""
    if isinstance(candidate, Close):
        return Wad(WAD) if candidate.is_slice else candidate.holdings[0].size
    return candidate.target.size


def affordable(terms: Terms, candidate: Candidate, room: Room) -> Wad:
    """About the largest amount that there is room for: what roundings leave out is for whoever asks to try."""
    if isinstance(candidate, Close):
        left = ((room.left(held.name), held) for held in candidate.holdings)
        return Wad(min(WAD * most_of // held.size if candidate.is_slice else most_of for most_of, held in left))
    source, target = candidate.source, candidate.target
    traded = target if source.name == CASH else source
    rules, before = terms.of(traded.asset), room.traded.get(traded.asset, 0)
    rate, pays = WAD + rules.fee + candidate.bonus, value(room.left(source.name), source.price)
    if rules.depth:
        # worth·rate + (2·before·worth + worth²)/(100·depth) = pays, but the impact is at most the worth.
        linear, constant = 2 * before + 100 * rules.depth * rate // WAD, 100 * rules.depth * pays
        worth = max((isqrt(linear**2 + 4 * constant) - linear) // 2, pays * WAD // (rate + WAD))
    else:
        worth = pays * WAD // rate
    return Wad(min(room.left(_place(target)), worth * _WAD_OF_USD * WAD // target.price))


def _place(target: Holding) -> str:
    """Where the room for a target is."""
    return OWED if target.name == CASH else target.name


def holdings_of(candidate: Candidate) -> tuple[Holding, ...]:
    """What it reduces."""
    return candidate.holdings if isinstance(candidate, Close) else (candidate.source, candidate.target)


def largest(fits: Callable[[int], bool], high: int, guess: int | None = None) -> int:
    """The largest n within [0, high] that fits, where all below one that fits do; 0 if none does.

    A good guess saves most of the tries.
    """
    low = 0
    if guess is not None and 0 < guess <= high:
        stride = 1
        if fits(guess):
            low = guess
            while low < high and fits(min(high, low + stride)):
                low, stride = min(high, low + stride), stride * 4
            high = min(high, low + stride - 1)
        else:
            high = guess - 1
            while low < high and not fits(max(1, high - stride)):
                high, stride = max(0, high - stride - 1), stride * 4
            low = max(low, high - stride)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def is_untidy(account: Account, legs: Iterable[Leg], leg: Leg, least: Money) -> bool:
    """Whether dust is left of what a leg touches, after all of them.

    An exchange clears a side or leaves at least so much on both (Aave v3.3's rule); of what is closed nothing is left,
    or at least so much.
    """
    total = Change.total(each.change(account) for each in legs)

    def left(name: str) -> Money:
        if name.startswith(claim_of("")):
            venue = name.removeprefix(claim_of(""))
            return Money(max(0, account.claim(venue) - total.seized.get(venue, 0)))
        if name == CASH:
            return Money(max(0, -account.cash - total.cash) if account.cash <= 0 else max(0, account.cash + total.cash))
        held = account.holdings[name]
        return held.notional(abs(held.amount + total.amounts.get(name, 0)))

    first = leg.actions[0]
    if first.holding in account.holdings and account.holdings[first.holding].kind.is_position:
        return 0 < sum(left(each.holding) for each in leg.actions) < least
    sides = [left(first.holding), left(first.settles)]
    return all(sides) and min(sides) < least
