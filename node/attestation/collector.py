"""Gathers the nodes' signatures over each statement until they bind. Sans-I/O.

A signature counts only for a statement that this node derived itself; one that comes early, for a state that this node
is about to commit, waits in a bounded place. Must not know transports or who waits for the result.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from chains.errors import SignatureError
from chains.types import Hash32
from node.attestation.statements import Statement
from node.model.codec import Reader, Writer
from node.model.network import Network
from node.model.signatures import pack, recover_compact

_VERSION = 1
MAX_SHARES = 1024
"""Signatures in one message."""
KEPT_EARLY = 1024
"""Signatures of one node over what this node has not derived; a node that sends more loses its own oldest."""
KEPT_CLOSED = 256
"""Statements that are kept after the state that called for them has been replaced."""


@dataclass(frozen=True, slots=True)
class Share:
    """One node's signature (64 bytes, v = 27) over one digest."""

    digest: Hash32
    signature: bytes


def encode_shares(shares: Iterable[Share]) -> bytes:
    """The message in which a node tells its signatures."""
    writer = Writer().u8(_VERSION)
    return writer.many(shares, lambda w, share: w.raw(share.digest, 32).raw(share.signature, 64)).done()


def decode_shares(data: bytes) -> tuple[Share, ...]:
    """Raises Malformed."""
    reader = Reader(data, "signature shares")
    reader.version(_VERSION)
    shares = reader.many(lambda r: Share(Hash32(r.raw(32)), r.raw(64)), MAX_SHARES)
    reader.done()
    return shares


class Collector:
    """Signatures by digest and node; `packed` gives a statement's signatures once they are a quorum."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._statements: OrderedDict[Hash32, Statement] = OrderedDict()
        self._signatures: dict[Hash32, dict[int, bytes]] = {}
        self._early: dict[int, OrderedDict[Hash32, bytes]] = {node: OrderedDict() for node in range(network.n)}
        self._packed: dict[Hash32, bytes] = {}

    def expect(self, statement: Statement) -> bool:
        """Take up a statement that this node derived. True when its early signatures already bind it."""
        if statement.digest in self._statements:
            return False
        self._statements[statement.digest] = statement
        self._signatures[statement.digest] = {}
        done = False
        for node, early in self._early.items():
            signature = early.pop(statement.digest, None)
            if signature is None:
                continue
            try:
                done = self.add(node, Share(statement.digest, signature)) or done
            except SignatureError:
                continue  # it was not checked when it came; the node that sent it gains nothing
        return done

    def keep(self, current: Collection[Hash32]) -> None:
        """Forget the oldest of the statements that are not `current`."""
        closed = [digest for digest in self._statements if digest not in current]
        for digest in closed[: max(0, len(closed) - KEPT_CLOSED)]:
            del self._statements[digest], self._signatures[digest]
            self._packed.pop(digest, None)

    def add(self, node: int, share: Share) -> bool:
        """Count one node's signature. True when it is the one that makes the statement binding.

        Raises SignatureError when it is not that node's over that digest.
        """
        statement = self._statements.get(share.digest)
        if statement is None:
            early = self._early[node]
            early[share.digest] = share.signature
            while len(early) > KEPT_EARLY:
                early.popitem(last=False)
            return False
        held = self._signatures[share.digest]
        if node in held or share.digest in self._packed:
            return False
        signer = recover_compact(share.digest, share.signature)
        if signer != self._network.signers[node]:
            raise SignatureError("sign with the key of the configuration", node=node, signer=signer)
        held[node] = share.signature
        if len(held) < statement.quorum:
            return False
        self._packed[share.digest] = pack(held, statement.quorum)
        return True

    def statement(self, digest: Hash32) -> Statement | None:
        return self._statements.get(digest)

    def packed(self, digest: Hash32) -> bytes | None:
        """The signatures in the contracts' form, or None while there are too few."""
        return self._packed.get(digest)

    def holders(self, digest: Hash32) -> tuple[int, ...]:
        """The nodes whose signature over `digest` is here."""
        return tuple(sorted(self._signatures.get(digest, ())))

    @property
    def incomplete(self) -> tuple[Statement, ...]:
        """Statements that still lack signatures, oldest first."""
        return tuple(item for digest, item in self._statements.items() if digest not in self._packed)
