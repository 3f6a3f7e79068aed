"""Evidence convinces a third party, and nothing else does."""

from dataclasses import replace

import pytest

from chains.errors import ConfigError, SignatureError
from chains.proofs.keccak import keccak
from node.consensus.protocol.config import ConsensusConfig, Limits, Timing
from node.consensus.protocol.messages import Commit, Decided, Message, NewEpochWish
from node.consensus.protocol.statements import Evidence, SignedStatement, verify_evidence
from node.model.codec import Malformed
from tests.simulation.world import CONFIG_DIGEST, KEYS, make_config
from tests.unit.consensus.rig import commit_certificate, sign

CONFIG = make_config(4, 1)


def signed(node: int, message: Message) -> SignedStatement:
    made = sign(node, message)
    return SignedStatement(made.statement, made.signature)


ONE = signed(2, Commit(3, 4, keccak(b"one")))
OTHER = signed(2, Commit(3, 4, keccak(b"other")))
EVIDENCE = Evidence.of(2, ONE, OTHER)


def test_two_statements_for_one_slot_convict() -> None:
    verify_evidence(CONFIG, EVIDENCE)
    assert Evidence.of(2, OTHER, ONE) == EVIDENCE
    assert Evidence.decode(EVIDENCE.encode()) == EVIDENCE


@pytest.mark.parametrize(
    "innocent",
    [
        Evidence(2, EVIDENCE.second, EVIDENCE.first),
        Evidence.of(2, ONE, ONE),
        Evidence.of(1, ONE, OTHER),
        Evidence.of(4, ONE, OTHER),
        Evidence.of(2, ONE, signed(2, Commit(3, 5, keccak(b"other")))),
        Evidence.of(2, ONE, signed(2, Commit(4, 4, keccak(b"other")))),
        Evidence.of(2, ONE, replace(OTHER, signature=ONE.signature)),
        Evidence.of(2, signed(2, NewEpochWish(3)), signed(2, NewEpochWish(3))),
        Evidence.of(
            2,
            signed(2, Decided(commit_certificate(3, 4, keccak(b"one")))),
            signed(2, Decided(commit_certificate(3, 4, keccak(b"other")))),
        ),
    ],
)
def test_anything_else_convicts_nobody(innocent: Evidence) -> None:
    with pytest.raises(SignatureError):
        verify_evidence(CONFIG, innocent)


def test_evidence_of_another_network_convicts_nobody() -> None:
    with pytest.raises(SignatureError):
        verify_evidence(replace(CONFIG, config_digest=keccak(b"another")), EVIDENCE)


def test_bytes_that_are_no_evidence_are_refused() -> None:
    data = EVIDENCE.encode()
    for spoilt in (b"", data[:-1], data + b"\0", b"\2" + data[1:], data[:2] + b"\x63" + data[3:]):
        with pytest.raises(Malformed):
            Evidence.decode(spoilt)


@pytest.mark.parametrize("span", range(5))
def test_each_node_leads_once_in_a_span(span: int) -> None:
    config = make_config(7, 2)
    leaders = [config.leader(1 + span * 7 + position) for position in range(7)]
    assert sorted(leaders) == list(range(7))


def test_the_order_of_leaders_depends_on_network_and_span() -> None:
    orders = {
        tuple(
            replace(make_config(7, 2), config_digest=keccak(bytes([network]))).leader(span * 7 + position)
            for position in range(1, 8)
        )
        for network in range(4)
        for span in range(4)
    }
    assert len(orders) > 10


@pytest.mark.parametrize(
    ("n", "f", "quorum", "observations", "recovery"),
    [(1, 0, 1, 1, 1), (4, 1, 3, 3, 3), (5, 1, 4, 3, 3), (6, 1, 4, 3, 4), (7, 2, 5, 5, 5), (31, 10, 21, 21, 21)],
)
def test_quorums(n: int, f: int, quorum: int, observations: int, recovery: int) -> None:
    config = make_config(n, f)
    assert (config.quorum, config.observation_quorum, config.recovery_quorum) == (quorum, observations, recovery)


@pytest.mark.parametrize(("n", "f"), [(3, 1), (6, 2), (0, 0), (4, -1)])
def test_too_few_nodes_for_the_faults_are_refused(n: int, f: int) -> None:
    with pytest.raises(ConfigError):
        make_config(n, f)


def test_a_configuration_that_contradicts_itself_is_refused() -> None:
    keys = tuple(key.public for key in KEYS[:4])
    for digest, chosen, limit in [
        (b"short", keys, 1),
        (CONFIG_DIGEST, (*keys[:3], keys[0]), 1),
        (CONFIG_DIGEST, (*keys[:3], b"short"), 1),
        (CONFIG_DIGEST, keys, 0),
    ]:
        with pytest.raises(ConfigError):
            ConsensusConfig(digest, chosen, 1, Limits(limit))  # type: ignore[arg-type]
    for timing in [{"delta_progress": 0}, {"delta_round": -1}, {"r_max": 0}, {"delta_round": 10**12}]:
        with pytest.raises(ConfigError):
            Timing(**timing)
