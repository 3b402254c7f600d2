//! Random sequences of stage, commit, unwind, cut, discard, amend and reopening: the store in memory and stores on disk answer as the naive
//! model does, about every block.

use super::{
    check::{Model, check_proofs, check_store, check_view},
    naive::{Naive, Steps, block, steps},
};
use alloy_primitives::B256;
use laminar_state_db::{
    Access, BlockData, BlockRef, Maintenance, MemoryState, StateView, Store, StoreError, StoreOptions,
};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};
use tempfile::TempDir;

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
    /// As unwind, but what is taken off is gone.
    Cut {
        block: usize,
    },
    /// Of the tip's state.
    Amend {
        steps: Steps,
    },
    /// Ends all stores on disk, and with them all staged blocks.
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => (any::<usize>(), steps()).prop_map(|(parent, steps)| Op::Stage { parent, steps }),
        6 => steps().prop_map(|steps| Op::Extend { steps }),
        4 => any::<usize>().prop_map(|block| Op::Commit { block }),
        2 => any::<usize>().prop_map(|block| Op::Unwind { block }),
        1 => any::<usize>().prop_map(|block| Op::Discard { block }),
        1 => any::<usize>().prop_map(|block| Op::Cut { block }),
        2 => steps().prop_map(|steps| Op::Amend { steps }),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 1..24)
}

/// A cache that overflows at once, and a file that stays small.
fn small(write_behind_max: u64) -> StoreOptions {
    StoreOptions { size_max: 16 << 20, cache_size_max: 256 << 10, write_behind_max, ..StoreOptions::default() }
}

/// A store, and where it is if it is on disk.
struct Subject {
    store: Option<Store>,
    disk: Option<(TempDir, StoreOptions)>,
}

impl Subject {
    fn memory(genesis: &MemoryState, block: &BlockData) -> Self {
        let store = Store::memory(genesis.clone(), block.clone()).expect("in memory");
        Self { store: Some(store), disk: None }
    }

    fn disk(options: StoreOptions, genesis: &MemoryState, block: &BlockData) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::create(dir.path(), options, genesis.clone(), block.clone()).expect("creates");
        Self { store: Some(store), disk: Some((dir, options)) }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open between the steps")
    }
}

/// The stores under test beside the model.
struct Group {
    subjects: Vec<Subject>,
    model: Model,
    last: B256,
    salt: u64,
}

impl Group {
    fn new(genesis: &Steps) -> Self {
        let id = BlockRef { number: 7, hash: B256::repeat_byte(7) };
        let empty = Naive::default();
        let state = empty.after(id, &empty.changes(genesis));
        let data = BlockData { id, header: b"genesis".as_slice().into(), ..BlockData::default() };
        let memory = state.to_memory_state();
        let subjects = vec![
            Subject::memory(&memory, &data),
            Subject::disk(small(0), &memory, &data),
            Subject::disk(small(2), &memory, &data),
        ];
        let root = state.state_root();
        let model = Model { blocks: BTreeMap::from_iter([(id.hash, (data, state, root))]), tip: id.hash };
        Self { subjects, model, last: id.hash, salt: 0 }
    }

    fn pick(&self, number: usize) -> B256 {
        *self.model.blocks.keys().nth(number % self.model.blocks.len()).expect("never empty")
    }

    fn stores(&self) -> impl Iterator<Item = &Store> {
        self.subjects.iter().map(Subject::store)
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Stage { parent, steps } => self.stage(self.pick(*parent), steps),
            Op::Extend { steps } => self.stage(self.last, steps),
            Op::Commit { block } => self.commit(self.pick(*block)),
            Op::Unwind { block } => self.unwind(self.pick(*block)),
            Op::Discard { block } => self.discard(self.pick(*block)),
            Op::Cut { block } => self.cut(self.pick(*block)),
            Op::Amend { steps } => self.amend(steps),
            Op::Reopen => self.reopen(),
        }
    }

    fn stage(&mut self, parent: B256, steps: &Steps) {
        let (parent, before, _) = &self.model.blocks[&parent];
        self.salt += 1;
        let data = block(parent.id, self.salt);
        let changes = Arc::new(before.changes(steps));
        let state = before.after(data.id, &changes);
        let root = state.state_root();
        let hash = data.id.hash;
        for store in self.stores() {
            let foretold = store.view_at(&parent.id.hash).and_then(|view| view.root_after(&changes)).expect("readable");
            assert_eq!(foretold, root, "root without staging {:?}", data.id);
            let found = store.stage(data.clone(), changes.clone()).expect("stages");
            assert_eq!(found, root, "root of {:?}", data.id);
        }
        self.model.blocks.insert(hash, (data, state, root));
        self.last = hash;
    }

    fn commit(&mut self, block: B256) {
        let on_tip = self.model.state(&block).branch.iter().any(|ancestor| ancestor.hash == self.model.tip);
        for store in self.stores() {
            let done = store.commit(&block);
            if on_tip {
                done.expect("on the tip");
            } else {
                let refused = matches!(done, Err(StoreError::NotOnBranch { .. } | StoreError::NotStaged { .. }));
                assert!(refused, "{done:?}");
            }
        }
        if on_tip {
            self.model.tip = block;
        }
    }

    fn unwind(&mut self, block: B256) {
        let is_committed = self.model.is_committed(&block);
        for store in self.stores() {
            let done = store.unwind(&block);
            if is_committed {
                done.expect("an ancestor");
            } else {
                assert!(matches!(done, Err(StoreError::NotOnBranch { .. })), "{done:?}");
            }
        }
        if is_committed {
            self.model.tip = block;
        }
    }

    fn cut(&mut self, block: B256) {
        let is_committed = self.model.is_committed(&block);
        for store in self.stores() {
            let done = store.cut(&block);
            assert_eq!(done.is_ok(), is_committed, "{done:?}");
        }
        if is_committed {
            let gone = self.model.state(&self.model.tip).branch.clone();
            let height = self.model.state(&block).branch.len();
            self.model.tip = block;
            gone[height..].iter().for_each(|gone| self.forget(gone.hash));
        }
    }

    /// The model forgets a block and all that stand on it.
    fn forget(&mut self, block: B256) {
        self.model.blocks.retain(|_, (_, state, _)| state.branch.iter().all(|ancestor| ancestor.hash != block));
        if !self.model.blocks.contains_key(&self.last) {
            self.last = self.model.tip;
        }
    }

    fn amend(&mut self, steps: &Steps) {
        let tip = self.model.tip;
        let (block, before, _) = self.model.blocks[&tip].clone();
        let changes = before.changes(steps);
        let mut state = before.after(block.id, &changes);
        state.branch.pop();
        let root = state.state_root();
        for store in self.stores() {
            store.amend(&changes).expect("amends");
        }
        let children = self.model.blocks.values().filter(|(child, ..)| child.parent == tip);
        let children: Vec<B256> = children.map(|(child, ..)| child.id.hash).collect();
        children.into_iter().for_each(|child| self.forget(child));
        self.model.blocks.insert(tip, (block, state, root));
        // Proofs go by another way than reads.
        for store in self.stores() {
            check_proofs(&store.view_at(&tip).expect("kept"), self.model.state(&tip), root);
        }
    }

    fn discard(&mut self, block: B256) {
        let is_committed = self.model.is_committed(&block);
        for store in self.stores() {
            let done = store.discard(&block);
            if is_committed {
                assert!(matches!(done, Err(StoreError::NotStaged { .. })), "{done:?}");
            } else {
                done.expect("staged");
            }
        }
        if !is_committed {
            self.forget(block);
        }
    }

    fn reopen(&mut self) {
        while let Some(staged) = self.model.blocks.keys().find(|hash| !self.model.is_committed(hash)).copied() {
            self.discard(staged);
        }
        for subject in &mut self.subjects {
            let Some((dir, options)) = &subject.disk else { continue };
            subject.store = None;
            Maintenance::open(dir.path(), Access::ReadOnly).and_then(|store| store.verify()).expect("whole");
            subject.store = Some(Store::open(dir.path(), *options).expect("opens again"));
        }
    }

    /// Views of the block that was staged last, which may be committed meanwhile.
    fn views(&self) -> Vec<(StateView, Naive, B256)> {
        let (_, state, root) = &self.model.blocks[&self.last];
        self.stores().map(|store| (store.view_at(&self.last).expect("kept"), state.clone(), *root)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn stores_answer_as_the_naive_model(genesis in steps(), ops in ops()) {
        let mut group = Group::new(&genesis);
        let mut held = Vec::new();
        for op in &ops {
            if matches!(op, Op::Reopen) {
                // A view keeps its store open.
                held.drain(..).for_each(|(view, state, root)| check_view(&view, &state, root));
            }
            group.run(op);
            for store in group.stores() {
                check_store(store, &group.model);
            }
            held.extend(group.views());
        }
        for store in group.stores() {
            for (block, state, root) in group.model.blocks.values() {
                check_proofs(&store.view_at(&block.id.hash).expect("kept"), state, *root);
            }
        }
        // Views never change, whatever happened to their blocks since.
        held.iter().for_each(|(view, state, root)| check_view(view, state, *root));
    }
}
