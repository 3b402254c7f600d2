//! The logs of a call, with ether transfers among them where they are asked for.
//!
//! Place in the flow: the inspector of simulated calls.
//! Invariant: logs stand in the order in which they were made; those of a frame that failed are taken back, but keep their index,
//! so that indices may have gaps. They are not part of the receipt.

use crate::call::MachineContext;
use alloy_primitives::{Address, B256, Log, LogData, U256, address, b256};
use revm::{
    Inspector,
    database_interface::DatabaseRef,
    interpreter::{CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, Interpreter},
};

/// `Transfer(address,address,uint256)`.
const TRANSFER_TOPIC: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// Who logs transfers of ether (ERC-7528).
const ETHER: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");

/// Collects the logs of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct CallLogs {
    /// Whether transfers of ether count as logs.
    pub(super) with_transfers: bool,
    /// All logs of frames that have not failed, with their index in the block.
    pub(super) logs: Vec<(u64, Log)>,
    /// The index of the next log.
    pub(super) next: u64,
    /// How many logs there were when each open frame began.
    frames: Vec<usize>,
}

impl CallLogs {
    pub(super) fn new(with_transfers: bool, next: u64) -> Self {
        Self { with_transfers, next, ..Self::default() }
    }

    fn push(&mut self, log: Log) {
        self.logs.push((self.next, log));
        self.next += 1;
    }

    fn enter(&mut self, from: Address, to: Address, value: U256) {
        self.frames.push(self.logs.len());
        self.transfer(from, to, value);
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if self.with_transfers && !value.is_zero() {
            let topics = vec![TRANSFER_TOPIC, from.into_word(), to.into_word()];
            let data = LogData::new_unchecked(topics, value.to_be_bytes::<32>().into());
            self.push(Log { address: ETHER, data });
        }
    }

    fn leave(&mut self, is_ok: bool) {
        if let Some(start) = self.frames.pop()
            && !is_ok
        {
            self.logs.truncate(start);
        }
    }
}

impl<DB: DatabaseRef> Inspector<MachineContext<DB>> for CallLogs {
    fn log(&mut self, _context: &mut MachineContext<DB>, log: Log) {
        self.push(log);
    }

    fn call(&mut self, _context: &mut MachineContext<DB>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let moves = !matches!(inputs.scheme, CallScheme::DelegateCall | CallScheme::CallCode);
        let value = inputs.transfer_value().filter(|_| moves).unwrap_or_default();
        self.enter(inputs.caller, inputs.target_address, value);
        None
    }

    fn call_end(&mut self, _context: &mut MachineContext<DB>, _inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(outcome.result.is_ok());
    }

    fn create(&mut self, context: &mut MachineContext<DB>, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        let nonce = context.journaled_state.inner.state.get(&inputs.caller()).map_or(0, |account| account.info.nonce);
        self.enter(inputs.caller(), inputs.created_address(nonce), inputs.value());
        None
    }

    fn create_end(&mut self, _context: &mut MachineContext<DB>, _inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.leave(outcome.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }

    fn log_full(&mut self, _interpreter: &mut Interpreter, context: &mut MachineContext<DB>, log: Log) {
        Inspector::<MachineContext<DB>>::log(self, context, log);
    }
}
