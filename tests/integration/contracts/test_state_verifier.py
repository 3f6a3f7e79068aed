from __future__ import annotations

import random

import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3.contract.contract import ContractFunction
from web3.exceptions import ContractCustomError

from tests.integration.contracts.digests import encode_signatures, mirrored, rotation_digest, state_digest
from tests.integration.contracts.harness import Committee, events, refused
from tests.integration.contracts.world import HEADER, HOUR, World

SUCCESSOR = Committee(4, 1, seed="second")
MAX_AHEAD_MS = HOUR * 1000
DAY_AHEAD = 24 * HOUR


def now_ms(world: World) -> int:
    return world.chain.now() * 1000


def with_signatures(world: World, signatures: bytes, time_ms: int) -> ContractFunction:
    return world.verifier.functions.accept(1, HEADER, time_ms, signatures)


def digest_of_first(world: World, time_ms: int) -> bytes:
    return state_digest(world.committee.config, world.chain.chain_id, world.verifier.address, 1, HEADER, time_ms)


class TestConfiguration:
    def test_it_is_readable(self, world: World) -> None:
        functions = world.verifier.functions
        assert functions.configDigest().call() == world.committee.config
        assert functions.signers().call() == world.committee.addresses
        assert functions.f().call() == 2
        assert functions.stateQuorum().call() == 3
        assert functions.quorum().call() == 5
        assert functions.latest().call() == [0, 0, 0, bytes(32)]

    def test_the_largest_set_fits(self, world: World) -> None:
        largest = Committee(31, 10, seed="largest")
        verifier = world.chain.deploy("StateVerifier", largest.config, 10, largest.addresses)
        assert verifier.functions.signers().call() == largest.addresses
        assert (verifier.functions.stateQuorum().call(), verifier.functions.quorum().call()) == (11, 21)
        digest = keccak(b"anything")
        verifier.functions.checkQuorum(digest, largest.sign(digest, range(10, 31))).call()

    def test_the_signer_set_lies_where_nodes_derive_it(self, world: World) -> None:
        members = b"".join(bytes.fromhex(address[2:]) for address in world.committee.addresses)
        code = b"\0" + world.committee.config + members
        init_code = b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600a3d393df3") + code
        place = b"\xff" + bytes.fromhex(world.verifier.address[2:]) + world.committee.config + keccak(init_code)
        holder = keccak(place)[12:]
        assert bytes(world.chain.web3.eth.get_code(to_checksum_address(holder))) == code
        assert world.chain.storage(world.verifier, 0) == int.from_bytes(holder, "big") | 7 << 160 | 2 << 168


class TestAccept:
    def test_f_plus_one_signatures_make_a_state(self, world: World) -> None:
        time_ms = now_ms(world) + 123
        receipt = world.accept(5, time_ms)
        assert world.verifier.functions.latest().call() == [5, time_ms, world.chain.now(), HEADER]
        (event,) = events(world.verifier.events.StateAccepted(), receipt)
        assert dict(event["args"]) == {"sequence": 5, "headerHash": HEADER, "timeMs": time_ms}

    def test_it_lies_where_nodes_derive_it(self, world: World) -> None:
        world.accept(5, time_ms := now_ms(world))
        assert world.chain.storage(world.verifier, 1) == 5 | time_ms << 64 | world.chain.now() << 128
        assert world.chain.storage(world.verifier, 2) == int.from_bytes(HEADER, "big")

    @pytest.mark.parametrize("signers", [[0, 1, 2], [4, 5, 6], [0, 3, 6]])
    def test_any_f_plus_one_will_do(self, world: World, signers: list[int]) -> None:
        world.accept_call(1, now_ms(world), signers=signers).call()

    def test_the_sequence_must_rise(self, world: World) -> None:
        world.accept(5, now_ms(world))
        later = now_ms(world) + 10
        for sequence in (5, 4, 0):
            with refused(world.verifier, "SequenceNotRising", given=sequence, accepted=5):
                world.accept_call(sequence, later).call()
        world.accept(6, later)

    def test_the_time_must_rise(self, world: World) -> None:
        world.accept(5, time_ms := now_ms(world))
        for earlier in (time_ms, time_ms - 1):
            with refused(world.verifier, "TimeNotRising", givenMs=earlier, acceptedMs=time_ms):
                world.accept_call(6, earlier).call()
        world.accept(6, time_ms + 1)

    def test_the_time_is_not_far_ahead(self, world: World) -> None:
        moment = world.chain.now() + 10
        call = world.accept_call(1, moment * 1000 + MAX_AHEAD_MS + 1)
        world.chain.at_time(moment)
        assert world.chain.attempt(call)["status"] == 0
        with refused(world.verifier, "TimeInFuture", givenMs=(moment + DAY_AHEAD) * 1000):
            world.accept_call(1, (moment + DAY_AHEAD) * 1000).call()
        world.chain.at_time(moment + 1)
        world.accept(1, (moment + 1) * 1000 + MAX_AHEAD_MS)

    @pytest.mark.parametrize("count", [0, 1, 2, 4, 7])
    def test_exactly_f_plus_one_signatures(self, world: World, count: int) -> None:
        time_ms = now_ms(world)
        signatures = world.committee.sign(digest_of_first(world, time_ms), range(count))
        with refused(world.verifier, "WrongSignatureCount", given=count, required=3):
            with_signatures(world, signatures, time_ms).call()

    @pytest.mark.parametrize("change", [-65, -64, -1, 1, 64])
    def test_the_length_fits_the_count(self, world: World, change: int) -> None:
        time_ms = now_ms(world)
        signatures = world.committee.sign(digest_of_first(world, time_ms), range(3))
        changed = signatures[:change] if change < 0 else signatures + bytes(change)
        with refused(world.verifier, "WrongSignatureLength", given=196 + change, required=196):
            with_signatures(world, changed, time_ms).call()

    def test_no_signatures_at_all(self, world: World) -> None:
        for empty in (b"", b"\0\0\0"):
            with refused(world.verifier, "WrongSignatureCount", given=0):
                with_signatures(world, empty, now_ms(world)).call()

    @pytest.mark.parametrize("bit", [7, 30, 31])
    def test_a_bit_beyond_the_signers(self, world: World, bit: int) -> None:
        time_ms = now_ms(world)
        signatures = world.committee.sign(digest_of_first(world, time_ms), [0, 1, 2])
        bitmask = (0b11 | 1 << bit).to_bytes(4, "big")
        with refused(world.verifier, "SignerOutOfRange", bitmask=0b11 | 1 << bit, signers=7):
            with_signatures(world, bitmask + signatures[4:], time_ms).call()

    def test_order_is_that_of_the_bits(self, world: World) -> None:
        time_ms = now_ms(world)
        signatures = world.committee.sign(digest_of_first(world, time_ms), [0, 1, 2])
        swapped = signatures[:4] + signatures[68:132] + signatures[4:68] + signatures[132:]
        with refused(world.verifier, "WrongSigner", index=0, recovered=world.committee.addresses[1].lower()):
            with_signatures(world, swapped, time_ms).call()

    def test_one_signer_does_not_count_twice(self, world: World) -> None:
        time_ms = now_ms(world)
        signatures = world.committee.sign(digest_of_first(world, time_ms), [0, 1, 2])
        repeated = signatures[:68] + signatures[4:68] + signatures[132:]
        with refused(world.verifier, "WrongSigner", index=1, expected=world.committee.addresses[1].lower()):
            with_signatures(world, repeated, time_ms).call()

    @pytest.mark.parametrize("position", [0, 1, 2])
    def test_a_stranger_in_any_place(self, world: World, position: int) -> None:
        time_ms = now_ms(world)
        digest = digest_of_first(world, time_ms)
        ours = world.committee.signatures(digest, range(3))
        ours[position] = SUCCESSOR.signatures(digest, range(3))[position]
        with refused(world.verifier, "WrongSigner", index=position, recovered=SUCCESSOR.addresses[position].lower()):
            with_signatures(world, encode_signatures(ours), time_ms).call()

    def test_the_mirror_of_a_signature_is_another_one(self, world: World) -> None:
        time_ms = now_ms(world)
        signatures = world.committee.sign(digest_of_first(world, time_ms), [0, 1, 2])
        other = mirrored(signatures[36:68])
        with refused(world.verifier, "WrongSigner", index=0):
            with_signatures(world, signatures[:36] + other + signatures[68:], time_ms).call()

    def test_no_signature_recovers_nobody(self, world: World) -> None:
        nothing = (0b111).to_bytes(4, "big") + bytes(192)
        with refused(world.verifier, "WrongSigner", index=0, recovered="0x" + "00" * 20):
            with_signatures(world, nothing, now_ms(world)).call()

    def test_every_field_is_signed(self, world: World) -> None:
        time_ms = now_ms(world)
        signatures = world.committee.sign(digest_of_first(world, time_ms), range(3))
        accept = world.verifier.functions.accept
        accept(1, HEADER, time_ms, signatures).call()
        for altered in ((2, HEADER, time_ms), (1, keccak(HEADER), time_ms), (1, HEADER, time_ms + 1)):
            with refused(world.verifier, "WrongSigner", index=0):
                accept(*altered, signatures).call()

    @pytest.mark.parametrize("what", ["chain", "verifier", "config", "purpose"])
    def test_a_signature_for_elsewhere(self, world: World, what: str) -> None:
        time_ms = now_ms(world)
        config = keccak(b"other") if what == "config" else world.committee.config
        chain_id = world.chain.chain_id + (what == "chain")
        verifier = world.vault.address if what == "verifier" else world.verifier.address
        digest = state_digest(config, chain_id, verifier, 1, HEADER, time_ms)
        if what == "purpose":
            digest = rotation_digest(config, chain_id, verifier, HEADER, 1, SUCCESSOR.addresses)
        with refused(world.verifier, "WrongSigner", index=0):
            with_signatures(world, world.committee.sign(digest, range(3)), time_ms).call()


class TestQuorum:
    def test_a_quorum_passes(self, world: World) -> None:
        digest = keccak(b"anything")
        world.verifier.functions.checkQuorum(digest, world.committee.sign(digest, [0, 2, 3, 5, 6])).call()

    @pytest.mark.parametrize("count", [3, 4, 6])
    def test_fewer_or_more_do_not(self, world: World, count: int) -> None:
        digest = keccak(b"anything")
        with refused(world.verifier, "WrongSignatureCount", given=count, required=5):
            world.verifier.functions.checkQuorum(digest, world.committee.sign(digest, range(count))).call()

    def test_no_bit_of_it_may_change(self, world: World) -> None:
        digest = keccak(b"anything")
        signatures = world.committee.sign(digest, range(5))
        for position in random.Random(1).sample(range(8 * len(signatures)), 64):
            flipped = int.from_bytes(signatures, "big") ^ 1 << position
            with pytest.raises(ContractCustomError):
                world.verifier.functions.checkQuorum(digest, flipped.to_bytes(len(signatures), "big")).call()

    def test_another_digest_does_not(self, world: World) -> None:
        signatures = world.committee.sign(keccak(b"anything"), range(5))
        with refused(world.verifier, "WrongSigner", index=0):
            world.verifier.functions.checkQuorum(keccak(b"else"), signatures).call()


class TestRotation:
    def rotation(
        self, world: World, new: Committee, *, by: Committee | None = None, count: int | None = None
    ) -> ContractFunction:
        by = by or world.committee
        digest = rotation_digest(
            by.config, world.chain.chain_id, world.verifier.address, new.config, new.f, new.addresses
        )
        signatures = by.sign(digest, range(by.quorum if count is None else count))
        return world.verifier.functions.rotate(new.config, new.f, new.addresses, signatures)

    def test_the_new_set_takes_over(self, world: World) -> None:
        world.accept(5, time_ms := now_ms(world))
        receipt = world.chain.send(self.rotation(world, SUCCESSOR))
        assert world.verifier.functions.signers().call() == SUCCESSOR.addresses
        assert world.verifier.functions.configDigest().call() == SUCCESSOR.config
        assert world.verifier.functions.latest().call()[:2] == [5, time_ms]
        (event,) = events(world.verifier.events.SignersRotated(), receipt)
        assert event["args"]["oldConfigDigest"] == world.committee.config
        assert event["args"]["newConfigDigest"] == SUCCESSOR.config
        world.chain.send(world.accept_call(6, time_ms + 1, committee=SUCCESSOR))

    def test_the_old_set_is_retired(self, world: World) -> None:
        old_state = world.accept_call(1, now_ms(world))
        old_state.call()
        world.chain.send(self.rotation(world, SUCCESSOR))
        with refused(world.verifier, "WrongSignatureCount", given=3, required=2):
            old_state.call()
        with refused(world.verifier, "WrongSigner", index=0):
            world.accept_call(1, now_ms(world), signers=[0, 1]).call()

    def test_sequences_go_on(self, world: World) -> None:
        world.accept(5, now_ms(world))
        world.chain.send(self.rotation(world, SUCCESSOR))
        with refused(world.verifier, "SequenceNotRising", given=1, accepted=5):
            world.accept_call(1, now_ms(world) + 1000, committee=SUCCESSOR).call()

    @pytest.mark.parametrize("count", [3, 4, 6])
    def test_it_needs_a_quorum(self, world: World, count: int) -> None:
        with refused(world.verifier, "WrongSignatureCount", given=count, required=5):
            self.rotation(world, SUCCESSOR, count=count).call()

    def test_the_successor_cannot_install_itself(self, world: World) -> None:
        larger = Committee(7, 2, seed="usurper")
        with refused(world.verifier, "WrongSigner", index=0):
            self.rotation(world, larger, by=larger).call()

    def test_every_field_is_signed(self, world: World) -> None:
        signatures = self.rotation(world, SUCCESSOR).arguments[3]
        addresses = SUCCESSOR.addresses
        rotate = world.verifier.functions.rotate
        for altered in (
            (keccak(b"x"), 1, addresses),
            (SUCCESSOR.config, 0, addresses),
            (SUCCESSOR.config, 1, addresses[::-1]),
            (SUCCESSOR.config, 1, [*addresses, world.stranger]),
        ):
            with refused(world.verifier, "WrongSigner", index=0):
                rotate(*altered, signatures).call()

    def test_no_configuration_comes_back(self, world: World) -> None:
        there = self.rotation(world, SUCCESSOR)
        world.chain.send(there)
        with refused(world.verifier, "ConfigUsed", configDigest=world.committee.config):
            self.rotation(world, world.committee, by=SUCCESSOR).call()
        with refused(world.verifier, "ConfigUsed", configDigest=SUCCESSOR.config):
            self.rotation(world, SUCCESSOR, by=SUCCESSOR).call()

    @pytest.mark.parametrize(
        ("f", "signers", "error"),
        [
            (1, 3, "BadSignerCount"),
            (0, 0, "BadSignerCount"),
            (10, 30, "BadSignerCount"),
            (1, 32, "BadSignerCount"),
            (255, 31, "BadSignerCount"),
        ],
    )
    def test_the_new_set_is_large_and_small_enough(self, world: World, f: int, signers: int, error: str) -> None:
        new = Committee(signers, f, seed="third")
        with refused(world.verifier, error, given=signers, f=f):
            self.rotation(world, new).call()

    def test_the_new_set_is_distinct_and_nonzero(self, world: World) -> None:
        addresses = SUCCESSOR.addresses
        for signers, error in (
            ([*addresses[:3], addresses[0]], "DuplicateSigner"),
            ([*addresses[:3], "0x" + "00" * 20], "ZeroSigner"),
        ):
            digest = rotation_digest(
                world.committee.config, world.chain.chain_id, world.verifier.address, HEADER, 1, signers
            )
            signatures = world.committee.sign(digest, range(5))
            with refused(world.verifier, error):
                world.verifier.functions.rotate(HEADER, 1, signers, signatures).call()

    def test_the_configuration_is_not_zero(self, world: World) -> None:
        digest = rotation_digest(
            world.committee.config, world.chain.chain_id, world.verifier.address, bytes(32), 1, SUCCESSOR.addresses
        )
        signatures = world.committee.sign(digest, range(5))
        with refused(world.verifier, "ConfigUsed"):
            world.verifier.functions.rotate(bytes(32), 1, SUCCESSOR.addresses, signatures).call()

    def test_an_attestation_of_the_old_set_is_void(self, world: World) -> None:
        world.deposit(100)
        withdrawal = world.call("withdrawal", world.release(10))
        withdrawal.call()
        equal_size = Committee(7, 2, seed="equal size")
        world.chain.send(self.rotation(world, equal_size))
        with refused(world.verifier, "WrongSigner", index=0):
            withdrawal.call()
