//! Faults on purpose: a backend that fails at call n and a worker that panics at call n, for every n; wrong knowledge.

use crate::{
    check::{PREDICTIONS, WORKERS, executor, first_difference, knowledge},
    program::{Step, assemble, contract, sender},
    world::World,
};
use alloy_primitives::{Address, B256, U256};
use laminar_executor::{ExecuteError, Fallback, Knowledge, Predict, sequential};
use laminar_state_db::MemoryState;
use revm::{DatabaseRef, bytecode::Bytecode, database_interface::DBErrorMarker, state::AccountInfo};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, thiserror::Error)]
#[error("provoked")]
pub(crate) struct Provoked;

impl DBErrorMarker for Provoked {}

/// What the n-th read does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It and every later one fails.
    FailsFrom(u64),
    /// It fails, once.
    FailsAt(u64),
    /// It panics, once.
    PanicsAt(u64),
}

/// A parent with one fault.
pub(crate) struct Faulty<'a> {
    state: &'a MemoryState,
    reads: AtomicU64,
    fault: Fault,
}

impl<'a> Faulty<'a> {
    pub(crate) const fn new(state: &'a MemoryState, fault: Fault) -> Self {
        Self { state, reads: AtomicU64::new(0), fault }
    }

    fn read(&self) -> Result<(), Provoked> {
        let read = self.reads.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::FailsFrom(n) if read >= n => Err(Provoked),
            Fault::FailsAt(n) if read == n => Err(Provoked),
            Fault::PanicsAt(n) if read == n => panic!("provoked"),
            _ => Ok(()),
        }
    }
}

impl DatabaseRef for Faulty<'_> {
    type Error = Provoked;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Provoked> {
        self.read()?;
        Ok(self.state.basic_ref(address).unwrap())
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Provoked> {
        self.read()?;
        Ok(self.state.code_by_hash_ref(hash).unwrap())
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Provoked> {
        self.read()?;
        Ok(self.state.storage_ref(address, slot).unwrap())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Provoked> {
        self.read()?;
        Ok(self.state.block_hash_ref(number).unwrap())
    }
}

fn world() -> World {
    let mut world = World::new();
    (0..4).for_each(|n| world.account(sender(n), 0, 1_000_000_000));
    world.contract(contract(0), &assemble(&[Step::Add(0, 1), Step::Call(1, 2)]), 100);
    world.contract(contract(1), &assemble(&[Step::Add(1, 1), Step::Balance(2, 1)]), 0);
    for n in 0..6 {
        world.call(sender(n % 4), contract(n % 2), 0);
    }
    world.call(sender(1), sender(2), 9).gas_limit = 21_000;
    world
}

#[test]
fn a_backend_that_fails_at_read_n_never_gives_a_wrong_outcome() {
    let world = world();
    let (block, prepared) = world.prepare();
    let mut want = sequential::execute(&block, &prepared, &world.state).unwrap();
    for predict in [Predict::None, Predict::Presimulate] {
        for workers in [1, 3] {
            let executor = executor(workers, predict);
            let mut failures = 0;
            for n in 0.. {
                let parent = Faulty::new(&world.state, Fault::FailsFrom(n));
                match executor.execute(&block, &prepared, &parent, Knowledge::Nothing) {
                    Ok(got) => {
                        assert_eq!(first_difference(&mut want, &got, &world.state), None);
                        break;
                    }
                    Err(ExecuteError::State { .. }) => failures += 1,
                    Err(other) => panic!("{predict:?} x {workers}, read {n}: {other}"),
                }
            }
            assert!(failures > 10, "{failures}");
        }
    }
}

#[test]
fn a_worker_that_panics_at_read_n_leaves_the_right_outcome_or_our_bug() {
    let world = world();
    let (block, prepared) = world.prepare();
    let mut want = sequential::execute(&block, &prepared, &world.state).unwrap();
    let mut fallbacks = 0;
    for predict in [Predict::None, Predict::Presimulate] {
        for workers in WORKERS {
            let executor = executor(workers, predict);
            for n in 0..120 {
                let parent = Faulty::new(&world.state, Fault::PanicsAt(n));
                // Reads outside the workers (system calls, the beneficiary) unwind into the caller: that is the host's panic.
                let run = || executor.execute(&block, &prepared, &parent, Knowledge::Nothing);
                match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
                    Ok(Ok(got)) => {
                        let case = format!("{predict:?} x {workers}, read {n}");
                        assert_eq!(first_difference(&mut want, &got, &world.state), None, "{case}");
                        fallbacks += u64::from(matches!(got.stats.fallback, Some((Fallback::WorkerPanic, _))));
                    }
                    Ok(Err(ExecuteError::Bug { .. })) | Err(_) => {}
                    Ok(Err(other)) => panic!("{predict:?} x {workers}, read {n}: {other}"),
                }
            }
        }
    }
    assert!(fallbacks > 10, "{fallbacks}");
}

#[test]
fn wrong_empty_and_foreign_knowledge_changes_nothing() {
    let world = world();
    let (block, prepared) = world.prepare();
    let mut want = sequential::execute(&block, &prepared, &world.state).unwrap();
    // The same transactions in another world: other balances, slots and code.
    let mut other = self::world();
    other.state.insert_slot(contract(0), U256::ZERO, U256::from(77));
    other.contract(contract(1), &assemble(&[Step::Add(3, 9), Step::Create(0), Step::SelfDestruct(6, 3)]), 5);
    other.account(sender(2), 0, 4_000_000);
    other.header.parent_hash = B256::repeat_byte(1);
    let (other_block, other_prepared) = other.prepare();
    for predict in PREDICTIONS {
        for workers in WORKERS {
            let executor = executor(workers, predict);
            let (mut shorter, mut later) = (prepared.clone(), prepared.clone());
            shorter.txs.truncate(3);
            later.block_env.timestamp += U256::from(1);
            for known in [
                Knowledge::Nothing,
                Knowledge::BlockAccessList(Vec::new()),
                knowledge(&executor, &other_block, &other_prepared, &other.state),
                Knowledge::Simulations(executor.simulate(&shorter, &world.state)),
                Knowledge::Simulations(executor.simulate(&later, &world.state)),
            ] {
                let got = executor.execute(&block, &prepared, &world.state, known).unwrap();
                assert_eq!(first_difference(&mut want, &got, &world.state), None, "{predict:?} x {workers}");
            }
        }
    }
}
