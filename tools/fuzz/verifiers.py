"""The verifiers: each accepts of a chain made here only what is so there, whatever proof is offered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import combinations

from chains.errors import ProofError, QuorumError, RetryError, SignatureError
from chains.proofs import batch, eip1186, mpt, rlp
from chains.proofs.build import Trie
from chains.proofs.keccak import keccak
from chains.proofs.lightclient import write
from chains.proofs.receipts import Log
from chains.proofs.rollup import assertions, games, nodes
from chains.proofs.rollup.errors import NotSettled, UnknownGame
from chains.proofs.rollup.layout import GAMES
from chains.proofs.verify import verify_file
from chains.types import Address, Hash32
from node.model.certificate import CommitCertificate, verify_certificate
from node.model.codec import Malformed, Reader, Writer
from node.model.merkle import MapProof, MerkleMap
from node.model.signatures import verify_packed
from tests import beacon, kit
from tests.simulation.world import CONFIG_DIGEST, KEYS
from tests.unit.consensus.rig import commit_certificate
from tests.unit.model.test_signatures import DIGEST, PACKED, SIGNERS
from tests.unit.proofs import chain, test_output_root, test_receipts
from tests.unit.proofs.test_rollup_assertions import ASSERTION, created
from tests.unit.proofs.test_rollup_games import CHAIN, Site
from tests.unit.proofs.test_rollup_nodes import BLOCK as NODE_BLOCK
from tests.unit.proofs.test_rollup_nodes import SENDS as NODE_SENDS
from tests.unit.proofs.test_rollup_nodes import created as created_node
from tests.vectors.proofs import real
from tools.fuzz.target import LARGEST, Fault, Json, NotJson, Target, as_text, expect, from_json

_SHORT = {bytes((n,)) * length: bytes((n + 1,)) * (3 * n + 1) for n in (0x01, 0x10, 0x11, 0x1F) for length in (1, 2, 3)}
_TRIES: tuple[tuple[Trie, Mapping[bytes, bytes]], ...] = (
    (Trie(_SHORT.items()), _SHORT),
    (chain.STATE, {keccak(key): eip1186.encode_account(account) for key, account in chain.ACCOUNTS.items()}),
    (chain.STORAGE, {keccak(key): rlp.encode(rlp.uint_bytes(value)) for key, value in chain.SLOTS.items()}),
)


def _mpt() -> Target:
    """An input names a trie and gives keys, each with its proof."""
    store = mpt.NodeStore()  # kept from input to input, as a node keeps it

    def outcome(root: Hash32, key: bytes, proof: list[bytes], known: mpt.NodeStore | None = None) -> object:
        try:
            return mpt.lookup(root, key, proof, known)
        except ProofError as error:
            return type(error)

    def check(data: bytes) -> None:
        which, *entries = rlp.decode_list(data, "input") or [b""]
        trie, pairs = _TRIES[rlp.as_uint(which, "trie", 1) % len(_TRIES)]
        lists = [
            [rlp.as_bytes(item, "node") for item in entry] for entry in entries if isinstance(entry, list) and entry
        ]
        asked = {key: proof for key, *proof in lists}
        for key, proof in asked.items():
            found = outcome(trie.root, key, proof)
            expect(outcome(trie.root, key, proof, store), found, "a store changes what is proven")
            if not isinstance(found, type):
                expect((found, proof), (pairs.get(key), trie.prove(key)), "a lie is proven, or in two ways")
        keys = sorted(asked)
        roots = {trie.root} | {keccak(proof[0]) for proof in asked.values() if proof}
        for root in roots if {*map(len, keys)} == {32} else ():
            alone = [outcome(root, key, asked[key]) for key in keys]
            together: object
            try:
                together = batch.lookup_sorted(root, keys, [asked[key] for key in keys])
            except ProofError as error:
                together = type(error)
            expect(together, next((one for one in alone if isinstance(one, type)), alone), "a batch proves otherwise")

    seeds: list[bytes] = []
    for which, (trie, pairs) in enumerate(_TRIES):
        keys = [*list(pairs)[:6], keccak(b"absent")]
        seeds += [
            rlp.encode([rlp.uint_bytes(which), *([key, *trie.prove(key)] for key in keys[at:])]) for at in (0, 3, 6)
        ]
    return Target(tuple(seeds), check, (ProofError,))


Claim = tuple[tuple[str, ...], object]
"""A name, of which the first part is what it is proven under, and what is said of it."""


def _claims(kind: str, answer: Json) -> Iterator[Claim]:
    """What an answer of `verify_file` says, one by one."""
    block: Json = answer.get("block") or {}
    if block:
        yield (block["hash"], "block"), block
    if kind == "eip1186":
        yield (block["state_root"], answer["address"]), answer["account"]
        for slot, value in answer["slots"].items():
            yield (block["state_root"], answer["address"], slot), value
    if kind == "receipts":
        root = answer.get("receipts_root") or block["receipts_root"]
        told = enumerate(answer["receipts"]) if "receipts" in answer else [(answer["receipt_index"], answer["receipt"])]
        for index, receipt in told:
            yield (root, str(index)), receipt
        if "receipts" in answer:
            yield (root, "count"), len(answer["receipts"])
    if kind == "output-root":
        yield (answer["output_root"], "output"), {**answer, "block_number": None}
    if kind == "sync-committee":
        for head in (answer["finalized"], answer["optimistic"]):
            yield (answer["trusted"], head["root"]), head
        if answer["next_sync_committee"]:
            yield (answer["trusted"], answer["sync_committee_period"]), answer["next_sync_committee"]


def _verifier(kind: str, files: Iterable[Json], fixed: Json | None = None, *, more: Iterable[Json] = ()) -> Target:
    """Under what an honest file proves, no file may prove another value; nothing can be there that it does not know.

    `fixed` is what the caller trusts, whatever a file says. The truth is what `files` and `more` prove.
    """
    begin = [file for file in files if len(as_text(file)) <= LARGEST]
    truth = dict(claim for file in [*begin, *more] for claim in _claims(kind, verify_file(kind, file)))
    anchors = {name[0] for name in truth}

    def check(data: bytes) -> None:
        file = from_json(data)
        answer: Json = verify_file(kind, {**file, **fixed} if fixed and isinstance(file, dict) else file)
        for name, value in _claims(kind, answer):
            if name in truth or (name[0] in anchors and value not in (None, "0x0")):
                expect(value, truth.get(name), f"a lie is proven of {name}")

    return Target(tuple(map(as_text, begin)), check, (NotJson, ProofError, RetryError), is_json=True)


def _real(name: str) -> list[Json]:
    """Real files of a kind, if there are any on this machine."""
    if not os.environ.get("HYPOTHEC_SHARED"):
        return []
    if name == "header":
        return [block for _, block in real.blocks()]
    if name == "receipts":
        return [real.load("receipts/near_post_dencun_proof.json")]
    return [{"header": block, "proof": answer} for _, block, answer in real.anchored_proofs()]


def _verify_header() -> Target:
    return _verifier("header", [chain.block(), chain.block(requestsHash=None), *_real("header")])


def _verify_eip1186() -> Target:
    def file(address: Address, *slots: Hash32) -> Json:
        return {"header": chain.block(), "proof": chain.answer(address, *slots)}

    few = [*chain.SLOTS][:3]
    seeds = [
        file(chain.PLAIN),
        file(chain.ABSENT, chain.MISSING_SLOT),
        *(file(chain.CONTRACT, *slots) for slots in ([], few[:1], [*few, chain.MISSING_SLOT], [*chain.SLOTS][:9])),
    ]
    everything = [file(chain.CONTRACT, *chain.SLOTS), *map(file, chain.ACCOUNTS)]
    return _verifier("eip1186", [*seeds, *_real("eip1186")], more=everything)


def _verify_receipts() -> Target:
    block = chain.block(receiptsRoot=chain.hexed(test_receipts.ROOT))
    whole = {"header": block, "receipts": test_receipts.ANSWER}
    single = []
    for index in (0, 3, 11):
        proof = test_receipts.TRIE.prove(rlp.encode(rlp.uint_bytes(index)))
        single.append({"header": block, "receipt_index": index, "proof": [node.hex() for node in proof]})
    return _verifier("receipts", [whole, *single, *_real("receipts")])


def _verify_output_root() -> Target:
    whole = test_output_root.WHOLE
    return _verifier("output-root", [whole, {"output": whole["output"]}, {**whole, "output": whole["output"]}])


def _verify_sync_committee() -> Target:
    config = beacon.CONFIG
    spelt = {
        "genesis_time": config.genesis_time,
        "genesis_validators_root": chain.hexed(config.genesis_validators_root),
        "genesis_fork_version": chain.hexed(config.genesis_version),
        "forks": {
            fork.fork.name.lower(): {"epoch": fork.epoch, "version": chain.hexed(fork.version)} for fork in config.forks
        },
        "slots_per_epoch": config.slots_per_epoch,
        "epochs_per_sync_committee_period": config.epochs_per_period,
        "sync_committee_size": config.committee_size,
    }
    start = 64  # Deneb, and the beginning of a period
    served = beacon.CHAIN.bootstrap(start)
    fixed = {"config": spelt, "trusted_root": chain.hexed(served.header.beacon.root())}
    updates = [
        write.update(config, beacon.CHAIN.update(*slots, following=following))
        for slots, following in (((start + 5, start + 2), True), ((start + 6, start + 4), False), ((start + 7,), False))
    ]
    begin = {**fixed, "bootstrap": write.bootstrap(config, served)}
    return _verifier("sync-committee", [{**begin, "updates": updates[:count]} for count in range(4)], fixed)


def _map_proof() -> Target:
    leaves: dict[bytes, bytes] = {keccak(b"%d" % n): b"v" * n for n in range(40)}
    held = MerkleMap.of(leaves)

    def check(data: bytes) -> None:
        reader = Reader(data, "input")
        key, value = reader.raw(32), reader.var() if reader.flag() else None
        proof = MapProof.decode(reader.var())
        reader.done()
        proof.check(held.root, key, value)
        expect((value, proof), (leaves.get(key), held.prove(key)), "a lie is proven, or in two ways")

    seeds = []
    for key in [*[*leaves][:5], keccak(b"absent"), keccak(b"missing")]:
        writer = Writer().raw(key, 32).flag(key in leaves)
        if key in leaves:
            writer.var(leaves[key])
        seeds.append(writer.var(held.prove(key).encode()).done())
    return Target(tuple(seeds), check, (Malformed, ProofError))


def _certificate() -> Target:
    made = {commit_certificate(1, 2, DIGEST, nodes).encode() for nodes in combinations(range(4), 3)}

    def check(data: bytes) -> None:
        verify_certificate(CommitCertificate.decode(data), CONFIG_DIGEST, [key.public for key in KEYS[:4]], 1)
        if data not in made:
            raise Fault("a certificate that nobody signed is accepted")

    return Target(tuple(made), check, (Malformed, SignatureError, QuorumError))


def _packed() -> Target:
    def check(data: bytes) -> None:
        verify_packed(DIGEST, data, SIGNERS, 3)
        expect(data, PACKED, "signatures that nobody made are accepted")

    return Target((PACKED,), check, (SignatureError, QuorumError))


def _game() -> Target:
    """An input is a game's code, after the version of its layout."""
    sites = [Site(version) for version in sorted(GAMES)]
    listed = [site.listed() for site in sites]
    states = [site.l1.prove(games.game_needs(site.recipe, game)) for site, game in zip(sites, listed, strict=True)]

    def check(data: bytes) -> None:
        which, code = (data or b"\0")[0] % len(sites), data[1:]
        with suppress(UnknownGame):
            games.read_clone(sites[which].recipe, listed[which], code, CHAIN)
        games.game_claim(sites[which].recipe, states[which], listed[which], code, CHAIN)
        expect(code, sites[which].code, "another code is taken for the game's")

    return Target(tuple(bytes((n,)) + site.code for n, site in enumerate(sites)), check, (ProofError, NotSettled))


def _assertion() -> Target:
    """An input is an event: its data, then its topics."""

    def check(data: bytes) -> None:
        told, *topics = [rlp.as_bytes(item, "part") for item in rlp.decode_list(data, "input")] or [b""]
        found = assertions.read_created(Log(kit.TOKEN, tuple(map(Hash32, topics)), told))
        expect(found, ASSERTION, "another assertion is taken for it")

    log = created(ASSERTION)
    return Target((rlp.encode([log.data, *log.topics]),), check, (ProofError,))


def _node() -> Target:
    """An input is an event: its data, then its topics."""
    wanted = keccak(NODE_BLOCK + NODE_SENDS)

    def check(data: bytes) -> None:
        told, *topics = [rlp.as_bytes(item, "part") for item in rlp.decode_list(data, "input")] or [b""]
        found = nodes.read_created(Log(kit.TOKEN, tuple(map(Hash32, topics)), told), wanted)
        expect(found, (NODE_BLOCK, NODE_SENDS), "another block is taken for the node's")

    log = created_node()
    return Target((rlp.encode([log.data, *log.topics]),), check, (ProofError,))


VERIFIERS: Mapping[str, Callable[[], Target]] = {
    "assertion": _assertion,
    "certificate": _certificate,
    "game": _game,
    "map-proof": _map_proof,
    "mpt": _mpt,
    "node": _node,
    "packed-signatures": _packed,
    "verify-eip1186": _verify_eip1186,
    "verify-header": _verify_header,
    "verify-output-root": _verify_output_root,
    "verify-receipts": _verify_receipts,
    "verify-sync-committee": _verify_sync_committee,
}
"""Each target by its name, made when it is asked for."""
