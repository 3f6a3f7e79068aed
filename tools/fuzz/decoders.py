"""The decoders that strangers reach: each accepts only what it would encode to, or reads text as what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from chains import strict_json
from chains.errors import ConfigError, ProofError
from chains.proofs import eip1186, header, parse, receipts, rlp
from chains.proofs.keccak import keccak
from chains.proofs.lightclient import read, write
from chains.proofs.lightclient.config import BeaconConfig
from node.consensus.protocol.errors import MalformedMessage, OversizedMessage
from node.consensus.protocol.messages import decode_message, encode_message
from node.margin.policy import Policy
from node.model.books import BookChanges
from node.model.codec import Malformed
from node.model.merkle import MerkleMap
from tests import beacon, kit
from tests.property.model.test_codec import FORMS, Form
from tests.unit.consensus.test_messages import CONFIG, ONE_OF_EACH
from tests.unit.proofs import chain, test_receipts
from tools.fuzz.target import Fault, Json, NotJson, Target, as_text, expect, from_json

T = TypeVar("T")


def _drawn(values: SearchStrategy[T], count: int = 20) -> list[T]:
    found: list[T] = []

    @seed(0)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    @given(values)
    def keep(value: T) -> None:
        found.append(value)

    keep()
    return found


# === One encoding for each value ===


def _canonical(
    seeds: Iterable[bytes],
    decode: Callable[[bytes], T],
    encode: Callable[[T], bytes],
    refusals: tuple[type[Exception], ...],
) -> Target:
    def check(data: bytes) -> None:
        expect(encode(decode(data)), data, "a second encoding is accepted")

    return Target(tuple(seeds), check, refusals)


def _form(form: Form) -> Target:
    return _canonical(map(form.encode, _drawn(form.values)), form.decode, form.encode, (Malformed,))


def _rlp() -> Target:
    seeds = (
        *test_receipts.ENCODED[:2],
        *chain.STATE.prove(keccak(chain.PLAIN)),
        rlp.encode([[[b"", b"a"]], b"b" * 300]),
    )
    return _canonical(seeds, rlp.decode, rlp.encode, (ProofError,))


def _account() -> Target:
    seeds = map(eip1186.encode_account, chain.ACCOUNTS.values())
    return _canonical(seeds, eip1186.decode_account, eip1186.encode_account, (ProofError,))


def _receipt() -> Target:
    return _canonical(test_receipts.ENCODED, receipts.decode_receipt, receipts.encode_receipt, (ProofError,))


def _books() -> Target:
    after = MerkleMap.of({keccak(b"%d" % n): b"v" * n for n in range(9)})
    before = after.updated({keccak(b"1"): None, keccak(b"x"): b"y", keccak(b"2"): b"z"})
    seeds = [BookChanges.between(kit.ONE, old, after).encode() for old in (before, after, MerkleMap())]
    return _canonical(seeds, BookChanges.decode, BookChanges.encode, (Malformed,))


def _message() -> Target:
    decode = partial(decode_message, config=CONFIG)
    return _canonical(map(encode_message, ONE_OF_EACH), decode, encode_message, (MalformedMessage, OversizedMessage))


def _policy() -> Target:
    return _canonical([kit.policy().body], Policy.parse, lambda policy: policy.body, (ConfigError,))


def _header() -> Target:
    def check(data: bytes) -> None:
        expect(header.decode_header(data).hash, keccak(data), "a header has another hash")
        expect(rlp.encode(rlp.decode(data)), data, "a second encoding is accepted")

    # All that Prague has, in order; a five is a number in its one form.
    sizes = (32, 32, 20, 32, 32, 32, 256, 1, 1, 1, 1, 1, 5, 32, 8, 1, 32, 1, 1, 32, 32)
    fields = [b"\5" * size for size in sizes]
    return Target(tuple(rlp.encode(fields[:count]) for count in (15, 16, 17, 20, 21)), check, (ProofError,))


# === Text ===


def _strict_json() -> Target:
    def check(data: bytes) -> None:
        value = from_json(data)
        try:
            other = json.loads(data.decode())
        except ValueError as error:
            raise Fault(f"what is no JSON is read as {value!r}") from error
        expect(repr(value), repr(other), "JSON is read as something else")
        if _depth(value) > strict_json.MAX_DEPTH:
            raise Fault("nests deeper than the bound")

    texts = ('{"a": [1, -2.5e3, null, true, "\\u0122\\""]}', "[" * 32 + "]" * 32, '["\u0122", {}, "\u0122"]')
    encoded = tuple(text.encode(code) for text in texts for code in ("utf-16-le", "utf-16-be"))
    return Target(tuple(map(str.encode, texts)), check, (NotJson,), refused=encoded)


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _parse() -> Target:
    def check(data: bytes) -> None:
        text = data.decode(errors="surrogateescape")
        readers: list[tuple[Callable[[object, str], object], Callable[[], object]]] = [
            (parse.quantity, lambda: int(text, 16)),
            (parse.slot, lambda: int(text, 16).to_bytes(32, "big")),
            (read.uint, lambda: int(text, 0)),
            *((reader, lambda: bytes.fromhex(text[2:])) for reader in (parse.hash32, parse.address, _data)),
        ]
        for reader, expected in readers:
            try:
                found = reader(text, "field")
            except ProofError:
                continue
            expect(found, expected(), "text is read as another value")
            if isinstance(found, bytes) and reader is not parse.slot:
                expect("0x" + found.hex(), text.lower(), "bytes have a second form")

    seeds = (b"0x", b"0x0", b"0x" + b"aB" * 20, b"0x" + b"0f" * 32, b"18446744073709551615", b"0x0123456789")
    return Target(seeds, check, ())


def _data(value: object, field: str) -> bytes:
    return parse.data(value, field, most=64)


def _light_client() -> Target:
    def check(data: bytes) -> None:
        value = from_json(data)
        for reader, writer in kinds:
            try:
                written = writer(beacon.CONFIG, reader(value))
            except ProofError:
                continue
            expect(writer(beacon.CONFIG, reader(written)), written, "what is written is read as another")

    kinds: list[tuple[Callable[[object], Any], Callable[[BeaconConfig, Any], Json]]] = [
        (read.bootstrap, write.bootstrap),
        (read.update, write.update),
        (read.store, write.store),
    ]
    updates = [beacon.CHAIN.update(slot + 5, slot + 2, following=True) for slot in range(0, 32, 8)]
    seeds = [write.update(beacon.CONFIG, update) for update in updates]
    seeds += [write.bootstrap(beacon.CONFIG, beacon.CHAIN.bootstrap(slot)) for slot in (0, 16, 24)]
    return Target(tuple(as_text(value) for value in seeds), check, (NotJson,), is_json=True)


DECODERS: Mapping[str, Callable[[], Target]] = {
    "account": _account,
    "books": _books,
    "header": _header,
    "light-client": _light_client,
    "message": _message,
    "parse": _parse,
    "policy": _policy,
    "receipt": _receipt,
    "rlp": _rlp,
    "strict-json": _strict_json,
    **{f"model-{name}": partial(_form, form) for name, form in FORMS.items()},
}
"""Each target by its name, made when it is asked for."""
