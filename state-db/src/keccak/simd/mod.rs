//! Keccak-f\[1600\] on vector registers, one state a lane: the only unsafe code of the workspace.
//!
//! Invariant: [`Avx2`] and [`Avx512`] are values that exist only on a CPU with these instructions, so their safe methods
//! cannot be misused. Everything but loads, stores and the call into code for other instructions is safe Rust.

mod avx2;
mod avx512;

pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;

use super::lanes::RATE;

/// Iota step: one constant a round (FIPS 202, section 3.2.5).
const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// The word of a block behind those that are loaded together.
#[inline]
fn last_word(block: &[u8; RATE]) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *block;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Expands to one round on `$a`, an array of 25 vectors, with `xor`, `xor3` (a ^ b ^ c), `chi` (a ^ !b & c),
/// `rol::<LEFT, RIGHT>` (rotate left, `RIGHT = 64 - LEFT`) and `splat` (a word in every lane) of the calling file.
///
/// A macro, because a function shared by both files could not be compiled for the instructions of each.
macro_rules! round {
    ($a:ident, $constant:expr) => {
        // Theta: column parities `c`, added to the neighbours as `d`.
        let c0 = xor3(xor3($a[0], $a[5], $a[10]), $a[15], $a[20]);
        let c1 = xor3(xor3($a[1], $a[6], $a[11]), $a[16], $a[21]);
        let c2 = xor3(xor3($a[2], $a[7], $a[12]), $a[17], $a[22]);
        let c3 = xor3(xor3($a[3], $a[8], $a[13]), $a[18], $a[23]);
        let c4 = xor3(xor3($a[4], $a[9], $a[14]), $a[19], $a[24]);
        let (r0, r1, r2) = (rol::<1, 63>(c0), rol::<1, 63>(c1), rol::<1, 63>(c2));
        let (r3, r4) = (rol::<1, 63>(c3), rol::<1, 63>(c4));
        // Rho and pi: row `b` of the next state is a rotated diagonal of this one; chi mixes the row.
        let b = [
            xor3($a[0], c4, r1),
            rol::<44, 20>(xor3($a[6], c0, r2)),
            rol::<43, 21>(xor3($a[12], c1, r3)),
            rol::<21, 43>(xor3($a[18], c2, r4)),
            rol::<14, 50>(xor3($a[24], c3, r0)),
            rol::<28, 36>(xor3($a[3], c2, r4)),
            rol::<20, 44>(xor3($a[9], c3, r0)),
            rol::<3, 61>(xor3($a[10], c4, r1)),
            rol::<45, 19>(xor3($a[16], c0, r2)),
            rol::<61, 3>(xor3($a[22], c1, r3)),
            rol::<1, 63>(xor3($a[1], c0, r2)),
            rol::<6, 58>(xor3($a[7], c1, r3)),
            rol::<25, 39>(xor3($a[13], c2, r4)),
            rol::<8, 56>(xor3($a[19], c3, r0)),
            rol::<18, 46>(xor3($a[20], c4, r1)),
            rol::<27, 37>(xor3($a[4], c3, r0)),
            rol::<36, 28>(xor3($a[5], c4, r1)),
            rol::<10, 54>(xor3($a[11], c0, r2)),
            rol::<15, 49>(xor3($a[17], c1, r3)),
            rol::<56, 8>(xor3($a[23], c2, r4)),
            rol::<62, 2>(xor3($a[2], c1, r3)),
            rol::<55, 9>(xor3($a[8], c2, r4)),
            rol::<39, 25>(xor3($a[14], c3, r0)),
            rol::<41, 23>(xor3($a[15], c4, r1)),
            rol::<2, 62>(xor3($a[21], c0, r2)),
        ];
        $a = [
            xor(chi(b[0], b[1], b[2]), splat($constant)),
            chi(b[1], b[2], b[3]),
            chi(b[2], b[3], b[4]),
            chi(b[3], b[4], b[0]),
            chi(b[4], b[0], b[1]),
            chi(b[5], b[6], b[7]),
            chi(b[6], b[7], b[8]),
            chi(b[7], b[8], b[9]),
            chi(b[8], b[9], b[5]),
            chi(b[9], b[5], b[6]),
            chi(b[10], b[11], b[12]),
            chi(b[11], b[12], b[13]),
            chi(b[12], b[13], b[14]),
            chi(b[13], b[14], b[10]),
            chi(b[14], b[10], b[11]),
            chi(b[15], b[16], b[17]),
            chi(b[16], b[17], b[18]),
            chi(b[17], b[18], b[19]),
            chi(b[18], b[19], b[15]),
            chi(b[19], b[15], b[16]),
            chi(b[20], b[21], b[22]),
            chi(b[21], b[22], b[23]),
            chi(b[22], b[23], b[24]),
            chi(b[23], b[24], b[20]),
            chi(b[24], b[20], b[21]),
        ];
    };
}
use round;
