from typing import Any

import pytest

from chains.errors import HeaderMismatch, MalformedProof, OversizedProof
from chains.proofs import rlp
from chains.proofs.header import check_linked, decode_header, verify_header
from chains.types import Hash32
from tests.unit.proofs.chain import block, hexed

FORKS = {
    "Frontier": ["baseFeePerGas"],
    "London": ["withdrawalsRoot"],
    "Shanghai": ["blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot"],
    "Cancun": ["requestsHash"],
    "Prague": ["blockAccessListHash", "slotNumber"],
    "Amsterdam": [],
}
NEWEST = {"blockAccessListHash": hexed(b"\x55" * 32), "slotNumber": "0xb12345"}


def of_fork(fork: str) -> dict[str, object]:
    later = [name for added in list(FORKS.values())[list(FORKS).index(fork) :] for name in added]
    return block(**NEWEST | dict.fromkeys(later))


@pytest.mark.parametrize("fork", FORKS)
def test_the_header_of_each_fork_hashes_to_its_hash(fork: str) -> None:
    header = verify_header(of_fork(fork))
    assert header.number == 100
    assert (header.requests_hash is not None) == (fork in {"Prague", "Amsterdam"})
    assert (header.parent_beacon_block_root is not None) == (fork in {"Cancun", "Prague", "Amsterdam"})
    assert (header.withdrawals_root is not None) == (fork not in {"Frontier", "London"})
    assert (header.base_fee is not None) == (fork != "Frontier")


@pytest.mark.parametrize("fork", FORKS)
def test_a_field_of_a_later_fork_that_the_hash_does_not_cover_is_not_believed(fork: str) -> None:
    shown = of_fork("Amsterdam") | {"hash": of_fork(fork)["hash"]}
    assert verify_header(shown) == verify_header(of_fork(fork))


def test_a_chain_may_take_over_a_part_of_a_fork() -> None:
    header = verify_header(block(parentBeaconBlockRoot=None, requestsHash=None))
    assert header.withdrawals_root is not None
    assert header.parent_beacon_block_root is None


def test_validators_in_the_extra_data_are_hashed_with_it() -> None:
    header = verify_header(block(extraData="0x" + "ab" * 20_000))
    assert len(header.extra_data) == 20_000


@pytest.mark.parametrize("field", [name for name in of_fork("Amsterdam") if name != "hash"])
def test_a_change_of_any_hashed_field_is_refused(field: str) -> None:
    changed: dict[str, Any] = of_fork("Amsterdam")
    changed[field] = changed[field][:-1] + ("1" if changed[field][-1] == "0" else "0")
    with pytest.raises(HeaderMismatch):
        verify_header(changed)


@pytest.mark.parametrize("field", [*list(block())[:15], "hash"])
@pytest.mark.parametrize("value", [None, 5, "5", "0x", "0xzz", "0x 1", "0x1_0", ["0x1"], {"a": 1}, "0x" + "1" * 70_000])
def test_a_field_of_the_wrong_form_is_named(field: str, value: object) -> None:
    if field == "extraData" and value == "0x":
        return  # which is its shortest right form
    with pytest.raises((MalformedProof, OversizedProof), match=f"block.{field}"):
        verify_header(block() | {field: value})


@pytest.mark.parametrize("value", [None, [], "0x", 5])
def test_what_is_no_block_is_refused(value: object) -> None:
    with pytest.raises(MalformedProof):
        verify_header(value)


def test_what_the_hash_does_not_cover_is_ignored() -> None:
    extras = {"size": "0x1", "uncles": "junk", "transactions": None, "totalDifficulty": "0x9", "l1BlockNumber": 7}
    assert verify_header(block() | extras) == verify_header(block())


def test_another_block_than_expected_is_refused() -> None:
    header = verify_header(block())
    assert verify_header(block(), header.hash) == header
    with pytest.raises(HeaderMismatch, match="another"):
        verify_header(block(), Hash32(bytes(32)))


def test_headers_link_by_hash_and_by_number() -> None:
    first = verify_header(block())
    second = verify_header(block(number="0x65", parentHash=hexed(first.hash)))
    skipping = verify_header(block(number="0x66", parentHash=hexed(first.hash)))
    stranger = verify_header(block(number="0x65"))
    check_linked([])
    check_linked([first])
    check_linked([first, second])
    for run in ([second, first], [first, skipping], [first, stranger], [first, first], [first, second, second]):
        with pytest.raises(HeaderMismatch):
            check_linked(run)


def test_a_header_is_decoded_from_its_own_bytes() -> None:
    fields = block()
    raw = rlp.encode(
        [
            rlp.uint_bytes(int(value, 16)) if len(value) < 18 and name != "extraData" else bytes.fromhex(value[2:])
            for name, value in fields.items()
            if name != "hash"
        ]
    )
    assert decode_header(raw) == verify_header(fields)
    with pytest.raises(MalformedProof):
        decode_header(raw + b"\0")
    with pytest.raises(MalformedProof):
        decode_header(rlp.encode([b""] * 21))
    with pytest.raises(MalformedProof):
        decode_header(rlp.encode([b""] * 14))
    with pytest.raises(MalformedProof):
        decode_header(rlp.encode([b""] * 24))
