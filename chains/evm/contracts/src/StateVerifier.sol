// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {IStateVerifier} from "./IStateVerifier.sol";

/// @title Accepts margin states signed by the network and knows who its signers are
/// @notice Anyone may submit; only signatures count. No owner, no upgrade: signers change by their own quorum.
///
/// Signatures are `bitmask(4 bytes, big endian) ‖ r ‖ s ‖ r ‖ s ...`, one pair for each set bit in ascending
/// order; bit i is signer i. Each s is chosen such that v = 27, so (r, s) has one encoding and its mirror
/// (r, n - s) is refused. Exactly the required number of signatures is taken: one way to encode, steady gas.
///
/// Storage, read by nodes through proofs (bit 0 is the lowest):
///   slot 0  signer set: contract that holds it as code (bits 0-159) | number of signers (160-167) | f (168-175)
///   slot 1  last state: sequence (bits 0-63) | timeMs (64-127) | acceptedAt (128-191)
///   slot 2  last state's header hash
///   slot 3  mapping: configuration digest => used already
/// The signer set's code is `00 ‖ configDigest ‖ 20 bytes for each signer`, half the gas of slots. Its address
/// is CREATE2(this, salt = configDigest, init code), so slot 0 alone proves configuration and signers.
contract StateVerifier is IStateVerifier {
    /// @notice Most signers of a configuration: one bit each in the bitmask.
    uint256 public constant MAX_SIGNERS = 31;

    /// @notice How far a state's time may lie ahead of the block's, in milliseconds.
    /// @dev Times must rise, so a state from the far future would lock out every later one until then. One hour
    /// is far above the clock error of honest nodes and of chains whose block time lags, and bounds that harm.
    uint256 public constant MAX_AHEAD_MS = 1 hours * 1000;

    bytes32 private constant STATE_TAG = keccak256("hypothec.v1.state");
    bytes32 private constant ROTATION_TAG = keccak256("hypothec.v1.rotation");

    struct SignerSet {
        address code;
        uint8 count;
        uint8 f;
    }

    struct Accepted {
        uint64 sequence;
        uint64 timeMs;
        uint64 acceptedAt;
    }

    SignerSet private _signerSet;
    Accepted private _accepted;
    bytes32 private _headerHash;

    /// @notice Digests that are or were in force. None comes back: a signature made under a retired
    /// configuration, a rotation above all, must never become valid again.
    mapping(bytes32 configDigest => bool) public usedConfigs;

    /// @notice A state was accepted.
    event StateAccepted(uint64 indexed sequence, bytes32 headerHash, uint64 timeMs);
    /// @notice A configuration came into force; `oldConfigDigest` is zero for the first.
    event SignersRotated(
        bytes32 indexed oldConfigDigest, bytes32 indexed newConfigDigest, uint8 f, address[] signers
    );

    /// @notice The sequence does not rise.
    error SequenceNotRising(uint64 given, uint64 accepted);
    /// @notice The state's time does not rise.
    error TimeNotRising(uint64 givenMs, uint64 acceptedMs);
    /// @notice The state's time is more than MAX_AHEAD_MS ahead of the block's.
    error TimeInFuture(uint64 givenMs, uint256 limitMs);
    /// @notice Not exactly the required number of bits is set.
    error WrongSignatureCount(uint256 given, uint256 required);
    /// @notice The length does not fit the required number of signatures.
    error WrongSignatureLength(uint256 given, uint256 required);
    /// @notice The bitmask names a signer that does not exist.
    error SignerOutOfRange(uint256 bitmask, uint256 signers);
    /// @notice A signature is not that of the signer whose bit is set; `recovered` is zero if it is no signature.
    error WrongSigner(uint256 index, address recovered, address expected);
    /// @notice The number of signers is below 3f + 1 or above MAX_SIGNERS.
    error BadSignerCount(uint256 given, uint256 f);
    /// @notice A signer is the zero address.
    error ZeroSigner(uint256 index);
    /// @notice A signer appears twice.
    error DuplicateSigner(address signer);
    /// @notice The configuration digest is zero, in force, or retired.
    error ConfigUsed(bytes32 configDigest);

    /// @param initialConfig  digest of the first configuration
    /// @param initialF       faulty nodes that it tolerates
    /// @param initialSigners its signers, in the order of the bitmask
    constructor(bytes32 initialConfig, uint8 initialF, address[] memory initialSigners) {
        _install(bytes32(0), initialConfig, initialF, initialSigners);
    }

    // === States ===

    /// @notice Accept a margin state signed by f + 1 signers, at least one of them honest.
    /// @dev Sequence and time go on rising across rotations: a fresh instance starts above the last state.
    /// @param sequence   must be above the last accepted one
    /// @param headerHash hash of the state's header
    /// @param timeMs     the state's own time, Unix milliseconds; must be above the last accepted one
    /// @param signatures over `stateDigest`
    function accept(uint64 sequence, bytes32 headerHash, uint64 timeMs, bytes calldata signatures) external {
        Accepted memory last = _accepted;
        if (sequence <= last.sequence) revert SequenceNotRising(sequence, last.sequence);
        if (timeMs <= last.timeMs) revert TimeNotRising(timeMs, last.timeMs);
        uint256 limit = block.timestamp * 1000 + MAX_AHEAD_MS;
        if (timeMs > limit) revert TimeInFuture(timeMs, limit);

        SignerSet memory set = _signerSet;
        bytes memory members = _read(set);
        bytes32 digest = _stateDigest(_configOf(members), sequence, headerHash, timeMs);
        _requireSigned(digest, signatures, _stateQuorum(set.f), set.count, members);

        _accepted = Accepted(sequence, timeMs, uint64(block.timestamp));
        _headerHash = headerHash;
        emit StateAccepted(sequence, headerHash, timeMs);
    }

    /// @inheritdoc IStateVerifier
    function latest()
        external
        view
        returns (uint64 sequence, uint64 timeMs, uint64 acceptedAt, bytes32 headerHash)
    {
        Accepted memory last = _accepted;
        return (last.sequence, last.timeMs, last.acceptedAt, _headerHash);
    }

    // === Signers ===

    /// @notice Replace configuration and signers, by a quorum of the signers in force.
    /// @param newConfigDigest digest of the new configuration, never used before
    /// @param newF            faulty nodes that it tolerates
    /// @param newSigners      its signers: nonzero, distinct, at least 3f + 1, at most MAX_SIGNERS
    /// @param signatures      over `rotationDigest`
    function rotate(
        bytes32 newConfigDigest,
        uint8 newF,
        address[] calldata newSigners,
        bytes calldata signatures
    ) external {
        SignerSet memory set = _signerSet;
        bytes memory members = _read(set);
        bytes32 old = _configOf(members);
        bytes32 digest = _rotationDigest(old, newConfigDigest, newF, newSigners);
        _requireSigned(digest, signatures, _quorum(set.count, set.f), set.count, members);
        _install(old, newConfigDigest, newF, newSigners);
    }

    /// @inheritdoc IStateVerifier
    function checkQuorum(bytes32 digest, bytes calldata signatures) external view {
        SignerSet memory set = _signerSet;
        _requireSigned(digest, signatures, _quorum(set.count, set.f), set.count, _read(set));
    }

    /// @inheritdoc IStateVerifier
    function configDigest() external view returns (bytes32) {
        return _configOf(_read(_signerSet));
    }

    /// @notice The signers in force, in the order of the bitmask.
    function signers() external view returns (address[] memory list) {
        SignerSet memory set = _signerSet;
        bytes memory members = _read(set);
        list = new address[](set.count);
        for (uint256 i = 0; i < list.length; ++i) {
            assembly ("memory-safe") {
                mstore(add(add(list, 0x20), mul(i, 0x20)), shr(96, mload(add(add(members, 0x40), mul(i, 20)))))
            }
        }
    }

    /// @notice Faulty nodes that the configuration in force tolerates.
    function f() external view returns (uint8) {
        return _signerSet.f;
    }

    /// @notice Signatures that a withdrawal, a seizure or a rotation needs: ⌊(n + f) / 2⌋ + 1.
    function quorum() external view returns (uint256) {
        return _quorum(_signerSet.count, _signerSet.f);
    }

    /// @notice Signatures that a state needs: f + 1.
    function stateQuorum() external view returns (uint256) {
        return _stateQuorum(_signerSet.f);
    }

    // === Digests ===

    /// @notice What signers of a state sign, under the configuration in force.
    function stateDigest(uint64 sequence, bytes32 headerHash, uint64 timeMs) external view returns (bytes32) {
        return _stateDigest(_configOf(_read(_signerSet)), sequence, headerHash, timeMs);
    }

    /// @notice What signers of a rotation sign, under the configuration in force.
    function rotationDigest(bytes32 newConfigDigest, uint8 newF, address[] calldata newSigners)
        external
        view
        returns (bytes32)
    {
        return _rotationDigest(_configOf(_read(_signerSet)), newConfigDigest, newF, newSigners);
    }

    function _stateDigest(bytes32 config, uint64 sequence, bytes32 headerHash, uint64 timeMs)
        private
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode(STATE_TAG, config, block.chainid, address(this), sequence, headerHash, timeMs)
        );
    }

    function _rotationDigest(
        bytes32 config,
        bytes32 newConfigDigest,
        uint8 newF,
        address[] calldata newSigners
    ) private view returns (bytes32) {
        // encodePacked pads the elements of an array to words
        bytes32 members = keccak256(abi.encodePacked(newSigners));
        return keccak256(
            abi.encode(ROTATION_TAG, config, block.chainid, address(this), newConfigDigest, newF, members)
        );
    }

    // === Internals ===

    /// @dev Virtual so that gas can be measured at counts that f + 1 does not reach with 31 signers.
    function _stateQuorum(uint256 faulty) internal pure virtual returns (uint256) {
        return faulty + 1;
    }

    function _quorum(uint256 count, uint256 faulty) private pure returns (uint256) {
        return (count + faulty) / 2 + 1;
    }

    function _install(bytes32 old, bytes32 config, uint8 faulty, address[] memory members) private {
        uint256 count = members.length;
        if (count < 3 * uint256(faulty) + 1 || count > MAX_SIGNERS) revert BadSignerCount(count, faulty);
        if (config == bytes32(0) || usedConfigs[config]) revert ConfigUsed(config);

        bytes memory packed;
        for (uint256 i = 0; i < count; ++i) {
            if (members[i] == address(0)) revert ZeroSigner(i);
            for (uint256 j = 0; j < i; ++j) {
                if (members[i] == members[j]) revert DuplicateSigner(members[i]);
            }
            packed = bytes.concat(packed, bytes20(members[i]));
        }
        // init code that returns what follows it; the leading STOP byte keeps the data from being executed
        bytes memory code = bytes.concat(hex"00", config, packed);
        bytes memory initCode = bytes.concat(hex"61", bytes2(uint16(code.length)), hex"80600a3d393df3", code);
        address holder = Create2.deploy(0, config, initCode);

        usedConfigs[config] = true;
        _signerSet = SignerSet(holder, uint8(count), faulty);
        emit SignersRotated(old, config, faulty, members);
    }

    /// @dev `configDigest ‖ signers`, copied out of the signer set's code.
    function _read(SignerSet memory set) private view returns (bytes memory members) {
        address holder = set.code;
        uint256 size = 32 + 20 * uint256(set.count);
        assembly ("memory-safe") {
            members := mload(0x40)
            mstore(members, size)
            extcodecopy(holder, add(members, 0x20), 1, size)
            mstore(0x40, and(add(add(members, size), 0x3f), not(0x1f)))
        }
    }

    function _configOf(bytes memory members) private pure returns (bytes32 config) {
        assembly ("memory-safe") {
            config := mload(add(members, 0x20))
        }
    }

    /// @dev Assembly because this loop is where the gas goes: one memory area for every ecrecover, and signers
    /// read in place. Out of gas inside ecrecover recovers zero, which no signer is: it fails closed.
    function _requireSigned(
        bytes32 digest,
        bytes calldata signatures,
        uint256 required,
        uint256 count,
        bytes memory members
    ) private view {
        uint256 bitmask = uint32(bytes4(signatures));
        if (bitmask >> count != 0) revert SignerOutOfRange(bitmask, count);
        if (_popcount(bitmask) != required) revert WrongSignatureCount(_popcount(bitmask), required);
        if (signatures.length != 4 + 64 * required) {
            revert WrongSignatureLength(signatures.length, 4 + 64 * required);
        }

        address expected;
        address recovered;
        uint256 offset; // place of the current signer in the list
        assembly ("memory-safe") {
            let input := mload(0x40) // digest, v, r, s
            mstore(input, digest)
            mstore(add(input, 0x20), 27)
            let list := add(members, 0x40)
            let signature := add(signatures.offset, 4)
            for { let mask := bitmask } mask { mask := shr(1, mask) offset := add(offset, 20) } {
                if and(mask, 1) {
                    calldatacopy(add(input, 0x40), signature, 0x40)
                    mstore(0, 0)
                    pop(staticcall(gas(), 1, input, 0x80, 0, 0x20))
                    recovered := mload(0)
                    expected := shr(96, mload(add(list, offset)))
                    if xor(recovered, expected) { break }
                    signature := add(signature, 0x40)
                }
            }
        }
        if (recovered != expected) revert WrongSigner(offset / 20, recovered, expected);
    }

    /// @dev Set bits of a 32-bit number, by adding neighbours: pairs, nibbles, then all bytes at once.
    function _popcount(uint256 x) private pure returns (uint256) {
        unchecked {
            x -= (x >> 1) & 0x55555555;
            x = (x & 0x33333333) + ((x >> 2) & 0x33333333);
            x = (x + (x >> 4)) & 0x0f0f0f0f;
            return ((x * 0x01010101) >> 24) & 0xff;
        }
    }
}
