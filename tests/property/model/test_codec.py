"""A value has exactly one encoding: whatever decodes, encodes to the very bytes that it was decoded from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from node.attestation.collector import Share, decode_shares, encode_shares
from node.model.certificate import CommitCertificate
from node.model.codec import Malformed
from node.model.frame import FramePrice
from node.model.header import Header
from node.model.ledger import AccountRecord, Holdings, Obligations, decode_token, encode_token
from node.model.merkle import MapProof, MerkleMap
from node.model.reports import Report
from node.model.requests import decode_request, encode_request
from node.model.state import Control
from tests.property.model import strategies as values


@dataclass(frozen=True)
class Form:
    """One kind of value, its encoder and its decoder."""

    values: SearchStrategy[Any]
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes] = lambda value: value.encode()


def _proofs() -> SearchStrategy[MapProof]:
    return st.builds(lambda leaves, key: MerkleMap.of(leaves).prove(key), values.leaf_maps, values.hash32)


FORMS = {
    "header": Form(values.headers, Header.decode),
    "control": Form(values.controls, Control.decode),
    "holdings": Form(values.holdings, Holdings.decode),
    "token": Form(values.token_facts, decode_token, encode_token),
    "obligations": Form(values.obligations, Obligations.decode),
    "account": Form(values.account_records, AccountRecord.decode),
    "price": Form(values.frame_prices, FramePrice.decode),
    "report": Form(values.reports, Report.decode),
    "request": Form(values.requests, decode_request, encode_request),
    "certificate": Form(values.certificates(), CommitCertificate.decode),
    "proof": Form(_proofs(), MapProof.decode),
    "shares": Form(values.some(st.builds(Share, values.hash32, values.signature64)), decode_shares, encode_shares),
}

each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


def refused_or_canonical(form: Form, data: bytes) -> None:
    """Nothing but Malformed may come of bytes from outside, and nothing that has a second encoding."""
    try:
        value = form.decode(data)
    except Malformed:
        return
    assert form.encode(value) == data


@each_form
@given(data=st.data())
@settings(max_examples=25)
def test_decodes_to_what_was_encoded(form: Form, data: st.DataObject) -> None:
    value = data.draw(form.values)
    assert form.decode(form.encode(value)) == value


@each_form
@given(data=st.data())
@settings(max_examples=10)
def test_every_changed_byte_is_refused_or_another_canonical_value(form: Form, data: st.DataObject) -> None:
    encoded = form.encode(data.draw(form.values))
    change = data.draw(st.integers(1, 255))
    for at in range(min(len(encoded), 300)):
        changed = bytearray(encoded)
        changed[at] ^= change
        refused_or_canonical(form, bytes(changed))


@each_form
@given(data=st.data())
@settings(max_examples=25)
def test_every_truncation_and_extension_is_refused(form: Form, data: st.DataObject) -> None:
    encoded = form.encode(data.draw(form.values))
    extension = data.draw(st.binary(min_size=1, max_size=4))
    for shorter in {0, 1, len(encoded) // 2, len(encoded) - 1}:
        with pytest.raises(Malformed):
            form.decode(encoded[:shorter])
    with pytest.raises(Malformed):
        form.decode(encoded + extension)


@each_form
@given(data=st.data())
@settings(max_examples=25)
def test_a_cut_out_or_doubled_part_is_refused_or_canonical(form: Form, data: st.DataObject) -> None:
    encoded = form.encode(data.draw(form.values))
    start = data.draw(st.integers(0, len(encoded)))
    end = data.draw(st.integers(start, len(encoded)))
    refused_or_canonical(form, encoded[:start] + encoded[end:])
    refused_or_canonical(form, encoded[:end] + encoded[start:])


@each_form
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused_or_canonical(form: Form, data: bytes) -> None:
    refused_or_canonical(form, data)
