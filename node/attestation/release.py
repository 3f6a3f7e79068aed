"""A release together with what makes a vault pay: the signatures of a quorum. Pure.

Must not know how signatures are gathered, nor what became of the release on its chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.errors import ClaimMismatch
from node.attestation.signed_state import verify_state
from node.model.digests import Release
from node.model.network import Network
from node.model.signatures import verify_packed


@dataclass(frozen=True, slots=True)
class AttestedRelease:
    """`signatures` as the contracts read them (see signatures.pack).

    `header` and `certificate` are the canonical bytes of the state that the release names, both empty where a node
    does not keep that state any more: the signatures bind its hash all the same.
    """

    release: Release
    signatures: bytes
    header: bytes = b""
    certificate: bytes = b""

    def check(self, network: Network) -> tuple[int, ...]:
        """The indices of the nodes that signed.

        Raises SignatureError or QuorumError as the contract would refuse it, ClaimMismatch for another state than the
        one that the release names, and what verify_state raises for one that does not hold.
        """
        signers = verify_packed(self.release.digest(network.digest), self.signatures, network.signers, network.quorum)
        if self.header or self.certificate:
            header, _ = verify_state(network, self.header, self.certificate)
            named = (self.release.sequence, self.release.header_hash)
            if (header.sequence, header.hash()) != named:
                raise ClaimMismatch(
                    "refuse another state than the release names", named=named[0], given=header.sequence
                )
        return signers
