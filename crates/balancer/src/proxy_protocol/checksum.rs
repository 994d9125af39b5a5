//! CRC-32C (Castagnoli), bit by bit: a header is short, and hardly any has one.

const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The checksum of all the bytes.
pub(super) fn crc32c(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let add = |crc: u32, byte: u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg()))
    };
    !bytes.into_iter().fold(u32::MAX, add)
}

#[cfg(test)]
mod tests {
    #[test]
    fn checksum_is_that_of_rfc_3720() {
        for (bytes, expected) in [
            (vec![0; 32], 0x8a91_36aa),
            (vec![0xff; 32], 0x62a8_ab43),
            ((0..32).collect(), 0x46dd_794e),
            (b"123456789".to_vec(), 0xe306_9283),
        ] {
            assert_eq!(super::crc32c(bytes.iter().copied()), expected, "{bytes:?}");
        }
    }
}
