"""What accounts are judged against: policy, market and chains of one state, each made ready once for all accounts.

Must not know accounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from chains.types import ChainId
from node.margin import spec
from node.model.frame import Frame, FramePrice, PriceStatus
from node.model.header import ChainState, ChainStatus, Header
from node.model.health import ZERO, Interval, Reason
from node.model.policy import Policy, StaleBound


@dataclass(frozen=True, slots=True)
class Mark:
    """What one asset's price may be, in 1e-12 USD a whole unit, by rule 5 of the design.

    `collateral` is the price at which a holding counts; `obligation` that over which a position's does, None if nothing
    is known of it. `fresh`: good enough to take collateral at, and to collect a loss at.
    """

    collateral: Interval
    obligation: Interval | None
    fresh: bool
    reason: Reason | None


MISSING = Mark(ZERO, None, fresh=False, reason=Reason.MISSING_PRICE)
WRITTEN_OFF = Mark(ZERO, None, fresh=False, reason=Reason.STALE_PRICE)


def mark(price: FramePrice, stale: StaleBound, time_ms: int) -> Mark:
    """The mark of an agreed price at state time.

    FRESH and DISPUTED: what the sources span. STALE: a holding at nothing to price·(1 + bound(age)), a position at
    price·(1 ± bound(age)), until it is written off: then it is as if there never was a price.
    """
    match price.status:
        case PriceStatus.FRESH:
            span = Interval(price.low, price.high)
            return Mark(span, span, fresh=True, reason=None)
        case PriceStatus.DISPUTED:
            span = Interval(price.low, price.high)
            return Mark(span, span, fresh=False, reason=Reason.DISPUTED_PRICE)
        case PriceStatus.STALE:
            age = spec.stale_age(time_ms, price.published_at)
            if age > stale.write_off_after:
                return WRITTEN_OFF
            span = spec.moved(price.price, stale.bps(age))
            return Mark(Interval(0, span.high), span, fresh=False, reason=Reason.STALE_PRICE)
        case PriceStatus.MISSING:
            return MISSING


def chain_reason(state: ChainState, max_cut_age: int, time_ms: int) -> Reason | None:
    """Why a chain's holdings are uncertain, if they are. `max_cut_age` is in seconds of state time."""
    match state.status:
        case ChainStatus.HALTED:
            return Reason.CHAIN_HALTED
        case ChainStatus.DISPUTED:
            return Reason.CHAIN_DISPUTED
        case ChainStatus.LIVE:
            return Reason.STALE_CUT if time_ms - state.cut.time * 1000 > max_cut_age * 1000 else None


@dataclass(frozen=True)
class MarginContext:
    """The market and the chains of one state under one policy; `time_ms` is the state's time.

    Not slotted: the marks are made once, when first asked for.
    """

    policy: Policy
    prices: Mapping[str, FramePrice]
    chains: Mapping[ChainId, ChainState]
    time_ms: int

    @classmethod
    def of(cls, policy: Policy, header: Header, frame: Frame) -> MarginContext:
        """The context of a certified state."""
        return cls(policy, frame.prices, {state.cut.chain_id: state for state in header.chains}, header.time_ms)

    @cached_property
    def marks(self) -> Mapping[str, Mark]:
        """One mark for each asset of the policy; MISSING where the frame has no price."""
        return {
            asset: mark(self.prices[asset], self.policy.stale, self.time_ms) if asset in self.prices else MISSING
            for asset in self.policy.asset_by_id
        }

    @cached_property
    def chain_reasons(self) -> Mapping[ChainId, Reason | None]:
        """Every chain that the state speaks of and the policy follows, with why its holdings are uncertain or None."""
        return {
            chain_id: chain_reason(self.chains[chain_id], self.policy.timing.max_cut_age, self.time_ms)
            for chain_id in self.policy.recipe_by_chain
            if chain_id in self.chains
        }
