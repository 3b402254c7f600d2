// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// What the client scripts call: state, an event, a typed error, a reason, a panic, and what a transaction carries.
contract Counter {
    error TooMuch(uint256 asked, uint256 allowed);

    event Counted(address indexed by, uint256 value);

    uint256 public value;
    mapping(address => uint256) public by;

    constructor(uint256 start) payable {
        value = start;
    }

    function add(uint256 n) external returns (uint256) {
        if (n > 100) revert TooMuch(n, 100);
        value += n;
        by[msg.sender] += n;
        emit Counted(msg.sender, value);
        return value;
    }

    function refuse() external pure {
        require(false, "no way");
    }

    function panics(uint256 divisor) external pure returns (uint256) {
        return 1 / divisor;
    }
}
