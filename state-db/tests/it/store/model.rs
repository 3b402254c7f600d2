//! Random sequences of stage, commit, unwind and discard: every store answers as the naive model does, about every block.

use super::{
    check::{Model, check_proofs, check_store, check_view},
    naive::{Naive, Steps, block, code, steps},
};
use alloy_primitives::B256;
use laminar_state_db::{BlockData, BlockRef, Store, StoreError};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

/// Numbers choose one of the blocks that are there.
#[derive(Clone, Debug)]
enum Op {
    Stage {
        parent: usize,
        steps: Steps,
    },
    /// On the block that was staged or committed last.
    Extend {
        steps: Steps,
    },
    Commit {
        block: usize,
    },
    Unwind {
        block: usize,
    },
    Discard {
        block: usize,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => (any::<usize>(), steps()).prop_map(|(parent, steps)| Op::Stage { parent, steps }),
        6 => steps().prop_map(|steps| Op::Extend { steps }),
        4 => any::<usize>().prop_map(|block| Op::Commit { block }),
        2 => any::<usize>().prop_map(|block| Op::Unwind { block }),
        1 => any::<usize>().prop_map(|block| Op::Discard { block }),
    ];
    proptest::collection::vec(op, 1..24)
}

/// The store under test beside the model.
struct Pair {
    store: Store,
    model: Model,
    last: B256,
    salt: u64,
}

impl Pair {
    fn new(genesis: &Steps) -> Self {
        let id = BlockRef { number: 7, hash: B256::repeat_byte(7) };
        let empty = Naive::default();
        let state = empty.after(id, &empty.changes(genesis));
        let data = BlockData { id, header: b"genesis".as_slice().into(), ..BlockData::default() };
        let mut memory = state.to_memory_state();
        for number in 0..4 {
            memory.insert_code(code(number));
        }
        let store = Store::memory(memory, data.clone()).expect("in memory");
        let root = state.state_root();
        let model = Model { blocks: BTreeMap::from_iter([(id.hash, (data, state, root))]), tip: id.hash };
        Self { store, model, last: id.hash, salt: 0 }
    }

    fn pick(&self, number: usize) -> B256 {
        *self.model.blocks.keys().nth(number % self.model.blocks.len()).expect("never empty")
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Stage { parent, steps } => self.stage(self.pick(*parent), steps),
            Op::Extend { steps } => self.stage(self.last, steps),
            Op::Commit { block } => self.commit(self.pick(*block)),
            Op::Unwind { block } => self.unwind(self.pick(*block)),
            Op::Discard { block } => self.discard(self.pick(*block)),
        }
    }

    fn stage(&mut self, parent: B256, steps: &Steps) {
        let (parent, before, _) = &self.model.blocks[&parent];
        self.salt += 1;
        let data = block(parent.id, self.salt);
        let changes = before.changes(steps);
        let state = before.after(data.id, &changes);
        let root = state.state_root();
        let hash = data.id.hash;
        assert_eq!(self.store.stage(data.clone(), Arc::new(changes)).expect("stages"), root, "root of {:?}", data.id);
        self.model.blocks.insert(hash, (data, state, root));
        self.last = hash;
    }

    fn commit(&mut self, block: B256) {
        let on_tip = self.model.state(&block).branch.iter().any(|ancestor| ancestor.hash == self.model.tip);
        let done = self.store.commit(&block);
        if on_tip {
            done.expect("on the tip");
            self.model.tip = block;
        } else {
            let refused = matches!(done, Err(StoreError::NotOnBranch { .. } | StoreError::NotStaged { .. }));
            assert!(refused, "{done:?}");
        }
    }

    fn unwind(&mut self, block: B256) {
        let done = self.store.unwind(&block);
        if self.model.is_committed(&block) {
            done.expect("an ancestor");
            self.model.tip = block;
        } else {
            assert!(matches!(done, Err(StoreError::NotOnBranch { .. })), "{done:?}");
        }
    }

    fn discard(&mut self, block: B256) {
        let done = self.store.discard(&block);
        if self.model.is_committed(&block) {
            assert!(matches!(done, Err(StoreError::NotStaged { .. })), "{done:?}");
            return;
        }
        done.expect("staged");
        self.model.blocks.retain(|_, (_, state, _)| state.branch.iter().all(|ancestor| ancestor.hash != block));
        if !self.model.blocks.contains_key(&self.last) {
            self.last = self.model.tip;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_store_answers_as_the_naive_model(genesis in steps(), ops in ops()) {
        let mut pair = Pair::new(&genesis);
        let mut held = Vec::new();
        for op in &ops {
            pair.run(op);
            check_store(&pair.store, &pair.model);
            let (_, state, root) = &pair.model.blocks[&pair.last];
            held.push((pair.store.view_at(&pair.last).expect("kept"), state.clone(), *root));
        }
        for (block, state, root) in pair.model.blocks.values() {
            check_proofs(&pair.store.view_at(&block.id.hash).expect("kept"), state, *root);
        }
        // Views never change, whatever happened to their blocks since.
        for (view, state, root) in held {
            check_view(&view, &state, root);
        }
    }
}
