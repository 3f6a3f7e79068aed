// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What a vault needs of the network's verifier
interface IStateVerifier {
    /// @notice Digest of the network configuration in force: it is bound into every signed digest.
    function configDigest() external view returns (bytes32);

    /// @notice Reverts unless exactly a quorum of the signers in force has signed `digest`.
    function checkQuorum(bytes32 digest, bytes calldata signatures) external view;

    /// @notice The last accepted margin state; all zero before the first.
    /// @return sequence   the state's sequence number
    /// @return timeMs     the state's own time, Unix milliseconds
    /// @return acceptedAt block time of acceptance, Unix seconds
    /// @return headerHash hash of the state's header
    function latest()
        external
        view
        returns (uint64 sequence, uint64 timeMs, uint64 acceptedAt, bytes32 headerHash);
}
