"""A node's store at work in a process of its own, to be killed: `python -m tests.integration.store.writer PATH`.

For each line on stdin it forks a worker, which tells on stdout what the store has acknowledged, until somebody kills
it; then it says "dead". Forking, because the imports take longer than a worker lives.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from chains.proofs.keccak import keccak
from chains.types import Address, ChainId, Hash32
from node.attestation.attestor import ChainSlot
from node.consensus.protocol.journal import SignedRecord
from node.consensus.protocol.statements import Kind, Slot
from node.model.transactions import Attempt, Transaction
from node.store.ports import Store
from node.store.sqlite.store import open_store
from tests.conformance.store.samples import certified, state, statement
from tests.conformance.store.test_journal import CONFIG, decided
from tests.kit import NETWORK_ID

SENDER = Address(b"\x01" * 20)


def sampled(sequence: int) -> dict[bytes, bytes]:
    """The accounts of one state: some leaves change with every state, come and go."""
    return {bytes([key]): b"%d" % (sequence // (key + 1)) for key in range(40) if (sequence + key) % 3}


def chain_slot(sequence: int, digest: Hash32) -> ChainSlot:
    said = statement(sequence)
    return ChainSlot(CONFIG.config_digest, sequence, said.purpose, said.chain_id, said.contract, said.account, digest)


def told(what: str, sequence: int, digest: bytes = b"") -> None:
    os.write(1, f"{what} {sequence} {digest.hex()}\n".encode())


async def work(path: Path) -> None:
    async with open_store(path, NETWORK_ID) as store:
        loaded = await store.states.load()
        sequence = loaded[0].header.sequence if loaded is not None else 0
        while True:
            sequence += 1
            await one_round(store, sequence)


async def one_round(store: Store, sequence: int) -> None:
    """What a node stores in a round. What it signs differs from worker to worker, and so must not be signed twice."""
    mine = Hash32(keccak(b"%d by %d" % (sequence, os.getpid())))
    journal = store.journal(CONFIG)
    before = await journal.load()
    for kind in (Kind.PREPARE, Kind.COMMIT):
        slot = Slot(1, sequence, kind)
        if before.is_past(slot) or any(record.slot == slot for record in before.signed):
            continue
        await journal.append([SignedRecord(slot, mine, b"message")])
        told(kind.name, sequence, mine)
    if not before.is_past(Slot(1, sequence, Kind.COMMIT)):
        await journal.append([decided(sequence)])
        told("DECIDED", sequence)
    following = state(sequence, accounts=sampled(sequence))
    transaction = Transaction(
        ChainId(1), Hash32(keccak(b"%d" % sequence)), sequence, SENDER, sequence, (Attempt(b"raw", mine),)
    )
    stored = (await asyncio.gather(store.states.save(following, certified(following)), store.outbox.add(transaction)))[
        1
    ]
    told("STATE", sequence)
    told("SENT", sequence, stored.attempts[0].tx_hash)


def main() -> None:
    path = Path(sys.argv[1])
    for _ in sys.stdin:
        pid = os.fork()
        if not pid:
            asyncio.run(work(path))
        os.write(1, f"pid {pid}\n".encode())
        os.waitpid(pid, 0)
        os.write(1, b"dead\n")


if __name__ == "__main__":
    main()
