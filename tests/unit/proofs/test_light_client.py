"""The light client's rules, one by one, on a chain of our own that goes through every fork."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from chains.errors import (
    ClaimMismatch,
    ConfigError,
    MalformedProof,
    ProofError,
    ProofIncomplete,
    ProofInvalid,
    StaleError,
)
from chains.proofs.lightclient import store
from chains.proofs.lightclient.config import MAINNET, SEPOLIA, Fork, ForkVersion, Slot, fork_schedule
from chains.proofs.lightclient.containers import LightClientHeader, Update
from chains.proofs.lightclient.ssz import hash_pair
from chains.proofs.lightclient.store import Store
from chains.types import Hash32, UnixSeconds
from tests.beacon import CHAIN, CONFIG, EPOCHS, Tree, committee, digest, execution

PERIOD = CONFIG.slots_per_epoch * CONFIG.epochs_per_period
START = CONFIG.slots_per_epoch * EPOCHS[Fork.DENEB]  # begins a period as well


def begun(slot: int = START) -> Store:
    served = CHAIN.bootstrap(slot)
    return store.bootstrap(CONFIG, served.header.beacon.root(), served, CONFIG.time(Slot(slot)))


def apply(held: Store, update: Update, late: int = 0) -> Store:
    return store.apply(CONFIG, held, update, UnixSeconds(CONFIG.time(update.signature_slot) + late))


def test_a_chain_is_followed_through_every_fork() -> None:
    held = begun(0)
    last = CONFIG.slots_per_epoch * (EPOCHS[Fork.GLOAS] + 4)
    for start in range(0, last, PERIOD):
        held = apply(held, CHAIN.update(start + 5, start + 2, following=True))
        held = apply(held, CHAIN.update(start + 6, start + 4))
        held = apply(held, CHAIN.update(start + 7))  # signed in the next period, by its committee
        assert held.finalized.beacon.slot == start + 4
        assert held.optimistic.beacon.slot == start + 7
        fork = CONFIG.fork(held.finalized.beacon.slot)
        proven = store.execution_block_hash(CONFIG, held.finalized)
        assert fork
        assert proven == (None if fork < Fork.CAPELLA else digest("block", start + 4 - (fork >= Fork.GLOAS)))


@pytest.mark.parametrize(("before", "after"), [*pairwise(Fork)])
def test_a_signature_is_of_the_fork_at_the_slot_before_it(before: Fork, after: Fork) -> None:
    change = CONFIG.slots_per_epoch * EPOCHS[after]
    held = apply(begun(change - PERIOD), CHAIN.update(change - 3, change - 6, following=True))
    update = CHAIN.update(change - 1, version=bytes((before, 0, 0, 7)))
    assert update.signature_slot == change
    assert apply(held, update).optimistic.beacon.slot == change - 1
    with pytest.raises(ProofInvalid, match="signature does not hold"):
        apply(held, CHAIN.update(change - 1, version=bytes((after, 0, 0, 7))))


@pytest.mark.parametrize("fork", [Fork.CAPELLA, Fork.DENEB, Fork.FULU])
def test_a_header_from_before_gloas_may_come_in_its_form(fork: Fork) -> None:
    """As consensus-specs' `upgrade_lc_header_to_gloas` makes it."""
    header = CHAIN.header(CONFIG.slots_per_epoch * EPOCHS[fork])
    assert header.execution
    leaves = header.execution.leaves(fork)
    width = 32 if fork >= Fork.DENEB else 16
    inner = branch_in(leaves, 12, width)
    branch = (*inner, *header.execution_branch)
    later = replace(
        header,
        execution=None,
        execution_block_hash=header.execution.block_hash,
        execution_branch=(*[Hash32(bytes(32))] * (11 - len(branch)), *branch),
    )
    assert store.execution_block_hash(CONFIG, later) == header.execution.block_hash
    for wrong in (
        replace(later, execution_block_hash=digest("other")),
        replace(later, execution=header.execution),
        replace(later, execution_block_hash=None),
        replace(later, execution_branch=(Hash32(bytes(31) + b"\1"), *later.execution_branch[1:])),
        replace(later, execution_branch=later.execution_branch[4:]),
    ):
        with pytest.raises(ProofError):
            store.execution_block_hash(CONFIG, wrong)


def branch_in(leaves: list[bytes], at: int, width: int) -> list[Hash32]:
    level = [*leaves, *[bytes(32)] * (width - len(leaves))]
    branch = []
    while len(level) > 1:
        branch.append(Hash32(level[at ^ 1]))
        level = [hash_pair(*level[n : n + 2]) for n in range(0, len(level), 2)]
        at >>= 1
    return branch


def no_execution(header: LightClientHeader) -> LightClientHeader:
    return replace(header, execution=None, execution_branch=())


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        (lambda u: CHAIN.update(START + 3, START + 2, absent=3), ProofInvalid, "under two thirds"),
        (lambda u: CHAIN.update(START + 3, START + 2, signed=START + 3), ProofInvalid, "out of order"),
        (lambda u: CHAIN.update(START + 3, START + 4), ProofInvalid, "out of order"),
        (lambda u: CHAIN.update(START + PERIOD + 3), ProofIncomplete, "is not known"),
        (lambda u: CHAIN.update(START - 3, signed=START - 2), StaleError, "past period"),
        (lambda u: CHAIN.update(START, START - 2), StaleError, "nothing newer"),
        (lambda u: CHAIN.signed(replace(u, finality_branch=())), MalformedProof, "final header has another length"),
        (lambda u: replace(u, finality_branch=u.finality_branch[1:]), MalformedProof, "another length"),
        (lambda u: replace(u, finality_branch=u.finality_branch[::-1]), ProofInvalid, "final header"),
        (lambda u: replace(u, finalized_header=None), ProofInvalid, "final header"),
        (lambda u: replace(u, finalized_header=CHAIN.header(START + 1)), ProofInvalid, "final header"),
        (lambda u: replace(u, next_sync_committee=None), MalformedProof, "no committee"),
        (lambda u: replace(u, next_sync_committee=committee(9)), ProofInvalid, "next sync committee"),
        (lambda u: replace(u, next_sync_committee=replace(committee(9), pubkeys=())), MalformedProof, "size"),
        (
            lambda u: replace(u, sync_aggregate=replace(u.sync_aggregate, bits=b"\xff\0")),
            MalformedProof,
            "a bit a member",
        ),
        (lambda u: replace(u, attested_header=no_execution(u.attested_header)), MalformedProof, "execution part"),
        (lambda u: replace(u, finalized_header=no_execution(u.finalized_header)), MalformedProof, "execution part"),
    ],
)
def test_what_does_not_hold_is_refused(wrong: Callable[[Update], Update], error: type[Exception], match: str) -> None:
    update = CHAIN.update(START + 3, START + 2, following=True)
    apply(begun(), update)
    with pytest.raises(error, match=match):
        apply(begun(), wrong(update))


def test_two_thirds_are_enough() -> None:
    assert apply(begun(), CHAIN.update(START + 3, START + 2, absent=2)).finalized.beacon.slot == START + 2


def test_a_signature_from_the_future_is_refused() -> None:
    update = CHAIN.update(START + 3, START + 2)
    apply(begun(), update, late=-store.MAX_CLOCK_DRIFT)
    with pytest.raises(ProofInvalid, match="future"):
        apply(begun(), update, late=-store.MAX_CLOCK_DRIFT - 1)


def test_another_next_committee_than_the_proven_one_is_refused() -> None:
    held = apply(begun(), CHAIN.update(START + 3, START + 2, following=True))
    with pytest.raises(ProofInvalid, match="another next committee"):
        apply(replace(held, next=committee(99)), CHAIN.update(START + 4, START + 3, following=True))


def test_an_older_update_of_the_period_may_supply_the_next_committee() -> None:
    held = apply(begun(), CHAIN.update(START + 5, START + 4))
    assert held.next is None
    older = CHAIN.update(START + 3, START + 2, following=True)
    supplied = apply(held, older)
    assert supplied.next == committee(CONFIG.period(Slot(START)) + 1)
    assert supplied.finalized == held.finalized
    with pytest.raises(StaleError):
        apply(supplied, older)


def test_a_committee_that_only_a_state_that_is_not_final_tells_is_not_taken() -> None:
    assert apply(begun(), CHAIN.update(START + 3, following=True)).next is None
    later = CHAIN.update(START + 3, START - 3, following=True)  # what is final is of the period before
    assert apply(begun(), later).next is None


def test_when_a_new_period_is_final_its_committee_serves() -> None:
    held = apply(begun(), CHAIN.update(START + 3, START + 2, following=True))
    moved = apply(held, CHAIN.update(START + PERIOD + 5, START + PERIOD + 1))
    assert moved.current == held.next
    assert moved.next is None
    with pytest.raises(ProofIncomplete):
        apply(moved, CHAIN.update(START + 2 * PERIOD + 5))


def test_before_anything_is_final_a_state_names_no_header() -> None:
    plain = CHAIN.update(START + 3)
    indices = CONFIG.state_indices(Slot(START))
    state = Tree({indices.finalized_root: bytes(32)})
    attested = plain.attested_header
    attested = replace(attested, beacon=replace(attested.beacon, state_root=state.root))
    update = CHAIN.signed(
        replace(plain, attested_header=attested, finality_branch=state.branch(indices.finalized_root))
    )
    assert apply(begun(), update).finalized.beacon.slot == START


def test_a_checkpoint_is_refused_when_it_is_old_or_of_the_future() -> None:
    served = CHAIN.bootstrap(START)
    root, time = served.header.beacon.root(), CONFIG.time(Slot(START))
    store.bootstrap(CONFIG, root, served, UnixSeconds(time + store.MAX_CHECKPOINT_AGE))
    with pytest.raises(StaleError, match="too old"):
        store.bootstrap(CONFIG, root, served, UnixSeconds(time + store.MAX_CHECKPOINT_AGE + 1))
    with pytest.raises(StaleError, match="too old"):
        store.bootstrap(CONFIG, root, served, UnixSeconds(time + 11), max_age=10)
    with pytest.raises(ProofInvalid, match="future"):
        store.bootstrap(CONFIG, root, served, UnixSeconds(time - 60))


def test_a_bootstrap_whose_committee_is_not_the_states_is_refused() -> None:
    served = CHAIN.bootstrap(START)
    root, time = served.header.beacon.root(), CONFIG.time(Slot(START))
    for wrong, error in (
        (replace(served, current_sync_committee=committee(99)), ProofInvalid),
        (replace(served, current_sync_committee_branch=served.current_sync_committee_branch[1:]), MalformedProof),
        (replace(served, current_sync_committee=replace(committee(1), pubkeys=())), MalformedProof),
        (replace(served, header=no_execution(served.header)), MalformedProof),
        (replace(served, header=CHAIN.header(START + 1)), ClaimMismatch),
    ):
        with pytest.raises(error):
            store.bootstrap(CONFIG, root, wrong, time)


def test_a_kept_store_resumes_under_its_root_and_no_field_of_it_can_change() -> None:
    held = apply(begun(), CHAIN.update(START + 3, START + 2, following=True))
    held = apply(held, CHAIN.update(START + 4))
    now = CONFIG.time(Slot(START + 4))
    root = held.root(CONFIG)
    assert store.restore(CONFIG, root, held, now) == held
    other = committee(99)
    assert held.finalized.execution
    for changed in (
        replace(held, next=other),
        replace(held, next=None),
        replace(held, current=other),
        replace(held, current=replace(held.current, aggregate_pubkey=other.aggregate_pubkey)),
        replace(held, current=held.next or other, next=held.current),
        replace(held, finalized=held.optimistic),
        replace(held, optimistic=held.finalized),
        replace(held, finalized=no_execution(held.finalized)),
        replace(
            held, finalized=replace(held.finalized, execution=replace(held.finalized.execution, state_root=digest(1)))
        ),
        replace(held, finalized=replace(held.finalized, execution_branch=())),
    ):
        with pytest.raises(ClaimMismatch, match="kept store"):
            store.restore(CONFIG, root, changed, now)
    with pytest.raises(ClaimMismatch):
        store.restore(replace(CONFIG, genesis_validators_root=digest(1)), root, held, now)
    with pytest.raises(StaleError):
        store.restore(CONFIG, root, held, UnixSeconds(now + store.MAX_CHECKPOINT_AGE + 60))


def test_a_header_from_before_capella_has_no_execution_block() -> None:
    header = CHAIN.header(1)
    assert store.execution_block_hash(CONFIG, header) is None
    for wrong in (
        replace(header, execution=CHAIN.header(START).execution),
        replace(header, execution_block_hash=digest(1)),
        replace(header, execution_branch=(digest(1),)),
    ):
        with pytest.raises(MalformedProof, match="before its fork"):
            store.execution_block_hash(CONFIG, wrong)


def test_blob_gas_before_deneb_is_refused() -> None:
    header = CHAIN.header(CONFIG.slots_per_epoch * EPOCHS[Fork.CAPELLA])
    assert header.execution
    wrong = replace(header, execution=replace(header.execution, blob_gas_used=1))
    with pytest.raises(MalformedProof, match="blob gas"):
        store.execution_block_hash(CONFIG, wrong)


def test_a_payload_in_a_body_from_gloas_on_is_refused() -> None:
    slot = Slot(CONFIG.slots_per_epoch * EPOCHS[Fork.GLOAS])
    payload = execution(slot)
    body = Tree({25: payload.root(Fork.GLOAS)})
    beacon = replace(CHAIN.header(slot).beacon, body_root=body.root)
    with pytest.raises(MalformedProof, match="execution part of its fork"):
        store.execution_block_hash(CONFIG, LightClientHeader(beacon, payload, None, body.branch(25)))


def test_a_header_from_before_altair_is_refused() -> None:
    header = replace(CHAIN.header(1), beacon=replace(CHAIN.header(1).beacon, slot=Slot(100)))
    with pytest.raises(ProofInvalid, match="before there were sync committees"):
        store.execution_block_hash(MAINNET, header)


def test_the_networks_are_themselves() -> None:
    assert MAINNET.fork(Slot(32 * 364032)) is Fork.ELECTRA
    assert MAINNET.fork(Slot(32 * 364032 - 1)) is Fork.DENEB
    assert MAINNET.fork_version(Slot(0)) == bytes(4)
    assert MAINNET.fork_version(Slot(32 * 411392)) == b"\6\0\0\0"
    assert MAINNET.time(Slot(7061720)) == 1691564663
    assert SEPOLIA.fork_version(Slot(0)).hex() == "90000069"
    assert SEPOLIA.fork_version(Slot(32 * 353024)).hex() == "90000076"


def test_a_fork_that_is_not_known_is_not_guessed_at() -> None:
    never = (1 << 64) - 1
    known = {"ALTAIR": (0, b"\1\0\0\0"), "deneb": (5, b"\4\0\0\0"), "heze": (never, b"\x08\0\0\0")}
    assert [item.fork for item in fork_schedule(known)] == [Fork.ALTAIR, Fork.DENEB]
    with pytest.raises(ConfigError, match="update the node"):
        fork_schedule(known | {"heze": (9, b"\x08\0\0\0")})


@pytest.mark.parametrize(
    "change",
    [
        {"forks": ()},
        {"forks": CONFIG.forks[1:]},
        {"forks": CONFIG.forks[::-1]},
        {"forks": (CONFIG.forks[0], ForkVersion(Fork.BELLATRIX, 1, b"\1"))},
        {"slots_per_epoch": 0},
        {"committee_size": 12},
        {"committee_size": 1024},
        {"genesis_version": b""},
    ],
    ids=str,
)
def test_a_network_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        replace(CONFIG, **change)  # type: ignore[arg-type]
