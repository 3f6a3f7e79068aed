"""Dispute games of OP-stack chains: which of them count, and how far.

Owns the rules of the AnchorStateRegistry (`isGameClaimValid`): of the respected type, not blacklisted, not retired,
resolved for the defender, and that long enough ago. Where versions differ, the stricter rule holds: the type has to be
the one that is respected now, and for games that note it, the one when they were made too; a game from the very second
of a retirement is retired. A pause is not looked at: it holds back withdrawals, and makes no claim less true.
A game may be of several chains at once, as OP mainnet's: its clone's code has what the claimed root is made of, bound
by its hash. Must not know whether a root is true.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.errors import ClaimMismatch
from chains.proofs.keccak import keccak
from chains.proofs.output_root import RollupFinality
from chains.proofs.rollup.errors import Blacklisted, Defeated, NoSuchClaim, NotRespected, Retired, UnknownGame
from chains.proofs.rollup.layout import GameLayout, GamesRecipe
from chains.proofs.rollup.state import Claim, L1State, Needs, add_needs, item_slot, pinned_needs
from chains.proofs.slots import address_word, mapping_slot
from chains.types import Address, ChainId, Hash32, Height, UnixSeconds, WordRecipe

MAX_CHAINS = 64
"""Chains in one super root."""

_SUPER_VERSION, _SUPER_HEAD, _SUPER_PART = 1, 9, 64

IN_PROGRESS, CHALLENGER_WINS, DEFENDER_WINS = range(3)

# A clone with immutable arguments, as Solady's LibClone makes it: this code around the implementation's address, then
# the arguments, then how many bytes follow the code.
_BEFORE_SIZE = bytes.fromhex(
    "36602c57343d527f9e4ac34f21c619cefc926c8bd93b54bf5a39c7ab2127a895af1cc0691d7e3dff593da1005b363d3d373d3d3d3d61"
)
_AFTER_SIZE = bytes.fromhex("806062363936013d73")
_AFTER_ADDRESS = bytes.fromhex("5af43d3d93803e606057fd5bf3")
_ADDRESS_AT = len(_BEFORE_SIZE) + 2 + len(_AFTER_SIZE)
_ARGUMENTS_AT = _ADDRESS_AT + 20 + len(_AFTER_ADDRESS)


@dataclass(frozen=True, slots=True)
class Game:
    """An entry of the factory's list: a game's type, when it was made, and where it is."""

    index: int
    type: int
    created_at: UnixSeconds
    address: Address


@dataclass(frozen=True, slots=True)
class Told:
    """What a game claims of one chain: an output root, of the block at a height, or of the newest one up to a time."""

    root: Hash32
    height: Height | None
    time: UnixSeconds | None = None


def clone_code(implementation: Address, arguments: bytes) -> bytes:
    """The code of a clone of `implementation` with these arguments."""
    size = (len(arguments) + 2).to_bytes(2, "big")
    return _BEFORE_SIZE + size + _AFTER_SIZE + implementation + _AFTER_ADDRESS + arguments + size


def list_needs(recipe: GamesRecipe, *indices: int) -> Needs:
    """What has to be proven to count games, and to read the list's entries at `indices`."""
    slots = {recipe.game_list, *(item_slot(recipe.game_list, index) for index in indices)}
    return add_needs(pinned_needs(recipe.factory), recipe.factory.address, slots)


def game_count(recipe: GamesRecipe, state: L1State) -> int:
    """How many games were ever made."""
    state.check(recipe.factory)
    return state.word(recipe.factory.address, WordRecipe(recipe.game_list))


def listed_game(recipe: GamesRecipe, state: L1State, index: int) -> Game:
    """The list's entry at `index`; raises NoSuchClaim beyond its end."""
    if not 0 <= index < (count := game_count(recipe, state)):
        raise NoSuchClaim(
            "The factory has no game of that index", factory=recipe.factory.address, index=index, games=count
        )
    word = WordRecipe(item_slot(recipe.game_list, index))
    identity = state.word(recipe.factory.address, word).to_bytes(32, "big")
    created_at = UnixSeconds(int.from_bytes(identity[4:12], "big"))
    return Game(index, int.from_bytes(identity[:4], "big"), created_at, Address(identity[12:]))


def game_needs(recipe: GamesRecipe, *games: Game) -> Needs:
    """What has to be proven, beside the list, to judge these games."""
    registry, layout = recipe.registry, recipe.registry_layout
    needs = add_needs(pinned_needs(registry), registry.address, {layout.respected_type.slot, layout.retired_until.slot})
    # Which implementation a game has, its code says; so the words of all layouts are asked for.
    words = {
        word.slot
        for each in recipe.games.values()
        for word in (each.created_at, each.resolved_at, each.status, each.was_respected)
        if word is not None
    }
    for game in games:
        add_needs(needs, registry.address, {mapping_slot(layout.blacklist, address_word(game.address))})
        add_needs(needs, game.address, words)
    return needs


def game_claim(recipe: GamesRecipe, state: L1State, game: Game, code: bytes, chain_id: ChainId) -> Claim:
    """What the game claims of the chain and how far that is settled; `code` is the game's own, in which the claim is.

    Raises ClaimMismatch if the code is not the game's, and a NotSettled that says why a game does not count.
    """
    where = f"game {game.index} at 0x{game.address.hex()}"
    if keccak(code) != (code_hash := state.code_hash(game.address)):
        raise ClaimMismatch("code is not that of the game", game=game.address, claimed=keccak(code), proven=code_hash)
    layout, told = read_clone(recipe, game, code, chain_id)
    _check_standing(recipe, state, game, layout)
    status = state.word(game.address, layout.status)
    if status == CHALLENGER_WINS:
        raise Defeated("The challenger won the game", game=game.address, index=game.index, root=told.root)
    resolved_at = state.word(game.address, layout.resolved_at)
    finality, settles_at = RollupFinality.PROPOSED, None
    if status == DEFENDER_WINS and resolved_at:
        settles_at = UnixSeconds(resolved_at + recipe.delay)
        if state.time > settles_at:
            finality, settles_at = RollupFinality.CHALLENGE_PASSED, None
    return Claim(told.root, told.height, finality, game.created_at, where, settles_at, told.time)


def read_clone(recipe: GamesRecipe, game: Game, code: bytes, chain_id: ChainId) -> tuple[GameLayout, Told]:
    """The layout of a game with this code, and what it claims of the chain. Raises UnknownGame."""
    implementation = Address(code[_ADDRESS_AT : _ADDRESS_AT + 20])
    arguments = code[_ARGUMENTS_AT:-2]
    layout = recipe.games.get(implementation)
    told = None
    if code == clone_code(implementation, arguments) and layout is not None:
        told = _told(layout, arguments, chain_id)
    if layout is None or told is None:
        raise UnknownGame(
            "A game is no clone of an implementation that the recipe admits, with the arguments that this takes",
            game=game.address,
            index=game.index,
            implementation=implementation,
            arguments=len(arguments),
        )
    return layout, told


def _told(layout: GameLayout, arguments: bytes, chain_id: ChainId) -> Told | None:
    root = Hash32(arguments[layout.root_at : layout.root_at + 32])
    if layout.super_root_at is not None:
        return _of_super_root(root, arguments[layout.super_root_at :], chain_id)
    if layout.height_at is None or len(arguments) != layout.arguments:
        return None
    return Told(root, Height(int.from_bytes(arguments[layout.height_at : layout.height_at + 32], "big")))


def _of_super_root(root: Hash32, rest: bytes, chain_id: ChainId) -> Told | None:
    """The chain's part of a super root, whose preimage is what of the beginning of `rest` has its hash.

    optimism specs, `interop/fault-proof.md`, super root of version 1: the version (1 byte), the time (8), and of each
    chain its id (32) and its output root (32).
    """
    for chains in range(1, MAX_CHAINS + 1):
        preimage = rest[: _SUPER_HEAD + chains * _SUPER_PART]
        if len(preimage) != _SUPER_HEAD + chains * _SUPER_PART or preimage[0] != _SUPER_VERSION:
            return None
        if keccak(preimage) == root:
            time = UnixSeconds(int.from_bytes(preimage[1:_SUPER_HEAD], "big"))
            for start in range(_SUPER_HEAD, len(preimage), _SUPER_PART):
                part = preimage[start : start + _SUPER_PART]
                if int.from_bytes(part[:32], "big") == chain_id:
                    return Told(Hash32(part[32:]), None, time)
            return None
    return None


def _check_standing(recipe: GamesRecipe, state: L1State, game: Game, layout: GameLayout) -> None:
    """Raise unless the guardian's registry lets the game count."""
    state.check(recipe.registry)
    registry, rules = recipe.registry.address, recipe.registry_layout
    respected = state.word(registry, rules.respected_type)
    was_respected = layout.was_respected is None or state.word(game.address, layout.was_respected)
    if game.type != respected or not was_respected:
        raise NotRespected(
            "A game is not of the type that is respected now, or was not when it was made",
            game=game.address,
            index=game.index,
            type=game.type,
            respected=respected,
        )
    blacklisted = mapping_slot(rules.blacklist, address_word(game.address))
    if state.word(registry, WordRecipe(blacklisted)):
        raise Blacklisted("A game is blacklisted", game=game.address, index=game.index)
    created_at = min(game.created_at, state.word(game.address, layout.created_at))
    if created_at <= (until := state.word(registry, rules.retired_until)):
        raise Retired("A game is retired", game=game.address, index=game.index, created_at=created_at, until=until)
