//! Code by hash, analysed once.

use alloy_primitives::{B256, Bytes, map::B256Map};
use revm::{bytecode::Bytecode, primitives::KECCAK_EMPTY};

/// Analysed code by its hash. A `Bytecode` is shared, so a clone costs a reference count.
#[derive(Clone, Debug, Default)]
pub(crate) struct CodeMap(B256Map<Bytecode>);

impl CodeMap {
    /// The code with this hash. The empty code is always there.
    pub(crate) fn get(&self, hash: &B256) -> Option<Bytecode> {
        if *hash == KECCAK_EMPTY {
            return Some(Bytecode::default());
        }
        self.0.get(hash).cloned()
    }

    /// All that were inserted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&B256, &Bytecode)> {
        self.0.iter()
    }

    pub(crate) fn insert(&mut self, hash: B256, code: Bytecode) {
        self.0.insert(hash, code);
    }
}

impl FromIterator<(B256, Bytecode)> for CodeMap {
    fn from_iter<I: IntoIterator<Item = (B256, Bytecode)>>(codes: I) -> Self {
        Self(codes.into_iter().collect())
    }
}

/// Finds the jump targets, or the delegate of an EIP-7702 delegation.
///
/// CONSENSUS: code that begins like a delegation but is none is ordinary code; it was deployed before EIP-3541 forbade it.
pub(crate) fn analyse(code: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_code_is_always_there() {
        assert!(CodeMap::default().get(&KECCAK_EMPTY).is_some_and(|code| code.is_empty()));
        assert!(CodeMap::default().get(&B256::ZERO).is_none());
    }

    #[test]
    fn malformed_delegation_is_ordinary_code() {
        let code = Bytes::from_static(&[0xef, 0x01, 0x00, 0x01]);
        assert_eq!(analyse(code.clone()).original_bytes(), code);
        let delegation = Bytes::from([&[0xef, 0x01, 0x00][..], &[7; 20]].concat());
        assert!(analyse(delegation).is_eip7702());
    }
}
