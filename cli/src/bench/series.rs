//! What repeated passes took, and what they add up to.
//!
//! Place in the flow: below everything that measures; the clock itself is `crate::clock`.
//! Invariant: the `i`-th entries of all series of a row belong to the same pass, so the total of a pass is a sum over them.

use crate::clock::Took;
use serde::Serialize;

/// What one step took in each pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(Vec<Took>);

/// One side of a comparison, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Side {
    /// Sum of the blocks' medians over the passes.
    #[serde(serialize_with = "rounded")]
    pub(super) ms: f64,
    /// Total of the fastest pass.
    #[serde(serialize_with = "rounded")]
    pub(super) min_ms: f64,
    /// Processor time of all threads, sum of the blocks' medians.
    #[serde(serialize_with = "rounded")]
    pub(super) cpu_ms: f64,
}

/// Writes a number with four digits after the point.
pub(super) fn rounded<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1e4).round() / 1e4)
}

impl Series {
    /// Adds the next pass.
    pub(super) fn push(&mut self, took: Took) {
        self.0.push(took);
    }

    /// The medians of wall and processor time; zero of nothing.
    pub(super) fn median(&self) -> Took {
        let middle = |of: fn(&Took) -> f64| median(self.0.iter().map(of).collect());
        Took { wall_ms: middle(|took| took.wall_ms), cpu_ms: middle(|took| took.cpu_ms) }
    }
}

impl FromIterator<Took> for Series {
    fn from_iter<I: IntoIterator<Item = Took>>(passes: I) -> Self {
        Self(passes.into_iter().collect())
    }
}

impl Side {
    /// Adds up one series a block.
    pub(super) fn total<'a>(blocks: impl Iterator<Item = &'a Series> + Clone) -> Self {
        let passes = blocks.clone().map(|series| series.0.len()).min().unwrap_or_default();
        let pass_ms = |pass: usize| blocks.clone().filter_map(|series| Some(series.0.get(pass)?.wall_ms)).sum();
        let min_ms = (0..passes).map(pass_ms).min_by(f64::total_cmp).unwrap_or_default();
        let mut total = Self { min_ms, ..Self::default() };
        for took in blocks.map(Series::median) {
            total.ms += took.wall_ms;
            total.cpu_ms += took.cpu_ms;
        }
        total
    }
}

/// Both together.
pub(super) fn sum(parts: &[Took]) -> Took {
    parts.iter().fold(Took::default(), |sum, part| Took {
        wall_ms: sum.wall_ms + part.wall_ms,
        cpu_ms: sum.cpu_ms + part.cpu_ms,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (lower, upper) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(lower), values.get(upper)) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(walls: &[f64]) -> Series {
        walls.iter().map(|wall_ms| Took { wall_ms: *wall_ms, cpu_ms: 2.0 * wall_ms }).collect()
    }

    #[test]
    fn total_sums_medians_and_keeps_the_fastest_pass() {
        let blocks = [series(&[1.0, 3.0, 2.0]), series(&[10.0, 10.0, 40.0])];
        let total = Side::total(blocks.iter());
        assert_eq!(total, Side { ms: 12.0, min_ms: 11.0, cpu_ms: 24.0 });
        assert_eq!(Side::total([].iter()), Side::default());
    }

    #[test]
    fn median_of_an_even_number_is_between_the_middle_ones() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![4.0]), 4.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
        assert_eq!(median(vec![4.0, 1.0, 9.0]), 4.0);
    }
}
