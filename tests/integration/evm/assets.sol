// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";

/// Takes from whom it likes, and a fee of one in a hundred if it is told to.
contract MoodyToken is ERC20("Moody", "MDY") {
    bool public greedy;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function burn(address from, uint256 amount) external {
        _burn(from, amount);
    }

    /// A rebase of one holder, down or up, behind everybody's back.
    function rebase(address holder, uint256 numerator, uint256 denominator) external {
        uint256 before = balanceOf(holder);
        uint256 wanted = before * numerator / denominator;
        if (wanted < before) _burn(holder, before - wanted);
        else _mint(holder, wanted - before);
    }

    function setGreedy(bool on) external {
        greedy = on;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (greedy && from != address(0) && to != address(0)) _burn(to, value / 100);
    }
}

contract Shares is ERC4626 {
    constructor(IERC20 asset) ERC20("Shares", "SHR") ERC4626(asset) {}
}

/// Staked ether, worth a rate that shares its slot with something else.
contract StakedToken is ERC20("Staked", "STK") {
    uint64 public epoch = 7;
    uint128 public rate = 1e18;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setRate(uint128 to) external {
        rate = to;
    }
}

contract UpgradeableToken is ERC20("Upgradeable", "UPG"), UUPSUpgradeable {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _authorizeUpgrade(address) internal override {}
}

contract UpgradedToken is UpgradeableToken {
    function version() external pure returns (uint256) {
        return 2;
    }
}

contract TokenProxy is ERC1967Proxy {
    constructor(address implementation) ERC1967Proxy(implementation, "") {}

    function _unsafeAllowUninitialized() internal pure override returns (bool) {
        return true;
    }
}

/// A contract wallet: it has no key, and does what its owner tells it.
contract Wallet {
    address private immutable OWNER = msg.sender;

    function run(address target, bytes calldata data) external {
        require(msg.sender == OWNER);
        (bool done,) = target.call(data);
        require(done);
    }
}
