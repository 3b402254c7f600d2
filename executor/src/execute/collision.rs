//! Creating at an address that has storage already (EIP-7610).
//!
//! Place in the flow: every run of a transaction goes through it; revm's own check knows nonce and code only.
//! Invariant: a creation at such an address fails exactly as one at an address with a nonce does. Everything else is revm's.

use super::{Around, Evm, dispatch, precompiles::Precompiles};
use crate::read_set::EnvironmentReads;
use alloy_primitives::Address;
use laminar_state_db::storage_only_id;
use revm::{
    DatabaseRef,
    context::FrameStack,
    context_interface::{JournalTr, context::ContextError},
    handler::{
        EthFrame, EvmTr, FrameInitOrResult, FrameResult, ItemOrResult,
        evm::{ContextDbError, FrameInitResult},
        instructions::EthInstructions,
    },
    interpreter::{CreateInputs, FrameInput, interpreter::EthInterpreter, interpreter_action::FrameInit},
    primitives::constants::CALL_STACK_LIMIT,
};

/// A revm instance that knows of storage without code.
pub(super) struct Guarded<'e, 'a, DB: DatabaseRef>(pub(super) &'e mut Evm<'a, DB>);

type Failed<'a, DB> = ContextDbError<Around<'a, DB>>;

impl<'a, DB: DatabaseRef> Guarded<'_, 'a, DB> {
    /// The address of a creation that gets as far as looking at it, if it has storage but neither nonce nor code.
    fn occupied(&mut self, depth: usize, inputs: &CreateInputs) -> Result<Option<Address>, Failed<'a, DB>> {
        let journal = &mut self.0.ctx.journaled_state;
        let caller = journal.load_account(inputs.caller()).map_err(ContextError::Db)?.data;
        let (nonce, balance) = (caller.info.nonce, caller.info.balance);
        if depth > CALL_STACK_LIMIT as usize || balance < inputs.value() || nonce == u64::MAX {
            return Ok(None);
        }
        // revm asks for the address again and finds it computed.
        let target = inputs.created_address(nonce);
        let parent = journal.database.parent_account(target).map_err(ContextError::Db)?;
        let id = parent.and_then(|info| info.account_id);
        Ok((id.is_some() && id == storage_only_id()).then_some(target))
    }

    /// CONSENSUS: EIP-7610. The address has a nonce while revm looks at it, so that what a collision costs and touches is
    /// decided in one place.
    fn collide(&mut self, target: Address, frame: FrameInit) -> Result<FrameResult, Failed<'a, DB>> {
        let nonce = self.lend_nonce(target, 1)?;
        let result = match self.0.frame_init(frame)? {
            ItemOrResult::Result(result) => result,
            ItemOrResult::Item(_) => {
                return Err(ContextError::Custom(format!("created at {target}, which is occupied")));
            }
        };
        self.lend_nonce(target, nonce)?;
        Ok(result)
    }

    /// Sets the nonce of an account past the journal; gives the one before.
    fn lend_nonce(&mut self, target: Address, nonce: u64) -> Result<u64, Failed<'a, DB>> {
        let journal = &mut self.0.ctx.journaled_state;
        journal.load_account(target).map_err(ContextError::Db)?;
        let account = journal.inner.state.get_mut(&target).expect("a loaded account is in the journal");
        Ok(std::mem::replace(&mut account.info.nonce, nonce))
    }
}

impl<'a, DB: DatabaseRef> EvmTr for Guarded<'_, 'a, DB> {
    type Context = Around<'a, DB>;
    type Instructions = EthInstructions<EthInterpreter, Around<'a, DB>>;
    type Precompiles = Precompiles<'a>;
    type Frame = EthFrame<EthInterpreter>;

    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Self::Frame>) {
        self.0.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut Self::Precompiles, &mut FrameStack<Self::Frame>) {
        self.0.all_mut()
    }

    fn frame_init(&mut self, frame: FrameInit) -> Result<FrameInitResult<'_, Self::Frame>, Failed<'a, DB>> {
        if let FrameInput::Create(inputs) = &frame.frame_input
            && let Some(target) = self.occupied(frame.depth, inputs)?
        {
            return self.collide(target, frame).map(ItemOrResult::Result);
        }
        self.0.frame_init(frame)
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Self::Frame>, Failed<'a, DB>> {
        let frame = self.0.frame_stack.get();
        let (context, instructions) = (&mut self.0.ctx, &self.0.instruction);
        let (table, gas) = (instructions.instruction_table(), instructions.gas_table());
        let action = dispatch::run(&mut frame.interpreter, table, gas, context);
        let ran = frame.process_next_action::<_, Failed<'a, DB>>(context, action)?;
        if ran.is_result() {
            frame.set_finished(true);
        }
        // CONSENSUS: EIP-3651, the beneficiary is warm. A frame that cannot pay for a cold account ends before the account is
        // looked at, so that nothing else tells which account it was.
        if let ItemOrResult::Result(result) = &ran
            && !result.interpreter_result().result.is_ok_or_revert()
        {
            let notes = &mut self.0.ctx.journaled_state.database.notes;
            notes.environment.insert(EnvironmentReads::BENEFICIARY);
        }
        Ok(ran)
    }

    fn frame_return_result(&mut self, result: FrameResult) -> Result<Option<FrameResult>, Failed<'a, DB>> {
        self.0.frame_return_result(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        env::PreparedBlock,
        execute::{Instance, PrecompileOutputs},
        mv_memory::MvMemory,
    };
    use alloy_primitives::{B256, Bytes, U256};
    use laminar_state_db::{Account, MemoryState, MemoryStateError};
    use revm::{
        bytecode::Bytecode,
        context_interface::CreateScheme,
        state::{AccountId, AccountInfo},
    };

    const CREATOR: Address = Address::repeat_byte(7);

    /// A state that numbers its accounts.
    struct Numbered(MemoryState);

    impl DatabaseRef for Numbered {
        type Error = MemoryStateError;

        fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, MemoryStateError> {
            let number = |info: AccountInfo| AccountInfo { account_id: info.account_id.or(AccountId::new(3)), ..info };
            Ok(self.0.basic_ref(address)?.map(number))
        }

        fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, MemoryStateError> {
            self.0.code_by_hash_ref(hash)
        }

        fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, MemoryStateError> {
            self.0.storage_ref(address, slot)
        }

        fn block_hash_ref(&self, number: u64) -> Result<B256, MemoryStateError> {
            self.0.block_hash_ref(number)
        }
    }

    /// Whether a creation with `value` by an account with `nonce` and 5 wei finds its address, which has 1 wei and `slots`
    /// slots, occupied by storage.
    fn occupied(depth: usize, value: u64, nonce: u64, slots: u64) -> bool {
        let mut state = MemoryState::default();
        state.insert_account(CREATOR, Account { nonce, balance: U256::from(5), ..Account::default() });
        let target = CREATOR.create(nonce);
        state.insert_account(target, Account { balance: U256::from(1), ..Account::default() });
        (0..slots).for_each(|slot| state.insert_slot(target, U256::from(slot), U256::from(1)));

        let block = PreparedBlock::of_one();
        let (memory, outputs, parent) = (MvMemory::new(0), PrecompileOutputs::default(), Numbered(state));
        let mut instance = Instance::new(&block, &parent, &memory, &outputs);
        let inputs = CreateInputs::new(CREATOR, CreateScheme::Create, U256::from(value), Bytes::new(), 0, 0);
        let found = Guarded(&mut instance.evm).occupied(depth, &inputs).unwrap();
        assert!(found.is_none_or(|found| found == target));
        found.is_some()
    }

    #[test]
    fn storage_is_looked_for_where_revm_gets_as_far_as_the_address() {
        for (depth, value, nonce, slots, want) in [
            (0, 0, 1, 1, true),
            (0, 0, 1, 0, false),
            (1024, 0, 1, 1, true),
            (1025, 0, 1, 1, false),
            (0, 5, 1, 1, true),
            (0, 6, 1, 1, false),
            (0, 0, u64::MAX - 1, 1, true),
            (0, 0, u64::MAX, 1, false),
        ] {
            assert_eq!(occupied(depth, value, nonce, slots), want, "depth {depth}, value {value}, nonce {nonce}");
        }
    }
}
