"""An account as plans and questions change it: what it holds by name, and what a change would make of it.

An account is the same whatever the order of its lists. Every judgement of it is its profile's: here nothing is known of
margins, only what things are worth at the market. Must not know plans, or how files say it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol, TypeAlias

from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.fixed import ONE, PICO, WAD, Money, Wad, as_float, value
from node.margin.models.market import Quotes
from node.margin.models.profile import Evaluation, Judge, Level, Profile, equity, requirement
from node.margin.spec import cap, claim, receivable

CASH = "cash"
"""What cash is called where holdings are."""
USD = "USD"
WADS_OF_MONEY = WAD // PICO
MOST_HOLDINGS = 1_000


class Kind(StrEnum):
    """What a holding is: the section of the file that it stands in."""

    COLLATERAL = "collateral"
    DEBT = "debts"
    PERPETUAL = "perpetuals"
    FUTURE = "futures"
    OPTION = "options"

    @property
    def is_position(self) -> bool:
        """Whether it is closed, not sold or repaid."""
        return self is not Kind.COLLATERAL and self is not Kind.DEBT


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a position is on: of a perpetual the asset alone, of a future its expiry too, of an option all of it."""

    kind: Kind
    asset: str
    seconds: int | None = None
    strike: Wad | None = None
    is_call: bool | None = None

    @classmethod
    def read(cls, kind: Kind, asset: str, fields: Fields) -> Instrument:
        """From the fields `seconds`, `strike` and `call`, as far as they are there."""
        return cls(
            kind,
            asset,
            fields.whole("seconds") if fields.has("seconds") else None,
            fields.positive("strike") if fields.has("strike") else None,
            fields.flag("call") if fields.has("call") else None,
        )

    def __str__(self) -> str:
        """For people."""
        side = "" if self.is_call is None else "-C" if self.is_call else "-P"
        strike = "" if self.strike is None else f"-{as_float(self.strike):g}"
        return f"{self.kind.value[:-1]} {self.asset}{'' if self.seconds is None else f'-{self.seconds}'}{strike}{side}"


@dataclass(frozen=True, slots=True)
class Holding:
    """A balance, a debt or a position. `amount` is signed for positions; `price` is the market's, an option's its mark.

    A unit closed gives `price` − `entry`; `funding` is what the position still receives. `spot` is its underlying's
    price, which sizes are judged by. `chain` and `venue` are where it is, as the file says. Plans leave it alone unless
    it `is_available`: where the file says that its price is not fresh or its chain not live, it is not.
    """

    name: str
    kind: Kind
    asset: str
    amount: Wad
    price: Wad
    entry: Wad
    funding: Money
    spot: Wad
    chain: str
    venue: str
    is_available: bool
    item: Mapping[str, object] = field(compare=False)

    @property
    def instrument(self) -> Instrument:
        """What it is, wherever it is held."""
        return Instrument.read(self.kind, self.asset, Fields(self.item, ""))

    @property
    def size(self) -> Wad:
        """The absolute amount."""
        return Wad(abs(self.amount))

    @property
    def worth(self) -> Money:
        """What it adds to the account at the market; negative for debts and losses."""
        if self.kind is Kind.DEBT:
            return value(-self.amount, self.price)
        return Money(value(self.amount, Wad(self.price - self.entry)) + self.funding)

    def notional(self, amount: int) -> Money:
        """What an absolute amount of it is at the price of its underlying, rounded up."""
        return Money(-value(-amount, self.spot))


@dataclass(frozen=True, slots=True)
class Venue:
    """What the owner authorised a venue to claim at most, its cash there, what was seized for it and what it shows."""

    limit: Money
    cash: Money
    seized: Money
    acknowledged: Money

    @property
    def most(self) -> Money:
        """What it may still claim."""
        return Money(cap(self.limit, self.seized))

    @property
    def balance(self) -> Money:
        """Its cash with what was seized for it and is not in its reports yet."""
        return Money(self.cash + receivable(self.seized, self.acknowledged))


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of an account's cash, of the amounts and fundings of holdings by name; all signed.

    And of its cash at venues, and of what was seized for them.
    """

    cash: int = 0
    amounts: Mapping[str, int] = field(default_factory=dict)
    funding: Mapping[str, int] = field(default_factory=dict)
    venues: Mapping[str, int] = field(default_factory=dict)
    seized: Mapping[str, int] = field(default_factory=dict)

    def __hash__(self) -> int:
        parts = (self.amounts, self.funding, self.venues, self.seized)
        return hash((self.cash, *(frozenset(each.items()) for each in parts)))

    @classmethod
    def total(cls, changes: Iterable[Change]) -> Change:
        """All of them together."""
        cash, sums = 0, tuple[dict[str, int], ...]({} for _ in range(4))
        for each in changes:
            cash += each.cash
            for total, part in zip(sums, (each.amounts, each.funding, each.venues, each.seized), strict=True):
                for name, amount in part.items():
                    total[name] = total.get(name, 0) + amount
        return cls(cash, *sums)


NO_CHANGE = Change()


Unread: TypeAlias = "tuple[tuple[Kind, Mapping[str, object]], ...]"
"""What has no usable price, as the file has it, with its section."""
Parts: TypeAlias = "tuple[Money, dict[str, Holding], Unread, dict[str, Venue]]"
"""Cash, holdings by name, what could not be read, and venues with terms."""


class Form(Protocol):
    """How a file says what an account holds."""

    def read(self, fields: Fields, market: Quotes) -> Parts:
        """What the account holds. Raises PortfolioError."""
        ...

    def written(self, account: Account, change: Change) -> dict[str, object]:
        """The account's part of the file after a change."""
        ...

    def added(self, content: Mapping[str, object], kind: Kind, item: Fields) -> dict[str, object]:
        """The account's part of the file with one thing more, in the words of a proposal. Raises PortfolioError."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """What the accounts of a file have in common: its market, and the profile's judge of it and the parameters.

    `part_of` says which assets it judges together; None: an account has no parts.
    """

    profile: Profile
    market: Quotes
    judge: Judge
    part_of: Callable[[str], str] | None

    @classmethod
    def of(cls, profile: Profile, market: Fields, parameters: Fields) -> Setting:
        """A file's."""
        part_of = None if profile.parted is None else profile.parted(market, parameters)
        return cls(profile, Quotes(market), profile.judge(market, parameters), part_of)


@dataclass(frozen=True, slots=True)
class Account:
    """One account of a file."""

    setting: Setting
    name: str
    content: Mapping[str, object]
    cash: Money
    holdings: Mapping[str, Holding]
    unread: Unread
    venues: Mapping[str, Venue]
    form: Form
    _known: dict[Change, Evaluation] = field(default_factory=dict, init=False, compare=False, repr=False)
    _parts: dict[str | None, Account] = field(default_factory=dict, init=False, compare=False, repr=False)

    @classmethod
    def read(cls, form: Form, setting: Setting, content: object, name: str) -> Account:
        """An account in a file's form. Raises PortfolioError, which names account, instrument and field."""
        fields = Fields.of(content, name)
        cash, held, unread, venues = form.read(fields, setting.market.of(name))
        if len(held) > MOST_HOLDINGS:
            raise PortfolioError("split the account", account=name, length=len(held), bound=MOST_HOLDINGS)
        return cls(setting, name, fields.content, cash, held, unread, venues, form)

    @property
    def profile(self) -> Profile:
        """What it is judged by."""
        return self.setting.profile

    def after(self, change: Change) -> dict[str, object]:
        """The account's part of a file after a change. What nothing is left of is gone."""
        return self.form.written(self, change)

    def evaluate(self, change: Change = NO_CHANGE) -> Evaluation:
        """What the profile says of the account after a change, asked once for each. Raises PortfolioError.

        Where the profile judges parts by themselves, only those that change are asked about again: the figures are the
        same, and after a change each level has them in two lines.
        """
        known = self._known.get(change)
        if known is None:
            part_of = self.setting.part_of
            if part_of is None or change == NO_CHANGE:
                known = self.setting.judge(self.after(change), self.name)
            else:
                known = self._summed(change, part_of)
            self._known[change] = known
        return known

    def _summed(self, change: Change, part_of: Callable[[str], str]) -> Evaluation:
        """The account as it is, and the differences that its changed parts make."""
        before = self.evaluate()
        sums: list[list[int]] = [[level.equity, level.requirement] for level in before.levels]
        for part, of_it in self._changed_parts(change, part_of):
            pairs = zip(part.evaluate().levels, part.evaluate(of_it).levels, strict=True)
            for total, (old, new) in zip(sums, pairs, strict=True):
                total[0] += new.equity - old.equity
                total[1] += new.requirement - old.requirement
        levels = zip(before.levels, sums, strict=True)
        return Evaluation(
            self.name,
            self.profile.name,
            tuple(
                Level(old.threshold, (equity("in all", "", counted), requirement("in all", "", needed)))
                for old, (counted, needed) in levels
            ),
        )

    def _changed_parts(self, change: Change, part_of: Callable[[str], str]) -> Iterator[tuple[Account, Change]]:
        """Each part that a change is of, and what it is there; cash is one."""
        parts = self._parts or self._divided(part_of)
        amounts, funding = defaultdict[str, dict[str, int]](dict), defaultdict[str, dict[str, int]](dict)
        for of_part, figures in ((amounts, change.amounts), (funding, change.funding)):
            for name, figure in figures.items():
                of_part[part_of(self.holdings[name].asset)][name] = figure
        for part in {**amounts, **funding}:
            yield parts[part], Change(0, amounts[part], funding[part])
        if change.cash:
            yield parts[None], Change(change.cash)

    def _divided(self, part_of: Callable[[str], str]) -> Mapping[str | None, Account]:
        """Its parts, remembered with what is known of them."""
        held = defaultdict[str, dict[str, Holding]](dict)
        for name, each in self.holdings.items():
            held[part_of(each.asset)][name] = each
        alone = replace(self, setting=replace(self.setting, part_of=None), holdings={}, unread=())
        self._parts[None] = alone
        for part, holdings in held.items():
            self._parts[part] = replace(alone, cash=Money(0), holdings=holdings)
        return self._parts

    def changed(self, change: Change) -> Account:
        """The account after a change, as an account."""
        return Account.read(self.form, self.setting, self.after(change), self.name)

    @property
    def net_value(self) -> Money:
        """What is left for the owner at market prices if nothing costs anything; negative: what is owed beyond.

        A venue with terms claims what it is owed within its limit, and what it owes counts nowhere else.
        """
        own = sum(
            each.worth for each in self.holdings.values() if not (each.kind.is_position and each.venue in self.venues)
        )
        return Money(self.cash + own - sum(self.claim(name) for name in self.venues))

    def claim(self, name: str) -> Money:
        """What a venue with terms is owed at market prices, within its limit."""
        worth = sum(each.worth for each in self.holdings.values() if each.venue == name and each.kind.is_position)
        return Money(claim(self.venues[name].balance + worth, self.venues[name].most))

    def settled(self, venue: str, cash: int) -> Change:
        """Cash that comes or goes where a position is: at its venue, where that has terms, or in the account."""
        return Change(venues={venue: cash}) if venue in self.venues else Change(cash)


def text(amount: int) -> str:
    """A Wad as decimal text, exactly."""
    return f"{'-' if amount < 0 else ''}{abs(amount) // WAD}.{abs(amount) % WAD:018d}"


def money_text(amount: int) -> str:
    """Money as decimal text, exactly."""
    return text(amount * WADS_OF_MONEY)


def cash_holding(cash: Money) -> Holding:
    """Cash as a holding: its amount in USD, at one."""
    amount = Wad(cash * WADS_OF_MONEY)
    return Holding(
        name=CASH,
        kind=Kind.COLLATERAL,
        asset=USD,
        amount=amount,
        price=ONE,
        entry=Wad(0),
        funding=Money(0),
        spot=ONE,
        chain="",
        venue="",
        is_available=True,
        item={},
    )
