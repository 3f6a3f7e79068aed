import copy
from collections.abc import Callable

import pytest

from chains.errors import HypothecError, MalformedProof, ProofError, ProofIncomplete, ProofInvalid
from chains.proofs import rlp
from chains.proofs.build import Trie, ordered_root
from chains.proofs.mpt import EMPTY_ROOT
from chains.proofs.receipts import (
    DEPOSIT,
    Log,
    Receipt,
    bloom_may_contain,
    decode_receipt,
    encode_receipt,
    logs_bloom,
    parse_receipt,
    prove_receipt,
    verify_receipts,
)
from chains.proofs.verify import verify_file
from chains.types import Address, Hash32
from tests.unit.proofs.chain import Json, block, hexed

VAULT = Address(b"\xc0" * 20)
EVENT = Hash32(b"\xe0" * 32)
LOGS = (Log(VAULT, (EVENT, Hash32(b"\1" * 32)), b"data" * 30), Log(Address(b"\2" * 20), (), b""))


def receipt(kind: int, *, logs: tuple[Log, ...] = (), outcome: bytes = b"\1", deposit: tuple[int, ...] = ()) -> Receipt:
    return Receipt(kind, outcome, 21_000, logs_bloom(logs), logs, deposit)


RECEIPTS = (
    receipt(0, logs=LOGS),
    receipt(0, outcome=b"\xab" * 32),
    receipt(1, outcome=b""),
    receipt(2, logs=LOGS[:1]),
    receipt(3),
    receipt(4, logs=LOGS),
    receipt(DEPOSIT),
    receipt(DEPOSIT, logs=LOGS, deposit=(0, 1)),
    receipt(DEPOSIT, deposit=(7_000_000, 1)),
    receipt(0x6A),
)


def as_json(made: Receipt) -> Json:
    """What `eth_getTransactionReceipt` gives."""
    before_byzantium = len(made.outcome) == 32
    return {
        "type": hex(made.type),
        ("root" if before_byzantium else "status"): hexed(made.outcome) if before_byzantium else hex(len(made.outcome)),
        "cumulativeGasUsed": hex(made.gas_used),
        "logsBloom": hexed(made.bloom),
        "logs": [
            {"address": hexed(log.address), "topics": [hexed(topic) for topic in log.topics], "data": hexed(log.data)}
            for log in made.logs
        ],
        **dict(zip(("depositNonce", "depositReceiptVersion"), map(hex, made.deposit), strict=False)),
    }


ANSWER = [as_json(made) for made in RECEIPTS]
ENCODED = [encode_receipt(made) for made in RECEIPTS]
ROOT = ordered_root(ENCODED)
TRIE = Trie((rlp.encode(rlp.uint_bytes(index)), encoded) for index, encoded in enumerate(ENCODED))


@pytest.mark.parametrize("made", RECEIPTS)
def test_a_receipt_of_each_type_is_the_same_in_json_and_in_bytes(made: Receipt) -> None:
    assert parse_receipt(as_json(made)) == decode_receipt(encode_receipt(made)) == made
    assert (encode_receipt(made)[0] == made.type) == bool(made.type)


def test_success_is_read_from_the_status() -> None:
    assert [made.succeeded for made in RECEIPTS[:3]] == [True, None, False]


def test_the_deposit_nonce_before_canyon_was_told_but_not_hashed() -> None:
    assert parse_receipt(as_json(RECEIPTS[6]) | {"depositNonce": "0x5"}) == RECEIPTS[6]


def test_all_receipts_of_a_block_are_proven_together() -> None:
    assert verify_receipts(ROOT, ANSWER) == RECEIPTS
    assert verify_receipts(EMPTY_ROOT, []) == ()


def without_a_log(answer: list[Json]) -> None:
    answer[0]["logs"].pop()


def without_a_receipt(answer: list[Json]) -> None:
    answer.pop()


def with_receipts_exchanged(answer: list[Json]) -> None:
    answer[0], answer[5] = answer[5], answer[0]


def with_a_receipt_twice(answer: list[Json]) -> None:
    answer.append(answer[-1])


def with_a_topic_changed(answer: list[Json]) -> None:
    answer[0]["logs"][0]["topics"][0] = hexed(b"\xe1" * 32)


def with_data_changed(answer: list[Json]) -> None:
    answer[0]["logs"][0]["data"] += "00"


def with_another_status(answer: list[Json]) -> None:
    answer[0]["status"] = "0x0"


def with_another_type(answer: list[Json]) -> None:
    answer[0]["type"] = "0x2"


@pytest.mark.parametrize(
    "change",
    [
        without_a_log,
        without_a_receipt,
        with_receipts_exchanged,
        with_a_receipt_twice,
        with_a_topic_changed,
        with_data_changed,
        with_another_status,
        with_another_type,
    ],
)
def test_receipts_that_omit_or_alter_are_refused(change: Callable[[list[Json]], None]) -> None:
    answer = [as_json(made) for made in RECEIPTS]
    change(answer)
    with pytest.raises(ProofInvalid, match="not those of the block"):
        verify_receipts(ROOT, answer)


def test_one_receipt_is_proven_by_its_index() -> None:
    for index, made in enumerate(RECEIPTS):
        proof = TRIE.prove(rlp.encode(rlp.uint_bytes(index)))
        assert prove_receipt(ROOT, index, proof) == made
        with pytest.raises(ProofIncomplete):
            prove_receipt(ROOT, index, proof[:-1])
    assert prove_receipt(ROOT, 10, TRIE.prove(b"\x0a")) is None


@pytest.mark.parametrize("field", [name for name in ANSWER[0] if name != "type"])
@pytest.mark.parametrize("value", [None, 1, "1", "0xgg", ["0x"], {}])
def test_a_field_of_the_wrong_form_is_named(field: str, value: object) -> None:
    with pytest.raises(MalformedProof, match=rf"receipts\[0\].{field}"):
        verify_receipts(ROOT, [ANSWER[0] | {field: value}])


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\x00" + ENCODED[0],
        b"\x02",
        b"\x02\xc0",
        ENCODED[0] + b"\0",
        ENCODED[3][:-1],
        b"\x02" + ENCODED[8][1:],
        rlp.encode([b"\2", b"", bytes(256), []]),
        rlp.encode([b"\1", b"\0", bytes(256), []]),
        rlp.encode([b"\1", b"\1", bytes(255), []]),
        rlp.encode([b"\1", b"\1", bytes(256), b"logs"]),
        rlp.encode([b"\1", b"\1", bytes(256), [[b"short", [], b""]]]),
        rlp.encode([b"\1", b"\1", bytes(256), [[VAULT, [EVENT] * 5, b""]]]),
        rlp.encode([b"\1", b"\1", bytes(256), [[VAULT, [EVENT]]]]),
        rlp.encode([b"\1", b"\1", bytes(256), [[VAULT, [b"short"], b""]]]),
    ],
)
def test_a_receipt_of_another_form_is_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedProof):
        decode_receipt(encoded)


def test_a_bloom_has_all_that_was_logged_and_little_else() -> None:
    bloom = logs_bloom(LOGS)
    for item in (VAULT, EVENT, b"\2" * 20, b"\1" * 32):
        assert bloom_may_contain(bloom, item)
    assert not bloom_may_contain(bytes(256), VAULT)
    others = sum(bloom_may_contain(bloom, bytes((n,)) * 20) for n in range(3, 0xC0))
    assert others < 5


@pytest.mark.parametrize("kind", ["receipts"])
def test_a_file_of_receipts_is_verified_under_its_block(kind: str) -> None:
    header = block(receiptsRoot=hexed(ROOT))
    proven = verify_file(kind, {"header": header, "receipts": ANSWER})
    assert isinstance(proven["receipts"], list)
    assert [made["type"] for made in proven["receipts"]] == [hex(made.type) for made in RECEIPTS]
    with pytest.raises(ProofInvalid):
        verify_file(kind, {"header": block(), "receipts": ANSWER})


def test_a_place_that_is_claimed_beside_a_receipt_or_a_log_is_its_own() -> None:
    header = block(receiptsRoot=hexed(ROOT))
    place = {"blockHash": header["hash"], "blockNumber": header["number"]}
    entries: list[Json] = []
    before = 0
    for index, made in enumerate(ANSWER):
        here = place | {"transactionIndex": hex(index), "transactionHash": "0xnot proven", "gasUsed": "0x1"}
        logs = [log | here | {"logIndex": hex(before + at)} for at, log in enumerate(made["logs"])]
        entries.append(made | here | {"logs": logs})
        before += len(logs)
    assert verify_file("receipts", {"header": header, "receipts": entries})["receipts"]
    wrong = {"blockHash": hexed(bytes(32)), "blockNumber": "0x65", "transactionIndex": "0x9", "logIndex": "0x63"}
    for name, value in wrong.items():
        for claimed in (value, 7, "0xzz"):
            changed = copy.deepcopy(entries)
            changed[5]["logs"][1][name] = claimed
            with pytest.raises(ProofError, match=rf"receipts\[5\].logs\[1\].{name}"):
                verify_file("receipts", {"header": header, "receipts": changed})
            if name != "logIndex":
                with pytest.raises(ProofError, match=rf"receipts\[3\].{name}"):
                    verify_file(
                        "receipts",
                        {"header": header, "receipts": [*ANSWER[:3], ANSWER[3] | {name: claimed}, *ANSWER[4:]]},
                    )


def test_a_file_of_one_receipt_is_verified_under_its_block() -> None:
    header = block(receiptsRoot=hexed(ROOT))
    file = {
        "header": header,
        "receipt_index": 3,
        "proof": [hexed(node) for node in TRIE.prove(b"\3")],
        "block_hash": header["hash"],
        "receipt": hexed(ENCODED[3]),
        "log_index": "0x0",
        "log": hexed(rlp.encode((VAULT, LOGS[0].topics, LOGS[0].data))),
    }
    assert verify_file("receipts", file)["present"] is True
    absent = {"header": header, "receipt_index": 10, "proof": [hexed(node) for node in TRIE.prove(b"\x0a")]}
    assert verify_file("receipts", absent)["present"] is False
    changes: list[Json] = [
        {"receipt_index": 4},
        {"receipt_index": -1},
        {"receipt_index": True},
        {"block_hash": hexed(bytes(32))},
        {"receipt": hexed(ENCODED[4])},
        {"log_index": 1},
        {"log": hexed(rlp.encode((VAULT, (), b"")))},
        {"proof": []},
        {"header": block()},
        {"header": None},
    ]
    for change in changes:
        with pytest.raises(HypothecError):
            verify_file("receipts", file | change)
    for claim in ("receipt", "log"):
        with pytest.raises(HypothecError):
            verify_file("receipts", absent | {claim: file[claim], "log_index": 0})
