//! The blobs of a transaction: do they belong to it, and do their proofs hold.
//!
//! Place in the flow: the last check of an arriving blob transaction, because it costs milliseconds.
//! Invariant: what passes can be offered to the consensus layer in the form that the fork asks for.

use super::{error::PoolError, settings::LegacySidecars, transaction::Pooled};
use alloy_eips::{
    eip4844::{BlobTransactionSidecar, kzg_to_versioned_hash},
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB},
};
use alloy_primitives::{B256, FixedBytes};
use c_kzg::{Blob, Bytes48, KzgSettings};
use laminar_executor::chain_spec::{Fork, Rules};

/// Checks that `sidecar` holds the blobs behind `hashes`, in the form of the fork, with proofs that hold.
///
/// CONSENSUS: EIP-4844 until Osaka, one proof a blob; EIP-7594 from Osaka on, one proof a cell.
///
/// # Errors
/// [`PoolError::Sidecar`].
pub(super) fn check_sidecar(
    sidecar: &BlobTransactionSidecarVariant,
    hashes: &[B256],
    rules: &Rules,
    legacy_sidecars: LegacySidecars,
) -> Result<(), PoolError> {
    let commitments = sidecar.commitments();
    let (blobs, found) = (sidecar.blobs().len(), commitments.len());
    if blobs != hashes.len() || found != hashes.len() {
        return Err(fault(format_args!("{blobs} blobs and {found} commitments for {} blob hashes", hashes.len())));
    }
    for (position, (commitment, hash)) in commitments.iter().zip(hashes).enumerate() {
        if kzg_to_versioned_hash(commitment.as_slice()) != *hash {
            return Err(fault(format_args!("commitment {position} does not match its blob hash {hash}")));
        }
    }
    let settings = c_kzg::ethereum_kzg_settings(0);
    let holds = match (sidecar, rules.is_active(Fork::Osaka)) {
        (BlobTransactionSidecarVariant::Eip4844(sidecar), false) => blob_proofs_hold(sidecar, settings),
        (BlobTransactionSidecarVariant::Eip7594(sidecar), true) => cell_proofs_hold(sidecar, settings),
        (BlobTransactionSidecarVariant::Eip4844(sidecar), true) => match legacy_sidecars {
            LegacySidecars::AreConverted => blob_proofs_hold(sidecar, settings),
            LegacySidecars::AreRefused => return Err(legacy()),
        },
        (BlobTransactionSidecarVariant::Eip7594(_), false) => {
            return Err(fault("version 1 sidecars are not accepted before Osaka"));
        }
    };
    if holds? { Ok(()) } else { Err(fault("a proof does not hold")) }
}

/// Whether a transaction has no blobs, or blobs with the proofs that the fork asks for.
pub(super) fn has_form_of(rules: &Rules, tx: &Pooled) -> bool {
    let Some(sidecar) = tx.sidecar() else { return true };
    matches!(**sidecar, BlobTransactionSidecarVariant::Eip7594(_)) == rules.is_active(Fork::Osaka)
}

/// Why a sidecar of before Osaka is not kept after it.
pub(super) fn legacy() -> PoolError {
    fault("version 0 sidecars are not accepted from Osaka on")
}

/// The same blobs with a proof for each cell in place of one for each blob.
///
/// # Errors
/// [`PoolError::Sidecar`] if a blob is none; [`check_sidecar`] finds that before.
pub(super) fn with_cell_proofs(sidecar: &BlobTransactionSidecar) -> Result<BlobTransactionSidecarEip7594, PoolError> {
    let settings = c_kzg::ethereum_kzg_settings(0);
    let mut cell_proofs = Vec::with_capacity(sidecar.blobs.len() * CELLS_PER_EXT_BLOB);
    for blob in &sidecar.blobs {
        let (_, proofs) = settings.compute_cells_and_kzg_proofs(&Blob::new(blob.0)).map_err(kzg)?;
        cell_proofs.extend(proofs.iter().map(|proof| FixedBytes(proof.to_bytes().into_inner())));
    }
    let (blobs, commitments) = (sidecar.blobs.clone(), sidecar.commitments.clone());
    Ok(BlobTransactionSidecarEip7594::new(blobs, commitments, cell_proofs))
}

fn blob_proofs_hold(sidecar: &BlobTransactionSidecar, settings: &KzgSettings) -> Result<bool, PoolError> {
    if sidecar.proofs.len() != sidecar.blobs.len() {
        return Err(fault(format_args!("{} proofs for {} blobs", sidecar.proofs.len(), sidecar.blobs.len())));
    }
    let blobs: Vec<Blob> = sidecar.blobs.iter().map(|blob| Blob::new(blob.0)).collect();
    let commitments = bytes48(sidecar.commitments.iter().map(|bytes| bytes.0));
    let proofs = bytes48(sidecar.proofs.iter().map(|bytes| bytes.0));
    settings.verify_blob_kzg_proof_batch(&blobs, &commitments, &proofs).map_err(kzg)
}

fn cell_proofs_hold(sidecar: &BlobTransactionSidecarEip7594, settings: &KzgSettings) -> Result<bool, PoolError> {
    let blobs = sidecar.blobs.len();
    let (expected, found) = (blobs * CELLS_PER_EXT_BLOB, sidecar.cell_proofs.len());
    if found != expected {
        return Err(fault(format_args!("{found} cell proofs, expected {expected}")));
    }
    let each_cell = |bytes: &FixedBytes<48>| std::iter::repeat_n(bytes.0, CELLS_PER_EXT_BLOB);
    let commitments = bytes48(sidecar.commitments.iter().flat_map(each_cell));
    let proofs = bytes48(sidecar.cell_proofs.iter().map(|bytes| bytes.0));
    let indices: Vec<u64> = (0..blobs).flat_map(|_| 0..CELLS_PER_EXT_BLOB as u64).collect();
    let mut cells = Vec::with_capacity(expected);
    for blob in &sidecar.blobs {
        cells.extend_from_slice(settings.compute_cells(&Blob::new(blob.0)).map_err(kzg)?.as_ref());
    }
    settings.verify_cell_kzg_proof_batch(&commitments, &indices, &cells, &proofs).map_err(kzg)
}

fn bytes48(items: impl Iterator<Item = [u8; 48]>) -> Vec<Bytes48> {
    items.map(Bytes48::new).collect()
}

fn fault(what: impl std::fmt::Display) -> PoolError {
    PoolError::Sidecar { what: what.to_string() }
}

fn kzg(error: c_kzg::Error) -> PoolError {
    fault(format_args!("{error:?}"))
}
