"""Whether a header is a margin state of a network: its bytes, its certificate, and that the two belong together.

Pure; used by nodes that catch up and by every client. Must not know where the bytes came from.
"""

from __future__ import annotations

from chains.errors import SignatureError
from node.model.certificate import CommitCertificate, verify_certificate
from node.model.header import Header
from node.model.network import Network


def verify_state(network: Network, header: bytes, certificate: bytes) -> tuple[Header, CommitCertificate]:
    """The header and certificate, decoded, when a quorum of the network certified that very header.

    Raises Malformed for bytes that are neither, SignatureError for another network, another header or a signature
    that does not hold, QuorumError for too few signatures.
    """
    decoded, certified = Header.decode(header), CommitCertificate.decode(certificate)
    if decoded.network_id != network.network_id or decoded.config_digest != network.digest:
        raise SignatureError(
            "refuse the state of another network", network_id=decoded.network_id, config_digest=decoded.config_digest
        )
    outcome = decoded.hash()
    if certified.outcome_digest != outcome or certified.seq != decoded.sequence:
        raise SignatureError(
            "refuse a certificate that is of another state",
            header=outcome,
            certified=certified.outcome_digest,
            sequence=decoded.sequence,
            certified_sequence=certified.seq,
        )
    verify_certificate(certified, network.digest, [node.consensus_key for node in network.nodes], network.f)
    return decoded, certified
