"""Claims on L1: each is looked at once, newest first, and code that is not a contract's is the endpoint's lie."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chains.errors import ClaimMismatch, MalformedProof, OversizedProof, ProofError
from chains.evm.endpoint import Call, Endpoint
from chains.evm.questions import MAX_CODE, codes
from chains.evm.rollup import claims
from chains.proofs.header import verify_header
from chains.proofs.keccak import keccak
from chains.types import Address
from tests.unit.proofs.chain import block

ONE, TWO = Address(b"\1" * 20), Address(b"\2" * 20)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 33, 1023, 1024, 1025, 5000])
def test_each_claim_is_looked_at_once_and_newest_first(count: int) -> None:
    runs = claims.newest_first(count)
    looked_at = [index for run in runs for index in run]
    assert looked_at == list(range(count - 1, -1, -1))[: claims.MAX_CLAIMS]
    assert all(0 < len(run) <= claims.CLAIMS_A_LOOK for run in runs)


class Serves(Endpoint):
    """Gives these answers."""

    def __init__(self, *answers: object) -> None:
        self.name = "e"
        self._answers = list(answers)

    async def batch(self, calls: Sequence[Call]) -> list[object]:
        assert {call.method for call in calls} == {"eth_getCode"}
        return self._answers


async def test_code_is_believed_by_its_hash() -> None:
    wanted = {ONE: keccak(b"one"), TWO: keccak(b"two")}
    header = verify_header(block())
    answers = "0x" + b"one".hex(), "0x" + b"two".hex()
    assert await codes(Serves(*answers), header, wanted) == {ONE: b"one", TWO: b"two"}
    lies: list[tuple[object, type[ProofError]]] = [
        ("0x" + b"on".hex(), ClaimMismatch),
        ("0x", ClaimMismatch),
        (answers[1], ClaimMismatch),
        (None, MalformedProof),
        ("0x" + "00" * (MAX_CODE + 1), OversizedProof),
    ]
    for lie, kind in lies:
        with pytest.raises(kind):
            await codes(Serves(lie, answers[1]), header, wanted)
