//! The price of `SSTORE` between Constantinople and Petersburg (EIP-1283), which revm does not know.
//!
//! Place in the flow: part of env; installed into every revm instance that runs transactions of a block.
//! Invariant: other blocks keep the instruction and the gas table that they have. EIP-1283 is the first form of EIP-2200: the same
//! cases by original, present and new value, with 200 gas for what changes nothing and without a look at the stipend.

use crate::chain_spec::Rules;
use revm::{
    bytecode::opcode::SSTORE,
    context::CfgEnv,
    context_interface::{Host, cfg::GasId},
    handler::instructions::EthInstructions,
    interpreter::{
        InstructionContext, InstructionExecResult, InstructionResult, InterpreterTypes,
        instructions::{Instruction, host},
    },
};

/// Gas of an `SSTORE` that changes nothing, and of one to a slot that the transaction has changed before.
const NO_CHANGE: u64 = 200;
/// Gas of making a slot.
const SET: u64 = 20_000;
/// Gas of changing a slot.
const RESET: u64 = 5_000;

/// Puts the prices into a configuration.
pub(super) fn price(rules: &Rules, cfg: &mut CfgEnv) {
    if !rules.has_net_gas_metering() {
        return;
    }
    cfg.gas_params.override_gas([
        (GasId::sstore_static(), NO_CHANGE),
        (GasId::sstore_set_without_load_cost(), SET - NO_CHANGE),
        (GasId::sstore_reset_without_cold_load_cost(), RESET - NO_CHANGE),
        (GasId::sstore_set_refund(), SET - NO_CHANGE),
        (GasId::sstore_reset_refund(), RESET - NO_CHANGE),
    ]);
}

/// Puts the instruction into a table, where the rules ask for it.
pub fn install_net_gas_metering<WIRE: InterpreterTypes, HOST: Host>(
    rules: &Rules,
    table: &mut EthInstructions<WIRE, HOST>,
) {
    if rules.has_net_gas_metering() {
        table.instruction_table_mut()[usize::from(SSTORE)] = Instruction::new(sstore);
    }
}

fn sstore<WIRE: InterpreterTypes, HOST: Host>(step: InstructionContext<'_, HOST, WIRE>) -> InstructionExecResult {
    host::sstore_with_gas_accounting(step, |step, _, load| {
        let prices = step.host.gas_params();
        let (cost, refund) = (prices.sstore_dynamic_gas(true, load, false), prices.sstore_refund(true, load));
        if !step.interpreter.gas.record_regular_cost(cost) {
            return Err(InstructionResult::OutOfGas);
        }
        step.interpreter.gas.record_refund(refund);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chain_spec::ChainSpec,
        env::{block_env, cfg_env},
    };
    use alloy_consensus::Header;
    use alloy_primitives::{Address, Bytes, U256, hex};
    use revm::{
        Context, ExecuteEvm, MainBuilder, MainContext,
        bytecode::Bytecode,
        context::TxEnv,
        database::{CacheDB, EmptyDB},
        state::AccountInfo,
    };

    /// Gas used by the code and refunded to it, before the limit of refunds.
    fn run(network: &str, code: &str, original: u64) -> (u64, u64) {
        let at = Address::with_last_byte(0xcc);
        let mut state = CacheDB::new(EmptyDB::default());
        let code = Bytecode::new_raw(Bytes::from(hex::decode(code).unwrap()));
        state.insert_account_info(at, AccountInfo::from_bytecode(code));
        state.insert_account_storage(at, U256::ZERO, U256::from(original)).unwrap();
        let header = Header { gas_limit: 10_000_000, ..Header::default() };
        let rules = ChainSpec::for_test_network(network, []).unwrap().rules_for(&header);
        let context =
            Context::mainnet().with_db(state).with_block(block_env(&rules, &header)).with_cfg(cfg_env(&rules));
        let mut evm = context.build_mainnet();
        install_net_gas_metering(&rules, &mut evm.instruction);
        let tx = TxEnv { kind: at.into(), gas_limit: 1_000_000, chain_id: Some(1), ..TxEnv::default() };
        let result = evm.transact(tx).unwrap().result;
        assert!(result.is_success(), "{result:?}");
        (result.gas().total_gas_spent() - 21_000, result.gas().inner_refunded())
    }

    /// The table of EIP-1283.
    #[test]
    fn gas_and_refunds_are_those_of_the_eip() {
        let cases = [
            ("60006000556000600055", 412, 0, 0),
            ("60006000556001600055", 20212, 0, 0),
            ("60016000556000600055", 20212, 19800, 0),
            ("60016000556002600055", 20212, 0, 0),
            ("60016000556001600055", 20212, 0, 0),
            ("60006000556000600055", 5212, 15000, 1),
            ("60006000556001600055", 5212, 4800, 1),
            ("60006000556002600055", 5212, 0, 1),
            ("60026000556000600055", 5212, 15000, 1),
            ("60026000556003600055", 5212, 0, 1),
            ("60026000556001600055", 5212, 4800, 1),
            ("60026000556002600055", 5212, 0, 1),
            ("60016000556000600055", 5212, 15000, 1),
            ("60016000556002600055", 5212, 0, 1),
            ("60016000556001600055", 412, 0, 1),
            ("600160005560006000556001600055", 40218, 19800, 0),
            ("600060005560016000556000600055", 10218, 19800, 1),
        ];
        for (code, gas, refund, original) in cases {
            let expected = (gas, u64::min(refund, (21_000 + gas) / 2));
            assert_eq!(run("Constantinople", code, original), expected, "{code} from {original}");
        }
    }

    #[test]
    fn petersburg_takes_it_back() {
        assert_eq!(run("ConstantinopleFix", "60006000556000600055", 0), (10_012, 0));
    }
}
