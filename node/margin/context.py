"""What accounts are judged against: policy, market and chains of one state, each made ready once for all accounts.

Must not know accounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from chains.types import Address, ChainId, RateRecipe, TokenFact, TokenRecipe
from node.margin import spec
from node.margin.policy import Policy, StaleBound
from node.margin.portfolio.market import Market
from node.model.frame import FramePrice, PriceStatus
from node.model.header import ChainState, ChainStatus
from node.model.health import ZERO, Interval, Reason
from node.model.ledger import token_facts
from node.model.state import State


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


def redeemed(underlying: Mark, decimals: int, recipe: RateRecipe, fact: TokenFact | None) -> Mark:
    """The mark of a share by what it is redeemed for; without a proven rate anything up to the recipe's bound."""
    if underlying.obligation is None:
        return underlying
    low, high = (spec.rate_cap(price, recipe.max_bps) for price in _ends(underlying.collateral))
    if fact is None or fact.rate is None or fact.rate[1] == 0:
        low = 0
    else:
        by_rate = [
            spec.redemption_price(price, fact.rate, decimals, recipe.decimals) for price in _ends(underlying.collateral)
        ]
        low, high = min(low, by_rate[0]), min(high, by_rate[1])
    span = Interval(low, high)
    return Mark(span, span, underlying.fresh, underlying.reason)


def lower(first: Mark, second: Mark) -> Mark:
    """The lower of two marks of one thing, end by end; as good as the worse of them."""
    for item in (first, second):
        if item.obligation is None:
            return item
    span = Interval(
        min(first.collateral.low, second.collateral.low), min(first.collateral.high, second.collateral.high)
    )
    return Mark(span, span, first.fresh and second.fresh, first.reason or second.reason)


def _ends(interval: Interval) -> tuple[int, int]:
    return interval.low, interval.high


def chain_reason(state: ChainState, max_cut_age: int, time_ms: int) -> Reason | None:
    """Why a chain's holdings are uncertain, if they are. `max_cut_age` is in seconds of state time."""
    match state.status:
        case ChainStatus.HALTED:
            return Reason.CHAIN_HALTED
        case ChainStatus.DISPUTED:
            return Reason.CHAIN_DISPUTED
        case ChainStatus.LIVE:
            return None if state.is_current(max_cut_age, time_ms) else Reason.STALE_CUT


@dataclass(frozen=True)
class MarginContext:
    """The market, the chains and their tokens in one state under one policy; `time_ms` is the state's time.

    Not slotted: the marks are made once, when first asked for.
    """

    policy: Policy
    prices: Mapping[str, FramePrice]
    chains: Mapping[ChainId, ChainState]
    tokens: Mapping[tuple[ChainId, Address], TokenFact]
    time_ms: int

    @classmethod
    def of(cls, policy: Policy, state: State) -> MarginContext:
        """The context of a certified state."""
        chains = {chain.cut.chain_id: chain for chain in state.header.chains}
        tokens = token_facts(state.chains, policy.token_by_place)
        return cls(policy, state.frame.prices, chains, tokens, state.header.time_ms)

    @cached_property
    def marks(self) -> Mapping[str, Mark]:
        """One mark for each asset of the policy; MISSING where the frame has no price."""
        return {
            asset: mark(self.prices[asset], self.policy.stale, self.time_ms) if asset in self.prices else MISSING
            for asset in self.policy.asset_by_id
        }

    @cached_property
    def token_marks(self) -> Mapping[tuple[ChainId, Address], Mark]:
        """One mark for each admitted token, in 1e-12 USD a whole token.

        Of a yield-bearing one the lower of what it is redeemed for and, where its asset has feeds, of its market price.
        """
        admitted = self.policy.token_by_place.items()
        return {place: self._token_mark(recipe, self.tokens.get(place)) for place, recipe in admitted}

    def _token_mark(self, recipe: TokenRecipe, fact: TokenFact | None) -> Mark:
        own = self.marks[recipe.asset]
        if recipe.rate is None:
            return own
        redemption = redeemed(self.marks[recipe.rate.underlying], recipe.decimals, recipe.rate, fact)
        return lower(own, redemption) if recipe.asset in self.policy.fed_assets else redemption

    @cached_property
    def market(self) -> Market:
        """The same as a margin profile takes it, where the policy names one: units of instruments are in there."""
        return Market(self.policy, self.prices, self.tokens, self.time_ms)

    @cached_property
    def chain_reasons(self) -> Mapping[ChainId, Reason | None]:
        """Every chain that the state speaks of and the policy follows, with why its holdings are uncertain or None."""
        return {
            chain_id: chain_reason(self.chains[chain_id], self.policy.timing.max_cut_age, self.time_ms)
            for chain_id in self.policy.recipe_by_chain
            if chain_id in self.chains
        }
