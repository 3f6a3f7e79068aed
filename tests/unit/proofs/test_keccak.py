import pytest
from Crypto.Hash import SHA3_256

from chains.proofs import keccak as module
from chains.proofs.keccak import EMPTY_CODE_HASH, cryptodome_keccak, keccak


def test_the_hash_of_nothing_is_the_one_that_every_account_without_code_has() -> None:
    assert EMPTY_CODE_HASH.hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert SHA3_256.new(b"").digest() != EMPTY_CODE_HASH  # the padding differs from the later standard


@pytest.mark.parametrize("size", [0, 1, 31, 32, 135, 136, 137, 271, 272, 532, 5000])
def test_both_libraries_agree_around_the_block_size(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    assert module._fastest()(data) == keccak(data) == cryptodome_keccak(data)


def test_the_slower_library_stands_in_where_the_faster_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sha3", None)
    assert module._fastest() is cryptodome_keccak
