//! Texts of JSON Web Encryption and of its keys.

use countersign_core::jose::{
    jwe::{Jwe, PreparedJwe},
    jwk::{PrivateJwk, PublicJwk},
};

/// A JWE: what was read is read again when its parts are written under a header made here.
pub fn jwe(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    let Ok(read) = Jwe::parse(text) else { return };
    let prepared = PreparedJwe::new(&read.key_id, &read.method);
    let additional_data = prepared.additional_data().to_vec();
    let written = prepared.complete(&read.encrypted_key, &read.iv, &read.ciphertext, &read.tag);
    let again = Jwe::parse(&written).expect("it was written here");
    assert_eq!(again, Jwe { additional_data, ..read }, "{written}");
}

/// A JWK: no text is a public and a private key, and what was read is what is written.
pub fn jwk(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    let public = PublicJwk::parse(text);
    if let Ok(private) = PrivateJwk::parse(text) {
        assert!(public.is_err(), "a private key was taken for a public one");
        let written = private.to_json();
        let again = PrivateJwk::parse(written.expose()).expect("it was written here");
        assert_eq!(again.to_public(), private.to_public());
        assert_eq!(again.to_json(), written);
    }
    if let Ok(public) = public {
        let written = public.to_json();
        assert_eq!(PublicJwk::parse(&written), Ok(public), "{written}");
    }
}
