"""What a state says of one account, and that its header vouches for each word of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import InputError, LimitError
from chains.types import AccountId, Address, Amount, ChainId, Hash32
from node.model.codec import Malformed, Reader, Writer
from node.model.frame import Frame, FramePrice
from node.model.header import Header
from node.model.ledger import AccountRecord, FreeHoldings, Holdings, Obligations, VenueObligation
from node.model.merkle import MerkleMap
from node.model.state import State
from tests.property.model import strategies as values

ACCOUNT, OTHER = AccountId(b"\x01" * 32), AccountId(b"\x02" * 32)
RECORD = AccountRecord(Address(b"\x03" * 20), 4, (), ("ETH",), (), (), ())
HOLDINGS = Holdings(5, ((Address(b"\x06" * 20), Amount(7)),))
OBLIGATIONS = Obligations((VenueObligation("demo", 8, (), -9, 0),))


def ledger(state: State) -> State:
    """`state` with one account in it."""
    return replace(
        state,
        chains={ChainId(1): MerkleMap.of({ACCOUNT: HOLDINGS.encode()}), ChainId(10): MerkleMap()},
        obligations=MerkleMap.of({ACCOUNT: OBLIGATIONS.encode()}),
        accounts=MerkleMap.of({ACCOUNT: RECORD.encode()}),
    )


@given(values.states())
@settings(max_examples=5)
def test_a_view_holds_what_every_map_says_of_the_account(state: State) -> None:
    view = ledger(state).view(ACCOUNT)
    assert (view.record, view.obligations, dict(view.holdings)) == (RECORD, OBLIGATIONS, {ChainId(1): HOLDINGS})
    nothing = ledger(state).view(OTHER)
    assert (nothing.record, nothing.obligations, dict(nothing.holdings)) == (None, None, {})


@given(values.states(), values.hash32)
@settings(max_examples=20)
def test_every_leaf_is_proven_under_the_header(state: State, account: Hash32) -> None:
    header = state.header
    roots = {"accounts": header.accounts_root, "obligations": header.obligations_root}
    roots |= {f"chain:{chain.cut.chain_id}": chain.root for chain in header.chains}
    asked = [AccountId(account), *(AccountId(key) for key, _ in state.accounts)]
    for each in asked:
        found = {name: (leaf, proof) for name, leaf, proof in state.leaves(each)}
        assert list(found) == [name for name, _ in state.maps()]
        assert set(found) == set(roots)
        for name, (leaf, proof) in found.items():
            proof.check(roots[name], each, leaf)


@given(values.headers, st.data())
def test_a_header_is_named_by_all_of_it(header: Header, data: st.DataObject) -> None:
    other = data.draw(values.headers)
    assert (header.hash() == other.hash()) == (header == other)
    for chain in header.chains:
        assert header.chain(chain.cut.chain_id) == chain
    with pytest.raises(InputError):
        header.chain(ChainId(2**65))


@given(values.headers.filter(lambda header: len(header.chains) > 1))
def test_chains_stand_once_and_in_order(header: Header) -> None:
    for chains in (header.chains[::-1], header.chains[:1] * 2):
        with pytest.raises(Malformed, match="ascend"):
            Header.decode(replace(header, chains=chains).encode())


@given(st.lists(values.frame_prices, max_size=5, unique_by=lambda price: price.asset), st.data())
def test_a_frame_is_the_same_whatever_it_is_built_upon(prices: list[FramePrice], data: st.DataObject) -> None:
    before = data.draw(st.lists(values.frame_prices, max_size=5, unique_by=lambda price: price.asset))
    base = Frame.of({price.asset: price for price in before})
    fresh = Frame.of({price.asset: price for price in prices})
    upon = Frame.of({price.asset: price for price in prices}, base.map)
    assert (upon.map.root, list(upon)) == (fresh.map.root, sorted(prices, key=lambda price: price.asset))


def test_a_leaf_has_free_holdings_and_watched_wallets_in_one_form_alone() -> None:
    """Without any it is as it was before there were any, and with some they stand in order."""
    first, second = (FreeHoldings(Address(bytes([n]) * 20), ()) for n in (1, 2))
    place, other = (ChainId(1), first.wallet), (ChainId(2), first.wallet)
    assert Holdings.decode(replace(HOLDINGS, free=(first, second)).encode()).free == (first, second)
    assert Holdings(0, (), free=(first,)).leaf is not None
    assert Holdings(0, ()).leaf is None
    assert AccountRecord.decode(replace(RECORD, watched=(place, other)).encode()).watched == (place, other)
    token = Address(b"\7" * 20)
    for bad in (
        replace(HOLDINGS, free=(second, first)).encode(),
        replace(HOLDINGS, free=(first, first)).encode(),
        replace(HOLDINGS, free=(replace(first, balances=((token, None), (token, Amount(1)))),)).encode(),
        b"\4" + HOLDINGS.encode()[1:] + bytes(4),
    ):
        with pytest.raises(Malformed):
            Holdings.decode(bad)
    for bad in (
        replace(RECORD, watched=(other, place)).encode(),
        b"\4" + RECORD.encode()[1:] + bytes(8),
        b"\3" + RECORD.encode()[1:] + bytes(4),
    ):
        with pytest.raises(Malformed):
            AccountRecord.decode(bad)


# === Fields ===


@pytest.mark.parametrize(
    "write",
    [
        lambda w: w.u8(256),
        lambda w: w.u8(-1),
        lambda w: w.u64(2**64),
        lambda w: w.u256(2**256),
        lambda w: w.u256(-1),
        lambda w: w.i256(2**255),
        lambda w: w.i256(-(2**255) - 1),
        lambda w: w.raw(b"abc", 4),
        lambda w: w.raw(b"abcde", 4),
        lambda w: w.var(bytes((1 << 24) + 1)),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_refused(write: object) -> None:
    assert callable(write)
    with pytest.raises(LimitError):
        write(Writer())


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (b"\2", Reader.flag),
        (b"\0\0\0\5abcd", Reader.var),
        (b"\0\0\0\2\xc3\x28", Reader.text),
        (b"\0\0\1\1" + bytes(257), Reader.text),
        (b"\xff\xff\xff\xff", lambda reader: reader.many(Reader.u8, 10)),
        (b"\0\0\0\3\1\2", lambda reader: reader.many(Reader.u8, 10)),
        (b"\2", lambda reader: reader.version(1)),
        (b"\0", Reader.done),
    ],
)
def test_a_field_that_is_not_in_form_is_refused_with_its_place(data: bytes, read: object) -> None:
    assert callable(read)
    with pytest.raises(Malformed) as refusal:
        read(Reader(data, "test"))
    assert refusal.value.values["length"] == len(data)
    assert "malformed test" in str(refusal.value)
