"""The journal comes back as it was written, and only in one piece."""

import pytest

from chains.proofs.keccak import keccak
from node.consensus.protocol.journal import (
    DecidedRecord,
    EpochRecord,
    JournalState,
    PreparedRecord,
    Record,
    RecoveryRecord,
    SignedRecord,
    decode_record,
    encode_record,
)
from node.consensus.protocol.messages import Commit, encode_message
from node.model.codec import Malformed
from tests.simulation.world import make_config
from tests.unit.consensus.rig import commit_certificate, good_proposal, prepared_of, sign

CONFIG = make_config(4, 1)
OUTCOME = keccak(b"outcome")


def signed(epoch: int, seq: int) -> SignedRecord:
    message = sign(1, Commit(epoch, seq, OUTCOME))
    return SignedRecord(message.statement.slot, message.statement.digest, encode_message(message))


RECORDS: list[Record] = [
    signed(2, 5),
    EpochRecord(2),
    PreparedRecord(prepared_of(good_proposal(1, 2, 5), 2, OUTCOME, commit_certificate(2, 4, OUTCOME))),
    DecidedRecord(commit_certificate(2, 4, OUTCOME)),
    RecoveryRecord(silent=False),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_decodes_to_itself_and_nothing_else_does(record: Record) -> None:
    data = encode_record(record)
    assert decode_record(data, CONFIG) == record
    for spoilt in (b"", data[:-1], data + b"\0", b"\0" + data[1:]):
        with pytest.raises(Malformed):
            decode_record(spoilt, CONFIG)


def test_records_fold_into_a_state_whatever_their_order() -> None:
    state = JournalState.replay(RECORDS)
    assert state == JournalState.replay(reversed(RECORDS))
    assert state.intact
    assert (state.epoch, state.decided, len(state.signed)) == (2, commit_certificate(2, 4, OUTCOME), 1)
    assert state.prepared is not None


def test_what_is_past_is_forgotten() -> None:
    state = JournalState.replay([*RECORDS, signed(1, 5), signed(2, 4), signed(3, 6)])
    assert [(record.slot.epoch, record.slot.seq) for record in state.signed] == [(2, 5), (3, 6)]


def test_the_last_record_of_a_key_counts() -> None:
    assert JournalState.replay([EpochRecord(2), EpochRecord(3)]).epoch == 3
    assert not JournalState.replay([RecoveryRecord(silent=False), RecoveryRecord(silent=True)]).intact


def test_empty_is_intact_and_missing_is_not() -> None:
    assert JournalState.empty().intact
    assert JournalState.replay([]) == JournalState.empty()
    assert not JournalState.missing().intact
