//! The ommers of a proof-of-work block.
//!
//! Place in the flow: with the body check, before the merge; needs the last seven ancestors.
//! Source: yellow paper section 11.1.

use super::header::check_header;
use crate::{
    chain_spec::ChainSpec,
    rule::{OmmerFault, Rule},
    types::Block,
};
use alloy_consensus::Header;
use alloy_primitives::{B256, Sealable, Sealed};

/// Ommers that one block may name.
const OMMERS_MAX: usize = 2;
/// Generations between a block and its oldest ommer.
const DEPTH_MAX: u64 = 6;

/// An ancestor with the ommers that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its header.
    pub header: Sealed<Header>,
    /// Hashes of its ommers.
    pub ommers: Vec<B256>,
}

/// Checks the ommers of a block: at most two, all different, none named before, each a child of one of the last seven
/// ancestors but not of the parent, and each with a valid header.
///
/// `ancestor` gives a block of this chain by its hash; it is asked for the parent, its parent and so on, at most seven
/// times.
///
/// # Errors
/// [`Rule::TooManyOmmers`] or [`Rule::Ommer`].
pub fn check_ommers(
    spec: &ChainSpec,
    block: &Block,
    mut ancestor: impl FnMut(B256) -> Option<Ancestor>,
) -> Result<(), Rule> {
    let ommers = &block.body.ommers;
    if ommers.is_empty() {
        return Ok(());
    }
    if ommers.len() > OMMERS_MAX {
        return Err(Rule::TooManyOmmers { expected: OMMERS_MAX, found: ommers.len() });
    }
    let mut ancestors: Vec<Ancestor> = Vec::new();
    let mut hash = block.header.parent_hash;
    for _ in 0..=DEPTH_MAX {
        let Some(next) = ancestor(hash) else { break };
        hash = next.header.parent_hash;
        ancestors.push(next);
    }
    let mut seen: Vec<B256> = Vec::new();
    for (position, ommer) in ommers.iter().enumerate() {
        let hash = ommer.hash_slow();
        let fault = |fault| Rule::Ommer { position, fault };
        if seen.contains(&hash) {
            return Err(fault(OmmerFault::Duplicate));
        }
        check_ommer(spec, &ommer.clone().seal_unchecked(hash), &ancestors, block.header.number).map_err(fault)?;
        seen.push(hash);
    }
    Ok(())
}

/// Checks one ommer against the ancestors, parent first.
fn check_ommer(
    spec: &ChainSpec,
    ommer: &Sealed<Header>,
    ancestors: &[Ancestor],
    number: u64,
) -> Result<(), OmmerFault> {
    if ancestors.iter().any(|ancestor| ancestor.header.hash() == ommer.hash()) {
        return Err(OmmerFault::Ancestor);
    }
    if ancestors.iter().any(|ancestor| ancestor.ommers.contains(&ommer.hash())) {
        return Err(OmmerFault::AlreadyNamed);
    }
    let parent = ancestors
        .iter()
        // The block's own parent cannot have an ommer of the block as its child: that would be the block's brother.
        .skip(1)
        .find(|ancestor| ancestor.header.hash() == ommer.parent_hash)
        .ok_or(OmmerFault::Parent)?;
    let depth = number.checked_sub(ommer.number).ok_or(OmmerFault::Header)?;
    if !(1..=DEPTH_MAX).contains(&depth) {
        return Err(OmmerFault::Parent);
    }
    check_header(spec, ommer, &parent.header).map_err(|_| OmmerFault::Header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check_header::expected_difficulty;
    use alloy_consensus::BlockBody;
    use alloy_primitives::{Address, U256};

    fn spec() -> ChainSpec {
        ChainSpec::for_test_network("Byzantium", []).unwrap()
    }

    fn child(parent: &Sealed<Header>, miner: u8) -> Sealed<Header> {
        let (number, timestamp) = (parent.number + 1, parent.timestamp + 10);
        let header = Header {
            parent_hash: parent.hash(),
            number,
            timestamp,
            gas_limit: parent.gas_limit,
            beneficiary: Address::repeat_byte(miner),
            difficulty: expected_difficulty(&spec().rules_at(number, timestamp), number, timestamp, parent),
            ..Header::default()
        };
        header.seal_slow()
    }

    /// Ten blocks, block 0 first.
    fn chain() -> Vec<Sealed<Header>> {
        let genesis = Header { difficulty: U256::from(2_000_000), gas_limit: 10_000_000, ..Header::default() };
        let mut chain = vec![genesis.seal_slow()];
        for _ in 0..9 {
            chain.push(child(&chain[chain.len() - 1], 1));
        }
        chain
    }

    /// Checks block 10 with these ommers; block 8 has named `named`.
    fn check(ommers: Vec<Sealed<Header>>, named: Option<B256>) -> Result<(), Rule> {
        let chain = chain();
        let header = child(&chain[9], 1).into_inner();
        let ommers = ommers.into_iter().map(Sealed::into_inner).collect();
        let block = Block::new(header, BlockBody { ommers, ..BlockBody::default() });
        check_ommers(&spec(), &block, |hash| {
            let header = chain.iter().find(|header| header.hash() == hash)?.clone();
            let ommers = named.filter(|_| header.number == 8).into_iter().collect();
            Some(Ancestor { header, ommers })
        })
    }

    fn fault(result: Result<(), Rule>) -> Option<OmmerFault> {
        match result {
            Err(Rule::Ommer { fault, .. }) => Some(fault),
            _ => None,
        }
    }

    #[test]
    fn two_different_ommers_of_six_generations_pass() {
        let chain = chain();
        assert_eq!(check(vec![child(&chain[8], 2), child(&chain[3], 3)], None), Ok(()));
    }

    #[test]
    fn third_ommer_is_too_many() {
        let chain = chain();
        let ommers = (2..5).map(|miner| child(&chain[8], miner)).collect();
        assert_eq!(check(ommers, None), Err(Rule::TooManyOmmers { expected: 2, found: 3 }));
    }

    #[test]
    fn every_fault_is_found() {
        let chain = chain();
        let good = || child(&chain[8], 2);
        assert_eq!(fault(check(vec![good(), good()], None)), Some(OmmerFault::Duplicate));
        assert_eq!(fault(check(vec![good()], Some(good().hash()))), Some(OmmerFault::AlreadyNamed));
        assert_eq!(fault(check(vec![chain[5].clone()], None)), Some(OmmerFault::Ancestor));
        assert_eq!(fault(check(vec![child(&chain[9], 2)], None)), Some(OmmerFault::Parent));
        assert_eq!(fault(check(vec![child(&chain[2], 2)], None)), Some(OmmerFault::Parent));
        let mut wrong = good().into_inner();
        wrong.gas_limit *= 2;
        assert_eq!(fault(check(vec![wrong.seal_slow()], None)), Some(OmmerFault::Header));
    }
}
