"""Asking for health over a connection, and believing only what was verified here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from chains.types import AccountId, Hash32
from hypothec.client.errors import AnswerMismatch
from hypothec.client.saved import save_answer
from hypothec.client.verifier import Verifier
from hypothec.v1.health_pb2 import HealthAnswer
from node.attestation.answer import VerifiedAnswer
from node.margin.context import MarginContext
from node.margin.policy import Policy
from node.model.header import Header
from node.model.health import Health
from node.model.ledger import AccountView

FetchPolicy = Callable[[Hash32], Awaitable[bytes]]
"""The bytes of a policy file, by its hash, from the node."""


@dataclass(frozen=True, slots=True)
class AccountAnswer:
    """One account's verified health, what it follows from, and the state that it is of."""

    health: Health
    view: AccountView
    context: MarginContext
    header: Header
    answer: HealthAnswer
    policy: Policy

    def save(self, path: Path) -> None:
        """Keep it in a file that proves itself offline; see saved.load_answer."""
        save_answer(path, self.answer, self.policy)


async def believe(
    verifier: Verifier, fetch_policy: FetchPolicy, answer: HealthAnswer, max_age_ms: int | None
) -> tuple[VerifiedAnswer, Policy]:
    """The answer, verified under the policy that it names, which is fetched when it is new."""
    # The header is not verified yet: a policy is taken for its hash, whoever named it.
    policy_hash = Header.decode(answer.state.header).policy_hash
    policy = verifier.policy(policy_hash)
    if policy is None:
        policy = verifier.learn_policy(policy_hash, await fetch_policy(policy_hash))
    return verifier.answer(answer, policy, max_age_ms), policy


async def believe_one(
    verifier: Verifier,
    fetch_policy: FetchPolicy,
    answer: HealthAnswer,
    account: AccountId,
    max_age_ms: int | None,
) -> AccountAnswer:
    """The same for an answer about one account. Raises AnswerMismatch for another one."""
    verified, policy = await believe(verifier, fetch_policy, answer, max_age_ms)
    if set(verified.accounts) != {account}:
        raise AnswerMismatch("refuse an answer about another account", asked=account, given=len(verified.accounts))
    found = verified.accounts[account]
    return AccountAnswer(found.health, found.view, verified.context, verified.header, answer, policy)
