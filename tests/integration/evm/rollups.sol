// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Doubles of what rollups have on L1: their storage lies where the real contracts have theirs, and anybody may do
/// anything, so that tests can bring about every state.

/// Names its logic where ERC-1967 says.
contract Proxy {
    bytes32 private constant SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    constructor(address logic) {
        assembly {
            sstore(SLOT, logic)
        }
    }

    fallback() external {
        assembly {
            calldatacopy(0, 0, calldatasize())
            let done := delegatecall(gas(), sload(SLOT), 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(done) {
                revert(0, returndatasize())
            }
            return(0, returndatasize())
        }
    }
}

/// DisputeGameFactory 1.x.
contract GameFactory {
    uint256[101] private _gap;
    mapping(uint32 => address) public gameImpls;
    mapping(uint32 => uint256) public initBonds;
    mapping(bytes32 => bytes32) internal _disputeGames;
    bytes32[] internal _disputeGameList;
    mapping(uint32 => bytes) public gameArgs;

    event DisputeGameCreated(address indexed disputeProxy, uint32 indexed gameType, bytes32 indexed rootClaim);

    function setImplementation(uint32 gameType, address implementation, bytes calldata arguments) external {
        gameImpls[gameType] = implementation;
        gameArgs[gameType] = arguments;
    }

    function create(uint32 gameType, bytes32 rootClaim, bytes calldata extraData) external {
        bytes memory arguments = abi.encodePacked(
            msg.sender, rootClaim, blockhash(block.number - 1), extraData, gameArgs[gameType]
        );
        address game = _clone(gameImpls[gameType], arguments);
        DisputeGame(game).initialize();
        bytes32 id = bytes32((uint256(gameType) << 224) | (uint256(block.timestamp) << 160) | uint160(game));
        _disputeGames[keccak256(abi.encode(gameType, rootClaim, extraData))] = id;
        _disputeGameList.push(id);
        emit DisputeGameCreated(game, gameType, rootClaim);
    }

    function _clone(address implementation, bytes memory arguments) private returns (address made) {
        uint16 size = uint16(arguments.length + 2);
        bytes memory code = abi.encodePacked(
            hex"61",
            size + 98,
            hex"3d81600a3d39f336602c57343d527f9e4ac34f21c619cefc926c8bd93b54bf5a39c7ab2127a895af1cc0691d7e3dff",
            hex"593da1005b363d3d373d3d3d3d61",
            size,
            hex"806062363936013d73",
            implementation,
            hex"5af43d3d93803e606057fd5bf3",
            arguments,
            size
        );
        assembly {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), "no clone");
    }
}

/// FaultDisputeGame 2.x, where everybody may say who won.
contract DisputeGame {
    uint64 public createdAt;
    uint64 public resolvedAt;
    uint8 public status;
    bool internal initialized;
    bool public l2BlockNumberChallenged;
    address public l2BlockNumberChallenger;
    uint256[8] private _gap;
    bool public wasRespectedGameTypeWhenCreated;

    uint32 private immutable GAME_TYPE;
    Registry private immutable REGISTRY;

    constructor(uint32 gameType, Registry registry) {
        GAME_TYPE = gameType;
        REGISTRY = registry;
    }

    function initialize() external {
        require(!initialized, "already initialized");
        initialized = true;
        createdAt = uint64(block.timestamp);
        wasRespectedGameTypeWhenCreated = REGISTRY.respectedGameType() == GAME_TYPE;
    }

    function resolve(bool defended) external {
        status = defended ? 2 : 1;
        resolvedAt = uint64(block.timestamp);
    }
}

/// SuperFaultDisputeGame, where everybody may say who won.
contract SuperGame {
    uint64 public createdAt;
    uint64 public resolvedAt;
    uint8 public status;
    bool internal initialized;
    uint256[8] private _gap;
    bool public wasRespectedGameTypeWhenCreated;

    uint32 private immutable GAME_TYPE;
    Registry private immutable REGISTRY;

    constructor(uint32 gameType, Registry registry) {
        GAME_TYPE = gameType;
        REGISTRY = registry;
    }

    function initialize() external {
        require(!initialized, "already initialized");
        initialized = true;
        createdAt = uint64(block.timestamp);
        wasRespectedGameTypeWhenCreated = REGISTRY.respectedGameType() == GAME_TYPE;
    }

    function resolve(bool defended) external {
        status = defended ? 2 : 1;
        resolvedAt = uint64(block.timestamp);
    }
}

/// AnchorStateRegistry 3.x.
contract Registry {
    uint256[5] private _gap;
    mapping(address => bool) public disputeGameBlacklist;
    uint32 public respectedGameType;
    uint64 public retirementTimestamp;

    function respect(uint32 gameType) external {
        respectedGameType = gameType;
    }

    function blacklist(address game) external {
        disputeGameBlacklist[game] = true;
    }

    function retire() external {
        retirementTimestamp = uint64(block.timestamp);
    }
}

/// L2OutputOracle 1.8.
contract OutputOracle {
    struct OutputProposal {
        bytes32 outputRoot;
        uint128 timestamp;
        uint128 l2BlockNumber;
    }

    uint256[3] private _gap;
    OutputProposal[] internal l2Outputs;
    uint256[4] private _gap2;
    uint256 public finalizationPeriodSeconds = 3600;

    function propose(bytes32 root, uint256 height) external {
        l2Outputs.push(OutputProposal(root, uint128(block.timestamp), uint128(height)));
    }

    /// As the real one does it: what was deleted stays in storage.
    function deleteFrom(uint256 index) external {
        assembly {
            sstore(l2Outputs.slot, index)
        }
    }
}

struct GlobalState {
    bytes32[2] bytes32Vals;
    uint64[2] u64Vals;
}

struct AssertionState {
    GlobalState globalState;
    uint8 machineStatus;
    bytes32 endHistoryRoot;
}

struct ConfigData {
    bytes32 wasmModuleRoot;
    uint256 requiredStake;
    address challengeManager;
    uint64 confirmPeriodBlocks;
    uint64 nextInboxPosition;
}

struct BeforeStateData {
    bytes32 prevPrevAssertionHash;
    bytes32 sequencerBatchAcc;
    ConfigData configData;
}

struct AssertionInputs {
    BeforeStateData beforeStateData;
    AssertionState beforeState;
    AssertionState afterState;
}

/// RollupCore with BoLD.
contract ArbitrumRollup {
    struct AssertionNode {
        uint64 firstChildBlock;
        uint64 secondChildBlock;
        uint64 createdAtBlock;
        bool isFirstChild;
        uint8 status;
        bytes32 configHash;
    }

    uint256[116] private _gap;
    bytes32 private _latestConfirmed;
    mapping(bytes32 => AssertionNode) private _assertions;

    event AssertionCreated(
        bytes32 indexed assertionHash,
        bytes32 indexed parentAssertionHash,
        AssertionInputs assertion,
        bytes32 afterInboxBatchAcc,
        uint256 inboxMaxCount,
        bytes32 wasmModuleRoot,
        uint256 requiredStake,
        address challengeManager,
        uint64 confirmPeriodBlocks
    );

    /// As the real one does it when it is set up: what has asserted nothing yet is confirmed.
    function begin() external {
        bytes32 name = _make(0, 0, 0);
        _assertions[name].status = 2;
        _latestConfirmed = name;
    }

    function create(bytes32 parent, bytes32 blockHash, bytes32 sendRoot) external {
        AssertionNode storage node = _assertions[parent];
        require(node.status != 0, "no parent");
        if (node.firstChildBlock == 0) {
            node.firstChildBlock = uint64(block.number);
        } else if (node.secondChildBlock == 0) {
            node.secondChildBlock = uint64(block.number);
        }
        _make(parent, blockHash, sendRoot);
    }

    function confirm(bytes32 name) external {
        require(_assertions[name].status == 1, "not pending");
        _assertions[name].status = 2;
        _latestConfirmed = name;
    }

    /// The owner of the real one can.
    function undo(bytes32 parent, bytes32 name) external {
        delete _assertions[name];
        _assertions[parent].firstChildBlock = 0;
    }

    function latestConfirmed() external view returns (bytes32) {
        return _latestConfirmed;
    }

    function _make(bytes32 parent, bytes32 blockHash, bytes32 sendRoot) private returns (bytes32 name) {
        AssertionInputs memory inputs;
        inputs.afterState.globalState.bytes32Vals = [blockHash, sendRoot];
        inputs.afterState.globalState.u64Vals = [uint64(7), 3];
        inputs.afterState.machineStatus = 1;
        inputs.afterState.endHistoryRoot = keccak256("history");
        bytes32 inbox = keccak256("inbox");
        name = keccak256(abi.encodePacked(parent, keccak256(abi.encode(inputs.afterState)), inbox));
        _assertions[name] = AssertionNode(0, 0, uint64(block.number), true, 1, keccak256("config"));
        emit AssertionCreated(name, parent, inputs, inbox, 9, 0, 1, address(this), 45818);
    }
}

struct ExecutionState {
    GlobalState globalState;
    uint8 machineStatus;
}

struct Assertion {
    ExecutionState beforeState;
    ExecutionState afterState;
    uint64 numBlocks;
}

/// RollupCore before BoLD.
contract ClassicRollup {
    struct Node {
        bytes32 stateHash;
        bytes32 challengeHash;
        bytes32 confirmData;
        uint64 prevNum;
        uint64 deadlineBlock;
        uint64 noChildConfirmedBeforeBlock;
        uint64 stakerCount;
        uint64 childStakerCount;
        uint64 firstChildBlock;
        uint64 latestChildNumber;
        uint64 createdAtBlock;
        bytes32 nodeHash;
    }

    uint256[117] private _gap;
    uint64 private _latestConfirmed;
    uint64 private _firstUnresolvedNode;
    uint64 private _latestNodeCreated;
    uint64 private _lastStakeBlock;
    mapping(uint64 => Node) private _nodes;

    event NodeCreated(
        uint64 indexed nodeNum,
        bytes32 indexed parentNodeHash,
        bytes32 indexed nodeHash,
        bytes32 executionHash,
        Assertion assertion,
        bytes32 afterInboxBatchAcc,
        bytes32 wasmModuleRoot,
        uint256 inboxMaxCount
    );

    function create(bytes32 blockHash, bytes32 sendRoot) external {
        Assertion memory assertion;
        assertion.afterState.globalState.bytes32Vals = [blockHash, sendRoot];
        assertion.afterState.machineStatus = 1;
        uint64 number = ++_latestNodeCreated;
        if (_firstUnresolvedNode == 0) {
            _firstUnresolvedNode = 1;
        }
        Node storage node = _nodes[number];
        node.confirmData = keccak256(abi.encodePacked(blockHash, sendRoot));
        node.createdAtBlock = uint64(block.number);
        node.nodeHash = keccak256(abi.encode(number));
        emit NodeCreated(number, 0, node.nodeHash, 0, assertion, 0, 0, 0);
    }

    function resolve(bool confirmed) external {
        uint64 number = _firstUnresolvedNode++;
        if (confirmed) {
            _latestConfirmed = number;
        }
    }
}
