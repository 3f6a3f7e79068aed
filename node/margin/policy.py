"""The risk parameters in force: one versioned TOML file, named in every header by the hash of its bytes.

Owns the schema and the parsing. Percentages are basis points (1/10,000), money is micro-USD, times are seconds unless a
name says otherwise; everything is an integer, because figures that nodes sign follow from it. The parameters of a
margin profile are as in portfolio files, decimals that are read exactly.
Must not know how a policy is activated or applied.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Hashable
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from chains.errors import ConfigError
from chains.types import Address, ChainId, ChainRecipe, FeedRecipe, Hash32, Height, TokenRecipe
from node.margin.contracts import Contract, dated
from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import WAD, Wad
from node.margin.models.hypothec.parameters import FeedRules, Parameters, read_overrides
from node.model.requests import policy_hash
from node.model.state import MAX_WATCHED
from node.model.tables import Bps, HexAddress, HexHash, Name, Natural, Positive, Table
from node.model.tokens import Token

PICO_PER_MICRO = 1_000_000
"""1e-12 USD in a micro-USD."""


MAX_ASSETS, MAX_INSTRUMENTS, MAX_VENUES, MAX_CHAINS = 1024, 4096, 512, 64
MAX_TOKENS = 128
"""On one chain: each is proven at every cut."""
MAX_FREE_TOKENS = 32
"""On one chain: each is proven of each watched wallet at every cut."""
MAX_FEEDS = 1024
"""On all chains. These bounds keep an observation of everything within its own."""
MAX_DOTS = 64
"""In one line of a policy file."""
MAX_SOURCES = 255
"""Feeds of one asset: how many are fresh is one byte of signed bytes."""

_HAIRCUTS = frozenset({"initial_haircut_bps", "maintenance_haircut_bps"})
_MARGINS = frozenset({"initial_bps", "maintenance_bps"})
"""What the static rules read of assets and of perpetuals, and no profile does."""


class Timing(Table):
    """How old inputs may be, and how long the network waits for agreement on one chain."""

    max_price_age: Positive
    """Seconds of state time after which a source's quote is stale."""
    max_cut_age: Positive
    """Seconds after which the holdings of a chain whose cut is that old count as uncertain."""
    pending_cut_timeout_ms: Positive
    """How long a chain may stay without 2f+1 equal roots for its pending cut before it is DISPUTED."""
    attestation_ttl: Positive
    """Seconds for which a release may be executed after the state that issued it."""
    withdrawal_ttl: Positive
    """And for which a withdrawal may, at most as many: until it is executed or has expired, nothing else leaves its
    vault, not even by a liquidation."""
    policy_timelock: Natural
    """Seconds between the agreement on a new policy and its activation, at least."""

    @model_validator(mode="after")
    def _ordered(self) -> Timing:
        if self.withdrawal_ttl > self.attestation_ttl:
            raise ValueError("withdrawal_ttl is not above attestation_ttl")
        return self


class StaleBound(Table):
    """Rule 5: how far a price that can no longer be certified may have moved."""

    base_bps: Natural
    """Bound of the move at once when the price becomes stale."""
    growth_bps_per_hour: Natural
    """How much the bound grows with each hour of age."""
    cap_bps: Natural
    """Where it stops growing."""
    write_off_after: Positive
    """Seconds after which a price that was not certified again counts for nothing at either end."""

    def bps(self, age_seconds: int) -> int:
        """The bound in basis points at an age, rounded up."""
        grown = -(-self.growth_bps_per_hour * max(0, age_seconds) // 3600)
        return min(self.cap_bps, self.base_bps + grown)


class Quoted(Table):
    """What the nodes agree on a figure of, and how it is made of its feeds."""

    id: Name
    min_sources: Positive
    max_spread_bps: Natural
    """Sources further apart than this (of the lowest) make the figure DISPUTED."""


class Index(Quoted):
    """A year's volatility, quoted by feeds as a price is: 0.55 a year is 0.55 USD."""


class Asset(Quoted):
    """An asset that may secure accounts. The haircuts are the static rules', which a margin profile replaces."""

    initial_haircut_bps: Bps = 0
    maintenance_haircut_bps: Bps = 0
    min_value_micro_usd: Natural
    """A holding worth less than this (at the high price) is dust: it counts for nothing at either end."""
    volatility: Name | None = None
    """The index of its volatility; without one it is the margin parameters'."""
    carry_bps: Annotated[int, Field(ge=-10_000, le=100_000)] = 0
    """What a forward is above the price, a year: price·(1 + carry·years)."""

    @model_validator(mode="after")
    def _ordered(self) -> Asset:
        if self.model_fields_set >= _HAIRCUTS and self.initial_haircut_bps < self.maintenance_haircut_bps:
            raise ValueError("an initial haircut is not below the maintenance haircut")
        return self


class Instrument(Table):
    """What venues may report, on `underlying` and quoted in USD: a perpetual, or a series of dated futures or options.

    Venues name one of a series in the notation of node.margin.contracts: nobody could sign a policy for each strike.
    The margins are those of the static rules, for perpetuals.
    """

    id: Name
    kind: Literal["perpetual", "future", "option"]
    underlying: Name
    initial_bps: Annotated[int, Field(gt=0, le=10_000)] = 10_000
    maintenance_bps: Annotated[int, Field(gt=0, le=10_000)] = 10_000

    @model_validator(mode="after")
    def _ordered(self) -> Instrument:
        if self.model_fields_set >= _MARGINS and self.initial_bps < self.maintenance_bps:
            raise ValueError("an initial margin is not below the maintenance margin")
        if self.kind == "perpetual" and dated(self.id) is not None:
            raise ValueError("a perpetual is not named as what is dated")
        return self


def _parameters(value: object) -> Parameters:
    try:
        return read_overrides(value)
    except PortfolioError as error:
        raise ValueError(str(error)) from error


class Margin(Table):
    """The profile that accounts are judged by, and what differs from its own parameters, as in a portfolio file."""

    profile: Literal["hypothec"]
    parameters: Annotated[Parameters, BeforeValidator(_parameters)] = Field(
        default_factory=lambda: read_overrides({}), repr=False
    )


class Venue(Table):
    """A derivative venue: its name and the address of the key that signs its reports.

    One that a later policy leaves out is heard no more. What it claimed last stands, within the owners' limits, until a
    policy names it again: who removes a venue for its lies keeps its accounts from nothing worse than the last of them.
    """

    id: Name
    signer: HexAddress
    max_open: Positive = 10_000
    """Positions that its reports may have open over all accounts, an account counting as eight more. It bounds what a
    round costs that has to judge all of them, whatever the venue reports."""


SeizureOrder: TypeAlias = Literal["pro_rata", "volatile", "illiquid"]
"""What of an account's collateral is seized first: the most volatile asset, by the profile's volatility or else the
maintenance haircut; or the one whose market takes least, by the profile's depth. What is equal goes pro rata by value.
"""


class Liquidation(Table):
    """What a venue may seize beyond the loss of its claim, of what first, and how much at once."""

    fee_bps: Bps
    """Of the notional of the positions to be closed, paid to the venue for closing them."""
    bonus_bps: Bps
    """More collateral than the value owed, for the cost of selling it."""
    order: SeizureOrder = "pro_rata"
    close_factor_bps: Annotated[int, Field(gt=0, le=10_000)] = 10_000
    """Of what each venue is owed, one plan pays at most this part, unless the account is insolvent."""
    target_bps: Annotated[int, Field(ge=10_000, le=100_000)] | None = None
    """A plan pays no more than leaves equity of this part of the maintenance margin; without it, all that is owed."""


class Feed(Table):
    """A price feed on this chain; its name is unique over all chains."""

    source: Name
    asset: Name
    feed: HexAddress
    decimals: Annotated[int, Field(ge=0, le=36)]
    code_hash: HexHash


class Chain(Table):
    """A chain that is followed, and what is admitted on it."""

    id: Positive
    kind: Name
    vault: HexAddress
    vault_code_hash: HexHash
    verifier: HexAddress
    from_height: Natural
    stride: Positive
    """Cuts are made at multiples of this height."""
    tokens: Annotated[tuple[Token, ...], Field(max_length=MAX_TOKENS)] = ()
    feeds: tuple[Feed, ...] = ()
    max_watched: Annotated[int, Field(ge=0, le=MAX_WATCHED)] = 0
    """How many linked addresses, of all accounts, may have reported what they hold themselves of the free tokens."""

    @model_validator(mode="after")
    def _provable(self) -> Chain:
        _unique(f"tokens of chain {self.id}", [token.token for token in self.tokens])
        for token in self.tokens:
            if self.kind == "evm" and token.kind is None:
                raise ValueError(f"say what kind of token 0x{token.token.hex()} is")
            if self.kind == "evm" and token.cap is None:
                raise ValueError(f"state the vault's cap of token 0x{token.token.hex()}")
            token.recipe(self.tokens)
        free = sum(token.free for token in self.tokens)
        if free > MAX_FREE_TOKENS or (free > 0) != (self.max_watched > 0):
            raise ValueError(f"give free tokens, at most {MAX_FREE_TOKENS}, and max_watched together or not at all")
        return self

    @property
    def recipe(self) -> ChainRecipe:
        return ChainRecipe(
            ChainId(self.id),
            self.kind,
            self.vault,
            self.vault_code_hash,
            self.verifier,
            Height(self.from_height),
            self.stride,
            tuple(item.recipe(self.tokens) for item in self.tokens),
            tuple(FeedRecipe(item.source, item.asset, item.feed, item.decimals, item.code_hash) for item in self.feeds),
            self.max_watched,
        )


class Policy(Table):
    """One policy file, parsed. `Policy.parse(body)` is the only way in; `hash` is over the very bytes."""

    schema_version: Literal[1]
    version: Positive
    timing: Timing
    stale: StaleBound
    liquidation: Liquidation
    margin: Margin | None = None
    """Without it accounts are judged by the static rules: haircuts and margins a perpetual."""
    assets: Annotated[tuple[Asset, ...], Field(max_length=MAX_ASSETS)]
    indices: Annotated[tuple[Index, ...], Field(max_length=MAX_ASSETS)] = ()
    instruments: Annotated[tuple[Instrument, ...], Field(max_length=MAX_INSTRUMENTS)]
    venues: Annotated[tuple[Venue, ...], Field(max_length=MAX_VENUES)]
    chains: Annotated[tuple[Chain, ...], Field(max_length=MAX_CHAINS)]
    body: bytes = Field(exclude=True, repr=False)

    @classmethod
    def parse(cls, body: bytes) -> Policy:
        """Raises ConfigError that names the field."""
        # tomllib follows the whole path of a table for each key in it: dotted keys of any length take quadratic time.
        if (dots := max(line.count(b".") for line in body.split(b"\n"))) > MAX_DOTS:
            raise ConfigError("write the policy with fewer dots in a line", dots=dots, bound=MAX_DOTS)
        try:
            found = tomllib.loads(body.decode())
            tables = {key: item if key == "margin" else as_tuples(item) for key, item in found.items()}
        except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, too long a number; too deep
            raise ConfigError(f"write the policy as TOML: {error}") from error
        if "body" in tables:
            raise ConfigError("correct the policy at body: there is no such field")
        try:
            return cls.model_validate({**tables, "body": body})
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"correct the policy at {place or 'the top'}: {first['msg']}") from error

    @cached_property
    def hash(self) -> Hash32:
        return policy_hash(self.body)

    @cached_property
    def asset_by_id(self) -> dict[str, Asset]:
        return {asset.id: asset for asset in self.assets}

    @cached_property
    def perpetual_by_id(self) -> dict[str, Instrument]:
        return {instrument.id: instrument for instrument in self.instruments if instrument.kind == "perpetual"}

    @cached_property
    def series(self) -> dict[tuple[str, str], Instrument]:
        """(kind, id) → futures and options."""
        return {(item.kind, item.id): item for item in self.instruments if item.kind != "perpetual"}

    def contract(self, name: str) -> Contract | None:
        """What a venue's name of an instrument stands for; None if the policy admits no such thing."""
        perpetual = self.perpetual_by_id.get(name)
        if perpetual is not None:
            return Contract(perpetual.underlying)
        found = dated(name)
        series = self.series.get((found.kind, found.series)) if found is not None else None
        if found is None or series is None:
            return None
        return Contract(series.underlying, found.expiry, found.strike, found.is_call)

    @cached_property
    def parameters(self) -> Parameters:
        """Of the margin profile, which takes what is said of prices' ages from `timing` and `stale`."""
        assert self.margin is not None  # noqa: S101 - only what judges by a profile asks for its parameters
        feeds = FeedRules(
            stale_after=self.timing.max_price_age + 1,  # ages are rounded up
            write_off_after=self.stale.write_off_after,
            bound_base=_of_bps(self.stale.base_bps),
            bound_per_hour=_of_bps(self.stale.growth_bps_per_hour),
            bound_cap=_of_bps(self.stale.cap_bps),
        )
        return replace(self.margin.parameters, feeds=feeds)

    @cached_property
    def venue_by_id(self) -> dict[str, Venue]:
        return {venue.id: venue for venue in self.venues}

    @cached_property
    def recipe_by_chain(self) -> dict[ChainId, ChainRecipe]:
        return {ChainId(chain.id): chain.recipe for chain in self.chains}

    @cached_property
    def fed_assets(self) -> frozenset[str]:
        """The assets that have a price feed of their own."""
        return frozenset(feed.asset for chain in self.chains for feed in chain.feeds)

    @cached_property
    def token_by_place(self) -> dict[tuple[ChainId, Address], TokenRecipe]:
        """(chain, token) → recipe, for every admitted token."""
        return {
            (chain_id, token.token): token
            for chain_id, recipe in self.recipe_by_chain.items()
            for token in recipe.tokens
        }

    @model_validator(mode="after")
    def _consistent(self) -> Policy:
        assets = _unique("assets", [asset.id for asset in self.assets])
        indices = _unique("assets and indices", [each.id for each in (*self.assets, *self.indices)]) - assets
        _unique("instruments", [(instrument.kind, instrument.id) for instrument in self.instruments])
        _unique("venues", [venue.id for venue in self.venues])
        _unique("chains", [chain.id for chain in self.chains])
        _unique("feeds", [feed.source for chain in self.chains for feed in chain.feeds])
        used = {instrument.underlying for instrument in self.instruments}
        for chain in self.chains:
            used |= {token.asset for token in chain.tokens} | {feed.asset for feed in chain.feeds} - indices
            used |= {token.rate.underlying for token in chain.recipe.tokens if token.rate is not None}
        feeds = Counter(feed.asset for chain in self.chains for feed in chain.feeds)
        if feeds.total() > MAX_FEEDS or max(feeds.values(), default=0) > MAX_SOURCES:
            raise ValueError(f"name at most {MAX_FEEDS} feeds, and {MAX_SOURCES} of one asset")
        if unknown := sorted(used - assets):
            raise ValueError(f"declare the assets {', '.join(unknown)} under [[assets]]")
        if unknown := sorted({asset.volatility for asset in self.assets if asset.volatility} - indices):
            raise ValueError(f"declare the indices {', '.join(unknown)} under [[indices]]")
        return self

    @model_validator(mode="after")
    def _of_one_kind_of_rules(self) -> Policy:
        """Static rules need their haircuts and margins; a profile has its own, and what it does not read is refused."""
        given = [(f"assets {each.id}", _HAIRCUTS, each.model_fields_set) for each in self.assets]
        given += [(f"instruments {each.id}", _MARGINS, each.model_fields_set) for each in self.instruments]
        for place, names, fields in given:
            if self.margin is None and (lacking := sorted(names - fields)):
                raise ValueError(f"{place} need {', '.join(lacking)}, or the policy [margin]")
            if self.margin is not None and (idle := sorted(names & fields)):
                raise ValueError(f"{place} have {', '.join(idle)}, which the profile of [margin] does not read")
        if self.margin is None and self.liquidation.order == "illiquid":
            raise ValueError("liquidation.order needs a profile under [margin]: the static rules know no depths")
        if self.margin is None and self.series:
            raise ValueError("futures and options need a profile under [margin]: the static rules have none for them")
        return self


def _of_bps(ratio: int) -> Wad:
    return Wad(ratio * WAD // 10_000)


_Key = TypeVar("_Key", bound=Hashable)


def _unique(what: str, keys: list[_Key]) -> set[_Key]:
    seen: set[_Key] = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"{what} name {key!r} twice")
        seen.add(key)
    return seen


def as_tuples(value: object) -> object:
    """TOML arrays as tuples, which strict validation of frozen tables wants."""
    if isinstance(value, dict):
        return {key: as_tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(as_tuples(item) for item in value)
    return value
