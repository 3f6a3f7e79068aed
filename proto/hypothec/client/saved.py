"""Health answers in files: protobuf's JSON form of hypothec.v1.SavedAnswer, the answer with the policy that it names.

Such a file proves itself to anybody who knows the network's configuration: nothing else is needed, and no connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format

from chains import strict_json
from chains.errors import InputError, LimitError
from hypothec.v1.health_pb2 import HealthAnswer, SavedAnswer
from node.attestation.answer import VerifiedAnswer, verify_answer
from node.margin.policy import Policy
from node.model.network import Network

MAX_FILE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Saved:
    """An answer and the policy that came with it; neither is verified yet."""

    answer: HealthAnswer
    policy: Policy

    def verify(self, network: Network) -> VerifiedAnswer:
        """Check everything, offline; see verify_answer."""
        return verify_answer(network, self.policy, self.answer)


def save_answer(path: Path, answer: HealthAnswer, policy: Policy) -> None:
    """Write an answer to a file."""
    saved = SavedAnswer(answer=answer, policy=policy.body)
    path.write_text(json_format.MessageToJson(saved, preserving_proto_field_name=True))


def load_answer(path: Path) -> Saved:
    """Read an answer from a file. Raises InputError, LimitError, and ConfigError for a policy that does not parse."""
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise LimitError("refuse so large a file", path=path, length=size, bound=MAX_FILE_BYTES)
    try:
        parsed = strict_json.parse(path.read_bytes())
        saved = json_format.ParseDict(parsed if isinstance(parsed, dict) else {"": parsed}, SavedAnswer())
    except (json_format.ParseError, ValueError) as error:
        raise InputError(f"give a file that holds a saved answer: {error}", path=path) from error
    return Saved(saved.answer, Policy.parse(saved.policy))
