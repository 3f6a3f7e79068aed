"""OperatorService: what this node does and why, for whoever runs it. Served on the loopback interface only."""

from __future__ import annotations

from chains.errors import InputError
from hypothec.v1 import operator_service_pb2 as pb
from node.model.identity import Role
from node.model.network import Network
from node.model.requests import PolicyActivation, decode_request, policy_hash
from node.rpc.guard import Caller, Rule
from node.rpc.ports import Inbox, StatusReader

SERVICE = pb.DESCRIPTOR.services_by_name["OperatorService"]
MAX_PAGE = 1_000
MAX_POLICY_REQUEST_BYTES = (1 << 20) + (64 << 10)
_DEFAULT_PAGE = 100
_OPERATORS = frozenset({Role.OPERATOR})
RULES = {
    "GetStatus": Rule(_OPERATORS),
    "ListEvidence": Rule(_OPERATORS, cost=lambda request: min(max(1, request.page_size), MAX_PAGE)),
    "SubmitPolicy": Rule(_OPERATORS, MAX_POLICY_REQUEST_BYTES),
}


class OperatorService:
    """See operator_service.proto."""

    def __init__(self, network: Network, reader: StatusReader, inbox: Inbox) -> None:
        self._network = network
        self._reader = reader
        self._inbox = inbox

    async def get_status(self, _: pb.GetStatusRequest, __: Caller) -> pb.GetStatusResponse:
        return self._reader.status()

    async def list_evidence(self, request: pb.ListEvidenceRequest, _: Caller) -> pb.ListEvidenceResponse:
        if request.page_size < 0:
            raise InputError("ask for a page of 0 or more", field="page_size", page_size=request.page_size)
        return await self._reader.evidence(min(request.page_size or _DEFAULT_PAGE, MAX_PAGE), request.page_token)

    async def submit_policy(self, request: pb.SubmitPolicyRequest, _: Caller) -> pb.SubmitPolicyResponse:
        activation = decode_request(request.request)
        if not isinstance(activation, PolicyActivation):
            raise InputError("hand in a policy here; owners' requests go to the owner service", field="request")
        await self._inbox.submit_request(request.request)
        digest = activation.digest(self._network.network_id)
        return pb.SubmitPolicyResponse(digest=digest, policy_hash=policy_hash(activation.body))
