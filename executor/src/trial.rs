//! Whether a block is worth waking the workers, found out by beginning with it.
//!
//! Place in the flow: before the parallel path, where the executor chooses and nothing is known of the block.
//! Invariant: it decides how a block is run, never what comes out: the first transactions are committed one after the other, as they
//! would be anyway.

use crate::{choice::TRIAL_GAS_MAX, merge::Committer};
use alloy_primitives::Address;
use revm::context::TxEnv;
use std::time::{Duration, Instant};

/// A trial under way, by the doubt that there is.
#[derive(Debug)]
pub(crate) enum Trial {
    /// The block may be too short.
    Short(ShortBlock),
    /// Its transactions may all wait for each other.
    OneContract(OneContract),
}

impl Trial {
    /// The trial of a block of `txs` that uses `gas`, if there is a doubt.
    pub(crate) fn of(txs: &[TxEnv], gas: u64) -> Option<Self> {
        if gas < TRIAL_GAS_MAX {
            return Some(Self::Short(ShortBlock::new(gas)));
        }
        OneContract::of(txs).map(Self::OneContract)
    }

    /// Whether to go on alone after what is committed.
    pub(crate) fn goes_on(&mut self, committer: &Committer) -> bool {
        match self {
            Self::Short(block) => block.goes_on(committer.gas_used()),
            Self::OneContract(block) => {
                let slots = |contract: &Address| committer.written_slots(contract);
                block.goes_on(committer.next().as_usize(), slots)
            }
        }
    }
}

/// How long a trial takes, to the end of the transaction that is running then: less than a worker takes to wake.
const TRIAL: Duration = Duration::from_micros(30);
/// Work that must be left for other workers to pay.
const LEFT_MIN: Duration = Duration::from_micros(700);

/// A block with little gas. Gas says little about time (a million gas took from 40 us to 600 us in blocks of different years), so the
/// first transactions are timed, and what they took tells what the others will take.
#[derive(Debug)]
pub(crate) struct ShortBlock {
    start: Instant,
    /// Gas that the whole block uses, as its header says.
    gas: u64,
    is_over: bool,
}

impl ShortBlock {
    fn new(gas: u64) -> Self {
        Self { start: Instant::now(), gas, is_over: false }
    }

    /// Whether to go on alone, after transactions that used `gas_used`.
    fn goes_on(&mut self, gas_used: u64) -> bool {
        if self.is_over {
            return true;
        }
        let took = self.start.elapsed();
        if took < TRIAL {
            return true;
        }
        self.is_over = true;
        self.left(took, gas_used) < LEFT_MIN
    }

    /// What the rest will take if its gas takes as long as the gas so far.
    fn left(&self, took: Duration, gas_used: u64) -> Duration {
        let per_gas = took.as_secs_f64() / gas_used.max(1) as f64;
        Duration::try_from_secs_f64(per_gas * self.gas.saturating_sub(gas_used) as f64).unwrap_or(Duration::MAX)
    }
}

/// Transactions below which it does not matter.
const TXS_MIN: usize = 256;
/// Transactions that are looked at first to see whether nearly all call one contract.
const FIRST: usize = 64;
/// One of so many may call another.
const OTHERS_SHARE: usize = 8;
/// Transactions after which it is asked again how many slots they wrote.
const WINDOW: usize = 32;
/// Slots that the transactions of a window write anew at most, if they wait for each other.
const NEW_SLOTS_MAX: usize = WINDOW / 8;
/// What a transaction takes at most for a word between cores to cost more than running ahead of others saves.
const CALL_MAX: Duration = Duration::from_micros(6);

/// A long block of short calls of one contract: where they keep writing the same few slots of it, each needs the one before.
///
/// PERF: 33,000 increments of one slot, 1.6 us each: two workers that pass them on to each other x0.80 to x0.99, one x0.99 to x1.08.
#[derive(Debug)]
pub(crate) struct OneContract {
    contract: Address,
    start: Instant,
    /// Where the next window ends.
    window_end: usize,
    /// Slots of the contract that were written by the end of the last window.
    slots: usize,
}

impl OneContract {
    /// The contract that nearly all of the block's transactions call, if there is one.
    fn of(txs: &[TxEnv]) -> Option<Self> {
        let first = txs.get(..FIRST).filter(|_| txs.len() >= TXS_MIN)?;
        let mut targets: Vec<_> = first.iter().map(|tx| tx.kind.to()).collect();
        targets.sort_unstable();
        // What most of them have in common stands in the middle.
        let contract = targets[targets.len() / 2]?;
        let is_common = |txs: &[TxEnv]| {
            let others = txs.iter().filter(|tx| tx.kind.to() != Some(contract)).count();
            others <= txs.len() / OTHERS_SHARE
        };
        // Most blocks are told by the first few.
        (is_common(first) && is_common(txs)).then(|| Self {
            contract: *contract,
            start: Instant::now(),
            window_end: WINDOW,
            slots: 0,
        })
    }

    /// Whether to go on alone after `committed` transactions, `written_slots` being asked how many slots of a contract they wrote.
    fn goes_on(&mut self, committed: usize, written_slots: impl FnOnce(&Address) -> usize) -> bool {
        if committed < self.window_end {
            return true;
        }
        let are_short = self.start.elapsed().div_f64(committed as f64) < CALL_MAX;
        are_short && self.are_chained(committed, written_slots(&self.contract))
    }

    /// Whether the transactions of the window that ends with `committed` ones kept to few of the `slots` that all so far wrote.
    fn are_chained(&mut self, committed: usize, slots: usize) -> bool {
        let new = slots.saturating_sub(self.slots);
        (self.window_end, self.slots) = (committed + WINDOW, slots);
        slots > 0 && new <= NEW_SLOTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::TxKind;

    const CONTRACT: Address = Address::repeat_byte(7);

    #[test]
    fn what_is_left_follows_the_gas() {
        let trial = ShortBlock::new(1_000);
        let took = Duration::from_micros(30);
        for (gas_used, want) in [(500, 30), (100, 270), (1_000, 0), (2_000, 0)] {
            assert_eq!(trial.left(took, gas_used).as_micros(), want, "{gas_used}");
        }
        assert!(trial.left(took, 0) >= Duration::from_micros(29_999));
        assert_eq!(ShortBlock::new(u64::MAX).left(Duration::MAX, 0), Duration::MAX);
    }

    #[test]
    fn a_trial_that_is_over_has_decided_for_the_whole_block() {
        let mut trial = ShortBlock { is_over: true, ..ShortBlock::new(u64::MAX) };
        assert!(trial.goes_on(0));
    }

    /// Slots written by the end of each window, and whether one worker goes on until then.
    #[test]
    fn one_worker_goes_on_while_few_new_slots_are_written() {
        let cases: [(&[usize], &[bool]); 5] = [
            (&[1, 1, 1], &[true, true, true]),
            (&[4, 8, 12, 17], &[true, true, true, false]),
            (&[5], &[false]),
            // Those that write nothing do not wait for each other.
            (&[0], &[false]),
            // Fewer slots than before: a contract that is gone.
            (&[3, 0], &[true, false]),
        ];
        for (slots, want) in cases {
            let mut block = OneContract { contract: CONTRACT, start: Instant::now(), window_end: WINDOW, slots: 0 };
            let ends = (1..).map(|window| window * WINDOW);
            let found: Vec<_> = ends.zip(slots).map(|(end, slots)| block.are_chained(end, *slots)).collect();
            assert_eq!(found, want, "{slots:?}");
        }
    }

    #[test]
    fn inside_a_window_nobody_is_asked() {
        let mut block = OneContract { contract: CONTRACT, start: Instant::now(), window_end: WINDOW, slots: 0 };
        assert!((0..WINDOW).all(|committed| block.goes_on(committed, |_| unreachable!())));
    }

    #[test]
    fn nearly_all_transactions_call_one_contract_or_there_is_no_doubt() {
        let calls = |to: u8| TxEnv { kind: TxKind::Call(Address::repeat_byte(to)), ..TxEnv::default() };
        let contract = |txs: Vec<_>| OneContract::of(&txs).map(|block| block.contract);
        assert_eq!(contract(vec![calls(7); 1_000]), Some(CONTRACT));
        assert_eq!(contract((0..1_000).map(|at| calls(if at % 10 == 0 { 8 } else { 7 })).collect()), Some(CONTRACT));
        assert_eq!(
            contract((0..1_000).map(|at| calls(if at % 5 == 0 { 7 } else { 8 + at as u8 % 7 })).collect()),
            None
        );
        assert_eq!(contract(vec![calls(7); TXS_MIN - 1]), None);
        assert_eq!(contract([vec![calls(7); 500], vec![calls(8); 500]].concat()), None);
        assert_eq!(contract(vec![TxEnv { kind: TxKind::Create, ..TxEnv::default() }; 1_000]), None);
    }
}
