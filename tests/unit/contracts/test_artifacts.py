from __future__ import annotations

from typing import cast, get_args

import pytest

from chains.evm.contracts import ContractName, UnknownContract, artifact


@pytest.mark.parametrize("name", get_args(ContractName))
def test_every_contract_can_be_deployed(name: ContractName) -> None:
    compiled = artifact(name)
    assert compiled.name == name
    assert 0 < len(compiled.runtime) < len(compiled.bytecode)
    assert len(compiled.runtime) <= 24_576, "the limit of EIP-170"
    assert any(entry["type"] == "constructor" for entry in compiled.abi)


def test_an_artifact_is_read_once() -> None:
    assert artifact("PriceFeed") is artifact("PriceFeed")


def test_there_is_no_such_contract() -> None:
    with pytest.raises(UnknownContract, match="no artifact"):
        artifact(cast("ContractName", "../PriceFeed"))


def test_slots_are_known_by_label() -> None:
    vault = artifact("CollateralVault")
    assert [vault.slot(label) for label in ("balances", "nonces", "totals")] == [0, 1, 2]
    with pytest.raises(UnknownContract) as caught:
        vault.slot("owner")
    assert caught.value.values == {"contract": "CollateralVault", "label": "owner"}


def test_immutables_go_into_the_code() -> None:
    feed = artifact("PriceFeed")
    code = feed.instance_code({"decimals": 8, "updater": 2**160 - 1})
    assert len(code) == len(feed.runtime)
    for start, length in feed.immutables["decimals"]:
        assert code[start : start + length] == (8).to_bytes(32, "big")
    untouched = feed.instance_code({"decimals": 0, "updater": 0})
    assert untouched == feed.runtime


@pytest.mark.parametrize("given", [{"decimals": 8}, {"decimals": 8, "updater": 1, "owner": 2}])
def test_all_immutables_are_needed(given: dict[str, int]) -> None:
    with pytest.raises(UnknownContract, match="every immutable"):
        artifact("PriceFeed").instance_code(given)
