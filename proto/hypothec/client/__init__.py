"""A client that checks certificate, inclusion and figures itself and refuses what does not hold.

    from hypothec.client import ReportChain, LocalKey, VenueClient

    async with VenueClient("node-1.example:7403", network, tls, max_age_ms=5_000) as node:
        answer = await node.get_health(account)                 # verified and computed again, or an exception
        print(answer.health.status.name, answer.health.maintenance_excess.low)
        answer.save(Path("health.json"))                        # `hypothec verify health.json` needs no connection

        async for changed in node.watch_health([account]):
            for account_id, found in changed.accounts.items():
                print(changed.header.sequence, account_id.hex(), found.health.status.name)

        chain = ReportChain(network.network_id, "venue-a", LocalKey(secret))
        await node.report_positions(chain.next([entry], time_ms))

`network` (node.model.network.Network) is all that is trusted: who the nodes are, and how many of them may lie.
"""

from hypothec.client.errors import AnswerMismatch, SequenceRegressed, ServiceRefused, ServiceUnavailable, TooOld
from hypothec.client.health import AccountAnswer
from hypothec.client.owner import OwnerClient, RequestStatus
from hypothec.client.saved import Saved, load_answer, save_answer
from hypothec.client.signing import (
    EthAccount,
    LocalKey,
    Payment,
    ReportChain,
    Signer,
    authorize_venue,
    link,
    link_wallet,
    revoke_venue,
    unlink,
    watch_wallet,
    withdrawal,
)
from hypothec.client.venue import VenueClient
from hypothec.client.verifier import Verifier
from node.attestation.answer import VerifiedAccount, VerifiedAnswer, verify_answer
from node.attestation.release import AttestedRelease

__all__ = [
    "AccountAnswer",
    "AnswerMismatch",
    "AttestedRelease",
    "EthAccount",
    "LocalKey",
    "OwnerClient",
    "Payment",
    "ReportChain",
    "RequestStatus",
    "Saved",
    "SequenceRegressed",
    "ServiceRefused",
    "ServiceUnavailable",
    "Signer",
    "TooOld",
    "VenueClient",
    "VerifiedAccount",
    "VerifiedAnswer",
    "Verifier",
    "authorize_venue",
    "link",
    "link_wallet",
    "load_answer",
    "revoke_venue",
    "save_answer",
    "unlink",
    "verify_answer",
    "watch_wallet",
    "withdrawal",
]
