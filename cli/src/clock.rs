//! Wall time and processor time of a piece of work, and medians of them.
//!
//! Place in the flow: below replay and import.
//! Invariant: processor time is that of all threads of the process, so nothing else may run while work is timed.

use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;

/// What a piece of work took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Took {
    /// On the wall.
    pub(crate) wall_ms: f64,
    /// On all processors together.
    pub(crate) cpu_ms: f64,
}

/// Does the work and says what it took. Dropping the result is not part of it.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (T, Took) {
    let cpu = processor_ms();
    let wall = Instant::now();
    let done = work();
    let wall_ms = wall.elapsed().as_secs_f64() * 1e3;
    (done, Took { wall_ms, cpu_ms: processor_ms() - cpu })
}

fn processor_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// Time since something began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds since it began.
    pub(crate) fn elapsed_s(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// Repeated measurements of one step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<Took>);

impl Samples {
    /// Does the work once more.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (done, took) = time(work);
        self.0.push(took);
        done
    }

    /// The median wall time; `None` if the step was never done.
    pub(crate) fn wall_ms(&self) -> Option<f64> {
        median(self.0.iter().map(|took| took.wall_ms).collect())
    }

    /// The median processor time; `None` if the step was never done.
    pub(crate) fn cpu_ms(&self) -> Option<f64> {
        median(self.0.iter().map(|took| took.cpu_ms).collect())
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some((values[values.len() / 2 - 1] + upper) / 2.0)
}

/// The geometric mean of positive numbers; `None` of nothing.
pub(crate) fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    Some((logarithms / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_or_the_mean_of_both_middles() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        assert_eq!(geometric_mean(&[]), None);
        assert!((geometric_mean(&[4.0, 0.25]).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn busy_work_takes_processor_time() {
        let (sum, took) = time(|| (0..2_000_000_u64).fold(1, |sum: u64, n| sum.wrapping_mul(n | 1)));
        assert_ne!(sum, 0);
        assert!(took.cpu_ms > 0.0 && took.wall_ms > 0.0, "{took:?}");
    }
}
