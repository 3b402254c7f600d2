//! The figures of a row: totals over its blocks, and what they say.
//!
//! Place in the flow: `row` adds up what `runs` and `path` measured; `report` and `table` show it.
//! Invariant: a ratio is a quotient of totals over the same blocks and passes. Wall ratios are lean over candidate, above 1 is
//! faster; processor ratios are candidate over lean, above 1 is dearer.

use super::{
    path::{FIGURES, MeasuredPath, STAGES},
    runs::Measured,
    series::{Series, Side, rounded},
};
use crate::clock::geometric_mean;
use laminar_executor::{Path, Stats, location::Location};
use serde::Serialize;
use std::{cmp::Reverse, collections::HashMap};

/// Hot locations that a row names.
const HOT_MAX: usize = 5;

/// How much of a block's way is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Scope {
    /// From recovered senders to receipts and state changes.
    #[serde(rename = "execution")]
    Execution,
    /// From signed transactions to the state root.
    #[serde(rename = "execution + receipts root + state root + senders")]
    Path,
    /// Hashing and tries alone.
    #[serde(rename = "state")]
    State,
    /// A store on disk.
    #[serde(rename = "store")]
    Store,
}

impl Scope {
    /// What it means.
    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::Execution => "execution only: from recovered senders to receipts and state changes",
            Self::Path => "whole path: execution + receipts root + state root + senders",
            Self::State => "hashing and tries alone, against the rival that the row names",
            Self::Store => "a store on disk, against the rival that the row names",
        }
    }
}

/// Both sides of something, and their ratios.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Duel {
    pub(super) lean: Side,
    pub(super) candidate: Side,
    /// Of medians.
    #[serde(serialize_with = "rounded")]
    pub(super) ratio: f64,
    /// Of the fastest passes.
    #[serde(serialize_with = "rounded")]
    pub(super) ratio_best: f64,
    /// Of processor times: candidate over lean.
    #[serde(serialize_with = "rounded")]
    pub(super) cpu_ratio: f64,
}

/// A part of a row, by name.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Part {
    pub(super) name: &'static str,
    #[serde(flatten)]
    pub(super) duel: Duel,
}

/// The block that gains least.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Worst {
    pub(super) block: u64,
    #[serde(serialize_with = "rounded")]
    pub(super) ratio: f64,
    /// Among so many.
    pub(super) of_blocks: usize,
}

/// How the candidate ran: sums over the blocks' last runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Runs {
    pub(super) incarnations: u64,
    pub(super) adopted: u64,
    /// Of all transactions.
    #[serde(serialize_with = "rounded")]
    pub(super) adopted_share: f64,
    pub(super) aborted: u64,
    pub(super) transfers: u64,
    /// Blocks that ran sequentially by choice.
    pub(super) sequential_blocks: usize,
    /// Transactions that ran sequentially because a worker failed.
    pub(super) fallback_txs: u64,
}

/// A location for which runs were thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Hot {
    /// In words.
    pub(super) location: String,
    /// Runs that were found stale there first.
    pub(super) aborted: usize,
}

/// All figures of a row.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    /// What was known before the first transaction ran.
    pub(super) predict: &'static str,
    pub(super) threads: usize,
    pub(super) passes: u32,
    pub(super) blocks: usize,
    pub(super) txs: usize,
    pub(super) gas_used: u64,
    #[serde(flatten)]
    pub(super) duel: Duel,
    /// The candidate's.
    #[serde(serialize_with = "rounded")]
    pub(super) mgas_per_s: f64,
    /// The candidate's.
    #[serde(serialize_with = "rounded")]
    pub(super) txs_per_s: f64,
    /// Of the blocks' ratios.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) geometric_mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) worst: Option<Worst>,
    /// Simulations before the candidate's clock started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) simulate: Option<Side>,
    #[serde(flatten)]
    pub(super) runs: Runs,
    /// Where most runs were thrown away, the worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hot_locations: Vec<Hot>,
    /// The stages of the path, apart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stages: Vec<Part>,
    /// The figures of the path; the last is the row's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) figures: Vec<Part>,
}

/// What all figures of a row have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) predict: &'static str,
    pub(super) threads: usize,
    pub(super) passes: u32,
}

impl Duel {
    /// The totals of both sides.
    pub(super) fn new<'a>(
        lean: impl Iterator<Item = &'a Series> + Clone,
        candidate: impl Iterator<Item = &'a Series> + Clone,
    ) -> Self {
        let (lean, candidate) = (Side::total(lean), Side::total(candidate));
        Self {
            lean,
            candidate,
            ratio: lean.ms / candidate.ms,
            ratio_best: lean.min_ms / candidate.min_ms,
            cpu_ratio: candidate.cpu_ms / lean.cpu_ms,
        }
    }
}

impl Runs {
    fn add(&mut self, stats: &Stats) {
        self.incarnations += stats.incarnations;
        self.adopted += stats.adopted;
        self.aborted += stats.aborted;
        self.transfers += stats.transfers;
        self.sequential_blocks += usize::from(stats.path == Path::Sequential);
        self.fallback_txs += stats.fallback.map_or(0, |(_, txs)| txs);
    }
}

impl Figures {
    /// The totals of blocks of which only execution was timed.
    pub(super) fn of_blocks(terms: Terms, blocks: &[Measured]) -> Self {
        let duel = Duel::new(blocks.iter().map(|block| &block.lean), blocks.iter().map(|block| &block.candidate));
        let size = blocks.iter().fold((0, 0), |(txs, gas), block| (txs + block.txs, gas + block.gas_used));
        let mut figures = Self::new(terms, duel, size);
        figures.blocks = blocks.len();
        for block in blocks {
            figures.runs.add(&block.stats);
        }
        figures.hot_locations = hot(blocks.iter().map(|block| &block.stats));
        figures.close();
        if blocks.len() > 1 {
            let ratios: Vec<_> = blocks.iter().map(Measured::ratio).collect();
            figures.geometric_mean = geometric_mean(&ratios).map(|mean| (mean * 1e4).round() / 1e4);
            figures.worst = worst(blocks);
        }
        let simulate = Side::total(blocks.iter().map(|block| &block.simulate));
        figures.simulate = (simulate.ms > 0.0).then_some(simulate);
        figures
    }

    /// The figures of a block's whole way.
    pub(super) fn of_path(terms: Terms, size: (usize, u64), path: &MeasuredPath) -> Self {
        let part = |name, stages: &[usize]| {
            let [lean, candidate] = path.of(stages);
            Part { name, duel: Duel::new([&lean].into_iter(), [&candidate].into_iter()) }
        };
        let stages = STAGES.iter().enumerate().map(|(at, name)| part(name, &[at])).collect();
        let all: Vec<_> = (0..STAGES.len()).collect();
        let mut figures = Self::new(terms, part("all", &all).duel, size);
        figures.stages = stages;
        figures.figures = FIGURES.iter().map(|(name, stages)| part(name, stages)).collect();
        figures.runs.add(&path.stats);
        figures.hot_locations = hot([&path.stats].into_iter());
        figures.close();
        figures
    }

    fn new(Terms { predict, threads, passes }: Terms, duel: Duel, (txs, gas_used): (usize, u64)) -> Self {
        let seconds = duel.candidate.ms / 1e3;
        Self {
            predict,
            threads,
            passes,
            blocks: 1,
            txs,
            gas_used,
            duel,
            mgas_per_s: gas_used as f64 / 1e6 / seconds,
            txs_per_s: txs as f64 / seconds,
            geometric_mean: None,
            worst: None,
            simulate: None,
            runs: Runs::default(),
            hot_locations: Vec::new(),
            stages: Vec::new(),
            figures: Vec::new(),
        }
    }

    fn close(&mut self) {
        self.runs.adopted_share = self.runs.adopted as f64 / self.txs.max(1) as f64;
    }
}

/// The locations at which more than one run was thrown away, the worst first, at most [`HOT_MAX`].
fn hot<'a>(stats: impl Iterator<Item = &'a Stats>) -> Vec<Hot> {
    let mut counts: HashMap<Location, usize> = HashMap::new();
    stats.flat_map(|stats| &stats.stale).for_each(|(_, location)| *counts.entry(*location).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    counts.sort_unstable_by_key(|(location, count)| (Reverse(*count), *location));
    counts.truncate(HOT_MAX);
    counts.into_iter().map(|(location, aborted)| Hot { location: location.to_string(), aborted }).collect()
}

/// The block with the least ratio.
pub(super) fn worst(blocks: &[Measured]) -> Option<Worst> {
    let least = blocks.iter().min_by(|a, b| a.ratio().total_cmp(&b.ratio()))?;
    Some(Worst { block: least.number, ratio: least.ratio(), of_blocks: blocks.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Took;
    use alloy_primitives::{Address, U256};
    use laminar_executor::TxIndex;

    pub(super) fn block(number: u64, lean_ms: f64, candidate_ms: f64) -> Measured {
        let series = |wall_ms: f64| Series::from_iter([Took { wall_ms, cpu_ms: 2.0 * wall_ms }; 3]);
        Measured {
            number,
            txs: 10,
            gas_used: 1_000_000,
            lean: series(lean_ms),
            candidate: series(candidate_ms),
            simulate: series(0.0),
            stats: Stats { adopted: 5, ..Stats::default() },
        }
    }

    #[test]
    fn totals_means_and_the_worst_block_are_of_all_blocks() {
        let terms = Terms { predict: "none", threads: 2, passes: 3 };
        let figures = Figures::of_blocks(terms, &[block(1, 4.0, 1.0), block(2, 1.0, 1.0)]);
        assert_eq!((figures.duel.ratio, figures.duel.ratio_best, figures.duel.cpu_ratio), (2.5, 2.5, 0.4));
        assert_eq!(figures.geometric_mean, Some(2.0));
        assert_eq!(figures.worst, Some(Worst { block: 2, ratio: 1.0, of_blocks: 2 }));
        assert_eq!((figures.mgas_per_s, figures.txs_per_s), (1000.0, 10_000.0));
        assert_eq!((figures.runs.adopted_share, figures.runs.sequential_blocks), (0.5, 2));
        assert!(figures.simulate.is_none());
    }

    #[test]
    fn hot_locations_are_those_of_several_stale_runs() {
        let slot = |slot: u64| Location::Slot(Address::repeat_byte(1), U256::from(slot));
        let stats = |slots: &[u64]| Stats {
            stale: slots.iter().zip(0..).map(|(at, index)| (TxIndex(index), slot(*at))).collect(),
            ..Stats::default()
        };
        let hot = hot([stats(&[1, 2, 2]), stats(&[3, 1, 2])].iter());
        let named: Vec<_> = hot.into_iter().map(|hot| (hot.location, hot.aborted)).collect();
        assert_eq!(named, [(slot(2).to_string(), 3), (slot(1).to_string(), 2)]);
    }

    #[test]
    fn single_block_has_no_mean_and_no_worst() {
        let terms = Terms { predict: "none", threads: 2, passes: 3 };
        let figures = Figures::of_blocks(terms, &[block(1, 4.0, 1.0)]);
        assert!(figures.geometric_mean.is_none() && figures.worst.is_none());
        let json = serde_json::to_value(&figures).unwrap();
        assert_eq!((&json["ratio"], &json["lean"]["ms"], &json["blocks"]), (&4.0.into(), &4.0.into(), &1.into()));
    }
}
