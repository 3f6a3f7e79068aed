"""Any value of the model, drawn by hypothesis: in the one form that its decoder accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from chains.types import (
    AccountId,
    Address,
    Amount,
    Assurance,
    ChainId,
    Checkpoint,
    Control,
    Cut,
    Hash32,
    Height,
    TokenFact,
    UnixSeconds,
)
from node.model.certificate import CommitCertificate
from node.model.digests import ReleaseItem, ReleaseKind
from node.model.frame import Frame, FramePrice, PriceStatus
from node.model.header import ChainState, ChainStatus, Header
from node.model.ledger import (
    AccountRecord,
    Authorization,
    Decision,
    FreeHoldings,
    Holdings,
    Obligations,
    Reservation,
    VenueObligation,
    Verdict,
)
from node.model.merkle import MerkleMap
from node.model.reports import Position, Report, ReportEntry
from node.model.requests import (
    AuthorizeVenue,
    Link,
    LinkWallet,
    PolicyActivation,
    RevokeVenue,
    Unlink,
    VenueEquivocation,
    WatchWallet,
    WithdrawalRequest,
)
from node.model.state import ChainControl, PolicyChange, RootVote, State, VenueHead
from node.model.state import Control as NodeControl

_T = TypeVar("_T")

u8 = st.integers(0, 2**8 - 1)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
u256 = st.integers(0, 2**256 - 1)
i256 = st.integers(-(2**255), 2**255 - 1)
stored = st.integers(0, 2**63 - 1)
"""What a store keeps as a number."""

hash32: SearchStrategy[Hash32] = st.binary(min_size=32, max_size=32).map(Hash32)
address: SearchStrategy[Address] = st.binary(min_size=20, max_size=20).map(Address)
account_id = st.binary(min_size=32, max_size=32).map(AccountId)
amount = u256.map(Amount)
signature65 = st.binary(min_size=65, max_size=65)
signature64 = st.binary(min_size=64, max_size=64)
name = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=31)
text = st.text(max_size=20)
chain_id = u64.map(ChainId)


def _itself(item: Any) -> Any:  # noqa: ANN401 - anything that can be ordered
    return item


def ascending(
    items: SearchStrategy[_T], key: Callable[[_T], Any] = _itself, most: int = 3
) -> SearchStrategy[tuple[_T, ...]]:
    """Up to `most` items whose keys strictly ascend."""
    return st.lists(items, max_size=most, unique_by=key).map(lambda listed: tuple(sorted(listed, key=key)))


def some(items: SearchStrategy[_T], most: int = 3) -> SearchStrategy[tuple[_T, ...]]:
    return st.lists(items, max_size=most).map(tuple)


def by_node(items: SearchStrategy[_T]) -> SearchStrategy[dict[int, _T]]:
    return st.dictionaries(st.integers(0, 30), items, max_size=4).map(lambda drawn: dict(sorted(drawn.items())))


cuts = st.builds(Cut, chain_id, u64.map(Height), hash32, u64.map(UnixSeconds))
checkpoints = st.builds(Checkpoint, cuts, hash32)
chain_states = st.builds(ChainState, checkpoints, hash32, u64, st.sampled_from(Assurance), st.sampled_from(ChainStatus))
headers = st.builds(
    Header,
    network_id=hash32,
    config_digest=hash32,
    sequence=u64,
    time_ms=u64,
    previous=hash32,
    policy_hash=hash32,
    frame_root=hash32,
    obligations_root=hash32,
    accounts_root=hash32,
    control_hash=hash32,
    chains=ascending(chain_states, lambda state: state.cut.chain_id),
)

token_facts = st.builds(TokenFact, u256, u256, st.none() | st.tuples(u256, u256), st.booleans())
free_holdings = st.builds(FreeHoldings, address, ascending(st.tuples(address, st.none() | u256), lambda item: item[0]))
holdings = st.builds(
    Holdings,
    u64,
    ascending(st.tuples(address, u256), lambda item: item[0]),
    st.sampled_from(Control),
    ascending(free_holdings, lambda item: item.wallet),
)
positions = st.builds(Position, name, i256, u256)
venue_obligations = st.builds(VenueObligation, name, u64, some(positions), i256, u256)
obligations = st.builds(Obligations, ascending(venue_obligations, lambda entry: entry.venue))
authorizations = st.builds(Authorization, name, u256, some(st.tuples(chain_id, address)), u256, st.booleans())
release_items = st.builds(ReleaseItem, address, amount, amount)
reservations = st.builds(
    Reservation,
    kind=st.sampled_from(ReleaseKind),
    chain_id=chain_id,
    vault=address,
    nonce=u64,
    payee=address,
    items=some(release_items),
    reference=hash32,
    sequence=u64,
    expiry=u64,
    venue=text,
    credit=u256,
)
decisions = st.builds(Decision, hash32, st.sampled_from(Verdict), text, u64)
account_records = st.builds(
    AccountRecord,
    address,
    u64,
    ascending(address),
    ascending(name),
    ascending(authorizations, lambda entry: entry.venue),
    some(reservations, 2),
    some(decisions),
    ascending(st.tuples(chain_id, address)),
    ascending(st.tuples(chain_id, address)),
)

frame_prices = st.builds(
    FramePrice,
    name,
    st.sampled_from(PriceStatus),
    u256,
    u256,
    u256,
    u64.map(UnixSeconds),
    u8,
    st.sampled_from(Assurance),
)

root_votes = st.builds(RootVote, hash32, hash32, st.sampled_from(Assurance))
chain_controls = st.builds(
    ChainControl,
    chain_id,
    by_node(some(cuts)),
    st.frozensets(st.integers(0, 30), max_size=4),
    st.none() | cuts,
    u64,
    by_node(root_votes),
    ascending(st.tuples(hash32, address)),
)
controls = st.builds(
    NodeControl,
    policy_version=u64,
    chains=ascending(chain_controls, lambda chain: chain.chain_id),
    venues=ascending(st.builds(VenueHead, name, stored, hash32, st.booleans(), u64), lambda head: head.venue),
    policy_change=st.none() | st.builds(PolicyChange, u64, hash32, u64),
    reserved=ascending(hash32),
    issued=ascending(st.tuples(u64, hash32), lambda item: item[0]),
    watched=ascending(st.tuples(chain_id, hash32, address)),
)

report_entries = st.builds(ReportEntry, hash32, ascending(positions, lambda position: position.instrument), i256, u256)
reports = st.builds(
    Report, name, stored, hash32, u64, ascending(report_entries, lambda entry: entry.account), signature65
)

links = st.builds(Link, hash32, address, hash32, address, ascending(name), u64, signature65, signature65)
link_wallets = st.builds(LinkWallet, hash32, chain_id, address, u64, signature65)
watches = st.builds(WatchWallet, hash32, chain_id, address, st.booleans(), u64, signature65)
unlinks = st.builds(Unlink, hash32, chain_id, address, u64, signature65)
authorize_venues = st.builds(
    AuthorizeVenue,
    hash32,
    name,
    u256,
    ascending(st.tuples(chain_id, address), lambda payee: payee[0]),
    u64,
    signature65,
)
revoke_venues = st.builds(RevokeVenue, hash32, name, u64, signature65)
withdrawals = st.builds(WithdrawalRequest, hash32, chain_id, address, address, u256, address, u64, u64, signature65)
activations = st.builds(PolicyActivation, u64, st.binary(max_size=40), u64, some(signature65, 2))
equivocations = st.builds(VenueEquivocation, reports, reports)
owner_requests = st.one_of(links, link_wallets, unlinks, watches, authorize_venues, revoke_venues, withdrawals)
requests = st.one_of(owner_requests, activations, equivocations)

leaf_maps = st.dictionaries(st.binary(min_size=32, max_size=32), st.binary(max_size=20), max_size=8)
"""Contents of a map of the ledger, whatever it means."""


@st.composite
def certificates(draw: st.DrawFn) -> CommitCertificate:
    """In form; the signatures hold for nothing."""
    mask = draw(st.integers(0, 2**31 - 1).map(lambda bits: bits & 0x1010_0201))
    signatures = tuple(draw(signature64) for _ in range(mask.bit_count()))
    return CommitCertificate(draw(hash32), draw(u64), draw(u64), draw(hash32), mask, signatures)


@st.composite
def states(draw: st.DrawFn, sequence: int | None = None, chain_ids: tuple[int, ...] = (1, 10)) -> State:
    """A state whose header has the roots of its maps; leaves of the ledger are any bytes."""
    followed = draw(st.lists(st.sampled_from(chain_ids), unique=True).map(sorted)) if chain_ids else []
    chains = {ChainId(each): MerkleMap.of(draw(leaf_maps)) for each in followed}
    prices = draw(st.lists(frame_prices, max_size=3, unique_by=lambda price: price.asset))
    frame = Frame.of({price.asset: price for price in prices})
    obligations_map, accounts = MerkleMap.of(draw(leaf_maps)), MerkleMap.of(draw(leaf_maps))
    control = draw(controls)
    chain_parts = tuple(
        ChainState(
            Checkpoint(Cut(each, Height(draw(u32)), draw(hash32), UnixSeconds(draw(u32))), draw(hash32)),
            book.root,
            draw(u32),
            draw(st.sampled_from(Assurance)),
            draw(st.sampled_from(ChainStatus)),
        )
        for each, book in chains.items()
    )
    header = Header(
        network_id=Hash32(b"\x05" * 32),
        config_digest=Hash32(b"\x06" * 32),
        sequence=sequence if sequence is not None else draw(st.integers(1, 1000)),
        time_ms=draw(u64),
        previous=draw(hash32),
        policy_hash=draw(hash32),
        frame_root=frame.map.root,
        obligations_root=obligations_map.root,
        accounts_root=accounts.root,
        control_hash=control.hash(),
        chains=chain_parts,
    )
    return State(header, chains, obligations_map, accounts, frame, control)
