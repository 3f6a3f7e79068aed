"""What peers send ahead is bounded for each alone."""

from chains.proofs.keccak import keccak
from node.consensus.protocol.inbox import Entry, Inbox, Witness
from node.consensus.protocol.messages import Commit, Message
from node.consensus.protocol.statements import SignedStatement
from tests.simulation.world import make_config
from tests.unit.consensus.rig import Rig, sign

CONFIG = make_config(4, 1)
OUTCOME = keccak(b"outcome")


def entry(message: Message, size: int = 100) -> Entry:
    return Entry(message, message.statement, size)


def test_a_sender_over_its_count_loses_its_lowest_slots_and_nobody_elses() -> None:
    inbox = Inbox(CONFIG)
    other = entry(Commit(1, 1, OUTCOME))
    inbox.put(2, other)
    evicted = sum(inbox.put(1, entry(Commit(1, seq, OUTCOME))) for seq in range(1, 101))
    assert evicted == 100 - 64
    assert inbox.get(1, Commit(1, 36, OUTCOME).statement.slot) is None
    assert inbox.get(1, Commit(1, 37, OUTCOME).statement.slot) is not None
    assert inbox.get(2, other.statement.slot) is other


def test_a_sender_over_its_bytes_loses_its_lowest_slots() -> None:
    inbox = Inbox(CONFIG)
    evicted = [inbox.put(1, entry(Commit(1, seq, OUTCOME), CONFIG.max_message)) for seq in range(1, 6)]
    assert evicted == [0, 0, 0, 1, 1]


def test_pruning_leaves_the_current_epoch_and_what_is_not_decided() -> None:
    inbox = Inbox(CONFIG)
    for epoch in (1, 2, 3):
        for seq in (1, 2, 3):
            inbox.put(1, entry(Commit(epoch, seq, OUTCOME)))
    inbox.prune(2, 2)
    left = [slot for slot, _ in inbox.slots_of(Commit.kind)]
    assert [(slot.epoch, slot.seq) for slot in sorted(left)] == [(2, 3), (3, 3)]


def test_a_peer_that_sends_far_ahead_is_counted() -> None:
    rig = Rig().opened()
    one = rig.peers[0]
    for seq in range(1, 70):
        rig.hear(one, sign(one, Commit(1, seq, OUTCOME)))
    assert rig.reasons() == [(one, "CONSENSUS_BUFFER_OVERFLOW")]


def test_a_witness_remembers_a_bounded_number_and_the_highest() -> None:
    witness = Witness(CONFIG)
    said = [sign(1, Commit(1 + seq // 100, seq, OUTCOME)) for seq in range(1, 400)]
    for message in said:
        assert witness.record(1, SignedStatement(message.statement, message.signature)) is None
    assert len(witness._statements[1]) == 256
    by_epoch, by_seq = witness.highest(1)
    assert (by_epoch.statement.epoch, by_seq.statement.seq) == (4, 399)
    assert witness.highest(2) == ()
