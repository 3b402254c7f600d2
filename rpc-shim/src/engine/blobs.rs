//! Blobs of the pool for consensus clients that miss them on their network.
//!
//! Place in the flow: reads of the pool; beside the calls that follow a consensus client, never behind them.
//! Invariant: answers stand in the order of the hashes asked for; a blob with the other kind of proof counts as missing.
//! Source: execution-apis `src/engine/{cancun,osaka}.md`.

use crate::{
    error::{Code, RpcError},
    pool::Pool,
};
use alloy_eips::{
    eip4844::{BlobAndProofV1, BlobAndProofV2},
    eip7594::{BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB},
};
use alloy_primitives::B256;
use laminar_executor::chain_spec::{Fork, Rules};
use std::sync::Arc;

/// Blobs that one call may ask for: the specification's least.
const BLOBS_MAX: usize = 128;

/// `engine_getBlobsV1`: blobs with one proof each.
///
/// # Errors
/// -38004 for too many hashes, -38005 once Osaka is active at the head, whose blobs have cell proofs.
pub(super) fn blobs_v1(pool: &Pool, head: &Rules, hashes: &[B256]) -> Result<Vec<Option<BlobAndProofV1>>, RpcError> {
    check_len(hashes)?;
    if head.is_active(Fork::Osaka) {
        return Err(RpcError::unsupported_fork("V1 does not serve blobs from Osaka on"));
    }
    let one = |(sidecar, at): (Arc<BlobTransactionSidecarVariant>, usize)| match &*sidecar {
        BlobTransactionSidecarVariant::Eip4844(sidecar) => {
            let (blob, proof) = (sidecar.blobs.get(at)?, sidecar.proofs.get(at)?);
            Some(BlobAndProofV1 { blob: Box::new(*blob), proof: *proof })
        }
        BlobTransactionSidecarVariant::Eip7594(_) => None,
    };
    Ok(pool.blobs(hashes).into_iter().map(|found| found.and_then(one)).collect())
}

/// `engine_getBlobsV2`: blobs with their cell proofs, all or nothing.
///
/// # Errors
/// -38004 for too many hashes, -38005 before Osaka, as besu.
pub(super) fn blobs_v2(pool: &Pool, head: &Rules, hashes: &[B256]) -> Result<Option<Vec<BlobAndProofV2>>, RpcError> {
    Ok(blobs_v3(pool, head, hashes)?.into_iter().collect())
}

/// `engine_getBlobsV3`: blobs with their cell proofs, those that are there.
///
/// # Errors
/// -38004 for too many hashes, -38005 before Osaka, as besu.
pub(super) fn blobs_v3(pool: &Pool, head: &Rules, hashes: &[B256]) -> Result<Vec<Option<BlobAndProofV2>>, RpcError> {
    check_len(hashes)?;
    if !head.is_active(Fork::Osaka) {
        return Err(RpcError::unsupported_fork("blobs have cell proofs from Osaka on"));
    }
    let one = |(sidecar, at): (Arc<BlobTransactionSidecarVariant>, usize)| match &*sidecar {
        BlobTransactionSidecarVariant::Eip7594(sidecar) => {
            let proofs = sidecar.cell_proofs.get(at * CELLS_PER_EXT_BLOB..(at + 1) * CELLS_PER_EXT_BLOB)?;
            Some(BlobAndProofV2 { blob: Box::new(*sidecar.blobs.get(at)?), proofs: proofs.to_vec() })
        }
        BlobTransactionSidecarVariant::Eip4844(_) => None,
    };
    Ok(pool.blobs(hashes).into_iter().map(|found| found.and_then(one)).collect())
}

fn check_len(hashes: &[B256]) -> Result<(), RpcError> {
    if hashes.len() > BLOBS_MAX {
        let found = hashes.len();
        return Err(RpcError::new(Code::TooLargeRequest, format!("expected at most {BLOBS_MAX} blobs, found {found}")));
    }
    Ok(())
}
