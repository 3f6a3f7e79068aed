// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// Keeps a hundredth of every transfer; may instead pay interest on what comes in.
contract FeeToken is ERC20("Fee", "FEE") {
    bool public rebasing;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setRebasing(bool on) external {
        rebasing = on;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from == address(0) || to == address(0)) return;
        if (rebasing) _mint(to, value);
        else _burn(to, value / 100);
    }
}

/// Refuses to pay listed addresses; may be told to take transfers and move nothing.
contract BlacklistToken is ERC20("Blacklist", "BLK") {
    error Blacklisted(address account);

    mapping(address => bool) public blacklisted;
    bool public pretending;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function burn(address from, uint256 amount) external {
        _burn(from, amount);
    }

    function setBlacklisted(address account, bool on) external {
        blacklisted[account] = on;
    }

    function setPretending(bool on) external {
        pretending = on;
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return pretending || super.transferFrom(from, to, value);
    }

    function _update(address from, address to, uint256 value) internal override {
        if (blacklisted[to]) revert Blacklisted(to);
        super._update(from, to, value);
    }
}

/// Calls both sides of a transfer, as ERC-777 does.
contract HookToken is ERC20("Hook", "HOOK") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        if (from.code.length > 0) Attacker(payable(from)).poke();
        return super.transferFrom(from, to, value);
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        super.transfer(to, value);
        if (to.code.length > 0) Attacker(payable(to)).poke();
        return true;
    }
}

/// Whenever it is called back, runs a prepared call and keeps what came of it.
contract Attacker {
    address public target;
    bytes public prepared;
    bool public strict;
    bool public called;
    bool public succeeded;
    bytes public answer;

    function prepare(address target_, bytes calldata data, bool strict_) external {
        (target, prepared, strict, called, succeeded) = (target_, data, strict_, false, false);
    }

    function run(address to, bytes calldata data) external payable {
        (bool ok, bytes memory out) = to.call{value: msg.value}(data);
        if (!ok) _bubble(out);
    }

    function poke() public {
        if (target == address(0)) return;
        called = true;
        (succeeded, answer) = target.call(prepared);
        if (strict && !succeeded) _bubble(answer);
    }

    receive() external payable {
        poke();
    }

    function _bubble(bytes memory out) private pure {
        assembly {
            revert(add(out, 0x20), mload(out))
        }
    }
}

/// Takes the coin and answers with a megabyte of memory, which a careless caller pays for by copying it.
contract ReturnBomb {
    receive() external payable {
        assembly {
            return(0, 1000000)
        }
    }
}

/// Takes no coin.
contract Refuser {}
