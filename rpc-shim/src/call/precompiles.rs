//! Precompiled contracts that a state override can move or replace.
//!
//! Place in the flow: the precompiles of every [`super::Machine`].
//! Invariant: what is warm stays the fork's own list, as in geth; a moved precompile is a cold address like any other.

use alloy_primitives::{
    Address,
    map::{AddressMap, AddressSet},
};
use revm::{
    context_interface::{Cfg, ContextTr, LocalContextTr},
    handler::{EthPrecompiles, PrecompileProvider, precompile_output_to_interpreter_result},
    interpreter::{CallInputs, InterpreterResult},
    precompile::PrecompileHalt,
    primitives::hardfork::SpecId,
};

/// The precompiles of a fork, some of them elsewhere.
#[derive(Clone, Debug)]
pub struct MovablePrecompiles {
    standard: EthPrecompiles,
    /// New address to the fork's own.
    moved: AddressMap<Address>,
    /// The fork's addresses at which there is none any more.
    gone: AddressSet,
}

impl MovablePrecompiles {
    /// Those of a fork, where they belong.
    pub fn new(spec: SpecId) -> Self {
        Self { standard: EthPrecompiles::new(spec), moved: AddressMap::default(), gone: AddressSet::default() }
    }

    /// Whether calls of this address run a precompile.
    pub fn is_active(&self, address: &Address) -> bool {
        self.original(address).is_some()
    }

    /// Addresses of the fork's precompiles, moved or not.
    pub fn standard_addresses(&self) -> &AddressSet {
        self.standard.warm_addresses()
    }

    /// Makes `to` run what `from` runs; `from` runs none afterwards.
    pub fn shift(&mut self, from: Address, to: Address) {
        if let Some(original) = self.original(&from) {
            self.remove(from);
            self.gone.remove(&to);
            self.moved.insert(to, original);
        }
    }

    /// Takes the precompile at `address` away, so that its account's code runs.
    pub fn remove(&mut self, address: Address) {
        if self.moved.remove(&address).is_none() || self.standard.contains(&address) {
            self.gone.insert(address);
        }
    }

    fn original(&self, address: &Address) -> Option<Address> {
        match self.moved.get(address) {
            Some(original) => Some(*original),
            None => (self.standard.contains(address) && !self.gone.contains(address)).then_some(*address),
        }
    }
}

/// Why a precompile refuses its input, in geth's words where geth has some of its own.
fn words_of(reason: &PrecompileHalt) -> String {
    let words = match reason {
        PrecompileHalt::Blake2WrongLength
        | PrecompileHalt::BlobInvalidInputLength
        | PrecompileHalt::Bls12381G1AddInputLength
        | PrecompileHalt::Bls12381G1MsmInputLength
        | PrecompileHalt::Bls12381G2AddInputLength
        | PrecompileHalt::Bls12381G2MsmInputLength
        | PrecompileHalt::Bls12381PairingInputLength
        | PrecompileHalt::Bls12381MapFpToG1InputLength
        | PrecompileHalt::Bls12381MapFp2ToG2InputLength => "invalid input length",
        PrecompileHalt::Blake2WrongFinalIndicatorFlag => "invalid final flag",
        PrecompileHalt::Bn254PairLength => "bad elliptic curve pairing size",
        PrecompileHalt::BlobMismatchedVersion => "mismatched versioned hash",
        PrecompileHalt::BlobVerifyKzgProofFailed => "error verifying kzg proof",
        PrecompileHalt::Bls12381FpPaddingInvalid => "invalid field element top bytes",
        PrecompileHalt::Bls12381G1NotInSubgroup => "g1 point is not on correct subgroup",
        PrecompileHalt::Bls12381G2NotInSubgroup => "g2 point is not on correct subgroup",
        other => return other.to_string(),
    };
    words.to_owned()
}

impl<CTX: ContextTr<Cfg: Cfg<Spec = SpecId>>> PrecompileProvider<CTX> for MovablePrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        PrecompileProvider::<CTX>::set_spec(&mut self.standard, spec)
    }

    fn run(&mut self, context: &mut CTX, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        let original = self.original(&inputs.bytecode_address);
        let Some(precompile) = original.and_then(|original| self.standard.precompiles.get(&original)) else {
            return Ok(None);
        };
        let output = precompile.execute(&inputs.input.as_bytes(context), inputs.gas_limit, inputs.reservoir);
        let output = output.map_err(|error| error.to_string())?;
        if let Some(reason) = output.halt_reason().filter(|reason| !reason.is_oog()) {
            context.local_mut().set_precompile_error_context(words_of(reason));
        }
        Ok(Some(precompile_output_to_interpreter_result(output, inputs.gas_limit)))
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.standard.warm_addresses()
    }

    fn contains(&self, address: &Address) -> bool {
        self.is_active(address)
    }
}
