//! A chain that is the same each time: stores to damage, to prune and to reopen.

use super::{
    check::Model,
    naive::{Naive, Step, Steps, block},
};
use alloy_primitives::B256;
use laminar_state_db::{BlockData, BlockRef, Store, StoreOptions};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// A file that stays small.
pub(super) fn small() -> StoreOptions {
    StoreOptions { size_max: 16 << 20, cache_size_max: 256 << 10, ..StoreOptions::default() }
}

/// A store with a genesis of a few accounts.
pub(super) fn create(dir: &Path, options: StoreOptions) -> (Store, Model) {
    let id = BlockRef { number: 0, hash: B256::repeat_byte(7) };
    let empty = Naive::default();
    let state = empty.after(id, &empty.changes(&steps(1)));
    let data = BlockData { id, ..BlockData::default() };
    let store = Store::create(dir, options, state.to_memory_state(), data.clone()).expect("creates");
    let root = state.state_root();
    (store, Model { blocks: BTreeMap::from_iter([(id.hash, (data, state, root))]), tip: id.hash })
}

/// Commits so many blocks, one at a time.
pub(super) fn grow(store: &Store, model: &mut Model, len: u64) {
    for _ in 0..len {
        let (parent, before, _) = &model.blocks[&model.tip];
        let data = block(parent.id, 1);
        let changes = before.changes(&steps(data.id.number));
        let state = before.after(data.id, &changes);
        let root = store.stage(data.clone(), Arc::new(changes)).expect("stages");
        assert_eq!(root, state.state_root());
        let hash = data.id.hash;
        store.commit(&hash).expect("commits");
        model.blocks.insert(hash, (data, state, root));
        model.tip = hash;
    }
}

fn steps(number: u64) -> Steps {
    let n = number as u8;
    let slots = |from: u8| (from..from + 6).map(|slot| (slot % 10, n.wrapping_add(slot) % 200 + 1)).collect();
    BTreeMap::from_iter([
        (n % 12, Step::Write { nonce: n, slots: slots(n % 7) }),
        ((n + 3) % 12, Step::Write { nonce: n, slots: slots(n % 5) }),
        ((n + 5) % 12, if n.is_multiple_of(3) { Step::Delete } else { Step::Wipe { nonce: n, slots: slots(2) } }),
        ((n + 7) % 12, Step::Deploy { code: n % 4 }),
    ])
}
