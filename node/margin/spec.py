"""The rules of margin, one a function: exact integers, next to their formulas.

Units: money and prices are 1e-12 USD (prices a whole unit of the asset), sizes 1e-18 units of the underlying, amounts
a token's base units, ratios basis points. Nothing overflows, so absurd sizes need no rule of their own: what they come
to is clamped by the owner's limit. Division rounds against the account: down what it has, up what it owes or needs.
Must not know accounts, breakdowns or the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from node.model.health import HealthStatus, Interval

UNIT = 10**18
"""Sizes in one whole unit of an underlying."""
BPS = 10_000
"""Basis points in one."""


def ceil_div(dividend: int, divisor: int) -> int:
    """The quotient rounded up; the divisor is positive."""
    return -(-dividend // divisor)


# === Prices ===


def stale_age(time_ms: int, published_at: int) -> int:
    """How old a price is at state time, in whole seconds, rounded up; a price from the future has age zero."""
    return max(0, ceil_div(time_ms - published_at * 1000, 1000))


def moved(price: int, bound_bps: int) -> Interval:
    """All that a price can be which may have moved by a bound: [price·(1 − bound), price·(1 + bound)], floored at 0.

    The ends round outwards: they are what is possible, not what somebody has.
    """
    return Interval(price * max(0, BPS - bound_bps) // BPS, ceil_div(price * (BPS + bound_bps), BPS))


# === Collateral ===


def pro_rata(amount: int, held: int, booked: int) -> int:
    """What of an amount in the books is there: ⌊amount·held / booked⌋ where the vault holds less than it booked."""
    return amount * held // booked if held < booked else amount


def booked_for(there: int, held: int, booked: int) -> int:
    """The least amount in the books of which so much is there: ⌈there·booked / held⌉ where the vault holds less."""
    return ceil_div(there * booked, held) if held < booked else there


def holding_value(amount: int, price: int, decimals: int) -> int:
    """Market value of a holding: ⌊amount·price / 10^decimals⌋."""
    unit: int = 10**decimals
    return amount * price // unit


def redemption_price(price: int, rate: tuple[int, int], decimals: int, underlying_decimals: int) -> int:
    """Price of a whole share from that of its underlying: ⌊price · assets/shares · 10^decimals / 10^underlying's⌋."""
    assets, shares = rate
    return int(price * assets * 10**decimals // (shares * 10**underlying_decimals))


def rate_cap(price: int, max_bps: int) -> int:
    """The most that a whole share may count for: ⌊price·bound⌋."""
    return price * max_bps // BPS


def after_haircut(value: int, haircut_bps: int) -> int:
    """What of a value counts: ⌊value·(1 − haircut)⌋."""
    return value * (BPS - haircut_bps) // BPS


# === Obligations ===


def perpetual_pnl(size: int, entry_price: int, price: int) -> int:
    """Profit of a linear perpetual, signed: ⌊size·(price − entry) / 1e18⌋."""
    return size * (price - entry_price) // UNIT


def perpetual_margin(size: int, price: int, margin_bps: int) -> int:
    """Margin of a linear perpetual: ⌈|size|·price·margin⌉."""
    return ceil_div(abs(size) * price * margin_bps, UNIT * BPS)


def receivable(seized: int, acknowledged: int) -> int:
    """What was seized for a venue and is not in its reports yet: seized − min(acknowledged, seized)."""
    return seized - min(acknowledged, seized)


def cap(limit: int, seized: int) -> int:
    """What a venue may still claim: the owner's limit covers its claim plus all it ever seized (limit − seized)."""
    return max(0, limit - seized)


def claim(value: int, most: int) -> int:
    """What the account owes a venue, where `value` is pnl + cash + receivable: −value within [0, most]."""
    return min(max(-value, 0), most)


def profit(value: int) -> int:
    """What a venue owes the account: its positive value. It reduces this venue's own margin and nothing else."""
    return max(value, 0)


def requirement(value: int, margin: int, most: int) -> int:
    """Claim and margin of one venue together: margin − value within [0, most].

    One clamp says it all: a negative value adds to the margin, a positive one reduces it, the limit covers the sum.
    Never more when the value is higher, never less when the margin is.
    """
    return min(max(margin - value, 0), most)


def margin_beyond_claim(value: Interval, margin: Interval, most: int) -> Interval:
    """The margin's part of the requirement, over all that is possible: requirement − claim.

    At one margin it rises with the value up to zero (as far as the limit leaves room beside the claim) and falls
    beyond (as profit reduces it). So its greatest is at the value nearest to zero and its least at one of the ends.
    """
    nearest = min(max(value.low, 0), value.high)
    at_low, at_high = (requirement(end, margin.low, most) - claim(end, most) for end in (value.low, value.high))
    return Interval(min(at_low, at_high), requirement(nearest, margin.high, most) - claim(nearest, most))


# === Health ===


def total(intervals: Iterable[Interval]) -> Interval:
    """The sum, end by end."""
    low = high = 0
    for item in intervals:
        low += item.low
        high += item.high
    return Interval(low, high)


def status_of(initial_excess: Interval, maintenance_excess: Interval, *, covered: bool) -> HealthStatus:
    """The status. `covered`: at the high end, without haircuts, the collateral covers the claims."""
    if maintenance_excess.high < 0:
        return HealthStatus.LIQUIDATABLE if covered else HealthStatus.INSOLVENT
    if maintenance_excess.low < 0:
        return HealthStatus.UNKNOWN
    return HealthStatus.MARGIN_CALL if initial_excess.low < 0 else HealthStatus.HEALTHY


# === Liquidation ===


def closing_fee(size: int, price: int, fee_bps: int, maintenance_bps: int) -> int:
    """What a venue gets for closing a position: ⌈|size|·price·fee⌉, the fee at most the maintenance margin."""
    return perpetual_margin(size, price, min(fee_bps, maintenance_bps))


def amount_owed(value: int, fee: int, most: int) -> int:
    """What a liquidation credits to a venue: claim and closing fees, fee − value within [0, most].

    A profit pays the fees first.
    """
    return requirement(value, fee, most)


def premium(bonus_bps: int, haircut_bps: int) -> tuple[int, int]:
    """Collateral taken for each unit of credit, as numerator and denominator: min(1 + bonus, 1 / (1 − haircut)).

    The bonus comes out of what the maintenance haircut holds back: were it more, a seizure would take more haircut
    collateral than it pays off, and leave the account worse (Aave's LT·(1 + bonus) ≤ 1).
    """
    if (BPS + bonus_bps) * (BPS - haircut_bps) <= BPS * BPS:
        return BPS + bonus_bps, BPS
    return BPS, BPS - haircut_bps


def credit_capacity(value: int, numerator: int, denominator: int) -> int:
    """The credit that a holding's value can pay for at a premium: ⌊value / premium⌋."""
    return value * denominator // numerator


def seized_amount(credit: int, numerator: int, denominator: int, price: int, decimals: int, held: int) -> int:
    """Base units taken for a credit: ⌈credit·premium·10^decimals / price⌉, never more than is held."""
    unit: int = 10**decimals
    return min(held, ceil_div(credit * numerator * unit, denominator * price))


def closable(owed: int, close_factor_bps: int, least: int) -> int:
    """What one plan pays of an amount that is owed: ⌈owed·factor⌉, but no less than is worth a release.

    Source: the close factor of lenders (Aave: half of a debt while the account is nearly healthy).
    """
    return min(owed, max(ceil_div(owed * close_factor_bps, BPS), least))


def is_at_target(excess: Interval, margin: Interval, target_bps: int) -> bool:
    """Whether equity certainly is target·margin: excess ≥ (target − 1)·margin, at the worse ends."""
    return excess.low * BPS >= (target_bps - BPS) * margin.high


def entitlements(owed: Mapping[str, int], seized: Mapping[str, int], available: int) -> dict[str, int]:
    """What each venue may get of `available` credit: all that it is owed, or else pro rata.

    Pro rata is on owed + seized, less seized: everybody ends with the same share of what they were ever owed, so
    plans that follow each other rank claims as one plan would. Who has more than that share already gets nothing,
    and the others share without it.
    """
    sharing = {venue: amount for venue, amount in owed.items() if amount > 0}
    if sum(sharing.values()) <= available:
        return sharing
    while True:
        pool = available + sum(seized[venue] for venue in sharing)
        total = sum(amount + seized[venue] for venue, amount in sharing.items())
        shares = {venue: (amount + seized[venue]) * pool // total - seized[venue] for venue, amount in sharing.items()}
        if all(share >= 0 for share in shares.values()):
            return shares
        sharing = {venue: amount for venue, amount in sharing.items() if shares[venue] >= 0}
