//! An engine on a folder beside a model: random trees of blocks, delivered in any order, fork choices to any of them, restarts.
//!
//! The model is a list of blocks and three hashes. What it says of states comes from a chain in memory that imported every block
//! once and never reorganised.

use crate::{
    durable::{in_memory, open, shanghai},
    forge::{Contents, forge},
};
use alloy_primitives::{Address, B256};
use laminar_executor::Block;
use laminar_rpc_shim::{
    engine::{Engine, ForkchoiceState, NewPayloadVersion, Status},
    node::{BlockRecord, Node},
};
use laminar_state_db::Account;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};
use tempfile::TempDir;

/// What happens next; numbers choose among the blocks that there are.
#[derive(Clone, Debug)]
enum Act {
    /// A block comes to be; the engine does not hear of it.
    Grow {
        on: usize,
    },
    Deliver(usize),
    /// A fork choice; safe and finalised are so many blocks below the head, none if too many.
    Choose {
        head: usize,
        safe_below: usize,
        finalized_below: usize,
    },
    /// The process ends and starts again.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => any::<usize>().prop_map(|on| Act::Grow { on }),
        6 => any::<usize>().prop_map(Act::Deliver),
        4 => (any::<usize>(), 0usize..8, 0usize..12).prop_map(|(head, safe_below, finalized_below)| Act::Choose {
            head,
            safe_below,
            finalized_below
        }),
        1 => Just(Act::Restart),
    ]
}

struct Model {
    /// Holds every block, and moves no head.
    maker: Arc<Node>,
    /// The genesis first.
    hashes: Vec<B256>,
    blocks: HashMap<B256, Block>,
    /// What the engine must know. It may know more: what conflicts with the finalised block need not be kept.
    known: HashSet<B256>,
    waiting: HashSet<B256>,
    head: B256,
    safe: Option<B256>,
    finalized: Option<B256>,
}

impl Model {
    fn new() -> Self {
        let maker = in_memory(shanghai());
        let genesis = maker.genesis().hash();
        Self {
            maker,
            hashes: vec![genesis],
            blocks: HashMap::new(),
            known: HashSet::from([genesis]),
            waiting: HashSet::new(),
            head: genesis,
            safe: None,
            finalized: None,
        }
    }

    fn pick(&self, choice: usize) -> B256 {
        self.hashes[choice % self.hashes.len()]
    }

    fn parent(&self, hash: &B256) -> Option<B256> {
        self.blocks.get(hash).map(|block| block.header.parent_hash)
    }

    /// The block and its ancestors, the genesis last.
    fn line(&self, hash: B256) -> Vec<B256> {
        std::iter::successors(Some(hash), |hash| self.parent(hash)).collect()
    }

    fn is_on_line(&self, ancestor: &B256, of: B256) -> bool {
        self.line(of).contains(ancestor)
    }

    fn grow(&mut self, on: usize) {
        let parent = self.pick(on);
        // Different amounts make brothers different.
        let contents = Contents { withdrawn_gwei: self.hashes.len() as u64, ..Contents::default() };
        let block = forge(&self.maker, parent, contents);
        let hash = block.header.hash_slow();
        self.hashes.push(hash);
        self.blocks.insert(hash, block);
    }

    /// A block came, and whatever waited for it with it.
    fn learn(&mut self, hash: B256) {
        self.known.insert(hash);
        self.waiting.remove(&hash);
        let children: Vec<B256> =
            self.waiting.iter().filter(|child| self.parent(child) == Some(hash)).copied().collect();
        children.into_iter().for_each(|child| self.learn(child));
    }

    fn apply(&mut self, head: B256, safe: Option<B256>, finalized: Option<B256>) {
        let (old, new) = (self.line(self.head), self.line(head));
        // A tag that is not named stays as long as its block is canonical before and after.
        let stays = |tag: &B256| old.contains(tag) && new.contains(tag);
        self.safe = safe.or(self.safe.filter(stays));
        self.finalized = finalized.or(self.finalized.filter(stays));
        self.head = head;
        if let Some(finalized) = self.finalized {
            let known = std::mem::take(&mut self.known);
            self.known = known
                .into_iter()
                .filter(|hash| self.is_on_line(hash, finalized) || self.is_on_line(&finalized, *hash))
                .collect();
        }
        self.known.extend(new);
    }

    fn restart(&mut self) {
        self.known = self.line(self.head).into_iter().collect();
        self.waiting.clear();
    }
}

fn accounts(node: &Node, hash: B256) -> BTreeMap<Address, Option<Account>> {
    let view = node.store().view_at(&hash).unwrap();
    view.addresses().unwrap().into_iter().map(|address| (address, view.account(&address).unwrap())).collect()
}

fn check(engine: &Engine, model: &Model) {
    let node = engine.node();
    let hash = |record: Option<Arc<BlockRecord>>| record.map(|record| record.hash());
    assert_eq!(node.head().hash(), model.head);
    assert_eq!((hash(node.safe()), hash(node.finalized())), (model.safe, model.finalized));
    let line = model.line(model.head);
    for (number, expected) in (0..).zip(line.iter().rev()) {
        assert_eq!(hash(node.block_by_number(number)), Some(*expected), "block {number}");
    }
    assert!(node.block_by_number(line.len() as u64).is_none());
    assert_eq!(accounts(node, model.head), accounts(&model.maker, model.head));
}

fn deliver(engine: &mut Engine, model: &mut Model, hash: B256) {
    let Some(block) = model.blocks.get(&hash) else { return };
    let status = engine.new_payload(NewPayloadVersion::V2, &[crate::engine::payload(block)]).unwrap();
    let (is_known, parent) = (model.known.contains(&hash), block.header.parent_hash);
    match status.status {
        Status::Valid => model.learn(hash),
        Status::Syncing => {
            assert!(!is_known && !model.known.contains(&parent), "{hash} has all that it needs");
            model.waiting.insert(hash);
        }
        other => panic!("{other:?}"),
    }
}

fn choose(engine: &mut Engine, model: &mut Model, head: B256, below: [usize; 2]) {
    let line = model.line(head);
    let [safe, finalized] = below.map(|below| line.get(below).copied());
    let state = ForkchoiceState {
        head_block_hash: head,
        safe_block_hash: safe.unwrap_or_default(),
        finalized_block_hash: finalized.unwrap_or_default(),
    };
    let status = engine.forkchoice_updated(&state).unwrap();
    match status.status {
        Status::Syncing => assert!(!model.known.contains(&head), "{head} is known"),
        Status::Valid => {
            assert_eq!(status.latest_valid_hash, Some(head));
            let is_old = model.finalized.is_some_and(|known| known != head && model.is_on_line(&head, known));
            if !is_old {
                model.apply(head, safe, finalized);
            }
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_engine_does_what_its_model_says_through_reorgs_and_restarts(acts in prop::collection::vec(act(), 10..60)) {
        let dir = TempDir::new().unwrap();
        let (mut model, mut engine) = (Model::new(), Engine::new(open(dir.path(), shanghai())));
        for act in acts {
            match act {
                Act::Grow { on } => model.grow(on),
                Act::Deliver(choice) => {
                    let hash = model.pick(choice);
                    deliver(&mut engine, &mut model, hash);
                }
                Act::Choose { head, safe_below, finalized_below } => {
                    let head = model.pick(head);
                    choose(&mut engine, &mut model, head, [safe_below, finalized_below]);
                }
                Act::Restart => {
                    drop(engine);
                    engine = Engine::new(open(dir.path(), shanghai()));
                    model.restart();
                }
            }
            check(&engine, &model);
        }
    }
}
