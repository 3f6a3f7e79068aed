"""Signatures of owners, venues and nodes: who signed, in which form, and everything that is none."""

from __future__ import annotations

import coincurve
import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import QuorumError, SignatureError
from chains.proofs.keccak import keccak
from chains.types import Hash32
from node.model.signatures import (
    address_of,
    pack,
    recover,
    recover_compact,
    sign,
    sign_compact,
    verify_packed,
)
from tests.kit import address, key

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
DIGEST = Hash32(keccak(b"what is signed"))
SIGNERS = tuple(address(f"node {index}") for index in range(4))

digests = st.binary(min_size=32, max_size=32).map(Hash32)
names = st.text(min_size=1, max_size=4)


def flipped(signature: bytes) -> bytes:
    """The other form of the same signature: s replaced by n - s, and the recovery id by its opposite."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


@given(digests, names)
@settings(max_examples=25)
def test_what_eth_account_signs_recovers_to_its_address_and_ours_to_it(digest: Hash32, name: str) -> None:
    theirs = Account.unsafe_sign_hash(digest, key(name).secret)
    assert recover(digest, bytes(theirs.signature)) == address(name)
    assert sign(key(name), digest) == bytes(theirs.signature)
    assert (
        Account._recover_hash(digest, signature=sign(key(name), digest)) == Account.from_key(key(name).secret).address
    )
    assert address_of(key(name).public_key) == address(name)


@given(digests, names)
@settings(max_examples=25)
def test_a_compact_signature_always_has_v_27(digest: Hash32, name: str) -> None:
    made = sign_compact(key(name), digest)
    assert len(made) == 64
    assert recover_compact(digest, made) == address(name)
    s = int.from_bytes(made[32:], "big")
    full = sign(key(name), digest)
    assert (s <= ORDER // 2) == (full[64] == 27)
    assert made[:32] == full[:32]


def test_both_recovery_ids_occur() -> None:
    """Or the test above would prove nothing of one of them."""
    made = [sign(key("a"), Hash32(keccak(bytes([number]))))[64] for number in range(20)]
    assert {27, 28} == set(made)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        sign(key("a"), DIGEST)[:64],
        sign(key("a"), DIGEST) + b"\0",
        sign(key("a"), DIGEST)[:64] + b"\0",
        sign(key("a"), DIGEST)[:64] + b"\x1d",
        bytes(64) + b"\x1b",
        b"\xff" * 64 + b"\x1b",
        ORDER.to_bytes(32, "big") + b"\1".rjust(32, b"\0") + b"\x1b",
        b"\1".rjust(32, b"\0") + bytes(32) + b"\x1b",
        flipped(sign(key("a"), DIGEST)),
    ],
    ids=["empty", "64", "66", "v 0", "v 29", "zeros", "ones", "r = n", "s = 0", "high s"],
)
def test_a_signature_in_another_form_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        recover(DIGEST, signature)


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64])
def test_a_compact_signature_in_another_form_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        recover_compact(DIGEST, signature)


def test_a_digest_of_another_length_is_refused() -> None:
    with pytest.raises(SignatureError):
        recover(Hash32(DIGEST[:31]), sign(key("a"), DIGEST))


@given(st.integers(0, 8 * 65 - 1))
def test_a_flipped_bit_leads_to_nobody_or_somebody_else(bit: int) -> None:
    changed = bytearray(sign(key("a"), DIGEST))
    changed[bit >> 3] ^= 1 << (bit & 7)
    try:
        found = recover(DIGEST, bytes(changed))
    except SignatureError:
        return
    assert found != address("a")


# === Packed for the contracts ===


def signed_by(*indices: int, digest: Hash32 = DIGEST) -> dict[int, bytes]:
    return {index: sign_compact(key(f"node {index}"), digest) for index in indices}


@pytest.mark.parametrize("indices", [(0, 1, 2), (1, 2, 3), (0, 2, 3)])
def test_a_quorum_is_packed_and_verified(indices: tuple[int, ...]) -> None:
    packed = pack(signed_by(*reversed(indices)), 3)
    assert int.from_bytes(packed[:4], "big") == sum(1 << index for index in indices)
    assert verify_packed(DIGEST, packed, SIGNERS, 3) == indices


def test_of_more_signatures_the_lowest_indices_are_packed() -> None:
    assert verify_packed(DIGEST, pack(signed_by(3, 2, 1, 0), 3), SIGNERS, 3) == (0, 1, 2)


def test_too_few_are_not_packed() -> None:
    with pytest.raises(QuorumError):
        pack(signed_by(0, 1), 3)


PACKED = pack(signed_by(0, 1, 3), 3)


@pytest.mark.parametrize(
    ("packed", "error"),
    [
        (b"", SignatureError),
        (PACKED[:3], SignatureError),
        (PACKED[:-1], SignatureError),
        (PACKED + b"\0", SignatureError),
        (PACKED[:-64], SignatureError),
        (b"\0\0\0\x07" + PACKED[4:], SignatureError),
        (PACKED[:4] + PACKED[68:132] + PACKED[4:68] + PACKED[132:], SignatureError),
        (b"\0\0\0\x13" + PACKED[4:], SignatureError),
        (b"\x80\0\0\x03" + PACKED[4:], SignatureError),
        (b"\0\0\0\x0f" + PACKED[4:] + signed_by(2)[2], QuorumError),
        (b"\0\0\0\x03" + PACKED[4:132], QuorumError),
        (bytes(4), QuorumError),
        (PACKED[:4] + PACKED[4:68] * 3, SignatureError),
        (PACKED[:68] + bytes(64) + PACKED[132:], SignatureError),
        (pack(signed_by(0, 1, 3, digest=Hash32(keccak(b"another"))), 3), SignatureError),
    ],
    ids=[
        "empty", "short mask", "cut", "extended", "one missing", "another node's", "swapped", "no such node", "top bit",
        "more than the quorum", "fewer than the quorum", "nobody", "one for three", "zeros", "another digest",
    ],
)  # fmt: skip
def test_anything_but_exactly_a_quorum_in_order_is_refused(packed: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        verify_packed(DIGEST, packed, SIGNERS, 3)


def test_the_form_with_v_28_is_refused() -> None:
    """It would recover to another key: a contract that reads v = 27 must not be told otherwise."""
    mine = signed_by(0, 1, 3)
    s = ORDER - int.from_bytes(mine[1][32:], "big")
    mine[1] = mine[1][:32] + s.to_bytes(32, "big")
    with pytest.raises(SignatureError):
        verify_packed(DIGEST, pack(mine, 3), SIGNERS, 3)


def test_a_key_is_not_confused_with_its_address() -> None:
    assert len(address_of(coincurve.PrivateKey(b"\1" * 32).public_key)) == 20
    expected = bytes.fromhex("7e5f4552091a69125d5dfcb7b8c2659029395bdf")  # the well-known address of the key 1
    assert address_of(coincurve.PrivateKey((1).to_bytes(32, "big")).public_key) == expected
