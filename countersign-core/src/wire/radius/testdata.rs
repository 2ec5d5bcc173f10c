//! Packets of the standards, for the tests of this folder.

use data_encoding::HEXLOWER_PERMISSIVE as HEX;

use super::{
    authenticator::Authenticator,
    dictionary::Code,
    packet::{Draft, Identifier, Packet, Protection},
};
use crate::secret::Secret;

/// The shared secret of RFC 2865 §7 and RFC 5997 §6.
pub(super) fn secret() -> Secret<Vec<u8>> {
    Secret::new(b"xyzzy5461".to_vec())
}

/// RFC 2865 §7.1: user nemo with password arctangent.
pub(super) fn telnet_request() -> Vec<u8> {
    octets(
        "01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb
         98 f4 22 7a 01 06 6e 65 6d 6f 02 12 0d be 70 8d
         93 d4 13 ce 31 96 e4 3f 78 2a 0a ee 04 06 c0 a8
         01 10 05 06 00 00 00 03",
    )
}

/// RFC 2865 §7.1: the answer.
pub(super) fn telnet_accept() -> Vec<u8> {
    octets(
        "02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf
         9b 55 e0 b2 06 06 00 00 00 01 0f 06 00 00 00 00
         0e 06 c0 a8 01 03",
    )
}

/// RFC 2865 §7.2: user flopsy with CHAP.
pub(super) fn framed_request() -> Vec<u8> {
    octets(
        "01 01 00 47 2a ee 86 f0 8d 0d 55 96 9c a5 97 8e
         0d 33 67 a2 01 08 66 6c 6f 70 73 79 03 13 16 e9
         75 57 c3 16 18 58 95 f2 93 ff 63 44 07 72 75 04
         06 c0 a8 01 10 05 06 00 00 00 14 06 06 00 00 00
         02 07 06 00 00 00 01",
    )
}

/// RFC 2865 §7.2: the answer.
pub(super) fn framed_accept() -> Vec<u8> {
    octets(
        "02 01 00 38 15 ef bc 7d ab 26 cf a3 dc 34 d9 c0
         3c 86 01 a4 06 06 00 00 00 02 07 06 00 00 00 01
         08 06 ff ff ff fe 0a 06 00 00 00 02 0d 06 00 00
         00 01 0c 06 00 00 05 dc",
    )
}

/// RFC 2865 §7.3: user mopsy with password challenge.
pub(super) fn challenge_request() -> Vec<u8> {
    octets(
        "01 02 00 39 f3 a4 7a 1f 6a 6d 76 71 0b 94 7a b9
         30 41 a0 39 01 07 6d 6f 70 73 79 02 12 33 65 75
         73 77 82 89 b5 70 88 5e 15 08 48 25 c5 04 06 c0
         a8 01 10 05 06 00 00 00 07",
    )
}

/// RFC 2865 §7.3: the challenge.
pub(super) fn challenge() -> Vec<u8> {
    octets(
        "0b 02 00 4e 36 f3 c8 76 4a e8 c7 11 57 40 3c 0c
         71 ff 9c 45 12 30 43 68 61 6c 6c 65 6e 67 65 20
         33 32 37 36 39 34 33 30 2e 20 20 45 6e 74 65 72
         20 72 65 73 70 6f 6e 73 65 20 61 74 20 70 72 6f
         6d 70 74 2e 18 0a 33 32 37 36 39 34 33 30",
    )
}

/// RFC 5997 §6.1: Status-Server, the only attribute a Message-Authenticator.
pub(super) fn status_request() -> Vec<u8> {
    octets(
        "0c da 00 26 8a 54 f4 68 6f b3 94 c5 28 66 e3 02
         18 5d 06 23 50 12 5a 66 5e 2e 1e 84 11 f3 e2 43
         82 20 97 c8 4f a3",
    )
}

/// RFC 5997 §6.1: the answer.
pub(super) fn status_accept() -> Vec<u8> {
    octets(
        "02 da 00 14 ef 0d 55 2a 4b f2 d6 93 ec 2b 6f e8
         b5 41 1d 66",
    )
}

/// What an MIT KDC 1.22 sends for a logon with the OTP 755224, secret `kdc-udp-secret-0001`:
/// Message-Authenticator first, the password before the name.
pub(super) fn kdc_request() -> Vec<u8> {
    octets(
        "01 7e 00 55 df 4d 02 6b fb 7a 56 a3 48 01 ed d2
         34 e0 c4 f7 50 12 eb 67 3c 66 69 21 a7 4d 7f 20
         a0 db 0f 55 96 03 20 0f 6b 64 63 32 2e 6f 74 70
         2e 74 65 73 74 06 06 00 00 00 08 02 12 1d 61 b0
         5e 58 70 05 dc 36 c9 67 46 f5 c2 86 0b 01 08 75
         72 73 75 6c 61",
    )
}

/// What radclient 3.2.1 sends as `acct` for `User-Name = "alice"`, `Acct-Status-Type = Start`,
/// `Acct-Session-Id = "0001"`.
pub(super) fn accounting_request() -> Vec<u8> {
    octets(
        "04 10 00 27 fd 0d 81 a7 69 27 44 89 17 dd fa 52
         a1 cf 1e 5f 01 07 61 6c 69 63 65 28 06 00 00 00
         01 2c 06 30 30 30 31",
    )
}

/// What FreeRADIUS 3.2.1 conceals with [`secret`] in the reply to a request whose
/// authenticator is 16 times 5a: number, concealed and clear value. It was configured with
/// Tunnel-Password:1 `tunnel secret`, MS-MPPE-Send-Key 00 to 1f, MS-MPPE-Recv-Key 20 to 3f,
/// MS-CHAP-MPPE-Keys 40 to 57 and eight zeros.
pub(super) fn concealed_attributes() -> Vec<(u8, Vec<u8>, Vec<u8>)> {
    let vendor = |number, octets: std::ops::Range<u8>, zeros: usize| {
        let head = [0, 0, 1, 0x37, number, 34];
        [&head[..], &octets.collect::<Vec<_>>(), &vec![0; zeros]].concat()
    };
    let attributes = [
        (69, "01 875d d6b5a9a6dc2cf2a6f104e9108d8cf3bf", [&[1], &b"tunnel secret"[..]].concat()),
        (
            26,
            "00000137 1034 89d1 4eec024d68c50e27204480cf3baf5656c0311496caeed8db860388585f2ad3d4
             10ff64eac2e5ed839eedb223f7bd7de3",
            vendor(16, 0..0x20, 0),
        ),
        (
            26,
            "00000137 1134 908a 7459333f4e5ce449ca24acb10246868d9c9314cd0b8f4a99515b1f759d34d545
             ad9582661c2811acf8f0732a23e3d4c5",
            vendor(17, 0x20..0x40, 0),
        ),
        (
            26,
            "00000137 0c22 d9839914e7ccdf925606de52a044d0f7a511f426c3ba025acfe671b14c34e12e",
            vendor(12, 0x40..0x58, 8),
        ),
    ];
    attributes.map(|(number, concealed, clear)| (number, octets(concealed), clear)).into()
}

/// An Access-Request that has only begun.
pub(super) fn draft(protection: Protection) -> Draft {
    Draft::new(Code::ACCESS_REQUEST, Identifier(7), Authenticator([0x5a; 16]), protection)
}

/// A packet that is known to be well-formed.
pub(super) fn read(bytes: &[u8]) -> Packet<'_> {
    Packet::read(bytes).unwrap()
}

fn octets(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    HEX.decode(digits.as_bytes()).unwrap()
}
