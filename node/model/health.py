"""The answer: whether an account's collateral is enough, as an interval, with what explains it.

Money is in 1e-12 USD. Must not know how the figures are computed (margin does).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from chains.types import AccountId, Address, Amount, ChainId


class HealthStatus(IntEnum):
    """Worst last; the number is on the wire."""

    HEALTHY = 1
    """Even the low end covers initial margin."""
    MARGIN_CALL = 2
    """Even the low end covers maintenance margin, but not initial margin."""
    UNKNOWN = 3
    """The interval straddles maintenance margin: see the reasons."""
    LIQUIDATABLE = 4
    """Even the high end is below maintenance margin."""
    INSOLVENT = 5
    """Liquidatable, and even at the high end, without haircuts, the collateral does not cover the claims."""

    @property
    def decided_by(self) -> str:
        """Which end made the status: the high one says that it is lost, the low one that it is safe."""
        if self in (HealthStatus.LIQUIDATABLE, HealthStatus.INSOLVENT):
            return "high"
        return "both" if self is HealthStatus.UNKNOWN else "low"


class Reason(StrEnum):
    """Why an interval is wide, or an input does not count."""

    STALE_PRICE = "STALE_PRICE"
    DISPUTED_PRICE = "DISPUTED_PRICE"
    MISSING_PRICE = "MISSING_PRICE"
    PRICE_SPREAD = "PRICE_SPREAD"
    CHAIN_HALTED = "CHAIN_HALTED"
    CHAIN_DISPUTED = "CHAIN_DISPUTED"
    STALE_CUT = "STALE_CUT"
    NOT_OPTED_IN = "NOT_OPTED_IN"
    NOT_ADMITTED = "NOT_ADMITTED"
    DUST = "DUST"
    NOT_ENFORCEABLE = "NOT_ENFORCEABLE"
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"
    SHORTFALL = "SHORTFALL"
    """The vault holds less of the token than its books say: every holding counts pro rata."""
    DISPUTED = "DISPUTED"
    """The token is not the contract that its recipe admits."""
    UNPROVEN = "UNPROVEN"
    """No certified cut says yet what the vault holds of the token."""
    EXPIRED = "EXPIRED"
    """A dated instrument has expired, and the venue has not settled it into cash."""
    UNCERTAIN_VOLATILITY = "UNCERTAIN_VOLATILITY"
    """The index of an underlying's volatility is stale, disputed or missing: options count over a range of it."""


@dataclass(frozen=True, slots=True)
class Interval:
    """All that the inputs leave possible: low <= high."""

    low: int
    high: int

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.low - other.high, self.high - other.low)


ZERO = Interval(0, 0)


@dataclass(frozen=True, slots=True)
class HoldingLine:
    """One holding in the breakdown, after reservations: its market value, and its value after each haircut.

    `wallet` is who holds it, where that is not the vault.
    """

    chain_id: ChainId
    token: Address
    asset: str
    amount: Amount
    value: Interval
    initial: Interval
    maintenance: Interval
    reasons: tuple[Reason, ...]
    wallet: Address | None = None


@dataclass(frozen=True, slots=True)
class VenueLine:
    """One venue in the breakdown: `claim` is what the account owes it now, the margins what its positions need on top.

    All are clamped by the owner's limit; `profit` is what the venue owes the account, and reduces only its own margins.
    `receivable` is what was seized for the venue and is not yet acknowledged.
    """

    venue: str
    claim: Interval
    profit: Interval
    initial: Interval
    maintenance: Interval
    receivable: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """The health of one account in one state.

    The equities are haircut collateral less claims, each to be compared with its margin. The excesses are what the
    status follows from: collateral less claim and margin, taken together at each end before the intervals are formed.
    equity − margin contains the excess, and is wider where an owner's limit binds at one end only: what the limit
    leaves for margin is less where the claim is more. Under a profile of scenarios a margin is all that the one which
    decides takes, and a venue's the most that any takes of it: scenarios are shared, so venues' add up to more.
    """

    account: AccountId
    rules: str
    """The rules that it follows: the profile's name, or "haircuts"."""
    status: HealthStatus
    initial_equity: Interval
    initial_margin: Interval
    initial_excess: Interval
    maintenance_equity: Interval
    maintenance_margin: Interval
    maintenance_excess: Interval
    holdings: tuple[HoldingLine, ...]
    venues: tuple[VenueLine, ...]
    reasons: tuple[Reason, ...]
    """Reasons that widen the interval, without duplicates, in the order of the breakdown."""
    free: tuple[HoldingLine, ...] = ()
    """What the owner's watched wallets hold themselves. It is reported, and no figure above has any of it."""
    initial_rows: tuple[str, str] | None = None
    """The scenario that decides at the low and at the high end, where the rules have any."""
    maintenance_rows: tuple[str, str] | None = None
