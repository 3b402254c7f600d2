//! Tries that stay in memory from block to block, so that a root reads only what no recent block has touched.
//!
//! Place in the flow: staging takes them out, puts a block's changes in and gives them back; `tries` finds in the file what they
//! do not hold.
//! Invariant: they are known by their root alone. A root determines every node below it, so what is kept holds on any block
//! with that root; an unwind, an amendment or another branch has another root, finds nothing, and begins anew.
//! Bound: after each block they are shrunk to their size, what was not used for the longest time first.

use crate::trie::StateTrie;
use alloy_primitives::B256;
use parking_lot::Mutex;

/// The tries of the state that was staged last, as far as they are known.
#[derive(Debug)]
pub(super) struct WarmTries {
    size_max: usize,
    kept: Mutex<Option<(B256, StateTrie)>>,
}

impl WarmTries {
    /// Keeps at most about so many bytes.
    pub(super) fn new(size_max: usize) -> Self {
        Self { size_max, kept: Mutex::default() }
    }

    /// The tries of the state with this root; whoever comes second while they are out begins with the root alone.
    pub(super) fn take(&self, root: B256) -> StateTrie {
        let kept = self.kept.lock().take_if(|(at, _)| *at == root);
        kept.map_or_else(|| StateTrie::from_root(root).tracked(), |(_, tries)| tries)
    }

    /// Whether anything is kept.
    pub(super) fn is_on(&self) -> bool {
        self.size_max > 0
    }

    /// Gives tries back of which more became known and nothing changed; the next block shrinks them.
    pub(super) fn put_back(&self, root: B256, tries: StateTrie) {
        let before = self.kept.lock().replace((root, tries));
        // Freed outside the lock.
        drop(before);
    }

    /// Keeps tries whose root is this, and whose updates are taken.
    pub(super) fn keep(&self, root: B256, mut tries: StateTrie) {
        if self.size_max == 0 {
            return;
        }
        tries.shrink_to(self.size_max);
        self.put_back(root, tries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        changes::{Account, AccountChange, BlockChanges},
        trie::NoSource,
    };
    use alloy_primitives::{Address, U256};
    use alloy_trie::EMPTY_ROOT_HASH;

    #[test]
    fn what_is_kept_is_bounded_and_found_by_its_root_only() {
        let size_max = 64 << 10;
        let warm = WarmTries::new(size_max);
        let mut tries = warm.take(EMPTY_ROOT_HASH);
        let mut changes = BlockChanges::default();
        for i in 0..2_000u64 {
            let after = Some(Account { balance: U256::from(i), ..Account::default() });
            let change = AccountChange { after, ..AccountChange::default() };
            changes.accounts.insert(Address::left_padding_from(&i.to_be_bytes()), change);
        }
        tries.apply(&changes, &NoSource).expect("an empty trie has all its nodes");
        let root = tries.root();
        tries.take_updates();
        assert!(tries.memory_bytes() > size_max);
        warm.keep(root, tries);
        assert!(warm.take(B256::repeat_byte(1)).memory_bytes() < 1_000, "another root");
        let mut kept = warm.take(root);
        assert!(kept.memory_bytes() <= size_max, "{} bytes", kept.memory_bytes());
        assert_eq!(kept.root(), root);
        assert!(warm.kept.lock().is_none(), "only one has them");
    }
}
