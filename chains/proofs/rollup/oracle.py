"""Outputs that were proposed to an L2OutputOracle, the OP stack's way before dispute games.

Owns when one counts: it is in the list, and older than the time for which the challenger can delete it. Must not know
whether its root is true: nobody can challenge it but that one key.
"""

from __future__ import annotations

from chains.proofs.output_root import RollupFinality
from chains.proofs.rollup.errors import NoSuchClaim
from chains.proofs.rollup.layout import OracleRecipe
from chains.proofs.rollup.state import Claim, L1State, Needs, add_needs, item_slot, pinned_needs
from chains.proofs.slots import member_slot
from chains.types import Hash32, Height, UnixSeconds, WordRecipe

_HALF = 16


def oracle_needs(recipe: OracleRecipe, *indices: int) -> Needs:
    """What has to be proven to count outputs, and to read those at `indices`."""
    slots = {recipe.layout.outputs}
    if recipe.layout.finalization_period is not None:
        slots.add(recipe.layout.finalization_period.slot)
    for index in indices:
        first = item_slot(recipe.layout.outputs, index, 2)
        slots |= {first, member_slot(first, 1)}
    return add_needs(pinned_needs(recipe.oracle), recipe.oracle.address, slots)


def output_count(recipe: OracleRecipe, state: L1State) -> int:
    """How many outputs are in the list."""
    state.check(recipe.oracle)
    return state.word(recipe.oracle.address, WordRecipe(recipe.layout.outputs))


def output_claim(recipe: OracleRecipe, state: L1State, index: int) -> Claim:
    """The output at `index`. Raises NoSuchClaim beyond the list: what was deleted is still in storage there."""
    oracle = recipe.oracle.address
    if not 0 <= index < (count := output_count(recipe, state)):
        raise NoSuchClaim("The oracle has no output of that index", oracle=oracle, index=index, outputs=count)
    first = item_slot(recipe.layout.outputs, index, 2)
    second = member_slot(first, 1)
    proposed_at = state.word(oracle, WordRecipe(second, 0, _HALF))
    height = state.word(oracle, WordRecipe(second, _HALF, _HALF))
    delay = recipe.delay
    if recipe.layout.finalization_period is not None:
        delay = max(delay, state.word(oracle, recipe.layout.finalization_period))
    settles_at = UnixSeconds(proposed_at + delay)
    # The portal lets withdrawals pass when more than the period has gone by.
    passed = state.time > settles_at
    return Claim(
        Hash32(state.word(oracle, WordRecipe(first)).to_bytes(32, "big")),
        Height(height),
        RollupFinality.CHALLENGE_PASSED if passed else RollupFinality.PROPOSED,
        UnixSeconds(proposed_at),
        f"output {index} of 0x{oracle.hex()}",
        None if passed else settles_at,
    )
