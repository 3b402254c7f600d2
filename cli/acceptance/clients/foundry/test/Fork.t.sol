// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Counter} from "../src/Counter.sol";

interface Vm {
    function expectRevert(bytes calldata) external;
    function deal(address, uint256) external;
}

/// Runs on a fork of the node: accounts come from there, everything else stays here.
contract ForkTest {
    Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function testTheForkHasTheDevelopmentAccounts() public view {
        require(block.chainid == 31337, "chain id");
        require(0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266.balance > 9000 ether, "balance");
    }

    function testContractsRunOnTheFork() public {
        Counter counter = new Counter(7);
        require(counter.add(5) == 12, "sum");
        vm.expectRevert(abi.encodeWithSelector(Counter.TooMuch.selector, 101, 100));
        counter.add(101);
    }
}
