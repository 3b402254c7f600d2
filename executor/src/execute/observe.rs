//! The opcodes that look at balances or at the block, wrapped so that a run knows what its result depends on.
//!
//! Place in the flow: installed into the instruction table of every revm instance of [`super::Instance`]. Other opcodes run
//! untouched, so the price is paid only where a balance or the block matters.
//! Invariant: after a run, for every account whose balance could have changed the outcome, [`BalanceRule`] says how; what of
//! the block could have changed it is in [`EnvironmentReads`].
//!
//! | opcode | what it depends on |
//! | --- | --- |
//! | `BALANCE`, `SELFBALANCE` | that balance, exactly |
//! | `SELFDESTRUCT` | the account's own balance, exactly: all of it moves |
//! | `CALL`, `CALLCODE`, `CREATE`, `CREATE2` with value v | own balance at least v at that moment; exactly, if it is less |
//! | `COINBASE`, `TIMESTAMP`, `NUMBER`, `BLOCKHASH`, `PREVRANDAO`, `GASLIMIT`, `BLOBBASEFEE`, `SLOTNUM` | that of the block |

use super::{mapping_keys::keccak256_opcode, view::StateView};
use crate::read_set::{BalanceRule, EnvironmentReads};
use alloy_primitives::{Address, U256};
use revm::{
    Context, Journal,
    bytecode::opcode::{
        BALANCE, BLOBBASEFEE, BLOCKHASH, CALL, CALLCODE, COINBASE, CREATE, CREATE2, DIFFICULTY, GASLIMIT, KECCAK256,
        NUMBER, SELFBALANCE, SELFDESTRUCT, SLOTNUM, TIMESTAMP,
    },
    context::{BlockEnv, CfgEnv},
    context_interface::Transaction,
    database_interface::DatabaseRef,
    handler::instructions::EthInstructions,
    interpreter::{
        InstructionContext, InstructionExecResult,
        instructions::{Instruction, block_info, contract, host},
        interpreter::EthInterpreter,
        interpreter_types::InputsTr,
    },
};

/// The context of a block's revm instance: transactions of type `TX`, state through a [`StateView`].
pub(super) type BlockContext<'a, DB, TX> =
    Context<BlockEnv, TX, CfgEnv, StateView<'a, DB>, Journal<StateView<'a, DB>>, ()>;

pub(super) type Step<'s, 'a, DB, TX> = InstructionContext<'s, BlockContext<'a, DB, TX>, EthInterpreter>;

/// Wraps the observing opcodes of `table`, keeping their static gas.
pub(super) fn install<DB: DatabaseRef, TX: Transaction>(
    table: &mut EthInstructions<EthInterpreter, BlockContext<'_, DB, TX>>,
) {
    let mut wrap = |opcode: u8, step| {
        table.instruction_table_mut()[usize::from(opcode)] = Instruction::new(step);
    };
    wrap(BALANCE, balance);
    wrap(SELFBALANCE, selfbalance);
    wrap(SELFDESTRUCT, selfdestruct);
    wrap(CALL, call::<CALL, DB, TX>);
    wrap(CALLCODE, call::<CALLCODE, DB, TX>);
    wrap(CREATE, create::<false, DB, TX>);
    wrap(CREATE2, create::<true, DB, TX>);
    wrap(COINBASE, look::<COINBASE, DB, TX>);
    wrap(TIMESTAMP, look::<TIMESTAMP, DB, TX>);
    wrap(NUMBER, look::<NUMBER, DB, TX>);
    wrap(DIFFICULTY, look::<DIFFICULTY, DB, TX>);
    wrap(GASLIMIT, look::<GASLIMIT, DB, TX>);
    wrap(BLOBBASEFEE, look::<BLOBBASEFEE, DB, TX>);
    wrap(SLOTNUM, look::<SLOTNUM, DB, TX>);
    wrap(BLOCKHASH, blockhash);
    wrap(KECCAK256, keccak256_opcode);
}

/// The opcodes that push one thing of the block.
fn look<const OPCODE: u8, DB: DatabaseRef, TX: Transaction>(step: Step<'_, '_, DB, TX>) -> InstructionExecResult {
    let environment = &mut step.host.journaled_state.database.notes.environment;
    match OPCODE {
        COINBASE => {
            environment.insert(EnvironmentReads::BENEFICIARY);
            block_info::coinbase(step)
        }
        TIMESTAMP => {
            environment.insert(EnvironmentReads::TIMESTAMP);
            block_info::timestamp(step)
        }
        NUMBER => {
            environment.insert(EnvironmentReads::NUMBER);
            block_info::block_number(step)
        }
        DIFFICULTY => {
            environment.insert(EnvironmentReads::RANDOMNESS);
            block_info::difficulty(step)
        }
        GASLIMIT => {
            environment.insert(EnvironmentReads::GAS_LIMIT);
            block_info::gaslimit(step)
        }
        BLOBBASEFEE => {
            environment.insert(EnvironmentReads::BLOB_FEE);
            block_info::blob_basefee(step)
        }
        SLOTNUM => {
            environment.insert(EnvironmentReads::SLOT_NUMBER);
            block_info::slot_num(step)
        }
        _ => unreachable!("installed for the opcodes above only"),
    }
}

/// Which of the hashes it is depends on the block's number too.
fn blockhash<DB: DatabaseRef, TX: Transaction>(step: Step<'_, '_, DB, TX>) -> InstructionExecResult {
    let notes = &mut step.host.journaled_state.database.notes;
    notes.environment.insert(EnvironmentReads::NUMBER);
    notes.environment.insert(EnvironmentReads::ANCESTORS);
    host::blockhash(step)
}

fn balance<DB: DatabaseRef, TX: Transaction>(step: Step<'_, '_, DB, TX>) -> InstructionExecResult {
    if let Some(word) = step.interpreter.stack.data().last() {
        note(&mut step.host.journaled_state, Address::from_word((*word).into()), BalanceRule::Exact);
    }
    host::balance(step)
}

fn selfbalance<DB: DatabaseRef, TX: Transaction>(step: Step<'_, '_, DB, TX>) -> InstructionExecResult {
    note(&mut step.host.journaled_state, step.interpreter.input.target_address(), BalanceRule::Exact);
    host::selfbalance(step)
}

fn selfdestruct<DB: DatabaseRef, TX: Transaction>(step: Step<'_, '_, DB, TX>) -> InstructionExecResult {
    note(&mut step.host.journaled_state, step.interpreter.input.target_address(), BalanceRule::Exact);
    host::selfdestruct(step)
}

fn call<const KIND: u8, DB: DatabaseRef, TX: Transaction>(step: Step<'_, '_, DB, TX>) -> InstructionExecResult {
    // The stack from the top: gas, address, value.
    if let [.., value, _, _] = step.interpreter.stack.data().as_slice()
        && !value.is_zero()
    {
        note_spend(&mut step.host.journaled_state, step.interpreter.input.target_address(), *value);
    }
    contract::call::<KIND, _, _>(step)
}

fn create<const IS_CREATE2: bool, DB: DatabaseRef, TX: Transaction>(
    step: Step<'_, '_, DB, TX>,
) -> InstructionExecResult {
    step.host.journaled_state.database.notes.creates = true;
    // The value is on top of the stack.
    if let Some(value) = step.interpreter.stack.data().last().filter(|value| !value.is_zero()) {
        note_spend(&mut step.host.journaled_state, step.interpreter.input.target_address(), *value);
    }
    contract::create::<IS_CREATE2, _, _>(step)
}

fn note<DB>(journal: &mut Journal<StateView<'_, DB>>, address: Address, rule: BalanceRule) {
    journal.database.notes.balances.entry(address).or_default().strengthen(rule);
}

/// Notes that `account` is about to part with `value`.
///
/// With `o` the balance before the run, `c` the balance now and any other start `o'`, the balance at this moment would be
/// `o' + c - o`. So the comparison `c >= v` comes out the same exactly where `o' >= o + v - c`.
fn note_spend<DB>(journal: &mut Journal<StateView<'_, DB>>, account: Address, value: U256) {
    let Some(state) = journal.inner.state.get(&account) else { return };
    let now = state.info.balance;
    let rule = if now < value {
        BalanceRule::Exact
    } else {
        BalanceRule::AtLeast(state.original_info().balance.saturating_add(value).saturating_sub(now))
    };
    note(journal, account, rule);
}
