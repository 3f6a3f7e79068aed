// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {StateVerifier} from "./StateVerifier.sol";

/// @title A verifier that asks 21 signatures of 31 signers for a state
/// @notice For measurement only: f + 1 ends at 11 with 31 signers. Everything but the number is the verifier's.
contract RaisedThreshold is StateVerifier {
    constructor(bytes32 config, uint8 f, address[] memory signers) StateVerifier(config, f, signers) {}

    function _stateQuorum(uint256 faulty) internal pure override returns (uint256) {
        return faulty + 11;
    }
}
