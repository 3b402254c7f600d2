//! What a run publishes, and what is taken back of it.
//!
//! Place in the flow: after a run ahead of the committed prefix, and where one is replaced.
//! Invariant: what is taken back and not replaced is told to merge, because somebody may have read it. Not to publish something
//! is always allowed: see [`super`].

use super::{AccountVersion, MvMemory, Revoked, Supply};
use crate::{
    effects::{AccountAccess, Fate, Simulation, SlotAccess},
    sync::Ordering,
    types::TxIndex,
};
use alloy_primitives::Address;

impl MvMemory {
    /// Publishes what a run of `index` did, over anything that was published of it before. Gives the number of versions that it
    /// replaced.
    pub(crate) fn publish(&self, index: TxIndex, run: &Simulation) -> u32 {
        self.publish_where(index, run, |_| true)
    }

    /// The same for a transaction of which nothing was published before, without slots that hardly anybody reads. `supply` is the
    /// worker's.
    pub(crate) fn publish_wanted(&self, index: TxIndex, run: &Simulation, supply: &mut Supply) -> u32 {
        self.publish_where(index, run, |contract| self.demand.is_wanted(supply, contract))
    }

    fn publish_where(&self, index: TxIndex, run: &Simulation, mut is_wanted: impl FnMut(&Address) -> bool) -> u32 {
        let mut replaced = 0;
        // ORDER: Relaxed, see `set_closed`.
        if self.is_closed.load(Ordering::Relaxed) {
            return replaced;
        }
        for (hash, code) in &run.codes {
            self.set_code(*hash, code.clone());
        }
        for (access, slots) in run.iter() {
            if is_published(access) {
                replaced += u32::from(self.publish_account(index, access));
            }
            if access.fate != Fate::Destroyed {
                let is_wanted = |_: &&SlotAccess| access.fate == Fate::Created || is_wanted(&access.address);
                for slot in slots.iter().filter(|slot| slot.after != slot.seen).filter(is_wanted) {
                    replaced += u32::from(self.set_slot(index, access.address, slot.slot, slot.after));
                }
            }
        }
        replaced
    }

    /// Takes back what an earlier run of `index` published and `now` does not overwrite. Gives the locations concerned:
    /// whoever read them may have read what never was.
    pub(crate) fn revoke(&self, index: TxIndex, earlier: &Simulation, now: Option<&Simulation>, revoked: &mut Revoked) {
        for (access, slots) in earlier.iter() {
            let kept = now.and_then(|now| now.iter().find(|(kept, _)| kept.address == access.address));
            if is_published(access) && !kept.is_some_and(|(kept, _)| is_published(kept)) {
                self.remove_account(index, &access.address);
                revoked.insert_account(access.address);
            }
            if clears_storage(access) && !kept.is_some_and(|(kept, _)| clears_storage(kept)) {
                revoked.insert_storage(access.address);
            }
            for slot in slots.iter().filter(|slot| slot.after != slot.seen) {
                let written = |other: &SlotAccess| other.slot == slot.slot && other.after != other.seen;
                if !kept.is_some_and(|(_, kept)| kept.iter().any(written)) {
                    self.remove_slot(index, &access.address, &slot.slot);
                    revoked.insert_slot(access.address, slot.slot);
                }
            }
        }
    }

    fn publish_account(&self, index: TxIndex, access: &AccountAccess) -> bool {
        let account = (access.fate != Fate::Destroyed && !access.after.is_empty()).then_some(access.after);
        self.set_version(index, access.address, AccountVersion { account, storage_cleared: clears_storage(access) })
    }
}

/// Whether others may need the account's new value before it is committed (see the module's doc).
pub(crate) fn is_published(access: &AccountAccess) -> bool {
    match access.fate {
        Fate::Read => false,
        Fate::Created | Fate::Destroyed => true,
        Fate::Touched => {
            let seen = access.seen_or_empty();
            let changed = access.after != seen;
            changed && (access.seen.is_none() || seen.has_code() || access.after.has_code())
        }
    }
}

/// Whether the account's slots are zero after the run, but for those that it wrote.
const fn clears_storage(access: &AccountAccess) -> bool {
    matches!(access.fate, Fate::Destroyed | Fate::Created)
}
