//! The hashes by which WebUIs recognise models.

use sha2::{Digest, Sha256};

/// Where the legacy hash looks: 64 KiB from the first MiB on.
const LEGACY_WINDOW: std::ops::Range<usize> = 0x10_0000..0x11_0000;

/// The two hashes of a base model that LoRA files carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelHashes {
    /// `ss_sd_model_hash`: 8 hex digits over 64 KiB of the file.
    pub legacy: String,
    /// `ss_new_sd_model_hash`: SHA-256 of the whole file, 64 hex digits.
    pub sha256: String,
}

impl ModelHashes {
    /// Hashes the bytes of a whole model file.
    pub fn of_file_bytes(bytes: &[u8]) -> Self {
        Self { legacy: legacy_hash(bytes), sha256: sha256_hex(bytes) }
    }
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).as_slice())
}

/// The first 8 hex digits of the SHA-256 of [`LEGACY_WINDOW`]; a shorter file gives what lies in the window.
pub(super) fn legacy_hash(bytes: &[u8]) -> String {
    let end = LEGACY_WINDOW.end.min(bytes.len());
    let start = LEGACY_WINDOW.start.min(end);
    let mut digest = sha256_hex(&bytes[start..end]);
    digest.truncate(8);
    digest
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_the_standard_example() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(b"abc"), digest);
    }

    #[test]
    fn the_legacy_window_is_64_kib_after_the_first_mib() {
        let mut bytes = vec![0u8; 0x12_0000];
        let before = legacy_hash(&bytes);
        bytes[0x0f_ffff] = 1;
        bytes[0x11_0000] = 1;
        assert_eq!(legacy_hash(&bytes), before);
        bytes[0x10_ffff] = 1;
        assert_ne!(legacy_hash(&bytes), before);
    }

    #[test]
    fn a_small_file_has_the_hash_of_nothing() {
        assert_eq!(legacy_hash(b"tiny"), "e3b0c442");
    }
}
