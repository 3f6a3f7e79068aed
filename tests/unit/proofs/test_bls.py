"""The two libraries behind committee signatures say what a third one says; what all of them let pass is refused."""

import milagro_bls_binding as milagro
import pytest

from chains.errors import MalformedProof
from chains.proofs.lightclient import bls

BACKENDS = [bls.pyblst_backend(), bls.arkworks_backend()]
MESSAGE = bytes(range(32))
SECRETS = [n.to_bytes(32, "big") for n in range(1, 9)]
KEYS = tuple(milagro.SkToPk(secret) for secret in SECRETS)
SIGNATURE = milagro.Aggregate([milagro.Sign(secret, MESSAGE) for secret in SECRETS])
ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
INFINITY = b"\xc0" + bytes(47)
# On the curve with x = 4, but in none of the subgroup's cosets that matter.
OUTSIDE = b"\x80" + bytes(46) + b"\x04"


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> bls.Backend:
    found: bls.Backend = request.param
    return found


def verify(backend: bls.Backend, keys: tuple[bytes, ...], message: bytes, signature: bytes) -> bool:
    return bls.fast_aggregate_verify(bls.member_points(keys, backend), message, signature, backend)


@pytest.mark.parametrize(
    ("keys", "message", "signature"),
    [
        (KEYS, MESSAGE, SIGNATURE),
        (KEYS[:1], MESSAGE, milagro.Sign(SECRETS[0], MESSAGE)),
        (KEYS[:-1], MESSAGE, SIGNATURE),
        ((*KEYS, KEYS[0]), MESSAGE, SIGNATURE),
        (KEYS[::-1], MESSAGE, SIGNATURE),
        (KEYS, bytes(32), SIGNATURE),
        (KEYS, MESSAGE, milagro.Sign(SECRETS[0], MESSAGE)),
    ],
)
def test_the_libraries_agree(backend: bls.Backend, keys: tuple[bytes, ...], message: bytes, signature: bytes) -> None:
    assert verify(backend, keys, message, signature) == milagro.FastAggregateVerify(list(keys), message, signature)


def test_what_all_signed_holds(backend: bls.Backend) -> None:
    assert verify(backend, KEYS, MESSAGE, SIGNATURE)


@pytest.mark.parametrize(
    "key", [INFINITY, OUTSIDE, bytes(48), b"\xff" * 48, KEYS[0][:-1], KEYS[0] + b"\0", b""], ids=repr
)
def test_what_is_no_key_is_refused(backend: bls.Backend, key: bytes) -> None:
    with pytest.raises(MalformedProof, match="public key"):
        bls.member_points((KEYS[0], key), backend)


@pytest.mark.parametrize("signature", [b"\xc0" + bytes(95), bytes(96), b"\xff" * 96, SIGNATURE[:-1], b""], ids=repr)
def test_what_is_no_signature_is_refused(backend: bls.Backend, signature: bytes) -> None:
    with pytest.raises(MalformedProof, match="signature"):
        verify(backend, KEYS, MESSAGE, signature)


def test_keys_that_cancel_each_other_out_sign_nothing(backend: bls.Backend) -> None:
    opposite = milagro.SkToPk((ORDER - 1).to_bytes(32, "big"))
    assert not verify(backend, (KEYS[0], opposite), MESSAGE, SIGNATURE)
    with pytest.raises(MalformedProof, match="infinity"):
        verify(backend, (KEYS[0], opposite), MESSAGE, INFINITY + bytes(48))


def test_a_member_that_sits_twice_counts_twice(backend: bls.Backend) -> None:
    twice = milagro.Aggregate([milagro.Sign(SECRETS[0], MESSAGE)] * 2)
    assert verify(backend, (KEYS[0], KEYS[0]), MESSAGE, twice)
    assert not verify(backend, KEYS[:1], MESSAGE, twice)
