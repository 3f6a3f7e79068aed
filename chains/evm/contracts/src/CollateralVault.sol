// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IStateVerifier} from "./IStateVerifier.sol";

/// @title Collateral of margin accounts on one chain
/// @notice Anyone deposits for an account. Only a quorum of the network moves collateral out, by an attestation
/// for a withdrawal or a seizure; or the owner, slowly, once the network has been silent for long.
/// No owner of the contract, no upgrade, nothing to configure after deployment.
///
/// Storage, read by nodes through proofs. The layout is fixed: a base contract may add no storage (the
/// reentrancy guard is transient) and new variables go to the end.
///   slot 0  balances: account => token => amount     keccak(token ‖ keccak(account ‖ 0))
///   slot 1  nonces: account => releases executed     keccak(account ‖ 1)
///   slot 2  totals: token => sum of its books        keccak(token ‖ 2)
///   slot 3  caps: token => most that leaves in a window; zero: not admitted
///   slot 4  outflows: token => what left in the current window
///   slot 5  exitRequests: account => time of the owner's request
///   slot 6  links: account => wallet => whether the wallet joins it  keccak(wallet ‖ keccak(account ‖ 6))
/// Every change of slots 0-2 emits an event that names account and token, and every change of slot 6 one that
/// names account and wallet, so the events of a block name every slot that it touched. Token zero is the chain's
/// native coin.
///
/// Security considerations
/// - Replay: a digest binds purpose, configuration, chain, vault, account and nonce. Nonces rise by one per
///   executed release, so of two attestations with one nonce at most one executes. A rotation of signers voids
///   what was not executed. The encoding of signatures is unique, and nothing is keyed by a signature anyway.
/// - Books, not balances, decide: coins sent past `deposit` credit nobody, and what a token takes as a fee or by
///   rebasing is never credited. A fee on the way out is the payee's.
/// - A token that burns or rebases the vault's holding leaves the books above the balance. Every release then pays
///   pro rata, amount * balance / books, so that nobody gains by being first; nodes prove `totals` and the
///   balance and value holdings alike. Who deposits into a shortfall shares it.
/// - What a seizure credits to its payee is fixed when it is signed. So each item names the least that it has to pay:
///   a token that falls (further) short in between makes the release revert. Releases and deposits by others do not:
///   balance / books never falls by them.
/// - Reentrancy: every function that moves value is guarded, and books change before anything is sent. A
///   deposit is booked after the transfer, so during it books lie below the balance, never above.
/// - A payee or token that fails makes the whole release revert and leaves the nonce unused: the attestation
///   stays executable until its expiry. Return data of a payee is not copied.
/// - Dust: deposits by strangers only add to an account, and no loop runs over what an account holds.
/// - Owners may fill at most half of a cap; else a large owner could move its own money through the vault to
///   block the seizure from its other account. Owners can still use up each other's half: the price of a cap.
/// - Out of gas in a payee's call reverts the release like any failure: a submitter cannot half execute it.
contract CollateralVault is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice One amount of one token, by the books; token zero is the native coin.
    struct Item {
        address token;
        uint256 amount;
        uint256 minimum; // least that the vault sends for it, else it reverts; amount, unless a shortfall is known
    }

    /// @notice What an attestation releases.
    struct Release {
        bytes32 account; // that it is taken from
        uint64 nonce; // the account's current nonce + 1
        address payee; // that it is paid to
        Item[] items; // 1 to MAX_ITEMS, strictly ascending by token, amounts above zero
        bytes32 referenceId; // id of the withdrawal request or of the liquidation plan
        uint64 sequence; // margin state that it rests on
        bytes32 headerHash; // hash of that state's header
        uint64 expiry; // last block time, Unix seconds, at which it executes
    }

    /// @notice What left in a window, in token units; `byOwners` counts withdrawals and exits.
    struct Outflow {
        uint32 window;
        uint112 byOwners;
        uint112 total;
    }

    /// @notice Most items of one release.
    uint256 public constant MAX_ITEMS = 16;
    /// @notice The native coin's place among tokens.
    address public constant NATIVE = address(0);

    bytes32 private constant ACCOUNT_TAG = keccak256("hypothec.v1.account");
    bytes32 private constant WITHDRAWAL_TAG = keccak256("hypothec.v1.withdrawal");
    bytes32 private constant SEIZURE_TAG = keccak256("hypothec.v1.seizure");

    /// @notice Amount of a token that secures an account.
    mapping(bytes32 account => mapping(address token => uint256)) public balances;
    /// @notice Releases executed for an account.
    mapping(bytes32 account => uint64) public nonces;
    /// @notice Sum of a token's balances over all accounts.
    mapping(address token => uint256) public totals;
    /// @notice Most of a token that leaves in one window; zero if it is not admitted.
    mapping(address token => uint256) public caps;
    /// @notice What left of a token in the last window in which anything left.
    mapping(address token => Outflow) public outflows;
    /// @notice Block time at which an account's owner asked to exit; zero if never.
    mapping(bytes32 account => uint64) public exitRequests;
    /// @notice Whether a wallet says that it belongs to an account. It takes the account's owner to agree.
    mapping(bytes32 account => mapping(address wallet => bool)) public links;

    /// @notice Verifier whose signers release collateral.
    IStateVerifier public immutable verifier;
    /// @notice Network that this vault belongs to; part of every account id.
    bytes32 public immutable networkId;
    /// @notice Length of an outflow window, seconds. Windows are aligned to multiples of it since the epoch, so up
    /// to twice the cap can leave around a boundary.
    uint64 public immutable window;
    /// @notice Seconds without a state after which owners may ask to exit.
    uint64 public immutable silence;
    /// @notice Seconds between request and exit.
    uint64 public immutable exitDelay;
    /// @notice Block time of deployment: silence counts from here before the first state.
    uint64 public immutable deployedAt;

    /// @notice A token is admitted, for good.
    event TokenAdmitted(address indexed token, uint256 cap);
    /// @notice `amount` was credited to an account; it may be less than was sent.
    event Deposited(bytes32 indexed account, address indexed token, address indexed from, uint256 amount);
    /// @notice One item of a withdrawal was paid: `amount` by the books, which in a shortfall is worth less.
    event Withdrawn(
        bytes32 indexed account,
        address indexed token,
        address indexed payee,
        uint256 amount,
        uint64 nonce,
        bytes32 referenceId
    );
    /// @notice One item of a seizure was paid, likewise.
    event Seized(
        bytes32 indexed account,
        address indexed token,
        address indexed payee,
        uint256 amount,
        uint64 nonce,
        bytes32 referenceId
    );
    /// @notice A wallet said whether it belongs to an account.
    event LinkSet(bytes32 indexed account, address indexed wallet, bool joins);
    /// @notice An owner asked to exit.
    event ExitRequested(bytes32 indexed account, address indexed owner, uint64 executableAt);
    /// @notice An owner took collateral out without the network, likewise.
    event Exited(bytes32 indexed account, address indexed token, address indexed to, uint256 amount);

    /// @notice The constructor's argument of this name cannot be used.
    error BadParameter(string name);
    /// @notice An admitted token has no code.
    error TokenWithoutCode(address token);
    /// @notice The vault does not hold this token.
    error TokenNotAdmitted(address token);
    /// @notice The native coin comes in by `depositNative` only.
    error UseDepositNative();
    /// @notice Nothing arrived that could be credited.
    error NothingReceived(address token);
    /// @notice The attestation is past its expiry.
    error Expired(uint64 expiry, uint256 blockTime);
    /// @notice The nonce is not the account's next.
    error WrongNonce(bytes32 account, uint64 given, uint64 expected);
    /// @notice No item, or more than MAX_ITEMS.
    error BadItemCount(uint256 given);
    /// @notice Items are not strictly ascending by token.
    error ItemsNotAscending(address token, address previous);
    /// @notice An amount is zero.
    error ZeroAmount(address token);
    /// @notice The payee is the zero address or the vault.
    error BadPayee(address payee);
    /// @notice The account holds less than that.
    error InsufficientBalance(bytes32 account, address token, uint256 wanted, uint256 held);
    /// @notice More than what may still leave in this window.
    error CapExceeded(address token, uint256 wanted, uint256 left);
    /// @notice In the token's shortfall the amount is worth less than the least that it may pay.
    error ShortPayment(address token, uint256 pays, uint256 minimum);
    /// @notice The payee did not take the native coin.
    error NativeTransferFailed(address payee, uint256 amount);
    /// @notice Only the account's owner may do that.
    error NotOwner(address sender, address owner);
    /// @notice The network is alive, or was when the exit was requested: the last state is not old enough.
    error NotSilent(uint64 lastHeard, uint256 silentAfter);
    /// @notice No exit was requested for the account.
    error NoExitRequest(bytes32 account);
    /// @notice The exit's delay is not over.
    error TooEarly(uint256 executableAt);

    /// @param verifier_  verifier of the network
    /// @param networkId_ immutable id of the network
    /// @param tokens     admitted tokens, distinct; zero admits the native coin
    /// @param caps_      for each, most that leaves in a window, in token units: 2 to 2^112 - 1
    /// @param window_    length of that window, seconds
    /// @param silence_   seconds without a state that open the owner exit
    /// @param exitDelay_ seconds between an owner's request and the exit
    constructor(
        IStateVerifier verifier_,
        bytes32 networkId_,
        address[] memory tokens,
        uint256[] memory caps_,
        uint64 window_,
        uint64 silence_,
        uint64 exitDelay_
    ) {
        if (address(verifier_).code.length == 0) revert BadParameter("verifier");
        if (networkId_ == bytes32(0)) revert BadParameter("networkId");
        if (tokens.length == 0 || tokens.length != caps_.length) revert BadParameter("tokens");
        if (window_ == 0) revert BadParameter("window");
        if (silence_ == 0) revert BadParameter("silence");
        if (exitDelay_ == 0) revert BadParameter("exitDelay");
        verifier = verifier_;
        networkId = networkId_;
        window = window_;
        silence = silence_;
        exitDelay = exitDelay_;
        deployedAt = uint64(block.timestamp);
        for (uint256 i = 0; i < tokens.length; ++i) {
            address token = tokens[i];
            if (token != NATIVE && token.code.length == 0) revert TokenWithoutCode(token);
            if (caps[token] != 0) revert BadParameter("tokens");
            if (caps_[i] < 2 || caps_[i] > type(uint112).max) revert BadParameter("caps");
            caps[token] = caps_[i];
            emit TokenAdmitted(token, caps_[i]);
        }
    }

    /// @notice Refused: a plain transfer names no account.
    receive() external payable {
        revert UseDepositNative();
    }

    // === Deposits ===

    /// @notice Take `amount` of an admitted token from the sender as collateral of `account`.
    /// @dev Credits what arrived, and never more than `amount`: a token that rebases within its own transfer must
    /// not hand everybody's gain to one depositor.
    function deposit(bytes32 account, address token, uint256 amount) external nonReentrant {
        if (token == NATIVE) revert UseDepositNative();
        _requireAdmitted(token);
        uint256 held = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 holds = IERC20(token).balanceOf(address(this));
        uint256 received = holds > held ? holds - held : 0;
        _credit(account, token, received < amount ? received : amount);
    }

    /// @notice Take the native coin that comes with the call as collateral of `account`.
    function depositNative(bytes32 account) external payable nonReentrant {
        _requireAdmitted(NATIVE);
        _credit(account, NATIVE, msg.value);
    }

    // === Releases ===

    /// @notice Pay out a withdrawal that a quorum of the network attests.
    function withdraw(Release calldata release, bytes calldata signatures) external nonReentrant {
        _authorize(release, signatures, WITHDRAWAL_TAG);
        for (uint256 i = 0; i < release.items.length; ++i) {
            (address token, uint256 amount) = _next(release, i);
            _debit(release.account, token, amount, true);
            emit Withdrawn(
                release.account, token, release.payee, amount, release.nonce, release.referenceId
            );
        }
        _payAll(release);
    }

    /// @notice Pay out a seizure that a quorum of the network attests.
    function seize(Release calldata release, bytes calldata signatures) external nonReentrant {
        _authorize(release, signatures, SEIZURE_TAG);
        for (uint256 i = 0; i < release.items.length; ++i) {
            (address token, uint256 amount) = _next(release, i);
            _debit(release.account, token, amount, false);
            emit Seized(release.account, token, release.payee, amount, release.nonce, release.referenceId);
        }
        _payAll(release);
    }

    // === Owner exit ===

    /// @notice Ask to take out an account's collateral, as the network has been silent for `silence` seconds.
    /// @param owner the account's first address, which must be the sender
    /// @param salt  of the account's id
    function requestExit(address owner, bytes32 salt) external {
        bytes32 account = _owned(owner, salt);
        _requireSilent(block.timestamp);
        exitRequests[account] = uint64(block.timestamp);
        emit ExitRequested(account, owner, uint64(block.timestamp) + exitDelay);
    }

    /// @notice Take out collateral `exitDelay` seconds after the request, if still no state has come.
    /// @dev A state less than `silence` older than the request voids it: a network that lives again decides first.
    /// The nonce does not move: it counts executed attestations, which is what nodes conclude from it. One that was
    /// issued before the silence and has not expired may still execute; it and the exit draw on the same books,
    /// so together they take no more than what the account holds.
    /// @param owner  the account's first address, which must be the sender
    /// @param salt   of the account's id
    /// @param token  zero for the native coin
    /// @param amount in token units; caps apply
    /// @param to     address that is paid
    function executeExit(address owner, bytes32 salt, address token, uint256 amount, address to)
        external
        nonReentrant
    {
        bytes32 account = _owned(owner, salt);
        uint64 requestedAt = exitRequests[account];
        if (requestedAt == 0) revert NoExitRequest(account);
        uint256 executableAt = uint256(requestedAt) + exitDelay;
        if (block.timestamp < executableAt) revert TooEarly(executableAt);
        _requireSilent(requestedAt);
        if (amount == 0) revert ZeroAmount(token);
        _requirePayee(to);
        _debit(account, token, amount, true);
        emit Exited(account, token, to, amount);
        _pay(token, to, amount, 0);
    }

    // === Links ===

    /// @notice Say whether the sender belongs to an account: how a contract, which has no key to sign with, links.
    function setLink(bytes32 account, bool joins) external {
        links[account][msg.sender] = joins;
        emit LinkSet(account, msg.sender, joins);
    }

    /// @notice When the network was last heard, Unix seconds.
    /// @dev The earlier of a state's own time and its acceptance: else a hoard of old, never submitted states
    /// could be fed in one by one to keep owners locked in after the network has died.
    function lastHeard() public view returns (uint64) {
        (, uint64 timeMs, uint64 acceptedAt,) = verifier.latest();
        uint64 stated = timeMs / 1000;
        uint64 heard = stated < acceptedAt ? stated : acceptedAt;
        return heard > deployedAt ? heard : deployedAt;
    }

    // === Digests ===

    /// @notice Id of the margin account that `owner` opened with `salt`.
    function accountId(address owner, bytes32 salt) public view returns (bytes32) {
        return keccak256(abi.encode(ACCOUNT_TAG, networkId, owner, salt));
    }

    /// @notice What signers of a withdrawal sign, under the configuration in force.
    function withdrawalDigest(Release calldata release) external view returns (bytes32) {
        return _digest(release, WITHDRAWAL_TAG);
    }

    /// @notice What signers of a seizure sign, under the configuration in force.
    function seizureDigest(Release calldata release) external view returns (bytes32) {
        return _digest(release, SEIZURE_TAG);
    }

    /// @notice Hash of the items of a release, in their order.
    function itemsHash(Item[] calldata items) public pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            // an array of structs of three words lies in calldata as the words to hash
            let free := mload(0x40)
            let size := mul(items.length, 0x60)
            calldatacopy(free, items.offset, size)
            hash := keccak256(free, size)
        }
    }

    function _digest(Release calldata release, bytes32 tag) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                tag,
                verifier.configDigest(),
                block.chainid,
                address(this),
                release.account,
                release.nonce,
                release.payee,
                itemsHash(release.items),
                release.referenceId,
                release.sequence,
                release.headerHash,
                release.expiry
            )
        );
    }

    // === Internals ===

    function _authorize(Release calldata release, bytes calldata signatures, bytes32 tag) private {
        if (block.timestamp > release.expiry) revert Expired(release.expiry, block.timestamp);
        uint64 expected = nonces[release.account] + 1;
        if (release.nonce != expected) revert WrongNonce(release.account, release.nonce, expected);
        uint256 count = release.items.length;
        if (count == 0 || count > MAX_ITEMS) revert BadItemCount(count);
        _requirePayee(release.payee);
        verifier.checkQuorum(_digest(release, tag), signatures);
        nonces[release.account] = expected;
    }

    /// @dev The i-th item, checked against the one before it.
    function _next(Release calldata release, uint256 i) private pure returns (address token, uint256 amount) {
        token = release.items[i].token;
        amount = release.items[i].amount;
        if (amount == 0) revert ZeroAmount(token);
        if (i > 0 && token <= release.items[i - 1].token) {
            revert ItemsNotAscending(token, release.items[i - 1].token);
        }
    }

    function _credit(bytes32 account, address token, uint256 amount) private {
        if (amount == 0) revert NothingReceived(token);
        balances[account][token] += amount;
        totals[token] += amount;
        emit Deposited(account, token, msg.sender, amount);
    }

    function _debit(bytes32 account, address token, uint256 amount, bool byOwner) private {
        uint256 held = balances[account][token];
        if (held < amount) revert InsufficientBalance(account, token, amount, held);
        balances[account][token] = held - amount;
        totals[token] -= amount;
        _count(token, amount, byOwner);
    }

    /// @dev No sum overflows: each counter stays at or below a cap of 112 bits.
    function _count(address token, uint256 amount, bool byOwner) private {
        Outflow memory out = outflows[token];
        uint32 current = uint32(block.timestamp / window);
        if (out.window != current) out = Outflow(current, 0, 0);
        uint256 cap = caps[token];
        uint256 left = cap - out.total;
        if (byOwner) {
            uint256 ownersLeft = cap / 2 - out.byOwners;
            if (ownersLeft < left) left = ownersLeft;
        }
        if (amount > left) revert CapExceeded(token, amount, left);
        out.total += uint112(amount);
        if (byOwner) out.byOwners += uint112(amount);
        outflows[token] = out;
    }

    function _payAll(Release calldata release) private {
        for (uint256 i = 0; i < release.items.length; ++i) {
            Item calldata item = release.items[i];
            _pay(item.token, release.payee, item.amount, item.minimum);
        }
    }

    /// @dev After the debit, which the books before it are reckoned back from.
    function _pay(address token, address payee, uint256 amount, uint256 minimum) private {
        uint256 held = token == NATIVE ? address(this).balance : IERC20(token).balanceOf(address(this));
        uint256 booked = totals[token] + amount;
        if (held < booked) amount = Math.mulDiv(amount, held, booked);
        if (amount < minimum) revert ShortPayment(token, amount, minimum);
        if (token != NATIVE) {
            IERC20(token).safeTransfer(payee, amount);
        } else if (!LowLevelCall.callNoReturn(payee, amount, "")) {
            revert NativeTransferFailed(payee, amount);
        }
    }

    function _requireAdmitted(address token) private view {
        if (caps[token] == 0) revert TokenNotAdmitted(token);
    }

    function _requirePayee(address payee) private view {
        if (payee == address(0) || payee == address(this)) revert BadPayee(payee);
    }

    function _requireSilent(uint256 moment) private view {
        uint64 heard = lastHeard();
        uint256 silentAfter = uint256(heard) + silence;
        if (moment <= silentAfter) revert NotSilent(heard, silentAfter);
    }

    function _owned(address owner, bytes32 salt) private view returns (bytes32) {
        if (msg.sender != owner) revert NotOwner(msg.sender, owner);
        return accountId(owner, salt);
    }
}
