//! The order and the conditions of the system effects, against a state that only writes down what is asked of it.

use super::*;
use crate::chain_spec::ChainSpec;
use alloy_consensus::{BlockBody, Header};
use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS,
    eip4788::BEACON_ROOTS_ADDRESS,
    eip4895::{Withdrawal, Withdrawals},
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS as EXITS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS as CONSOLIDATIONS,
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_primitives::B256;

/// Writes down every effect; answers calls as the test says.
#[derive(Debug, Default)]
struct Script {
    effects: Vec<String>,
    without_code: Vec<Address>,
    failing: Vec<Address>,
    outputs: Vec<(Address, Bytes)>,
    balance: U256,
}

impl SystemState for Script {
    fn system_call(&mut self, to: Address, input: Bytes) -> Result<Option<SystemCallOutput>, ExecuteError> {
        if self.without_code.contains(&to) {
            return Ok(None);
        }
        self.effects.push(format!("call {to} {input}"));
        let output = self.outputs.iter().find(|(address, _)| *address == to).map(|(_, output)| output.clone());
        let success = !self.failing.contains(&to);
        Ok(Some(SystemCallOutput { success, output: output.unwrap_or_default() }))
    }

    fn has_code(&mut self, address: Address) -> Result<bool, ExecuteError> {
        Ok(!self.without_code.contains(&address))
    }

    fn add_balance(&mut self, address: Address, wei: U256) -> Result<(), ExecuteError> {
        self.effects.push(format!("add {address} {wei}"));
        Ok(())
    }

    fn take_balance(&mut self, _: Address) -> Result<U256, ExecuteError> {
        self.effects.push("take".to_owned());
        Ok(self.balance)
    }
}

fn block(number: u64, timestamp: u64) -> Block {
    let header = Header {
        number,
        timestamp,
        parent_hash: B256::repeat_byte(0xaa),
        parent_beacon_block_root: Some(B256::repeat_byte(0xbb)),
        beneficiary: Address::repeat_byte(1),
        ..Header::default()
    };
    Block::new(header, BlockBody::default())
}

fn rules(network: &str) -> Rules {
    ChainSpec::for_test_network(network, []).unwrap().rules_at(1, 1)
}

fn rule_of(error: ExecuteError) -> Rule {
    match error {
        ExecuteError::InvalidBlock { rule, .. } => rule,
        other => panic!("not a refusal: {other}"),
    }
}

#[test]
fn beacon_root_comes_before_history_and_only_from_their_forks_on() {
    let root = format!("call {BEACON_ROOTS_ADDRESS} {}", B256::repeat_byte(0xbb));
    let history = format!("call {HISTORY_STORAGE_ADDRESS} {}", B256::repeat_byte(0xaa));
    let table: [(&str, Vec<String>); 3] =
        [("Shanghai", vec![]), ("Cancun", vec![root.clone()]), ("Prague", vec![root, history])];
    for (network, effects) in table {
        let mut state = Script::default();
        before_transactions(&rules(network), &block(1, 1), &mut state).unwrap();
        assert_eq!(state.effects, effects, "{network}");
    }
}

#[test]
fn missing_code_or_failure_of_unchecked_contracts_is_silent() {
    let contracts = vec![BEACON_ROOTS_ADDRESS, HISTORY_STORAGE_ADDRESS];
    let mut state = Script { without_code: contracts.clone(), ..Script::default() };
    before_transactions(&rules("Prague"), &block(1, 1), &mut state).unwrap();
    assert_eq!(state.effects, Vec::<String>::new());
    let mut state = Script { failing: contracts, ..Script::default() };
    before_transactions(&rules("Prague"), &block(1, 1), &mut state).unwrap();
}

#[test]
fn header_without_beacon_root_is_refused_from_cancun_on() {
    let mut block = block(1, 1);
    block.header.parent_beacon_block_root = None;
    let error = before_transactions(&rules("Cancun"), &block, &mut Script::default()).unwrap_err();
    assert_eq!(rule_of(error).exception(), "BlockException.INCORRECT_BLOCK_FORMAT");
}

#[test]
fn dao_fork_moves_every_balance_to_the_refund_contract() {
    let mut state = Script { balance: U256::from(2), ..Script::default() };
    let rules = ChainSpec::mainnet().rules_at(1_920_000, 0);
    before_transactions(&rules, &block(1_920_000, 0), &mut state).unwrap();
    assert_eq!(state.effects.len(), 117);
    assert_eq!(state.effects[116], "add 0xBf4eD7b27F1d666546E30D74d50d173d20bca754 232");
    let mut state = Script::default();
    before_transactions(&ChainSpec::mainnet().rules_at(1_920_001, 0), &block(1_920_001, 0), &mut state).unwrap();
    assert!(state.effects.is_empty());
}

#[test]
fn rewards_count_ommers_and_their_depth() {
    let ether = U256::from(1_000_000_000_000_000_000_u64);
    let mut block = block(100, 0);
    for (number, miner) in [(99, 2), (94, 3)] {
        block.body.ommers.push(Header { number, beneficiary: Address::repeat_byte(miner), ..Header::default() });
    }
    let table = [(100, 5), (4_370_000, 3), (7_280_000, 2)];
    for (rules_of, reward) in table {
        let rules = ChainSpec::mainnet().rules_at(rules_of, 0);
        let mut state = Script::default();
        let requests = after_transactions(&rules, &block, &[], &mut state).unwrap();
        let reward = U256::from(reward) * ether;
        let expected = [
            (Address::repeat_byte(2), reward * U256::from(7) / U256::from(8)),
            (Address::repeat_byte(3), reward * U256::from(2) / U256::from(8)),
            (Address::repeat_byte(1), reward + reward / U256::from(16)),
        ];
        assert_eq!(state.effects, expected.map(|(address, wei)| format!("add {address} {wei}")));
        assert_eq!(requests_hash(&requests), EMPTY_REQUESTS_HASH);
    }
    let mut state = Script::default();
    after_transactions(&rules("Paris"), &block, &[], &mut state).unwrap();
    assert!(state.effects.is_empty());
}

#[test]
fn ommer_out_of_range_is_refused_not_underflowed() {
    for number in [100, 101, 91] {
        let mut block = block(100, 0);
        block.body.ommers.push(Header { number, ..Header::default() });
        let rules = ChainSpec::mainnet().rules_at(100, 0);
        let error = after_transactions(&rules, &block, &[], &mut Script::default()).unwrap_err();
        assert_eq!(rule_of(error).exception(), "BlockException.UNCLE_PARENT_INCORRECT");
    }
}

#[test]
fn withdrawals_are_paid_in_gwei_before_requests_are_taken() {
    let mut block = block(1, 1);
    let withdrawal = |address, amount| Withdrawal { address, amount, ..Withdrawal::default() };
    let list = vec![withdrawal(Address::repeat_byte(5), 3), withdrawal(Address::repeat_byte(6), 0)];
    block.body.withdrawals = Some(Withdrawals::new(list));
    let mut state = Script { outputs: vec![(CONSOLIDATIONS, Bytes::from_static(&[9]))], ..Script::default() };
    let requests = after_transactions(&rules("Prague"), &block, &[], &mut state).unwrap();
    let expected = [
        format!("add {} 3000000000", Address::repeat_byte(5)),
        format!("add {} 0", Address::repeat_byte(6)),
        format!("call {EXITS} 0x"),
        format!("call {CONSOLIDATIONS} 0x"),
    ];
    assert_eq!(state.effects, expected);
    assert_eq!(requests.as_slice(), [Bytes::from_static(&[2, 9])]);
    let mut state = Script::default();
    after_transactions(&rules("Paris"), &block, &[], &mut state).unwrap();
    assert!(state.effects.is_empty());
}

#[test]
fn checked_contracts_must_have_code_and_succeed() {
    for contract in [EXITS, CONSOLIDATIONS] {
        let mut state = Script { without_code: vec![contract], ..Script::default() };
        let error = after_transactions(&rules("Prague"), &block(1, 1), &[], &mut state).unwrap_err();
        assert_eq!(rule_of(error), Rule::SystemContractEmpty { address: contract });
        let mut state = Script { failing: vec![contract], ..Script::default() };
        let error = after_transactions(&rules("Prague"), &block(1, 1), &[], &mut state).unwrap_err();
        assert_eq!(rule_of(error), Rule::SystemContractCallFailed { address: contract });
    }
}
