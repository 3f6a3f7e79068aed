"""The rows: joint moves of all underlyings, and what a row does to one of them.

The move of an asset in a row, where r is the root that it follows and g the root's group:

    m    = β_r·(market + side_r·relative) + together + group_g    for a root that is a coin; 0 for any other
    move = max(−1, (1 + m)·(1 + peg of its kind)·(1 + peg of its issuer) − 1)

`market` is the common factor with the asset's beta as its loading, `together` the same move for all (correlation one),
`groups` the factor of each group (`others` of those that are not named), `relative` what splits a group: the side of
an asset is + or − by bit `split` of its place in its group, so that of three rows at least one moves any two of eight
assets against each other. `assets` says outright what becomes of those that it names, and of the root of what follows
it. Must not know positions or prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.margin.models.fields import Fields, Names, by_name, leaves
from node.margin.models.fixed import WAD, Wad, product
from node.margin.models.hypothec.assets import Asset

LARGEST_MOVE = 100
"""An upward move is at most hundredfold."""


@dataclass(frozen=True, slots=True)
class Row:
    """One joint scenario. `vol` is the shock of a 30-day volatility, `weight` the part of the result that counts."""

    name: str
    market: Wad
    together: Wad
    groups: Mapping[str, Wad]
    others: Wad
    split: int
    relative: Wad
    kinds: Mapping[str, Wad]
    issuers: Mapping[str, Wad]
    assets: Mapping[str, Wad]
    vol: Wad
    weight: Wad


ROW_NAMES: Names = {
    **leaves("name", "market", "together", "others", "split", "relative", "vol", "weight"),
    **dict.fromkeys(("groups", "kinds", "issuers", "assets"), by_name()),
}
"""What is read of a row."""


def read_row(fields: Fields, place: int) -> Row:
    """A row from JSON: every field but the name may be absent; `weight` is then 1, all else 0."""
    named = fields.named(fields.text("name", f"row {place}"))

    def move(name: str) -> Wad:
        return named.number(name, low=-1, high=LARGEST_MOVE, default=0)

    def moves(name: str) -> dict[str, Wad]:
        section = named.section(name)
        return {each: section.number(each, low=-1, high=LARGEST_MOVE) for each in section.content}

    return Row(
        name=named.instrument,
        market=move("market"),
        together=move("together"),
        groups=moves("groups"),
        others=move("others"),
        split=named.whole("split", high=16, default=0),
        relative=move("relative"),
        kinds=moves("kinds"),
        issuers=moves("issuers"),
        assets=moves("assets"),
        vol=named.number("vol", low=-1, high=10, default=0),
        weight=named.number("weight", low=0, high=1, default=1),
    )


def root_move(row: Row, asset: Asset) -> Wad:
    """β·(market + side·relative) + together + group: what the row does to a root, nothing if it is no coin."""
    if asset.root in row.assets:
        return row.assets[asset.root]
    if not asset.is_coin:
        return Wad(0)
    side = -1 if asset.place >> row.split & 1 else 1
    group = row.groups.get(asset.group, row.others)
    return Wad(product(asset.beta, row.market + side * row.relative) + row.together + group)


def move(row: Row, asset: Asset) -> Wad:
    """What the row does to the price of an asset, as a fraction of it; −1 at least."""
    if asset.name in row.assets:
        return row.assets[asset.name]
    moved = WAD + root_move(row, asset)
    by_kind, by_issuer = row.kinds.get(asset.kind, 0), row.issuers.get(asset.issuer, 0)
    return Wad(max(-WAD, product(product(moved, WAD + by_kind), WAD + by_issuer) - WAD))
