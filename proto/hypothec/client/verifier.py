"""What a client believes: states that a quorum certified, young enough, never going back. No connection in here."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from chains.errors import ClaimMismatch, EquivocationError
from chains.types import Hash32
from hypothec.client.errors import SequenceRegressed, TooOld
from hypothec.v1.health_pb2 import HealthAnswer
from hypothec.v1.state_pb2 import SignedState, StateSummary
from node.attestation.answer import VerifiedAnswer, verify_answer, verify_summary
from node.attestation.signed_state import verify_state
from node.margin.policy import Policy
from node.model.header import Header
from node.model.network import Network

_KEPT_POLICIES = 8


def now_ms() -> int:
    """Unix milliseconds by this machine's clock."""
    return time.time_ns() // 1_000_000


class Verifier:
    """Checks answers against one network, and remembers the newest state and the policies it has seen."""

    def __init__(self, network: Network, max_age_ms: int | None, clock_ms: Callable[[], int] = now_ms) -> None:
        self.network = network
        self._max_age_ms = max_age_ms
        self._clock_ms = clock_ms
        self._newest: tuple[int, Hash32] | None = None
        self._policies: OrderedDict[Hash32, Policy] = OrderedDict()

    @property
    def sequence(self) -> int:
        """Of the newest state that was seen; 0 before the first."""
        return self._newest[0] if self._newest else 0

    def policy(self, policy_hash: Hash32) -> Policy | None:
        """A policy that was seen before."""
        return self._policies.get(policy_hash)

    def learn_policy(self, policy_hash: Hash32, body: bytes) -> Policy:
        """Take the policy that a certified header names. Raises ClaimMismatch for other bytes, ConfigError."""
        policy = Policy.parse(body)
        if policy.hash != policy_hash:
            raise ClaimMismatch("refuse another policy than the state names", named=policy_hash, given=policy.hash)
        self._policies[policy_hash] = policy
        if len(self._policies) > _KEPT_POLICIES:
            self._policies.popitem(last=False)
        return policy

    def state(self, signed: SignedState, summary: StateSummary, max_age_ms: int | None = None) -> Header:
        """A certified header that is accepted now.

        Raises what verify_state and verify_summary raise; TooOld, SequenceRegressed, EquivocationError.
        """
        header, _ = verify_state(self.network, signed.header, signed.certificate)
        verify_summary(header, summary)
        self._accept(header, max_age_ms)
        return header

    def answer(self, answer: HealthAnswer, policy: Policy, max_age_ms: int | None = None) -> VerifiedAnswer:
        """A health answer that is accepted now. Raises what verify_answer raises, and as `state` does."""
        verified = verify_answer(self.network, policy, answer)
        self._accept(verified.header, max_age_ms)
        return verified

    def _accept(self, header: Header, max_age_ms: int | None) -> None:
        bound = self._max_age_ms if max_age_ms is None else max_age_ms
        age = self._clock_ms() - header.time_ms
        if bound is not None and age > bound:
            raise TooOld("ask another node, or accept older states", age_ms=age, bound_ms=bound)
        found = (header.sequence, header.hash())
        if self._newest is not None:
            if found[0] < self._newest[0]:
                raise SequenceRegressed("ask another node", sequence=found[0], seen=self._newest[0])
            if found[0] == self._newest[0] and found[1] != self._newest[1]:
                # SECURITY: two certified states for one number mean that more than f nodes lie. Nothing can be trusted.
                raise EquivocationError("stop: the network certified two states", sequence=found[0], states=found[1])
        self._newest = found
