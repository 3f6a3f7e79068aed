"""The stored form of a bound statement. It never leaves the node; only its digest was signed."""

from __future__ import annotations

from chains.types import AccountId, Address, ChainId, Hash32
from node.attestation.statements import Statement
from node.model.codec import Malformed, Reader, Writer
from node.model.digests import Release, ReleaseKind
from node.model.ledger import read_item, write_item

_VERSION = 1
_MAX_ITEMS = 1 << 16
_KINDS = (ReleaseKind.WITHDRAWAL, ReleaseKind.SEIZURE)


def encode_statement(statement: Statement) -> bytes:
    """Fields in the order of the class; of a release only what the statement does not say itself."""
    writer = Writer().u8(_VERSION).u64(statement.sequence).text(statement.purpose).u64(statement.chain_id)
    writer.raw(statement.contract, 20).raw(statement.account, 32).raw(statement.digest, 32).u8(statement.quorum)
    writer.flag(statement.release is not None)
    if (release := statement.release) is not None:
        writer.u8(_KINDS.index(release.kind)).u64(release.nonce).raw(release.payee, 20)
        writer.many(release.items, write_item)
        writer.raw(release.reference, 32).raw(release.header_hash, 32).u64(release.expiry)
    return writer.done()


def decode_statement(data: bytes) -> Statement:
    """Raises Malformed."""
    reader = Reader(data, "stored statement")
    reader.version(_VERSION)
    sequence, purpose, chain_id = reader.u64(), reader.text(), ChainId(reader.u64())
    contract, account, digest = Address(reader.raw(20)), AccountId(reader.raw(32)), Hash32(reader.raw(32))
    quorum = reader.u8()
    release: Release | None = None
    if reader.flag():
        kind = reader.u8()
        if kind >= len(_KINDS):
            raise Malformed("use a known kind of release", kind=kind)
        nonce, payee = reader.u64(), Address(reader.raw(20))
        items = reader.many(read_item, _MAX_ITEMS)
        reference, header_hash, expiry = Hash32(reader.raw(32)), Hash32(reader.raw(32)), reader.u64()
        release = Release(
            _KINDS[kind],
            chain_id,
            contract,
            account,
            nonce,
            payee,
            items,
            reference,
            sequence,
            header_hash,
            expiry,
        )
    reader.done()
    return Statement(sequence, purpose, chain_id, contract, account, digest, quorum, release)
