"""What L1 has settled of the rollups, beside what is certified: this node's own word, in the services' words.

Must not know how it was found out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chains.adapter import Settlement
from chains.proofs.output_root import RollupFinality
from chains.types import ChainId
from hypothec.v1 import state_pb2
from node.model.header import Header

Settlements = Callable[[], Mapping[ChainId, Settlement | None]]
"""By chain, as of each one's last look at its L1; None for a chain that is no rollup, and before the first look."""


def describe_settlement(chain_id: ChainId, found: Settlement, header: Header) -> state_pb2.RollupSettlement:
    """What L1 has settled of one rollup, and of the cut that the state with this header has."""
    height = header.chain(chain_id).cut.height
    settled = found.above(height)
    finality = settled.finality if settled is not None else RollupFinality.SEQUENCER_SIGNED
    return state_pb2.RollupSettlement(
        chain_id=chain_id,
        certified_finality=state_pb2.RollupFinality.ValueType(finality if height else 0),
        l1_height=found.l1_height,
        l1_assurance=state_pb2.Assurance.ValueType(found.l1_assurance),
        passed_height=found.passed.height if found.passed is not None else 0,
        proposed_height=found.proposed.height if found.proposed is not None else 0,
        passed_tied=found.passed is not None and found.passed.tied,
        proposed_tied=found.proposed is not None and found.proposed.tied,
        passed_claim=found.passed.claim if found.passed is not None else "",
        proposed_claim=found.proposed.claim if found.proposed is not None else "",
        silent_s=found.silent,
        halted=found.halted,
        refused=found.refused,
    )
