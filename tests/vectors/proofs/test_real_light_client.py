"""Light client data of real networks and of consensus-spec-tests: all of it holds, and nothing near it does."""

from dataclasses import replace

import pytest

from chains.errors import ClaimMismatch, ProofIncomplete, ProofInvalid, StaleError
from chains.proofs.keccak import keccak
from chains.proofs.lightclient import bls, read, store
from chains.proofs.lightclient.config import MAINNET, SEPOLIA, BeaconConfig, GeneralizedIndex, Slot
from chains.proofs.lightclient.containers import LightClientHeader, Update
from chains.proofs.lightclient.ssz import bytes_root, merkleize, verify_branch
from chains.proofs.lightclient.store import Store
from chains.types import UnixSeconds
from tests.vectors.proofs import beacon, real

HELIOS_BOOTSTRAP, HELIOS_UPDATES, HELIOS_FINALITY, HELIOS_OPTIMISTIC = beacon.helios()
BACKENDS = [bls.pyblst_backend(), bls.arkworks_backend()]


def helios_store() -> Store:
    header = HELIOS_BOOTSTRAP.header.beacon
    return store.bootstrap(MAINNET, header.root(), HELIOS_BOOTSTRAP, MAINNET.time(header.slot))


def apply(config: BeaconConfig, held: Store, update: Update) -> Store:
    return store.apply(config, held, update, beacon.end_of(config, update))


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_mainnet_is_followed_from_a_checkpoint_over_six_periods(backend: bls.Backend) -> None:
    held = helios_store()
    periods = []
    for update in [*HELIOS_UPDATES, HELIOS_FINALITY, HELIOS_OPTIMISTIC]:
        held = store.apply(MAINNET, held, update, beacon.end_of(MAINNET, update), backend)
        periods.append(MAINNET.period(held.finalized.beacon.slot))
    assert periods == [862, 863, 864, 865, 866, 867, 867, 867]
    assert held.finalized.beacon.slot == 7109344
    assert held.optimistic.beacon.slot == 7109431
    final, optimistic = (store.execution_block_hash(MAINNET, header) for header in (held.finalized, held.optimistic))
    assert final == beacon.hash32("bc8499537876e5406c7a65e25f99063f1cd85a17014a3aa5ade38271b1fbf64f")
    assert optimistic == beacon.hash32("3c015340e234ff7f8e75ecebb11d45154a394cd896ddcfcfffc941a07b314960")


def test_an_update_of_a_period_may_not_be_left_out() -> None:
    held = apply(MAINNET, helios_store(), HELIOS_UPDATES[0])
    with pytest.raises(ProofIncomplete, match="update of the period before"):
        apply(MAINNET, held, HELIOS_UPDATES[2])


def test_an_old_update_brings_nothing() -> None:
    held = helios_store()
    for update in HELIOS_UPDATES[:3]:
        held = apply(MAINNET, held, update)
    assert apply(MAINNET, held, HELIOS_UPDATES[2]) == held
    for old in HELIOS_UPDATES[:2]:
        with pytest.raises(StaleError):
            apply(MAINNET, held, old)


def test_a_bootstrap_for_another_block_is_refused() -> None:
    with pytest.raises(ClaimMismatch, match="not for the trusted block"):
        store.bootstrap(MAINNET, beacon.hash32("11" * 32), HELIOS_BOOTSTRAP, UnixSeconds(1_700_000_000))


def test_another_network_gives_another_signature() -> None:
    held = helios_store()
    for other in (
        replace(MAINNET, genesis_validators_root=SEPOLIA.genesis_validators_root),
        replace(MAINNET, forks=tuple(replace(fork, version=b"\3\0\0\1") for fork in MAINNET.forks)),
    ):
        with pytest.raises(ProofInvalid, match="signature does not hold"):
            apply(other, held, HELIOS_UPDATES[0])


def test_sepolia_after_electra() -> None:
    """The committee is given by itself, so it is only trusted; the updates are proven under it."""
    committee = read.store(
        {
            "finalized_header": beacon.load("union_sepolia_electra/finality_update_7167008.json")["finalized_header"],
            "current_sync_committee": beacon.load("union_sepolia_electra/current_sync_committee_7167008.json"),
        }
    ).current
    first, second = (
        read.update(beacon.load(f"union_sepolia_electra/finality_update_{slot}.json")) for slot in (7167008, 7167040)
    )
    assert first.finalized_header
    assert second.finalized_header
    assert (
        first.finalized_header.beacon
        == read.update(
            {
                **beacon.load("union_sepolia_electra/finality_update_7167008.json"),
                "attested_header": beacon.load("union_sepolia_electra/header_7167008.json"),
            }
        ).attested_header.beacon
    )
    held = apply(SEPOLIA, Store(first.finalized_header, first.finalized_header, committee, None), first)
    held = apply(SEPOLIA, held, second)
    assert held.finalized == second.finalized_header
    nodes = [bytes.fromhex(node[2:]) for node in real.load("eip1186/union_sepolia/account_proof_7167040.json")]
    assert held.finalized.execution
    assert keccak(nodes[0]) == held.finalized.execution.state_root


def test_mainnet_under_deneb() -> None:
    bootstrap, finality, optimistic = beacon.portal_objects()
    header = bootstrap.header.beacon
    begun = store.bootstrap(MAINNET, header.root(), bootstrap, MAINNET.time(header.slot))
    assert begun.finalized == bootstrap.header
    for update in (finality, optimistic):  # of other periods, whose committees are not there: all but the signature
        store.execution_block_hash(MAINNET, update.attested_header)
    assert finality.finalized_header
    assert store.execution_block_hash(MAINNET, finality.finalized_header)
    verify_branch(
        finality.finalized_header.beacon.root(),
        finality.finality_branch,
        GeneralizedIndex(105),
        finality.attested_header.beacon.state_root,
        "final header",
    )


@pytest.mark.parametrize(("name", "case"), [*beacon.sync_cases()])
def test_consensus_spec_tests(name: str, case: beacon.SyncCase) -> None:
    bootstrap = case.bootstrap()
    held = store.bootstrap(
        case.config,
        beacon.hash32(case.meta["trusted_block_root"]),
        bootstrap,
        case.config.time(bootstrap.header.beacon.slot),
    )
    best = None
    for step in case.steps:
        (kind, what), *_ = step.items()
        if kind == "force_update":
            # We never do this. So that the rest of the case is not lost, it is done here as the specification says.
            assert best is not None
            assert held.next is not None
            held = replace(held, finalized=best.attested_header, current=held.next, next=best.next_sync_committee)
        else:
            update = case.update(what["update"])
            now = case.config.time(Slot(what["current_slot"]))
            held = store.apply(case.config, held, update, now)
            best = update
        for header, wanted in ((held.finalized, "finalized_header"), (held.optimistic, "optimistic_header")):
            check_header(case.config, header, what["checks"][wanted])


def check_header(config: BeaconConfig, header: LightClientHeader, wanted: beacon.Json) -> None:
    assert header.beacon.slot == wanted["slot"]
    assert header.beacon.root() == beacon.hash32(wanted["beacon_root"])
    fork = config.fork(header.beacon.slot)
    assert fork
    assert header.execution
    assert header.execution.root(fork) == beacon.hash32(wanted["execution_root"])


def datachain(name: str) -> tuple[Update, bytes, tuple[bytes, ...]]:
    """An update of Bellatrix, and the execution payload's root that was proven beside it."""
    served = beacon.load(f"datachain_minimal_bellatrix/{name}.json")[0]
    update = served["light_client_update"]
    final, final_branch = update["finalized_header"]
    committee, committee_branch = update["next_sync_committee"] or (None, [])
    parsed = read.update(
        update
        | {"finalized_header": final, "finality_branch": final_branch}
        | {"next_sync_committee": committee, "next_sync_committee_branch": committee_branch}
    )
    branch = tuple(beacon.hash32(node) for node in served["finalized_execution_branch"])
    return parsed, beacon.hash32(served["finalized_execution_root"]), branch


def test_a_minimal_chain_under_bellatrix() -> None:
    state, _, genesis_root = beacon.load("datachain_minimal_bellatrix/initial_state.json")
    forks = {"altair": (0, "01000001"), "bellatrix": (0, "02000001")}
    config = beacon.minimal(genesis_root, forks, "00000001")
    served = read.bootstrap({**state, "header": state["beacon_header"]})
    header = served.header.beacon
    begun = store.bootstrap(config, header.root(), served, config.time(header.slot))
    period_5, period_6, finality_6 = (
        datachain(name)
        for name in ("light_client_update_period_5", "light_client_update_period_6", "finality_update_period_6")
    )
    for update, root, branch in (period_5, period_6, finality_6):
        assert update.finalized_header
        body_root = update.finalized_header.beacon.body_root
        verify_branch(root, branch, GeneralizedIndex(25), body_root, "execution payload")
        assert store.execution_block_hash(config, update.finalized_header) is None
    held = begun
    for update, _, _ in (period_5, period_6, finality_6):
        held = apply(config, held, update)
    assert held.finalized.beacon.slot == 392
    for update, _, _ in (period_6, finality_6):
        with pytest.raises(ProofIncomplete):
            apply(config, begun, update)


def test_a_minimal_chain_under_electra_that_skips_no_period() -> None:
    file = beacon.load("eureka_minimal_electra/Test_MultiPeriodClientUpdateToCosmos.json")
    state, known = (file["steps"][0]["data"][name] for name in ("client_state", "consensus_state"))
    forks = {
        name: (fork["epoch"], fork["version"])
        for name, fork in state["fork_parameters"].items()
        if isinstance(fork, dict)
    }
    config = replace(
        beacon.minimal(state["genesis_validators_root"], forks, state["fork_parameters"]["genesis_fork_version"]),
        genesis_time=UnixSeconds(state["genesis_time"]),
        seconds_per_slot=state["seconds_per_slot"],
    )
    held = None
    for sent in beacon.eureka():
        update = read.update(sent["consensus_update"])
        (_, committee), *_ = sent["active_sync_committee"].items()
        if held is None:
            signers = read.store(
                {"finalized_header": sent["consensus_update"]["finalized_header"], "current_sync_committee": committee}
            ).current
            keys = merkleize([bytes_root(key) for key in signers.pubkeys])
            assert keys == beacon.hash32(known["next_sync_committee"]["pubkeys_hash"])
            assert update.finalized_header
            start = replace(
                update.finalized_header, beacon=replace(update.finalized_header.beacon, slot=Slot(known["slot"]))
            )
            held = Store(start, start, replace(signers, pubkeys=()), signers)
        held = apply(config, held, update)
    assert held
    assert held.finalized.beacon.slot == 216
