//! Vectors of RFC 4226 and RFC 6238, through the public functions only.

use std::num::NonZeroU32;

use countersign_core::oath::{
    hotp::{Algorithm, Digits, HotpKey, hotp},
    totp::time_step,
};

/// RFC 4226 appendix D, "Table 2 details for each count ... Truncated": the decimal column.
#[test]
fn hotp_appendix_d() {
    const TABLE: [(u32, &str); 10] = [
        (1_284_755_224, "755224"),
        (1_094_287_082, "287082"),
        (137_359_152, "359152"),
        (1_726_969_429, "969429"),
        (1_640_338_314, "338314"),
        (868_254_676, "254676"),
        (1_918_287_922, "287922"),
        (82_162_583, "162583"),
        (673_399_871, "399871"),
        (645_520_489, "520489"),
    ];
    let ten = Digits::try_from(10).unwrap();
    for (factor, (decimal, otp)) in (0..).zip(TABLE) {
        let six = hotp(Algorithm::Sha1, SEED_20, factor, Digits::SIX);
        assert_eq!(six.as_bytes(), otp.as_bytes(), "factor {factor}");
        let whole = hotp(Algorithm::Sha1, SEED_20, factor, ten);
        assert_eq!(whole.as_bytes(), format!("{decimal:010}").as_bytes(), "factor {factor}");
    }
}

/// RFC 6238 appendix B, whose seeds are as long as the hash (erratum 2866).
#[test]
fn totp_appendix_b() {
    const TABLE: [(u64, [&str; 3]); 6] = [
        (59, ["94287082", "46119246", "90693936"]),
        (1_111_111_109, ["07081804", "68084774", "25091201"]),
        (1_111_111_111, ["14050471", "67062674", "99943326"]),
        (1_234_567_890, ["89005924", "91819424", "93441116"]),
        (2_000_000_000, ["69279037", "90698825", "38618901"]),
        (20_000_000_000, ["65353130", "77737706", "47863826"]),
    ];
    let eight = Digits::try_from(8).unwrap();
    let period = NonZeroU32::new(30).unwrap();
    let keys = [
        HotpKey::new(Algorithm::Sha1, SEED_20),
        HotpKey::new(Algorithm::Sha256, SEED_32),
        HotpKey::new(Algorithm::Sha512, SEED_64),
    ];
    for (seconds, otps) in TABLE {
        for (key, otp) in keys.iter().zip(otps) {
            let made = key.otp(time_step(seconds, period), eight);
            assert_eq!(made.as_bytes(), otp.as_bytes(), "at {seconds}");
        }
    }
}

const SEED_20: &[u8] = b"12345678901234567890";
const SEED_32: &[u8] = b"12345678901234567890123456789012";
const SEED_64: &[u8] = b"1234567890123456789012345678901234567890123456789012345678901234";
