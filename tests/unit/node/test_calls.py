"""What a contract gives as its reason for refusing a call, whatever an endpoint makes of it."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from web3.exceptions import ContractLogicError

from chains.proofs.keccak import keccak
from node.relay.calls import refusal
from node.relay.endpoint import Reverts

SHORT = keccak(b"ShortPayment(address,uint256,uint256)")[:4] + encode(
    ["address", "uint256", "uint256"], ["0x" + "0a" * 20, 419, 420]
)


def test_an_error_of_ours_is_named_with_its_values() -> None:
    assert refusal(SHORT) == f"ShortPayment(token=0x{'0a' * 20}, pays=419, minimum=420)"
    wrong = keccak(b"WrongNonce(bytes32,uint64,uint64)")[:4] + encode(
        ["bytes32", "uint64", "uint64"], [b"a" * 32, 2, 1]
    )
    assert refusal(wrong) == f"WrongNonce(account=0x{'61' * 32}, given=2, expected=1)"


@pytest.mark.parametrize("data", [b"", b"\x01", SHORT[:-1], SHORT[:4], b"\xff" * 500])
def test_anything_else_is_shown_as_it_is_and_no_longer_than_needed(data: bytes) -> None:
    assert refusal(data) == f"0x{data[:64].hex()}"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("0x0aff", b"\x0a\xff"), ("0x", b""), ("0xf", b""), ("none", b""), (None, b""), ({"a": "b"}, b"")],
)
def test_what_an_endpoint_passes_on_may_be_anything(given: str | dict[str, str] | None, kept: bytes) -> None:
    assert Reverts(ContractLogicError("execution reverted", given)).data == kept
