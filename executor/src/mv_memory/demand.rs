//! Which contracts' published slots somebody reads.
//!
//! Place in the flow: a run's slots are published only where this says that they are wanted.
//! Invariant: it decides about hints only: a version that is missing costs a second run and never a wrong result.
//!
//! PERF: two slots of a token's transfer cost an eighth of the time of its run to publish, and where each holder takes part in one
//! transfer nobody reads them. So a worker stops offering slots of a contract if hardly any was asked for. Runs that come out stale
//! because of that count as asked, so the offers begin again before a share of the runs worth mentioning is made twice.

use crate::sync::{AtomicU32, Ordering};
use alloy_primitives::Address;

/// Contracts are told apart by one byte of their addresses.
const KINDS: usize = 256;
/// Slots that a worker offers of a contract before it asks whether they are wanted.
const TRIAL: u32 = 512;
/// One read of so many offers is enough.
const OFFERS_PER_READ: u32 = 64;
/// Reads from which on they are not counted any more: the counters are shared by all workers.
const READS_MAX: u32 = 4096;

/// Reads that found a published slot, or missed one, by contract; shared by all workers of a block.
#[derive(Debug)]
pub(super) struct Demand([AtomicU32; KINDS]);

impl Default for Demand {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

/// Slots that one worker offered in this block, by contract.
#[derive(Debug)]
pub(crate) struct Supply([u32; KINDS]);

impl Default for Supply {
    fn default() -> Self {
        Self([0; KINDS])
    }
}

impl Demand {
    /// Notes that a slot of the contract was read where a transaction had published it.
    pub(super) fn note_read(&self, contract: &Address) {
        let reads = &self.0[kind(contract)];
        // ORDER: Relaxed, here and below. A counter of hints; a late one moves the moment at which offers stop or begin.
        if reads.load(Ordering::Relaxed) < READS_MAX {
            reads.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that a run was thrown away because of a slot of the contract.
    pub(super) fn note_missed(&self, contract: &Address) {
        self.0[kind(contract)].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a worker that has a slot of the contract to offer should; counts the offer.
    pub(super) fn is_wanted(&self, supply: &mut Supply, contract: &Address) -> bool {
        let kind = kind(contract);
        let offers = &mut supply.0[kind];
        *offers = offers.saturating_add(1);
        *offers <= TRIAL || self.0[kind].load(Ordering::Relaxed) >= *offers / OFFERS_PER_READ
    }
}

fn kind(contract: &Address) -> usize {
    usize::from(contract[19])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: Address = Address::repeat_byte(7);
    const OTHER: Address = Address::repeat_byte(8);

    #[test]
    fn slots_are_offered_until_nobody_reads_them_and_again_once_they_are_missed() {
        let (demand, mut supply) = (Demand::default(), Supply::default());
        let mut offered =
            |demand: &Demand, contract| (0..4096).filter(|_| demand.is_wanted(&mut supply, contract)).count();
        assert_eq!(offered(&demand, &CONTRACT), TRIAL as usize);
        (0..64).for_each(|_| demand.note_missed(&CONTRACT));
        assert_eq!(offered(&demand, &CONTRACT), 63);
        (0..200).for_each(|_| demand.note_read(&OTHER));
        assert_eq!((offered(&demand, &OTHER), offered(&demand, &CONTRACT)), (4096, 0));
        (0..2 * READS_MAX).for_each(|_| demand.note_read(&CONTRACT));
        assert_eq!(offered(&demand, &CONTRACT), 4096);
    }
}
