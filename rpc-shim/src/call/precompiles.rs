//! Precompiled contracts that a state override can move or replace.
//!
//! Place in the flow: the precompiles of every [`super::Machine`].
//! Invariant: what is warm stays the fork's own list, as in geth; a moved precompile is a cold address like any other.

use alloy_primitives::{
    Address,
    map::{AddressMap, AddressSet},
};
use revm::{
    context_interface::{Cfg, ContextTr},
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, InterpreterResult},
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

impl<CTX: ContextTr<Cfg: Cfg<Spec = SpecId>>> PrecompileProvider<CTX> for MovablePrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        PrecompileProvider::<CTX>::set_spec(&mut self.standard, spec)
    }

    fn run(&mut self, context: &mut CTX, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        match self.original(&inputs.bytecode_address) {
            None => Ok(None),
            Some(original) if original == inputs.bytecode_address => self.standard.run(context, inputs),
            Some(bytecode_address) => {
                let inputs = CallInputs { bytecode_address, ..inputs.clone() };
                self.standard.run(context, &inputs)
            }
        }
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.standard.warm_addresses()
    }

    fn contains(&self, address: &Address) -> bool {
        self.is_active(address)
    }
}
