"""How assets move and what they depend on: kinds, groups, issuers.

Must not know rows, prices or what any account holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.margin.models.fields import Fields, Names, by_name, leaves
from node.margin.models.fixed import Money, Wad

COIN = "coin"
"""The kind of an asset whose price is the market's; what is of another kind has a price that something holds to."""
OTHER = "other"
"""The group of underlyings that the parameters place in none."""


@dataclass(frozen=True, slots=True)
class Asset:
    """How an asset moves. It follows its `root` (itself, or one other asset); group, place and beta are the root's.

    `place` is the root's in its group: its bits say on which side a splitting row puts it. `is_coin` is whether the
    root is one; `issuer` is "" if none.
    """

    name: str
    kind: str
    root: str
    is_coin: bool
    group: str
    place: int
    beta: Wad
    issuer: str
    vol: Wad
    depth: Money


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whoever several assets and venues depend on: with obligations to it, what it issued counts at `factor`."""

    assets: frozenset[str]
    venues: frozenset[str]
    factor: Wad


@dataclass(frozen=True, slots=True)
class Assets:
    """The listed assets by name, and how one that is not listed moves."""

    listed: Mapping[str, Asset]
    unlisted: Asset
    _made: dict[str, Asset] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getitem__(self, name: str) -> Asset:
        found = self.listed.get(name) or self._made.get(name)
        if found is None:
            rest = self.unlisted
            found = Asset(name, COIN, name, True, OTHER, 0, rest.beta, "", rest.vol, rest.depth)  # noqa: FBT003
            self._made[name] = found
        return found


NAMES: Names = {
    "groups": by_name(leaves("assets", "correlation")),
    "issuers": by_name(leaves("assets", "venues", "factor")),
    "assets": by_name(leaves("kind", "follows", "beta", "vol", "depth")),
    "kinds": by_name(leaves("beta", "vol", "depth")),
}
"""What is read of how assets move."""


def read_issuers(fields: Fields) -> dict[str, Issuer]:
    """Issuers by name: `assets`, `venues`, `factor`."""
    sections = {name: fields.section(name) for name in fields.content}
    return {
        name: Issuer(
            frozenset(texts(each, "assets")), frozenset(texts(each, "venues")), each.number("factor", low=0, high=1)
        )
        for name, each in sections.items()
    }


def read_assets(fields: Fields) -> Assets:
    """The assets of `groups`, `issuers` and `assets`, over the defaults of `kinds`."""
    groups, issuers, listed = (fields.section(name) for name in ("groups", "issuers", "assets"))
    places = {
        name: (group, place)
        for group in groups.content
        for place, name in enumerate(texts(groups.section(group), "assets"))
    }
    issued = {name: issuer for issuer in issuers.content for name in texts(issuers.section(issuer), "assets")}
    kinds = fields.section("kinds")

    def asset(name: str, own: Fields) -> Asset:
        root = own.text("follows", name)
        roots = listed.section(root) if root != name else own
        if roots.text("follows", root) != root:
            raise own.wrong("follow an asset that follows none", "follows")
        kind, root_kind = own.text("kind", COIN), roots.text("kind", COIN)
        group, place = places.get(root, (OTHER, 0))
        merged, root_merged = _over(kinds.section(kind), own), _over(kinds.section(root_kind), roots)
        return Asset(
            name=name,
            kind=kind,
            root=root,
            is_coin=root_kind == COIN,
            group=group,
            place=place,
            beta=root_merged.number("beta", low=0, high=10),
            issuer=issued.get(name, ""),
            vol=merged.number("vol", low=0, high=100),
            depth=merged.money("depth", low=0),
        )

    return Assets(
        {name: asset(name, listed.section(name)) for name in sorted({*places, *issued, *listed.content})},
        asset(OTHER, Fields({}, fields.account, "kinds")),
    )


def texts(fields: Fields, name: str) -> tuple[str, ...]:
    """A list of names; none if it is absent."""
    found = fields.entries(name)
    if not all(isinstance(each, str) for each in found):
        raise fields.wrong("give a list of names", name)
    return tuple(str(each) for each in found)


def _over(defaults: Fields, own: Fields) -> Fields:
    return Fields({**defaults.content, **own.content}, own.account, own.instrument)
