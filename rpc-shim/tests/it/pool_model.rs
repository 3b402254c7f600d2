//! The pool against its definition, found anew for every question.

use crate::pool::{head, pooled, sender, transfer};
use alloy_primitives::B256;
use laminar_rpc_shim::pool::{HeadChange, Origin, Pool, Pooled, Settings};
use proptest::prelude::*;
use std::{cmp::Reverse, sync::Arc};

/// A transaction in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    sender: u8,
    nonce: u64,
    fee: u128,
    tip: u128,
    wei: u64,
    arrival: u64,
}

impl Known {
    fn cost(&self) -> u128 {
        21_000 * self.fee + u128::from(self.wei)
    }

    fn tip_at(&self, base_fee: u64) -> u128 {
        self.tip.min(self.fee - u128::from(base_fee))
    }

    fn hash(&self) -> B256 {
        *transfer(sender(self.sender), self.nonce, self.fee, self.tip, self.wei).tx_hash()
    }
}

/// The pool by its definition, found anew for every question.
#[derive(Debug, Default)]
struct Model {
    accounts: [(u64, u64); 3],
    base_fee: u64,
    known: Vec<Known>,
    arrivals: u64,
    sender_max: usize,
    all_max: usize,
}

impl Model {
    fn of(&self, sender: u8) -> Vec<Known> {
        let mut own: Vec<_> = self.known.iter().filter(|tx| tx.sender == sender).copied().collect();
        own.sort_by_key(|tx| tx.nonce);
        own
    }

    fn ready(&self, sender: u8) -> Vec<Known> {
        let (nonce, balance) = self.accounts[usize::from(sender)];
        let (mut ready, mut sum) = (Vec::new(), 0);
        for (want, tx) in (nonce..).zip(self.of(sender)) {
            sum += tx.cost();
            if tx.nonce != want || sum > u128::from(balance) {
                break;
            }
            ready.push(tx);
        }
        ready
    }

    fn add(&mut self, tx: Known) -> Result<(), &'static str> {
        let (nonce, balance) = self.accounts[usize::from(tx.sender)];
        let balance = u128::from(balance);
        let same = |known: &Known| (known.sender, known.nonce) == (tx.sender, tx.nonce);
        let old = self.known.iter().find(|known| same(known)).copied();
        if old.is_some_and(|old| (old.fee, old.tip, old.wei) == (tx.fee, tx.tip, tx.wei)) {
            return Err("already known");
        }
        if tx.tip > tx.fee {
            return Err("max priority fee per gas higher");
        }
        if tx.nonce < nonce {
            return Err("nonce too low");
        }
        let queued: u128 = self.ready(tx.sender).iter().filter(|known| !same(known)).map(Known::cost).sum();
        if tx.cost() > balance || queued + tx.cost() > balance {
            return Err("insufficient funds for gas * price + value");
        }
        if old.is_none() && self.of(tx.sender).len() >= self.sender_max {
            return Err("account limit exceeded");
        }
        let pays = |old: u128, new: u128| new > old && new >= old * 110 / 100;
        if old.is_some_and(|old| !pays(old.fee, tx.fee) || !pays(old.tip, tx.tip)) {
            return Err("replacement transaction underpriced");
        }
        if old.is_none() && self.known.len() >= self.all_max {
            let cheapest = *self.known.iter().min_by_key(|tx| (tx.fee, tx.tip, Reverse(tx.arrival))).unwrap();
            if (cheapest.fee, cheapest.tip) >= (tx.fee, tx.tip) {
                return Err("transaction underpriced");
            }
            self.known.retain(|known| *known != cheapest);
        }
        self.known.retain(|known| !same(known));
        self.known.push(Known { arrival: self.arrivals, ..tx });
        self.arrivals += 1;
        Ok(())
    }

    fn drop_impossible(&mut self) {
        let accounts = self.accounts;
        self.known.retain(|tx| {
            let (nonce, balance) = accounts[usize::from(tx.sender)];
            tx.nonce >= nonce && tx.cost() <= u128::from(balance)
        });
    }

    fn best(&self) -> Vec<B256> {
        let pays = |tx: &Known| tx.fee >= u128::from(self.base_fee);
        let run = |sender| {
            let mut run: Vec<_> = self.ready(sender).into_iter().take_while(pays).collect();
            run.reverse();
            run
        };
        let mut runs: Vec<Vec<Known>> = (0..3).map(run).collect();
        let mut best = Vec::new();
        loop {
            let rank = |tx: &Known| (tx.tip_at(self.base_fee), Reverse(tx.arrival));
            let next = runs.iter_mut().filter(|run| !run.is_empty()).max_by_key(|run| rank(run.last().unwrap()));
            let Some(run) = next else { return best };
            best.push(run.pop().unwrap().hash());
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Add { sender: u8, nonce: u64, fee: u128, tip: u128, wei: u64 },
    Head { sender: u8, nonce: u64, balance: u64, base_fee: u64 },
    Remove(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let add = (0_u8..3, 0_u64..5, 1_u128..40, 0_u128..12, 0_u64..3);
    let head = (0_u8..3, 0_u64..2, 0_u64..4, 0_u64..12);
    prop_oneof![
        8 => add.prop_map(|(sender, nonce, fee, tip, wei)| Op::Add { sender, nonce, fee, tip, wei }),
        2 => head.prop_map(|(sender, nonce, balance, base_fee)| Op::Head { sender, nonce, balance, base_fee }),
        1 => (0_usize..8).prop_map(Op::Remove),
    ]
}

fn check(ops: Vec<Op>) {
    let mut model = Model { accounts: [(0, 3_000_000); 3], sender_max: 4, all_max: 7, ..Model::default() };
    let settings = Settings {
        sender_max: model.sender_max,
        transactions_max: model.all_max,
        tip_min_wei: 0,
        ..Settings::default()
    };
    let head_of = |model: &Model| {
        let accounts: Vec<_> = (0..3).map(|seed| (sender(seed), model.accounts[usize::from(seed)])).collect();
        head(model.base_fee, &accounts.iter().map(|(a, (nonce, wei))| (*a, *nonce, *wei)).collect::<Vec<_>>())
    };
    let pool = Pool::new(settings, head_of(&model));
    for op in ops {
        match op {
            Op::Add { sender: from, nonce, fee, tip, wei } => {
                let tx = transfer(sender(from), nonce, fee, tip, wei);
                let got = pool.add(pooled(&pool.head(), sender(from), tx, Origin::Remote));
                let want = model.add(Known { sender: from, nonce, fee, tip, wei, arrival: 0 });
                match (&got, want) {
                    (Ok(_), Ok(())) => {}
                    (Err(error), Err(text)) => assert!(error.to_string().starts_with(text), "{error}, not {text}"),
                    _ => panic!("{got:?}, expected {want:?}"),
                }
            }
            Op::Head { sender: from, nonce, balance, base_fee } => {
                let account = &mut model.accounts[usize::from(from)];
                *account = (account.0 + nonce, 400_000 + balance * 500_000);
                model.base_fee = base_fee;
                model.drop_impossible();
                let touched = base_fee.is_multiple_of(2).then(|| vec![sender(from)]);
                pool.set_head(head_of(&model), HeadChange { touched, ..HeadChange::default() }).unwrap();
            }
            Op::Remove(at) => {
                let Some(tx) = model.known.get(at).copied() else { continue };
                model.known.remove(at);
                assert!(pool.remove(&tx.hash(), None).is_some());
            }
        }
        let content = pool.content();
        for from in 0..3 {
            let hashes = |txs: Vec<Known>| txs.iter().map(Known::hash).collect::<Vec<_>>();
            let found =
                |side: Option<&Vec<Arc<Pooled>>>| side.into_iter().flatten().map(|tx| tx.hash()).collect::<Vec<_>>();
            let ready = model.ready(from);
            let waiting = model.of(from).split_off(ready.len());
            assert_eq!(found(content.pending.get(&sender(from))), hashes(ready.clone()));
            assert_eq!(found(content.queued.get(&sender(from))), hashes(waiting));
            let next = model.accounts[usize::from(from)].0 + ready.len() as u64;
            assert_eq!(pool.next_nonce(&sender(from)), (!model.of(from).is_empty()).then_some(next));
        }
        let best: Vec<_> = pool.best(u64::MAX, usize::MAX).iter().map(|tx| tx.hash()).collect();
        assert_eq!(best, model.best());
        let (pending, queued) = pool.status();
        assert_eq!(pending + queued, model.known.len());
    }
    assert_eq!(pool.clear(None), model.known.len());
    assert_eq!(pool.status(), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_pool_is_what_its_definition_says(ops in prop::collection::vec(op(), 1..60)) {
        check(ops);
    }
}
