"""Health answers of the newest state, each part encoded once and shared by all callers.

A part is the bytes of one field of a HealthAnswer; protobuf lets fields be concatenated, so an answer is put together
without encoding anything again. Must not know who asks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chains.adapter import Settlement
from chains.types import AccountId, ChainId
from hypothec.v1.health_pb2 import HealthAnswer
from hypothec.v1.state_pb2 import SignedState
from hypothec.v1.venue_service_pb2 import GetHealthResponse, GetMarginStateResponse
from node.attestation.answer import (
    Place,
    account_health,
    frame_entry,
    token_description,
    token_entry,
    touched_assets,
    touched_tokens,
)
from node.attestation.describe import describe_price, describe_state
from node.margin.account import evaluate
from node.margin.context import MarginContext
from node.margin.policy import Policy
from node.model.health import Health
from node.rpc.errors import AnswerTooLarge, NoState
from node.rpc.ports import CertifiedState, PolicyReader, StateReader
from node.rpc.settled import Settlements, describe_settlement

MAX_ANSWER_BYTES = 8 << 20
"""Of one message; clients accept a little more."""
_KEPT_RECORDS = 16_384


def nested(number: int, payload: bytes) -> bytes:
    """One length-delimited field (https://protobuf.dev/programming-guides/encoding)."""
    length, prefix = len(payload), bytearray()
    for value in (number << 3 | 2, length):
        while value > 0x7F:
            prefix.append(value & 0x7F | 0x80)
            value >>= 7  # noqa: PLW2901 - a varint is eaten seven bits at a time
        prefix.append(value)
    return bytes(prefix) + payload


@dataclass(frozen=True, slots=True)
class Record:
    """One account in one state: its health, the assets and tokens it touches, and its encoded part of an answer."""

    health: Health
    assets: tuple[str, ...]
    tokens: tuple[Place, ...]
    part: bytes


class StateAnswers:
    """Everything that is answered about one state."""

    def __init__(
        self, certified: CertifiedState, policy: Policy, settlements: Mapping[ChainId, Settlement | None] | None = None
    ) -> None:
        self._state = certified.state
        self._policy = policy
        self._context = MarginContext.of(policy, certified.state)
        self._signed = SignedState(header=certified.state.header.encode(), certificate=certified.certificate.encode())
        summary = describe_state(certified.state.header)
        header = certified.state.header
        self.settlements = tuple(
            describe_settlement(chain.cut.chain_id, replace(found, refused=()), header)  # those are for the operator
            for chain in header.chains
            if (found := (settlements or {}).get(chain.cut.chain_id)) is not None
        )
        """What stands beside the state, unsigned."""
        self.margin_state = GetMarginStateResponse(
            state=self._signed, summary=summary, settlements=self.settlements
        ).SerializeToString()
        self._beside = GetHealthResponse(settlements=self.settlements).SerializeToString()
        self._head = HealthAnswer(state=self._signed, summary=summary).SerializeToString()
        self._frame: dict[str, tuple[bytes, bytes]] = {}
        self._tokens: dict[Place, tuple[bytes, bytes]] = {}
        self._records: OrderedDict[AccountId, Record] = OrderedDict()

    @property
    def sequence(self) -> int:
        return self._state.header.sequence

    def record(self, account: AccountId) -> Record:
        """The account's part; an account that nobody knows has proofs of its absence."""
        record = self._records.get(account)
        if record is None:
            view = self._state.view(account)
            health = evaluate(view, self._context)
            part = account_health(self._state, view, health).SerializeToString()
            assets, tokens = touched_assets(view, self._policy), touched_tokens(view, self._policy)
            record = Record(health, assets, tokens, nested(HealthAnswer.ACCOUNTS_FIELD_NUMBER, part))
            self._records[account] = record
            if len(self._records) > _KEPT_RECORDS:
                self._records.popitem(last=False)
        else:
            self._records.move_to_end(account)
        return record

    def answer(self, records: Sequence[Record]) -> bytes:
        """An encoded HealthAnswer of these accounts. Raises AnswerTooLarge."""
        parts = [self._head]
        for asset in sorted({asset for record in records for asset in record.assets}):
            parts += self._price(asset)
        for place in sorted({place for record in records for place in record.tokens}):
            parts += self._token(place)
        parts += (record.part for record in records)
        answer = b"".join(parts)
        if len(answer) > MAX_ANSWER_BYTES:
            raise AnswerTooLarge("ask for fewer accounts at once", length=len(answer), bound=MAX_ANSWER_BYTES)
        return answer

    def response(self, records: Sequence[Record]) -> bytes:
        """An encoded GetHealthResponse, and all others that hold one answer: they are alike. Raises AnswerTooLarge."""
        return nested(GetHealthResponse.ANSWER_FIELD_NUMBER, self.answer(records)) + self._beside

    def answers(self, records: Sequence[Record]) -> Iterator[tuple[bytes, bool]]:
        """The same in as few messages as hold it, each with whether it is the last. Raises AnswerTooLarge."""
        chunk: list[Record] = []
        size = 0
        for record in records:
            size += len(record.part)
            if chunk and size > MAX_ANSWER_BYTES // 2:  # the other half is for the prices
                yield self.answer(chunk), False
                chunk, size = [], len(record.part)
            chunk.append(record)
        yield self.answer(chunk), True

    def _token(self, place: Place) -> tuple[bytes, bytes]:
        parts = self._tokens.get(place)
        if parts is None:
            entry = nested(HealthAnswer.TOKENS_FIELD_NUMBER, token_entry(self._state, place).SerializeToString())
            token = token_description(self._state, place)
            number = HealthAnswer.VAULT_TOKENS_FIELD_NUMBER
            described = nested(number, token.SerializeToString()) if token is not None else b""
            parts = self._tokens[place] = (entry, described)
        return parts

    def _price(self, asset: str) -> tuple[bytes, bytes]:
        parts = self._frame.get(asset)
        if parts is None:
            entry = nested(HealthAnswer.FRAME_FIELD_NUMBER, frame_entry(self._state, asset).SerializeToString())
            price = self._state.frame.prices.get(asset)
            described = b""
            if price is not None:
                encoded = describe_price(price, self._state.header.time_ms).SerializeToString()
                described = nested(HealthAnswer.PRICES_FIELD_NUMBER, encoded)
            parts = self._frame[asset] = (entry, described)
        return parts


class Answers:
    """The answers of whatever state is newest."""

    def __init__(self, states: StateReader, policies: PolicyReader, settlements: Settlements = dict) -> None:
        self._states = states
        self._policies = policies
        self._settlements = settlements
        self._current: StateAnswers | None = None

    def current(self) -> StateAnswers:
        """Of the newest state. Raises NoState."""
        latest = self._states.latest()
        if latest is None:
            raise NoState("wait for this node's first committed state")
        return self._of(latest)

    async def newer_than(self, sequence: int) -> StateAnswers:
        """Of the newest state, once that is after `sequence`."""
        return self._of(await self._states.newer_than(sequence))

    def _of(self, certified: CertifiedState) -> StateAnswers:
        if self._current is None or self._current.sequence != certified.sequence:
            header = certified.state.header
            policy = self._policies.policy(header.policy_hash)
            if policy is None:
                raise NoState("wait until this node has the policy in force", policy_hash=header.policy_hash)
            self._current = StateAnswers(certified, policy, self._settlements())
        return self._current
