"""Everything that is fuzzed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tools.fuzz.decoders import DECODERS
from tools.fuzz.files import FILES
from tools.fuzz.messages import MESSAGES
from tools.fuzz.target import Target
from tools.fuzz.verifiers import VERIFIERS

TARGETS: Mapping[str, Callable[[], Target]] = {**DECODERS, **VERIFIERS, **MESSAGES, **FILES}
"""Each target by its name, made when it is asked for."""
