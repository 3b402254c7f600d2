//! The table: one line a block with fixed columns, for people.
//!
//! Place in the flow: report prints the head before the first block, a row for each and the foot after the last.
//! Invariant: columns are as wide in every row, on a terminal and off it; only colours differ.

use super::{
    block::{BlockReport, Failure},
    summary::Summary,
};

/// Width of the first column.
const TITLE_LEN_MAX: usize = 23;

/// Whether the table has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// For a terminal.
    Coloured,
    /// For everything else.
    Plain,
}

#[derive(Clone, Copy)]
enum Colour {
    Bold,
    Green,
    Red,
    Dim,
}

impl Style {
    /// The style for stdout.
    pub(crate) const fn of(is_terminal: bool) -> Self {
        if is_terminal { Self::Coloured } else { Self::Plain }
    }

    fn paint(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Bold => 1,
            Colour::Green => 32,
            Colour::Red => 31,
            Colour::Dim => 2,
        };
        match self {
            Self::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// The titles of the columns.
pub(crate) fn head(style: Style) -> String {
    let left = left("block", "fork", "txs", "Mgas");
    let right = right(["sequential", "parallel", "speed-up", "mode", "batches", "adopted", "aborted"]);
    style.paint(Colour::Bold, &format!("{left} grbsq= {right}"))
}

/// A block.
pub(crate) fn row(style: Style, block: &BlockReport) -> String {
    let fork = block.fork.unwrap_or("?");
    let left = left(&title(block), fork, &block.txs.to_string(), &mega(block.gas_used));
    let verdict = style.paint(Colour::Red, verdict(block));
    if !block.is_executed() {
        return format!("{left} {verdict}");
    }
    let (times, stats) = (&block.times, &block.stats);
    let right = right([
        &milliseconds(times.sequential_ms),
        &milliseconds(times.parallel_ms),
        &ratio(block.speed_up()),
        block.mode().unwrap_or("-"),
        &stats.batches.to_string(),
        &stats.adopted.to_string(),
        &stats.aborted.to_string(),
    ]);
    let line = format!("{left} {} {right}", marks(style, block));
    if block.failure.is_some() { format!("{line}  {verdict}") } else { line }
}

/// The totals.
pub(crate) fn foot(style: Style, summary: &Summary) -> String {
    let left = left("total", &format!("{} blocks", summary.blocks), &summary.txs.to_string(), &mega(summary.gas_used));
    let right = right([
        &milliseconds(Some(summary.sequential_ms)),
        &milliseconds(Some(summary.parallel_ms)),
        &ratio(summary.speed_up),
        "",
        "",
        &summary.adopted.to_string(),
        &summary.aborted.to_string(),
    ]);
    let totals = format!("{left}        {right}");
    let counts = format!(
        "identical to sequential {} of {}; refused {}, different {}, unreadable {}; geometric mean of speed-ups {}; \
         processor time {} against {} ms",
        summary.identical,
        summary.blocks,
        summary.refused,
        summary.different,
        summary.unreadable,
        ratio(summary.geometric_mean),
        milliseconds(Some(summary.cpu_ms)),
        milliseconds(Some(summary.sequential_cpu_ms)),
    );
    let legend = "verified: g gas used, r receipts root, b logs bloom, s state root, q requests hash, = parallel equals \
                  sequential; X wrong, . cannot be told; times in ms";
    [style.paint(Colour::Bold, &totals), counts, style.paint(Colour::Dim, legend)].join("\n")
}

/// The columns that tell which block it is.
fn left(block: &str, fork: &str, txs: &str, gas: &str) -> String {
    format!("{block:<TITLE_LEN_MAX$} {fork:<14} {txs:>6} {gas:>8}")
}

/// The block's number, or the name of its file where that says something else.
fn title(block: &BlockReport) -> String {
    let number = block.block.to_string();
    let base = block.file.rsplit(['/', ' ']).next().unwrap_or_default();
    let stem = base.split('.').next().unwrap_or_default();
    if stem.is_empty() || stem == "block" || stem.contains(&number) {
        return number;
    }
    stem.chars().take(TITLE_LEN_MAX).collect()
}

/// The columns that tell how it ran.
fn right([sequential, parallel, speed_up, mode, batches, adopted, aborted]: [&str; 7]) -> String {
    format!("{sequential:>10} {parallel:>9} {speed_up:>8} {mode:<10} {batches:>7} {adopted:>7} {aborted:>7}")
}

/// A letter for a field that is right, an X for a wrong one, a dot where nothing can be told.
fn marks(style: Style, block: &BlockReport) -> String {
    let fields = block.verified.fields().into_iter().chain([block.identical]);
    let marks = fields.zip("grbsq=".chars()).map(|(verdict, letter)| match verdict {
        Some(true) => style.paint(Colour::Green, &letter.to_string()),
        Some(false) => style.paint(Colour::Red, "X"),
        None => style.paint(Colour::Dim, "."),
    });
    marks.collect()
}

const fn verdict(block: &BlockReport) -> &'static str {
    match block.failure {
        Some(Failure::Refused(_)) => "refused",
        Some(Failure::Differs(_)) => "differs",
        Some(Failure::Unreadable(_)) => "unreadable",
        None => "",
    }
}

fn mega(gas: u64) -> String {
    format!("{:.2}", gas as f64 / 1e6)
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("x{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> BlockReport {
        let mut block = BlockReport::new("x".to_owned(), 1);
        block.block = 24_647_140;
        block.fork = Some("BPO2");
        block.times.sequential_ms = Some(3.25);
        block.times.parallel_ms = Some(2.0);
        block.verified.gas = Some(true);
        block.verified.state_root = Some(false);
        block.identical = Some(true);
        block
    }

    #[test]
    fn marks_tell_right_from_wrong_from_unknown() {
        assert_eq!(marks(Style::Plain, &block()), "g..X.=");
    }

    #[test]
    fn blocks_are_called_by_number_or_by_a_name_that_says_more() {
        let titled = |file: &str, number| {
            let mut block = BlockReport::new(file.to_owned(), 1);
            block.block = number;
            title(&block)
        };
        assert_eq!(titled("a.tar.zst: b/1-24647140.rlp", 24_647_140), "24647140");
        assert_eq!(titled("pre/46147", 46_147), "46147");
        assert_eq!(titled("fixtures/blocks/weth.rlp", 1), "weth");
        assert_eq!(titled("fixtures/blocks/create-destroy-redeploy.rlp", 1), "create-destroy-redeploy");
    }

    #[test]
    fn rows_align_with_the_head() {
        let (head, row) = (head(Style::Plain), row(Style::Plain, &block()));
        assert_eq!(head.find("grbsq="), row.find("g..X.="), "{head}\n{row}");
        assert_eq!(head.len(), row.len(), "{head}\n{row}");
    }

    #[test]
    fn refused_block_says_so_in_its_row() {
        let mut refused = BlockReport::new("x".to_owned(), 1);
        refused.failure = Some(Failure::Refused("y".to_owned()));
        assert!(row(Style::Plain, &refused).ends_with("0.00 refused"), "{}", row(Style::Plain, &refused));
    }
}
