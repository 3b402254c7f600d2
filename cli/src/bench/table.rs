//! The table: one line a row, more lines for its parts, fixed columns.
//!
//! Place in the flow: `report` prints the head of a scope, then rows.
//! Invariant: columns are as wide in every line; a row without figures says why instead.

use super::{
    figures::{Duel, Figures, Scope},
    row::{Shown, Trouble},
    state::StateFigures,
};

/// What the columns mean.
pub(super) const LEGEND: &str = "lean: lean sequential revm; times in ms: sum of the blocks' medians over the passes, and \
                                 the fastest pass; ratio: lean/ours of medians, best: of the fastest passes, higher is \
                                 better; cpu: processor time of all threads, ours/lean, lower is better; seq: blocks run \
                                 sequentially by choice";

/// Hot locations that a row of the table names; JSON has some more.
const HOT_SHOWN: usize = 2;

/// A figure's columns, in order: titles or values.
struct Columns<'a> {
    name: &'a str,
    size: [&'a str; 3],
    times: [&'a str; 9],
    rates: [&'a str; 2],
    runs: [&'a str; 5],
}

impl Columns<'_> {
    fn line(&self) -> String {
        let [blocks, txs, gas] = self.size;
        let [lean, lean_min, ours, ours_min, ratio, best, lean_cpu, ours_cpu, cpu] = self.times;
        let [gas_rate, tx_rate] = self.rates;
        let [incarnations, adopted, aborted, transfers, sequential] = self.runs;
        let line = format!(
            "{:<20} {blocks:>6} {txs:>6} {gas:>6} {lean:>9} {lean_min:>9} {ours:>9} {ours_min:>9} {ratio:>7} {best:>7} \
             {lean_cpu:>9} {ours_cpu:>9} {cpu:>6} {gas_rate:>7} {tx_rate:>8} {incarnations:>7} {adopted:>7} {aborted:>7} \
             {transfers:>9} {sequential:>4}",
            self.name
        );
        line.trim_end().to_owned()
    }
}

/// The name of the scope, and the titles of the columns.
pub(super) fn head(scope: Scope) -> String {
    if matches!(scope, Scope::State | Scope::Store) {
        let titles = ["rival", "min", "ours", "min", "ratio", "best", "rival cpu", "ours cpu", "cpu"];
        let titles = state_line("row", "rival", &titles, &["items", "ns each", "per s"]);
        return format!("{}\n{titles}", scope.about());
    }
    let titles = Columns {
        name: "row",
        size: ["blocks", "txs", "Mgas"],
        times: ["lean", "min", "ours", "min", "ratio", "best", "lean cpu", "ours cpu", "cpu"],
        rates: ["Mgas/s", "tx/s"],
        runs: ["runs", "adopted", "aborted", "transfers", "seq"],
    };
    format!("{}\n{}", scope.about(), titles.line())
}

/// A row with its parts.
pub(super) fn row(name: &str, measured: &Result<Shown, Trouble>) -> String {
    match measured {
        Ok(Shown::Blocks(figures)) => blocks_row(name, figures),
        Ok(Shown::State(figures)) => state_row(name, figures),
        Err(trouble @ Trouble::Skipped(_)) => format!("{name:<20} {trouble}"),
        Err(trouble) => format!("{name:<20} failed: {trouble}"),
    }
}

fn blocks_row(name: &str, figures: &Figures) -> String {
    let Figures { blocks, txs, gas_used, runs, .. } = figures;
    let counts = [runs.incarnations, runs.adopted, runs.aborted, runs.transfers, runs.sequential_blocks as u64];
    let counts = counts.map(|count| count.to_string());
    let times = times(&figures.duel);
    let columns = Columns {
        name,
        size: [&blocks.to_string(), &txs.to_string(), &format!("{:.0}", *gas_used as f64 / 1e6)],
        times: times.each_ref().map(String::as_str),
        rates: [&format!("{:.0}", figures.mgas_per_s), &format!("{:.0}", figures.txs_per_s)],
        runs: counts.each_ref().map(String::as_str),
    };
    let mut lines = vec![columns.line()];
    lines.extend(notes(figures));
    lines.extend(hot(figures));
    for (mark, parts) in [("=", &figures.figures), ("·", &figures.stages)] {
        lines.extend(parts.iter().map(|part| part_line(mark, part.name, &part.duel)));
    }
    lines.join("\n")
}

fn state_row(name: &str, figures: &StateFigures) -> String {
    let items = format!("{} {}s", figures.items, figures.unit);
    let rates = [items, format!("{:.0}", figures.ns_per_item), format!("{:.0}", figures.items_per_s)];
    let (times, rates) = (times(&figures.duel), rates.each_ref().map(String::as_str));
    state_line(name, figures.rival, &times.each_ref().map(String::as_str), &rates)
}

fn state_line(name: &str, rival: &str, times: &[&str; 9], [items, each, rate]: &[&str; 3]) -> String {
    let [theirs, theirs_min, ours, ours_min, ratio, best, their_cpu, our_cpu, cpu] = times;
    format!(
        "{name:<20} {rival:<20} {theirs:>9} {theirs_min:>9} {ours:>9} {ours_min:>9} {ratio:>7} {best:>7} {their_cpu:>9} \
         {our_cpu:>9} {cpu:>6} {items:>16} {each:>8} {rate:>9}"
    )
}

fn times(duel: &Duel) -> [String; 9] {
    let ms = |value: f64| format!("{value:.3}");
    let ratio = |value: f64| format!("x{value:.3}");
    let Duel { lean, candidate, .. } = duel;
    [
        ms(lean.ms),
        ms(lean.min_ms),
        ms(candidate.ms),
        ms(candidate.min_ms),
        ratio(duel.ratio),
        ratio(duel.ratio_best),
        ms(lean.cpu_ms),
        ms(candidate.cpu_ms),
        format!("x{:.2}", duel.cpu_ratio),
    ]
}

/// What only rows of many blocks have.
fn notes(figures: &Figures) -> Option<String> {
    let mean = figures.geometric_mean.map(|mean| format!("geometric mean x{mean:.3}"));
    let worst = figures
        .worst
        .map(|worst| format!("worst block {} x{:.3} (of {} blocks)", worst.block, worst.ratio, worst.of_blocks));
    let adopted = (figures.runs.adopted > 0).then(|| format!("adopted {:.1} %", 100.0 * figures.runs.adopted_share));
    let simulate = figures.simulate.map(|side| format!("simulated before the block for {:.3} ms", side.ms));
    let fallback = figures.runs.fallback_txs;
    let fallback = (fallback > 0).then(|| format!("{fallback} txs fell back after a worker's failure"));
    let notes: Vec<_> = [mean, worst, adopted, simulate, fallback].into_iter().flatten().collect();
    (!notes.is_empty()).then(|| format!("  {}", notes.join("; ")))
}

/// Where runs were thrown away.
fn hot(figures: &Figures) -> Option<String> {
    let named: Vec<_> =
        figures.hot_locations.iter().map(|hot| format!("{} ({})", hot.location, hot.aborted)).take(HOT_SHOWN).collect();
    (!named.is_empty()).then(|| format!("  hot: {}", named.join(", ")))
}

/// A figure or a stage of the whole path: its long name takes the columns of the size.
fn part_line(mark: &str, name: &str, duel: &Duel) -> String {
    let [lean, lean_min, ours, ours_min, ratio, best, lean_cpu, ours_cpu, cpu] = times(duel);
    let name: String = format!("{mark} {}", name.replace("execution + receipts root + state root", "… + state root"));
    format!(
        "  {name:<39} {lean:>9} {lean_min:>9} {ours:>9} {ours_min:>9} {ratio:>7} {best:>7} {lean_cpu:>9} {ours_cpu:>9} \
         {cpu:>6}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{figures::Terms, path::MeasuredPath};

    #[test]
    fn rows_and_parts_align_with_the_head() {
        let terms = Terms { predict: "none", threads: 2, passes: 3 };
        let figures = Figures::of_path(terms, (1, 21_000), &MeasuredPath::default());
        let row = row("path/erc20", &Ok(Shown::Blocks(Box::new(figures))));
        let head = head(Scope::Path);
        let titles = head.lines().nth(1).unwrap();
        let end = titles.find(" lean ").unwrap() + " lean".len();
        for line in row.lines() {
            let is_value_end = line.chars().take(end).collect::<String>().ends_with("0.000");
            assert!(is_value_end, "{titles}\n{line}");
        }
        assert_eq!(row.lines().count(), 9);
    }

    #[test]
    fn row_without_figures_says_why() {
        let skipped = row("mainnet/none", &Err(Trouble::Skipped("no archive".to_owned())));
        assert_eq!(skipped, "mainnet/none         skipped: no archive");
        let failed = row("amm", &Err(Trouble::Differs("gas used".to_owned())));
        assert_eq!(failed, "amm                  failed: gas used");
    }
}
