"""Answers of nodes to clients and peers, and what an L1's contracts may hold: proven, or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from google.protobuf.message import DecodeError, Message

from chains.errors import InputError, PeerError, ProofError, QuorumError, SignatureError
from chains.proofs import rlp
from chains.proofs.output_root import RollupFinality
from chains.proofs.rollup import assertions, games, oracle
from chains.proofs.rollup.errors import NotSettled
from chains.proofs.rollup.layout import BOLD, GAMES, ORACLES
from chains.proofs.rollup.state import L1State, Needs, member
from chains.proofs.slots import mapping_slot
from chains.types import AccountId
from hypothec.v1 import health_pb2
from hypothec.v1 import peer_service_pb2 as pb
from node.attestation.answer import VerifiedAccount, verify_answer
from node.model.state import State
from node.peers.fetch import assemble_state
from tests.unit.client.test_answer import answer_of
from tests.unit.peers.test_assemble import parts
from tests.unit.proofs import test_rollup_assertions, test_rollup_games, test_rollup_oracle
from tests.unit.proofs.l1 import L1
from tests.unit.rpc.world import ACCOUNT, NETWORK, POLICY, STRANGER, certified
from tools.fuzz.target import Fault, Target, expect

# === Messages ===


def _health_answer() -> Target:
    """An input is a HealthAnswer."""
    states = [certified(7), certified(8, eth_usd=1_200)]
    seeds = [answer_of(state, *accounts) for state in states for accounts in ((ACCOUNT,), (ACCOUNT, STRANGER))]
    truth: dict[tuple[int, AccountId], VerifiedAccount] = {}
    for seed in seeds:
        verified = verify_answer(NETWORK, POLICY, seed)
        truth |= {(verified.header.sequence, name): account for name, account in verified.accounts.items()}

    def check(data: bytes) -> None:
        verified = verify_answer(NETWORK, POLICY, health_pb2.HealthAnswer.FromString(data))
        for name, account in verified.accounts.items():
            if (key := (verified.header.sequence, name)) in truth:
                expect(account, truth[key], "a lie is proven of an account")
            elif account.view.record or account.view.obligations or account.view.holdings:
                raise Fault("an account is proven that nobody has")

    return Target(_encoded(*seeds), check, (DecodeError, InputError, ProofError, QuorumError, SignatureError))


def _peer_state() -> Target:
    """An input is a list of FetchStateResponse, as a peer streams them."""
    head, maps = parts()
    seed = [pb.FetchStateResponse(head=head)]
    seed += [
        pb.FetchStateResponse(
            leaves=pb.StateLeaves(
                map=name, leaves=[pb.StateLeaf(key=key, value=value) for key, value in leaves.items()]
            )
        )
        for name, leaves in maps.items()
    ]
    honest, certificate = assemble_state(NETWORK, 9, *parts())

    def leaves(state: State) -> list[object]:
        return [dict(book) for _, book in state.maps()]

    def check(data: bytes) -> None:
        said = pb.StateHead()
        told: dict[str, dict[bytes, bytes]] = {}
        for item in rlp.decode_list(data, "input"):
            part = pb.FetchStateResponse.FromString(rlp.as_bytes(item, "part"))
            if part.WhichOneof("part") == "head":
                said = part.head
            else:
                told.setdefault(part.leaves.map, {}).update((leaf.key, leaf.value) for leaf in part.leaves.leaves)
        state, signed = assemble_state(NETWORK, 9, said, told)
        expect((state.header, signed), (honest.header, certificate), "another state is taken for the certified one")
        expect(leaves(state), leaves(honest), "other leaves are taken for the certified ones")

    return Target((rlp.encode(_encoded(*seed)),), check, (DecodeError, ProofError, PeerError, QuorumError))


def _encoded(*messages: Message) -> tuple[bytes, ...]:
    return tuple(message.SerializeToString() for message in messages)


# === What strangers, and owners who changed their mind, may have written into an L1 ===

_WORD = 32


def _l1(l1: L1, needs: Needs, judge: Callable[[L1State], RollupFinality], stands: Callable[[L1State], bool]) -> Target:
    """An input is words, each after a byte that says into which of the slots that are read it is written."""
    places = sorted((contract, slot) for contract, slots in needs.items() for slot in slots)
    honest = {contract: dict(slots) for contract, slots in l1.storage.items()}

    def check(data: bytes) -> None:
        l1.storage = {contract: dict(slots) for contract, slots in honest.items()}
        for at in range(0, len(data), 1 + _WORD):
            contract, slot = places[data[at] % len(places)]
            l1.storage[contract][slot] = int.from_bytes(data[at + 1 : at + 1 + _WORD], "big")
        state = l1.prove(needs)
        if judge(state) is RollupFinality.CHALLENGE_PASSED and not stands(state):
            raise Fault("a claim counts that does not stand")

    same = b"".join(
        bytes((which,)) + honest[contract].get(slot, 0).to_bytes(_WORD, "big")
        for which, (contract, slot) in enumerate(places)
    )
    return Target((same,), check, (ProofError, NotSettled))


def _game(version: str) -> Target:
    site = test_rollup_games.Site(version)
    recipe, layout, game = site.recipe, site.layout, site.listed()

    def stands(state: L1State) -> bool:
        status, resolved_at = (state.word(game.address, word) for word in (layout.status, layout.resolved_at))
        respected = state.word(recipe.registry.address, recipe.registry_layout.respected_type)
        return status == games.DEFENDER_WINS and resolved_at + recipe.delay < state.time and respected == game.type

    def judge(state: L1State) -> RollupFinality:
        return games.game_claim(recipe, state, game, site.code, test_rollup_games.CHAIN).finality

    return _l1(site.l1, games.game_needs(recipe, game), judge, stands)


def _oracle(version: str) -> Target:
    site, index = test_rollup_oracle.Site(version), 2

    def judge(state: L1State) -> RollupFinality:
        return oracle.output_claim(site.recipe, state, index).finality

    def stands(state: L1State) -> bool:
        return oracle.output_count(site.recipe, state) > index

    return _l1(site.l1, oracle.oracle_needs(site.recipe, index), judge, stands)


def _asserted() -> Target:
    site, item = test_rollup_assertions.Bold(), test_rollup_assertions.ASSERTION
    status = member(mapping_slot(BOLD.assertions, item.hash()), BOLD.status)

    def judge(state: L1State) -> RollupFinality:
        return assertions.asserted_block(site.recipe, state, item).finality

    def stands(state: L1State) -> bool:
        return state.word(site.recipe.rollup.address, status) == assertions.CONFIRMED

    return _l1(site.l1, assertions.assertion_needs(site.recipe, item.hash()), judge, stands)


MESSAGES: Mapping[str, Callable[[], Target]] = {
    "health-answer": _health_answer,
    "l1-assertion": _asserted,
    **{f"l1-game-{version}": partial(_game, version) for version in GAMES},
    **{f"l1-oracle-{version}": partial(_oracle, version) for version in ORACLES},
    "peer-state": _peer_state,
}
"""Each target by its name, made when it is asked for."""
