//! The blocks of a simulation with numbers and timestamps, gaps filled.
//!
//! Place in the flow: first step of a simulation; nothing has run.
//! Invariant: numbers rise by one from the base on, timestamps rise.

use crate::call::{CallError, error::Sequence};
use alloy_consensus::Header;
use alloy_primitives::U256;
use alloy_rpc_types_eth::{
    TransactionRequest,
    simulate::{MAX_SIMULATE_BLOCKS, SimBlock},
};

/// Seconds between blocks whose timestamps are not given.
const TIMESTAMP_STEP: u64 = 12;
/// The most calls in one block.
const CALLS_MAX: usize = 5_000;

/// A block to simulate.
#[derive(Clone, Debug)]
pub(super) struct Planned<'a> {
    pub(super) number: u64,
    pub(super) timestamp: u64,
    /// What was asked for; nothing for a block that fills a gap.
    pub(super) asked: Option<&'a SimBlock<TransactionRequest>>,
}

/// Numbers the blocks that were asked for, from `base` on.
pub(super) fn plan<'a>(base: &Header, asked: &'a [SimBlock]) -> Result<Vec<Planned<'a>>, CallError> {
    if asked.is_empty() {
        return Err(CallError::params("empty input"));
    }
    let mut planned: Vec<Planned<'a>> = Vec::with_capacity(asked.len());
    let (mut number, mut timestamp) = (base.number, base.timestamp);
    for block in asked {
        if block.calls.len() > CALLS_MAX {
            let what = format!("too many calls in block: {} > {CALLS_MAX}", block.calls.len());
            return Err(CallError::Limit { what });
        }
        let next = next_number(base.number, number, block.block_number_override())?;
        while number + 1 < next {
            (number, timestamp) = (number + 1, timestamp.saturating_add(TIMESTAMP_STEP));
            planned.push(Planned { number, timestamp, asked: None });
        }
        number = next;
        timestamp = next_timestamp(timestamp, block.block_overrides.as_ref().and_then(|overrides| overrides.time))?;
        planned.push(Planned { number, timestamp, asked: Some(block) });
    }
    Ok(planned)
}

fn next_number(base: u64, before: u64, named: Option<U256>) -> Result<u64, CallError> {
    let Some(named) = named else {
        return within_limit(base, U256::from(before) + U256::ONE);
    };
    if named <= U256::from(before) {
        let what = format!("block numbers must be in order: {named} <= {before}");
        return Err(CallError::Order { of: Sequence::Numbers, what });
    }
    within_limit(base, named)
}

fn within_limit(base: u64, number: U256) -> Result<u64, CallError> {
    u64::try_from(number)
        .ok()
        .filter(|number| number - base <= MAX_SIMULATE_BLOCKS)
        .ok_or_else(|| CallError::Limit { what: "too many blocks".to_owned() })
}

fn next_timestamp(before: u64, named: Option<u64>) -> Result<u64, CallError> {
    match named {
        Some(named) if named <= before => {
            let what = format!("block timestamps must be in order: {named} <= {before}");
            Err(CallError::Order { of: Sequence::Timestamps, what })
        }
        Some(named) => Ok(named),
        None => Ok(before.saturating_add(TIMESTAMP_STEP)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_rpc_types_eth::BlockOverrides;

    fn base() -> Header {
        Header { number: 54, timestamp: 540, ..Header::default() }
    }

    fn block(number: Option<u64>, time: Option<u64>) -> SimBlock {
        let number = number.map(U256::from);
        SimBlock::default().with_block_overrides(BlockOverrides { number, time, ..Default::default() })
    }

    #[track_caller]
    fn check(asked: &[SimBlock], expected: &[(u64, u64, bool)]) {
        let planned = plan(&base(), asked).unwrap();
        let planned: Vec<_> =
            planned.iter().map(|block| (block.number, block.timestamp, block.asked.is_some())).collect();
        assert_eq!(planned, expected);
    }

    #[track_caller]
    fn refused(asked: &[SimBlock], code: i32) {
        assert_eq!(plan(&base(), asked).unwrap_err().into_simulation_error().code.number(), code);
    }

    #[test]
    fn gaps_are_filled_with_empty_blocks() {
        check(&[SimBlock::default()], &[(55, 552, true)]);
        check(
            &[block(Some(57), Some(700)), block(None, None)],
            &[(55, 552, false), (56, 564, false), (57, 700, true), (58, 712, true)],
        );
    }

    #[test]
    fn blocks_out_of_order_are_refused() {
        refused(&[block(Some(54), None)], -38020);
        refused(&[block(Some(60), None), block(Some(60), None)], -38020);
        refused(&[block(None, Some(540))], -38021);
        refused(&[block(Some(57), Some(560))], -38021);
    }

    #[test]
    fn too_many_blocks_and_none_are_refused() {
        refused(&[], -32602);
        refused(&[block(Some(54 + 257), None)], -38026);
        refused(&[block(Some(u64::MAX), None)], -38026);
        assert_eq!(plan(&base(), &[block(Some(54 + 256), None)]).unwrap().len(), 256);
    }
}
