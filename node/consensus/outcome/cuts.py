"""Agreement on the cut of each chain and on its root, tallied across outcomes: nobody waits for anybody's endpoint.

A chain has at most one pending cut. A quorum of equal offers makes a cut pending, a quorum of equal roots certifies it:
2f+1 of 3f+1 nodes, and of more nodes so many that no other quorum can say otherwise. A chain that does not get there in
the policy's time becomes DISPUTED, and so does one of which a quorum finds that its final blocks contradict its recipe,
or the certified cut (it forked below finality). One without new final blocks, or whose blocks' own times are far from
the state's, is HALTED, unless at least one honest node has found such a contradiction. Both keep their last certified
root and its age, and the other chains go on. Must not know what the roots stand for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from chains.types import Assurance, ChainId, Checkpoint, Cut, Hash32, Height, UnixSeconds
from node.consensus.outcome.observation import ChainObservation
from node.margin.policy import Timing
from node.model.header import ChainState, ChainStatus
from node.model.merkle import EMPTY_ROOT
from node.model.network import Network
from node.model.state import ChainControl, RootVote, Watched


@dataclass(frozen=True, slots=True)
class ChainAdvance:
    """A chain after one outcome. `certified` is set when this outcome certified a new cut."""

    state: ChainState
    control: ChainControl
    certified: RootVote | None


def unstarted(chain_id: ChainId) -> tuple[ChainState, ChainControl]:
    """A chain before its first certified cut: empty, and HALTED since nothing is known of it."""
    nothing = Checkpoint(Cut(chain_id, Height(0), Hash32(bytes(32)), UnixSeconds(0)), Hash32(bytes(32)))
    state = ChainState(nothing, EMPTY_ROOT, 0, Assurance.REPORTED, ChainStatus.HALTED)
    return state, ChainControl(chain_id, {}, frozenset(), None, 0, {})


def advance(
    state: ChainState,
    control: ChainControl,
    votes: Mapping[int, ChainObservation],
    network: Network,
    timing: Timing,
    time_ms: int,
    watched: tuple[Watched, ...] = (),
) -> ChainAdvance:
    """One chain's next state from what the observers (`votes`, by node) say of it at state time `time_ms`.

    A cut that becomes pending now is to tell of the wallets in `watched`.
    """
    candidates = dict(control.candidates) | {node: vote.candidates for node, vote in votes.items()}
    disputes = control.disputes - votes.keys() | {node for node, vote in votes.items() if vote.disputed}
    pending, since, roots = control.pending, control.pending_since_ms, dict(control.roots)
    watched_then = control.watched
    certified: RootVote | None = None
    if pending is not None:
        roots |= {
            node: vote.vote
            for node, vote in votes.items()
            if vote.vote is not None and vote.voted == pending.block_hash
        }
        certified = _certify(roots, network)
        if certified is not None:
            checkpoint = Checkpoint(pending, certified.storage_hash)
            state = ChainState(checkpoint, certified.root, time_ms, certified.assurance, ChainStatus.LIVE)
            pending = None
            disputes = frozenset()  # what was said is of the cut before
        elif time_ms - since > timing.pending_cut_timeout_ms:
            state = replace(state, status=ChainStatus.DISPUTED)
            pending = None
    if pending is None:
        roots = {}
        pending = _next_cut(candidates, state.cut, network)
        since = time_ms if pending is not None else 0
        watched_then = watched if pending is not None else ()
    candidates = {
        node: kept
        for node, cuts in candidates.items()
        if (kept := tuple(cut for cut in cuts if cut.height > state.cut.height))
    }
    state = replace(state, status=_status(state, len(disputes), network, timing, time_ms))
    control = ChainControl(state.cut.chain_id, candidates, disputes, pending, since, roots, watched_then)
    return ChainAdvance(state, control, certified)


def _certify(roots: Mapping[int, RootVote], network: Network) -> RootVote | None:
    """The root that a quorum computed, with an assurance that at least one honest node gave or exceeded."""
    tally = Counter((vote.root, vote.storage_hash) for vote in roots.values())
    if not tally:
        return None
    (root, storage_hash), count = max(tally.items(), key=lambda item: (item[1], item[0]))
    if count < network.quorum:
        return None
    grades = sorted(vote.assurance for vote in roots.values() if (vote.root, vote.storage_hash) == (root, storage_hash))
    return RootVote(root, storage_hash, grades[network.f])


def _next_cut(candidates: Mapping[int, tuple[Cut, ...]], certified: Cut, network: Network) -> Cut | None:
    """The highest cut above the certified one that a quorum offers."""
    tally = Counter(cut for cuts in candidates.values() for cut in set(cuts) if cut.height > certified.height)
    agreed = [cut for cut, count in tally.items() if count >= network.quorum]
    return max(agreed, key=lambda cut: (cut.height, cut.block_hash), default=None)


def _status(state: ChainState, disputes: int, network: Network, timing: Timing, time_ms: int) -> ChainStatus:
    """DISPUTED until a cut is certified again; otherwise by whether the certified block is of now.

    `disputes` nodes find a contradiction. A minority may have bad endpoints: while the others certify, it is not heard.
    """
    if state.status is ChainStatus.DISPUTED or disputes >= network.quorum:
        return ChainStatus.DISPUTED
    if state.is_current(timing.max_cut_age, time_ms):
        return ChainStatus.LIVE
    return ChainStatus.DISPUTED if disputes >= network.weak_quorum else ChainStatus.HALTED
