"""Dispute games: only one that withdrawals would respect counts, and each other is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chains.errors import ClaimMismatch, ProofIncomplete
from chains.proofs.keccak import keccak
from chains.proofs.output_root import RollupFinality
from chains.proofs.rollup import errors, games
from chains.proofs.rollup.games import Game, clone_code
from chains.proofs.rollup.layout import GAME_LIST, GAMES, REGISTRIES, GamesRecipe
from chains.proofs.rollup.state import Claim, item_slot
from chains.proofs.slots import address_word, mapping_slot
from chains.types import ChainId, Hash32, Height, UnixSeconds, WordRecipe
from tests.unit.proofs.l1 import L1, LOGIC, address, both

DELAY, TYPE, IMPLEMENTATION, GAME = 3600, 8, address(0x60), 0x70
ROOT, HEIGHT = keccak(b"root"), Height(1234)
RESOLVED_AT = 900_000
CHAIN, AT = ChainId(10), UnixSeconds(799_000)


def super_root(*chains: tuple[int, bytes], time: int = AT) -> bytes:
    """The preimage of a super root."""
    parts = (chain.to_bytes(32, "big") + root for chain, root in chains)
    return b"\1" + time.to_bytes(8, "big") + b"".join(parts)


def arguments(version: str) -> bytes:
    """A clone's arguments, in the order in which the factory packs them."""
    if version.startswith("super"):
        preimage = super_root((CHAIN - 1, keccak(b"another chain's")), (CHAIN, ROOT))
        return b"\xaa" * 20 + keccak(preimage) + b"\xbb" * 32 + TYPE.to_bytes(4, "big") + preimage + b"\x22" * 40
    if version == "succinct":
        return b"\xaa" * 20 + ROOT + b"\xbb" * 32 + HEIGHT.to_bytes(32, "big") + b"\x22" * 4
    typed = TYPE.to_bytes(4, "big") if version == "fault-2-typed" else b""
    extra = b"" if version.startswith("fault-1") else b"\x11" * 32 + b"\x22" * 60 + (10).to_bytes(32, "big")
    return b"\xaa" * 20 + ROOT + b"\xbb" * 32 + typed + HEIGHT.to_bytes(32, "big") + extra


class Site:
    """One game, resolved for the defender long ago, in an L1 of this version."""

    def __init__(self, version: str = "fault-2", registry: str = "anchor-state-registry") -> None:
        self.l1 = L1()
        self.layout = GAMES[version]
        self.recipe = GamesRecipe(
            factory=self.l1.proxy(0x10, b"factory proxy"),
            game_list=GAME_LIST,
            registry=self.l1.proxy(0x20, b"registry proxy"),
            registry_layout=REGISTRIES[registry],
            games={IMPLEMENTATION: self.layout},
            delay=DELAY,
        )
        self.code = clone_code(IMPLEMENTATION, arguments(version))
        self.game = self.l1.deploy(GAME, self.code)
        self.write_registry(respected=TYPE, retired_until=700_000)
        self.write_game(status=games.DEFENDER_WINS, resolved_at=RESOLVED_AT)
        self.list_games(3, 2)

    def list_games(self, count: int, index: int) -> None:
        factory = self.recipe.factory.address
        self.l1.write(factory, WordRecipe(GAME_LIST), count)
        word = TYPE.to_bytes(4, "big") + (800_000).to_bytes(8, "big") + self.game
        self.l1.write(factory, WordRecipe(item_slot(GAME_LIST, index)), int.from_bytes(word, "big"))

    def write_registry(self, respected: int, retired_until: int) -> None:
        registry, rules = self.recipe.registry.address, self.recipe.registry_layout
        self.l1.write(registry, rules.respected_type, respected)
        self.l1.write(registry, rules.retired_until, retired_until)

    def write_game(self, status: int, resolved_at: int, was_respected: int = 1) -> None:
        self.l1.write(self.game, self.layout.created_at, 800_000)
        self.l1.write(self.game, self.layout.status, status)
        self.l1.write(self.game, self.layout.resolved_at, resolved_at)
        if self.layout.was_respected is not None:
            self.l1.write(self.game, self.layout.was_respected, was_respected)

    def blacklist(self) -> None:
        slot = mapping_slot(self.recipe.registry_layout.blacklist, address_word(self.game))
        self.l1.write(self.recipe.registry.address, WordRecipe(slot), 1)

    def judge(self, index: int = 2) -> Claim:
        listed = self.listed(index)
        needs = both(games.list_needs(self.recipe, index), games.game_needs(self.recipe, listed))
        return games.game_claim(self.recipe, self.l1.prove(needs), listed, self.code, CHAIN)

    def listed(self, index: int = 2) -> Game:
        return games.listed_game(self.recipe, self.l1.prove(games.list_needs(self.recipe, index)), index)


@pytest.mark.parametrize("version", GAMES)
@pytest.mark.parametrize("registry", REGISTRIES)
def test_a_resolved_game_past_its_delay_has_passed_its_challenge(version: str, registry: str) -> None:
    site = Site(version, registry)
    of_several = version.startswith("super")
    assert site.judge() == Claim(
        ROOT,
        None if of_several else HEIGHT,
        RollupFinality.CHALLENGE_PASSED,
        UnixSeconds(800_000),
        f"game 2 at 0x{address(GAME).hex()}",
        None,
        AT if of_several else None,
    )
    assert site.listed() == Game(2, TYPE, UnixSeconds(800_000), address(GAME))


def test_a_super_root_tells_of_each_of_its_chains_and_of_no_other() -> None:
    chains = [(chain, keccak(bytes([chain]))) for chain in range(1, 8)]
    site = Site("super-fault")

    def told(preimage: bytes, chain_id: int, root: bytes | None = None) -> games.Told:
        claimed = root if root is not None else keccak(preimage)
        tail = b"\x22" * 124
        code = clone_code(IMPLEMENTATION, b"\xaa" * 20 + claimed + b"\xbb" * 36 + preimage + tail)
        return games.read_clone(site.recipe, site.listed(), code, ChainId(chain_id))[1]

    preimage = super_root(*chains)
    for chain, root in chains:
        assert told(preimage, chain) == games.Told(root, None, AT)
    refused = [
        (preimage, 8, None),
        (preimage, 1, keccak(b"another root")),
        (preimage[:-1], 1, None),
        (b"\2" + preimage[1:], 1, None),
        (super_root(), 1, None),
        (super_root(*((chain, ROOT) for chain in range(games.MAX_CHAINS + 1))), 1, None),
    ]
    for spoilt, chain, root_claim in refused:
        with pytest.raises(errors.UnknownGame):
            told(spoilt, chain, root_claim)


def test_a_game_that_is_not_resolved_is_proposed() -> None:
    site = Site()
    site.write_game(games.IN_PROGRESS, 0)
    assert (site.judge().finality, site.judge().settles_at) == (RollupFinality.PROPOSED, None)


@pytest.mark.parametrize(("later", "passed"), [(0, False), (DELAY, False), (DELAY + 1, True)])
def test_a_resolved_game_is_proposed_until_more_than_the_delay_went_by(later: int, passed: bool) -> None:
    site = Site()
    site.l1.time = RESOLVED_AT + later
    found = site.judge()
    assert found.finality is (RollupFinality.CHALLENGE_PASSED if passed else RollupFinality.PROPOSED)
    assert found.settles_at == (None if passed else RESOLVED_AT + DELAY)


def _another_logic(site: Site) -> None:
    site.l1.put(site.recipe.factory.address, LOGIC, 0x99)


def _another_logic_code(site: Site) -> None:
    site.l1.code[site.recipe.registry.proxies[0].implementation] = b"upgraded"


def _another_registry_code(site: Site) -> None:
    site.l1.code[site.recipe.registry.address] = b"another"


def _no_factory(site: Site) -> None:
    # It is there, and has no code: what was pinned is gone.
    site.l1.code[site.recipe.factory.address] = b""


REFUSALS: dict[str, tuple[type[errors.NotSettled], Callable[[Site], None]]] = {
    "defeated": (errors.Defeated, lambda site: site.write_game(games.CHALLENGER_WINS, RESOLVED_AT)),
    "blacklisted": (errors.Blacklisted, Site.blacklist),
    "retired": (errors.Retired, lambda site: site.write_registry(TYPE, 800_001)),
    "retired in that second": (errors.Retired, lambda site: site.write_registry(TYPE, 800_000)),
    "another type": (errors.NotRespected, lambda site: site.write_registry(TYPE + 1, 0)),
    "not when made": (errors.NotRespected, lambda site: site.write_game(2, RESOLVED_AT, was_respected=0)),
    "deleted": (errors.NoSuchClaim, lambda site: site.list_games(2, 2)),
    "upgraded factory": (errors.ContractChanged, _another_logic),
    "upgraded registry": (errors.ContractChanged, _another_logic_code),
    "another registry": (errors.ContractChanged, _another_registry_code),
    "no factory": (errors.ContractChanged, _no_factory),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_does_not_count_is_refused_by_name(name: str) -> None:
    kind, spoil = REFUSALS[name]
    site = Site()
    spoil(site)
    with pytest.raises(kind):
        site.judge()


@pytest.mark.parametrize("status", [games.IN_PROGRESS, games.DEFENDER_WINS])
def test_a_garbage_game_is_refused_whether_or_not_it_is_resolved(status: int) -> None:
    site = Site()
    site.write_game(status, RESOLVED_AT)
    site.write_registry(TYPE + 1, 0)
    with pytest.raises(errors.NotRespected):
        site.judge()


def test_a_status_that_the_contract_does_not_have_is_not_a_win() -> None:
    site = Site()
    site.write_game(3, RESOLVED_AT)
    assert site.judge().finality is RollupFinality.PROPOSED


@pytest.mark.parametrize(
    "code",
    [
        clone_code(address(0x61), arguments("fault-2")),  # of another implementation
        clone_code(IMPLEMENTATION, arguments("fault-1.4")),  # too few arguments
        clone_code(IMPLEMENTATION, arguments("fault-2") + b"\0"),
        clone_code(IMPLEMENTATION, arguments("fault-2"))[:-1] + b"\0",  # the size at the end is another
        b"\0" + clone_code(IMPLEMENTATION, arguments("fault-2"))[1:],  # the code does something else
        b"",
    ],
)
def test_only_clones_of_admitted_implementations_are_read(code: bytes) -> None:
    site = Site()
    site.code = site.l1.code[site.game] = code
    with pytest.raises(errors.UnknownGame):
        site.judge()


def test_code_that_is_not_the_games_is_a_lie() -> None:
    site = Site()
    site.code = clone_code(IMPLEMENTATION, b"\xaa" * 20 + keccak(b"other") + arguments("fault-2")[52:])
    with pytest.raises(ClaimMismatch):
        site.judge()


def test_nothing_is_judged_on_what_was_not_proven() -> None:
    site = Site()
    listed = site.listed()
    needs = games.game_needs(site.recipe, listed)
    assert sum(map(len, needs.values())) == 5
    for contract, slots in needs.items():
        for slot in slots:
            state = site.l1.prove({**needs, contract: slots - {slot}})
            with pytest.raises(ProofIncomplete):
                games.game_claim(site.recipe, state, listed, site.code, CHAIN)
        state = site.l1.prove({each: needs[each] for each in needs if each != contract})
        with pytest.raises(ProofIncomplete):
            games.game_claim(site.recipe, state, listed, site.code, CHAIN)
    for slot in (LOGIC, GAME_LIST):
        needs = games.list_needs(site.recipe)
        needs[site.recipe.factory.address].remove(slot)
        state = site.l1.prove(needs)
        with pytest.raises(ProofIncomplete):
            games.game_count(site.recipe, state)


def test_a_later_game_of_the_same_type_is_judged_for_itself() -> None:
    site = Site()
    other = Hash32(keccak(b"another root"))
    first = site.judge()
    site.code = clone_code(IMPLEMENTATION, b"\xaa" * 20 + other + arguments("fault-2")[52:])
    site.game = site.l1.deploy(GAME + 1, site.code)
    site.write_game(games.IN_PROGRESS, 0)
    site.list_games(4, 3)
    assert site.judge(3) == replace(
        first, root=other, finality=RollupFinality.PROPOSED, where=f"game 3 at 0x{site.game.hex()}"
    )
