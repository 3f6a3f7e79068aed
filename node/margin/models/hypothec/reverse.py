"""Reverse stress: the nearest moves of the market that would liquidate an account.

Along each row's direction, and along the one in which the account loses most for its likelihood, the smallest multiple
at which even the high end is below maintenance. A multiple is found by a scan and bisected with the whole evaluation at
every step; nothing is extrapolated. Which is nearest is said by the deviations over the shortfall's horizon of the
underlying that moves most. Must not know rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from node.margin.math import sqrt
from node.margin.models.fixed import WAD, Money, Wad, as_float, as_wad
from node.margin.models.hypothec import scenarios
from node.margin.models.hypothec.margin import evaluate
from node.margin.models.hypothec.moved import LOWEST_MOVE, moved
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.parts import parts
from node.margin.models.hypothec.portfolio import Portfolio
from node.margin.models.hypothec.scenarios import Row
from node.margin.models.hypothec.shortfall import variance
from node.margin.models.interest import SECONDS_A_YEAR

STEPS = 12
"""Of the scan; they grow with the square, as the nearest move matters most."""
BISECTIONS = 14
HIGHEST_MOVE = 5 * WAD
"""Beyond a sixfold price nobody looks."""
BY_DELTAS = "worst by deltas"


@dataclass(frozen=True, slots=True)
class Breaking:
    """A move of prices that liquidates the account: the least along its direction that the scan's steps find.

    `moves` by asset, `multiple` of the row's; `deviations`: how many standard deviations the underlying that moves most
    has moved. Volatilities stay as they are.
    """

    direction: str
    multiple: Wad
    moves: Mapping[str, Wad]
    deviations: float


@dataclass(frozen=True, slots=True)
class _Direction:
    name: str
    row: Row
    moves: Mapping[str, Wad]

    def at(self, multiple: Wad) -> dict[str, Wad]:
        return {asset: Wad(max(LOWEST_MOVE, multiple * move // WAD)) for asset, move in self.moves.items()}

    @property
    def furthest(self) -> Wad:
        """The multiple at which every asset has moved as far as it can."""
        ends = [
            -LOWEST_MOVE * WAD // -move if move < 0 else HIGHEST_MOVE * WAD // move
            for move in self.moves.values()
            if move
        ]
        return Wad(max(ends, default=0))


def nearest(portfolio: Portfolio, parameters: Parameters) -> Breaking | None:
    """The nearest of all rows' directions and of the worst by deltas; None if none liquidates the account.

    An account that is liquidatable already breaks at once: at a multiple of zero.
    """
    assets = sorted(_assets(portfolio))
    best: Breaking | None = None
    if _breaks(portfolio, parameters):
        return Breaking("as it is", Wad(0), dict.fromkeys(assets, Wad(0)), 0.0)
    for direction in _directions(portfolio, parameters, assets):
        if direction.furthest:
            best = _along(direction, portfolio, parameters, best) or best
    return best


def by_deltas(portfolio: Portfolio, parameters: Parameters) -> Breaking | None:
    """Along the worst joint direction from the deltas alone."""
    assets = sorted(_assets(portfolio))
    direction = worst_direction(portfolio, parameters, assets)
    return _along(direction, portfolio, parameters, None) if direction is not None and direction.furthest else None


def _assets(portfolio: Portfolio) -> set[str]:
    """What the account holds or owes at a price: whose moves matter."""
    return {
        *(each.feed.asset for each in portfolio.holdings),
        *(each.feed.asset for each in portfolio.debts),
        *(each.feed.asset for venue in portfolio.venues for each in venue.positions),
    }


def _directions(portfolio: Portfolio, parameters: Parameters, assets: list[str]) -> Iterable[_Direction]:
    """Each different direction of the rows once, the worst by deltas first: it bounds the search of the others."""
    worst = worst_direction(portfolio, parameters, assets)
    if worst is not None:
        yield worst
    seen = set()
    for row in parameters.rows:
        prices = replace(row, vol=Wad(0))
        moves = {asset: scenarios.move(prices, parameters.assets[asset]) for asset in assets}
        largest = max(map(abs, moves.values()), default=0)
        shape = tuple(move * WAD // largest for move in moves.values()) if largest else ()
        if largest and shape not in seen:
            seen.add(shape)
            yield _Direction(row.name, prices, moves)


def worst_direction(portfolio: Portfolio, parameters: Parameters, assets: list[str]) -> _Direction | None:
    """−Σw/√(wᵀΣw), over the horizon: of all moves as likely, the one that costs the net deltas w most.

    (Σw)_i = σ_i·(ρ·S + (ρ_g − ρ)·S_g + (1 − ρ_g)·v_i), with v = σ·w and S, S_g its sums over all and over the group.
    """
    rules = parameters.shortfall
    found: defaultdict[str, Money] = defaultdict(lambda: Money(0))
    for part in parts(portfolio, parameters):
        for root, delta in part.deltas.items():
            found[root] = Money(found[root] + delta)
    vols = {root: portfolio.risks[root].vol for root in found}
    groups = {root: parameters.assets[root].group for root in found}
    risks = {root: float(found[root]) * as_float(vols[root]) for root in sorted(found)}
    size = sqrt(variance(found, vols, groups, rules))
    if size == 0.0:
        return None
    total = sum(risks.values())
    years = sqrt(rules.horizon / SECONDS_A_YEAR)
    moves = {}
    for root, risk in risks.items():
        inside = rules.within[groups[root]]
        group = sum(each for name, each in risks.items() if groups[name] == groups[root])
        pull = (
            as_float(rules.across) * total
            + as_float(Wad(inside - rules.across)) * group
            + as_float(Wad(WAD - inside)) * risk
        )
        moves[root] = as_wad(-as_float(vols[root]) * pull / size * years)
    row = _row_of(BY_DELTAS, moves)
    return _Direction(BY_DELTAS, row, {asset: scenarios.move(row, parameters.assets[asset]) for asset in assets})


def _row_of(name: str, moves: Mapping[str, Wad]) -> Row:
    nothing = Wad(0)
    return Row(name, nothing, nothing, {}, nothing, 0, nothing, {}, {}, moves, nothing, Wad(WAD))


def _along(
    direction: _Direction, portfolio: Portfolio, parameters: Parameters, best: Breaking | None
) -> Breaking | None:
    """The smallest multiple that the scan finds, if it is nearer than the best so far."""
    end = direction.furthest
    if best is not None:
        unit = _deviations(direction.moves, portfolio, parameters)
        end = min(end, as_wad(best.deviations / unit)) if unit else end
    below = Wad(0)
    for step in range(1, STEPS + 1):
        above = Wad(end * step * step // STEPS**2)
        if _breaks(moved(portfolio, direction.row, parameters, above), parameters):
            break
        below = above
    else:
        return None
    for _ in range(BISECTIONS):
        middle = Wad((below + above) // 2)
        if _breaks(moved(portfolio, direction.row, parameters, middle), parameters):
            above = middle
        else:
            below = middle
    moves = direction.at(above)
    found = Breaking(direction.name, above, moves, _deviations(moves, portfolio, parameters))
    return found if best is None or found.deviations < best.deviations else None


def _deviations(moves: Mapping[str, Wad], portfolio: Portfolio, parameters: Parameters) -> float:
    """The most of |move| / σ·√h over the underlyings."""
    years = sqrt(parameters.shortfall.horizon / SECONDS_A_YEAR)
    found = 0.0
    for asset, move in moves.items():
        vol = as_float(portfolio.risks[parameters.assets[asset].root].vol)
        found = max(found, abs(as_float(move)) / (vol * years)) if vol else found
    return found


def _breaks(portfolio: Portfolio, parameters: Parameters) -> bool:
    return evaluate(portfolio, parts(portfolio, parameters), parameters).maintenance_excess.high < 0
