//! Precompiled contracts that remember, for one block, what the dear ones gave.
//!
//! Place in the flow: the precompiles of every revm instance of [`super::Instance`]. All instances of a block share what is
//! remembered, and so do simulations made for it before.
//! Invariant: a precompile is a function of its input and the block's fork, so what is remembered is what it would give again;
//! only the time differs. A transaction that is run again asks the same, and then pairings and exponentiations, which are
//! most of what a verifier of proofs takes, are there already.
//! It remembers successes alone: what fails is found out anew.

use super::observe::BlockContext;
use crate::sync::Mutex;
use alloy_primitives::{Address, Bytes, map::HashMap};
use revm::{
    DatabaseRef,
    context_interface::Transaction,
    handler::{EthPrecompiles, PrecompileProvider, precompile_output_to_interpreter_result},
    interpreter::{CallInputs, InstructionResult, InterpreterResult},
    precompile::PrecompileOutput,
    primitives::{AddressSet, hardfork::SpecId},
};

/// Gas from which on an output is worth remembering: an addition of BN254 (EIP-196), which takes 4 us. Exponentiations of 1,360
/// gas take ten times as long.
const GAS_MIN: u64 = 150;
/// Bytes of inputs and outputs that a block remembers of one precompile.
const BYTES_MAX: usize = 1 << 20;
/// Numbers of the precompiles that charge by the byte, which reading the input costs as well: SHA-256, RIPEMD-160, identity.
const CHEAP: [u8; 3] = [2, 3, 4];
/// Precompiles by number: those at 1 to 17, and in place of 0 the one at 256 (EIP-7951).
const NUMBERS: usize = 18;

/// What the dear precompiles gave in a block.
#[derive(Debug, Default)]
pub(crate) struct PrecompileOutputs([Mutex<Outputs>; NUMBERS]);

/// What one precompile gave.
#[derive(Debug, Default)]
struct Outputs {
    by_input: HashMap<Bytes, Output>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Output {
    gas_used: u64,
    bytes: Bytes,
}

impl PrecompileOutputs {
    fn of(&self, address: &Address) -> Option<&Mutex<Outputs>> {
        let (zeros, [high, low]) = address.split_last_chunk()?;
        let number = match (high, low) {
            (1, 0) => 0,
            (0, low) if !CHEAP.contains(low) && *low > 0 => usize::from(*low),
            _ => return None,
        };
        if zeros.iter().any(|byte| *byte > 0) {
            return None;
        }
        self.0.get(number)
    }
}

impl Outputs {
    fn insert(&mut self, input: Bytes, output: Output) {
        let bytes = self.bytes + input.len() + output.bytes.len();
        if bytes <= BYTES_MAX && self.by_input.insert(input, output).is_none() {
            self.bytes = bytes;
        }
    }
}

/// The precompiles of a fork, with what the block remembers of them.
#[derive(Debug)]
pub(super) struct Precompiles<'a> {
    inner: EthPrecompiles,
    outputs: &'a PrecompileOutputs,
    /// Gas of what was remembered and asked for again in the run.
    pub(super) remembered_gas: u64,
}

impl<'a> Precompiles<'a> {
    pub(super) fn new(spec: SpecId, outputs: &'a PrecompileOutputs) -> Self {
        Self { inner: EthPrecompiles::new(spec), outputs, remembered_gas: 0 }
    }
}

impl<DB: DatabaseRef, TX: Transaction> PrecompileProvider<BlockContext<'_, DB, TX>> for Precompiles<'_> {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        PrecompileProvider::<BlockContext<'_, DB, TX>>::set_spec(&mut self.inner, spec)
    }

    fn run(
        &mut self,
        context: &mut BlockContext<'_, DB, TX>,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let Some(outputs) = self.outputs.of(&inputs.bytecode_address) else { return self.inner.run(context, inputs) };
        let known = outputs.lock().by_input.get(&*inputs.input.as_bytes(context)).cloned();
        if let Some(Output { gas_used, bytes }) = known.filter(|known| known.gas_used <= inputs.gas_limit) {
            self.remembered_gas += gas_used;
            let output = PrecompileOutput::new(gas_used, bytes, inputs.reservoir);
            return Ok(Some(precompile_output_to_interpreter_result(output, inputs.gas_limit)));
        }
        let result = self.inner.run(context, inputs)?;
        if let Some(result) = result.as_ref().filter(|result| result.result == InstructionResult::Return) {
            let gas_used = inputs.gas_limit - result.gas.remaining();
            if gas_used >= GAS_MIN {
                let output = Output { gas_used, bytes: result.output.clone() };
                outputs.lock().insert(inputs.input.bytes(context), output);
            }
        }
        Ok(result)
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.inner.warm_addresses()
    }

    fn contains(&self, address: &Address) -> bool {
        self.inner.contains(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        env::PreparedBlock,
        execute::{context, view::StateView},
        mv_memory::MvMemory,
    };
    use alloy_primitives::{U256, hex};
    use laminar_state_db::MemoryState;
    use revm::interpreter::{CallInput, CallScheme, CallValue};

    fn call(to: Address, input: &[u8], gas_limit: u64) -> CallInputs {
        CallInputs {
            input: CallInput::Bytes(Bytes::copy_from_slice(input)),
            return_memory_offset: 0..0,
            gas_limit,
            reservoir: 0,
            bytecode_address: to,
            known_bytecode: Default::default(),
            target_address: to,
            caller: Address::ZERO,
            value: CallValue::Transfer(U256::ZERO),
            scheme: CallScheme::Call,
            is_static: false,
            charged_new_account_state_gas: false,
        }
    }

    /// Asks for `input` again and again, with gas around the price; whether it is remembered, it is what revm gives.
    #[track_caller]
    fn check(number: u16, input: &[u8], remembered: bool) {
        let spec = SpecId::OSAKA;
        let block = PreparedBlock::of_one();
        let (memory, outputs, parent) = (MvMemory::new(0), PrecompileOutputs::default(), MemoryState::default());
        let mut context = context(&block, StateView::new(&parent, &memory), &block.txs[0]);
        let (mut ours, mut theirs) = (Precompiles::new(spec, &outputs), EthPrecompiles::new(spec));
        let [high, low] = number.to_be_bytes();
        let mut to = Address::with_last_byte(low);
        to[18] = high;

        let price =
            100_000_000 - theirs.run(&mut context, &call(to, input, 100_000_000)).unwrap().unwrap().gas.remaining();
        for gas_limit in [price - 1, price, price + 7, price, price - 1] {
            let call = call(to, input, gas_limit);
            let (ours, theirs) = (ours.run(&mut context, &call).unwrap(), theirs.run(&mut context, &call).unwrap());
            assert_eq!(ours, theirs, "{to}, {gas_limit} of {price} gas");
        }
        let known = outputs.of(&to).map_or(0, |outputs| outputs.lock().by_input.len());
        assert_eq!(known, usize::from(remembered), "{to}");
    }

    #[test]
    fn what_is_remembered_is_what_revm_gives() {
        let signed = hex!(
            "456e9aea5e197a1f1af7a3e85a3212fa4049a3ba34c2289b4c860fc0b0c64ef3"
            "000000000000000000000000000000000000000000000000000000000000001c"
            "9242685bf161793cc25603c231bc2f568eb630ea16aa137d2664ac8038825608"
            "4f8ae3bd7535248d0bd448298cc2e2071e56992d0774dc340c368ae950852ada"
        );
        let word = |number: u64| U256::from(number).to_be_bytes::<32>();
        let power = [word(32), word(32), word(32), [0xfe; 32], [0xfd; 32], [0xff; 32]].concat();
        let multiple = [word(1), word(2), [0x11; 32]].concat();
        let rounds = |rounds: u32| [&rounds.to_be_bytes()[..], &[3; 208], &[1]].concat();
        check(1, &signed, true);
        check(5, &power, true);
        check(7, &multiple, true);
        check(8, &[], true);
        check(9, &rounds(4_000), true);
        check(9, &rounds(100), false);
        for cheap in [2, 3, 4] {
            check(cheap, &[7; 32_000], false);
        }
        check(6, &[&multiple[..64], &multiple[..64]].concat(), true);
        // Failures: a point off the curve, a flag that is none.
        check(7, &[word(1), word(1), word(5)].concat(), false);
        check(9, &[&rounds(4_000)[..212], &[2]].concat(), false);
    }

    #[test]
    fn bytes_are_bounded_and_other_addresses_are_left_alone() {
        let outputs = PrecompileOutputs::default();
        for number in [0, 18, 19, 255] {
            assert!(outputs.of(&Address::with_last_byte(number)).is_none(), "{number}");
        }
        assert!(outputs.of(&Address::repeat_byte(1)).is_none());
        let mut outputs = Outputs::default();
        for number in 0..100_u8 {
            let output = Output { gas_used: GAS_MIN, bytes: Bytes::from(vec![0; 1_000]) };
            outputs.insert(Bytes::from(vec![number; BYTES_MAX / 50]), output);
            assert!(outputs.bytes <= BYTES_MAX);
        }
        assert!((40..50).contains(&outputs.by_input.len()));
    }
}
