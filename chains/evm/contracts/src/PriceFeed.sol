// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Chainlink's feed interface
interface AggregatorV3Interface {
    function decimals() external view returns (uint8);
    function description() external view returns (string memory);
    function version() external view returns (uint256);
    function getRoundData(uint80 id)
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
}

/// @title A price with one writer
/// @notice Speaks AggregatorV3Interface; a quote is proven by one storage slot.
///
/// Storage, read by nodes through proofs (bit 0 is the lowest):
///   slot 0  last quote: answer, int128, two's complement (bits 0-127) | updatedAt (128-191) | roundId (192-255)
///   slot 1  quotes: roundId => quote, packed alike
///   slot 2  description
contract PriceFeed is AggregatorV3Interface {
    /// @notice A price, when it was observed (Unix seconds) and its number, from 1.
    struct Quote {
        int128 answer;
        uint64 updatedAt;
        uint64 roundId;
    }

    Quote private _latest;
    mapping(uint64 roundId => Quote) private _quotes;

    /// @inheritdoc AggregatorV3Interface
    string public description;
    /// @inheritdoc AggregatorV3Interface
    uint8 public immutable decimals;
    /// @inheritdoc AggregatorV3Interface
    uint256 public constant version = 1;
    /// @notice The only address that may post.
    address public immutable updater;

    /// @notice A quote was posted (the event of Chainlink's aggregators).
    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    /// @notice Only the updater may post.
    error NotUpdater(address sender, address updater);
    /// @notice A price must be above zero.
    error NotPositive(int128 answer);
    /// @notice Observed before the last quote.
    error TimeGoesBack(uint64 given, uint64 last);
    /// @notice Observed after the block's time.
    error TimeInFuture(uint64 given, uint256 blockTime);
    /// @notice There is no such round.
    error NoRound(uint80 roundId);

    constructor(string memory description_, uint8 decimals_, address updater_) {
        description = description_;
        decimals = decimals_;
        updater = updater_;
    }

    /// @notice Post a price.
    /// @param answer    price, in units of 10^-decimals; above zero
    /// @param updatedAt when it was observed, Unix seconds; neither before the last quote nor after the block's
    /// time, as a quote from the future would look fresh for ever
    function post(int128 answer, uint64 updatedAt) external {
        if (msg.sender != updater) revert NotUpdater(msg.sender, updater);
        if (answer <= 0) revert NotPositive(answer);
        Quote memory last = _latest;
        if (updatedAt < last.updatedAt) revert TimeGoesBack(updatedAt, last.updatedAt);
        if (updatedAt > block.timestamp) revert TimeInFuture(updatedAt, block.timestamp);
        Quote memory quote = Quote(answer, updatedAt, last.roundId + 1);
        _latest = quote;
        _quotes[quote.roundId] = quote;
        emit AnswerUpdated(answer, quote.roundId, updatedAt);
    }

    /// @inheritdoc AggregatorV3Interface
    function getRoundData(uint80 id)
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        if (id > type(uint64).max) revert NoRound(id);
        return _round(_quotes[uint64(id)], id);
    }

    /// @inheritdoc AggregatorV3Interface
    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        return _round(_latest, 0);
    }

    function _round(Quote memory quote, uint80 asked)
        private
        pure
        returns (uint80, int256, uint256, uint256, uint80)
    {
        if (quote.roundId == 0) revert NoRound(asked);
        return (quote.roundId, quote.answer, quote.updatedAt, quote.updatedAt, quote.roundId);
    }
}
