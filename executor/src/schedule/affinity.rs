//! Threads that stay on a core.
//!
//! Place in the flow: the pool's threads pin themselves when they start; a command pins its own thread.
//! Invariant: pinning changes speed only; where the system does not let us, nothing happens. A woken thread is otherwise often
//! put on the core of whoever wakes it, and waits there for a time slice of milliseconds.

use std::sync::OnceLock;

/// Keeps the calling thread on core `nth` of those that the process may use, counted round from zero. The set is the one that
/// the first caller of [`cores`] or of this had. Does nothing where the system has no such call or refuses.
pub fn pin_to_core(nth: usize) {
    let cores = cores();
    if let Some(core) = nth.checked_rem(cores.len()).and_then(|at| cores.get(at)) {
        set_cores(&[*core]);
    }
}

/// Lets the calling thread run on every core that the process may use: a thread begins with the cores of the one that started
/// it, which may be a single one.
pub fn unpin() {
    set_cores(cores());
}

/// The cores that the process may use, in ascending order; where the system does not say, as many as it has, from zero.
pub fn cores() -> &'static [usize] {
    static CORES: OnceLock<Vec<usize>> = OnceLock::new();
    CORES.get_or_init(allowed)
}

#[cfg(target_os = "linux")]
fn allowed() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

#[cfg(target_os = "linux")]
fn set_cores(cores: &[usize]) {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    if let Err(error) = sched_setaffinity(None, &set) {
        tracing::debug!(?cores, %error, "thread not moved");
    }
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> Vec<usize> {
    (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
}

#[cfg(not(target_os = "linux"))]
fn set_cores(_cores: &[usize]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_stays_on_its_core_and_numbers_go_round() {
        let cores = cores();
        for nth in [0, 1, cores.len(), 1000] {
            std::thread::spawn(move || {
                pin_to_core(nth);
                if let Some(core) = nth.checked_rem(cores.len()).map(|at| cores[at]) {
                    assert_eq!(allowed(), [core]);
                }
                unpin();
                assert_eq!(allowed(), *cores);
            })
            .join()
            .unwrap();
        }
    }
}
