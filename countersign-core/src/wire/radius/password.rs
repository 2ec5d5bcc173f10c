//! Hiding and unhiding of User-Password (RFC 2865 §5.2).
//!
//! Hiding is not encryption: an MD5 key stream of the shared secret and the Request
//! Authenticator. What is unhidden is the clear password, and this is where it is born.

use md5::{Digest, Md5};

use super::{
    attribute::Unfit,
    authenticator::{Authenticator, VerifiedRequest},
    dictionary::AttributeNumber,
    packet::Draft,
};
use crate::secret::Secret;

/// Octets of clear text that a User-Password can carry.
pub const MAX_PASSWORD_LENGTH: usize = 128;

/// What is wrong with a password that is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Peer: there are several, of which only one could be meant.
    #[error("the request has several User-Passwords")]
    Several,
    /// Peer: not 16 to 128 octets, or not a multiple of 16.
    #[error("the User-Password has {0} octets")]
    Length(usize),
    /// Caller: longer than [`MAX_PASSWORD_LENGTH`].
    #[error("the password is longer than 128 octets, which RADIUS cannot carry")]
    TooLong,
    /// Caller: the packet is full.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl VerifiedRequest<'_> {
    /// The clear password without the NULs at its end, if there is a User-Password.
    ///
    /// # Errors
    ///
    /// Several of them, or a length that hiding never makes.
    pub fn user_password(&self) -> Result<Option<Secret<Vec<u8>>>, PasswordError> {
        let packet = self.packet();
        let mut values = packet.attributes().all(AttributeNumber::USER_PASSWORD);
        let Some(hidden) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(PasswordError::Several);
        }
        match self.secret() {
            Some(secret) => unhide(hidden, packet.authenticator(), secret).map(Some),
            None => Ok(Some(Secret::new(hidden.to_vec()))),
        }
    }
}

impl Draft {
    /// Appends the User-Password, hidden.
    ///
    /// # Errors
    ///
    /// It is too long, or the packet is full.
    pub fn push_user_password(
        &mut self,
        password: &Secret<Vec<u8>>,
        secret: &Secret<Vec<u8>>,
    ) -> Result<(), PasswordError> {
        let hidden = hide(password, self.authenticator(), secret)?;
        Ok(self.push(AttributeNumber::USER_PASSWORD, &hidden)?)
    }
}

fn hide(
    password: &Secret<Vec<u8>>,
    authenticator: Authenticator,
    secret: &Secret<Vec<u8>>,
) -> Result<Vec<u8>, PasswordError> {
    let clear = password.expose();
    if clear.len() > MAX_PASSWORD_LENGTH {
        return Err(PasswordError::TooLong);
    }
    let mut hidden = Vec::with_capacity(MAX_PASSWORD_LENGTH);
    hidden.extend_from_slice(clear);
    hidden.resize(clear.len().next_multiple_of(BLOCK).max(BLOCK), 0);
    let mut previous = authenticator.0;
    for block in hidden.chunks_exact_mut(BLOCK) {
        exclusive_or(block, &key_stream(secret, &previous));
        previous.copy_from_slice(block);
    }
    Ok(hidden)
}

fn unhide(
    hidden: &[u8],
    authenticator: Authenticator,
    secret: &Secret<Vec<u8>>,
) -> Result<Secret<Vec<u8>>, PasswordError> {
    let (blocks, []) = hidden.as_chunks::<BLOCK>() else {
        return Err(PasswordError::Length(hidden.len()));
    };
    if blocks.is_empty() || hidden.len() > MAX_PASSWORD_LENGTH {
        return Err(PasswordError::Length(hidden.len()));
    }
    let mut clear = hidden.to_vec();
    let previous = std::iter::once(&authenticator.0).chain(blocks);
    for (block, previous) in clear.chunks_exact_mut(BLOCK).zip(previous) {
        exclusive_or(block, &key_stream(secret, previous));
    }
    let length = clear.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    clear.truncate(length);
    Ok(Secret::new(clear))
}

fn key_stream(secret: &Secret<Vec<u8>>, previous: &[u8; BLOCK]) -> [u8; BLOCK] {
    Md5::new().chain_update(secret.expose()).chain_update(previous).finalize().into()
}

fn exclusive_or(block: &mut [u8], stream: &[u8; BLOCK]) {
    for (octet, key) in block.iter_mut().zip(stream) {
        *octet ^= key;
    }
}

const BLOCK: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::radius::{
        authenticator::Demand,
        packet::Protection,
        testdata::{self, secret},
    };

    const AUTHENTICATOR: Authenticator = Authenticator([0x5a; 16]);

    fn password_in(request: &[u8]) -> Result<Option<Secret<Vec<u8>>>, PasswordError> {
        let secret = secret();
        let packet = testdata::read(request);
        match packet.verify_request(&secret, Demand::WherePresent) {
            Ok(verified) => verified.user_password(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn unhides_the_passwords_of_rfc_2865_7() {
        for (request, password) in [
            (testdata::telnet_request(), &b"arctangent"[..]),
            (testdata::challenge_request(), b"challenge"),
        ] {
            assert_eq!(password_in(&request), Ok(Some(Secret::new(password.to_vec()))));
        }
        assert_eq!(password_in(&testdata::framed_request()), Ok(None), "this one is CHAP");
    }

    #[test]
    fn reads_what_a_kdc_sends() {
        let request = testdata::kdc_request();
        let secret = Secret::new(b"kdc-udp-secret-0001".to_vec());
        let verified = testdata::read(&request).verify_request(&secret, Demand::Required).unwrap();
        assert_eq!(verified.user_password(), Ok(Some(Secret::new(b"755224".to_vec()))));
    }

    #[test]
    fn hides_as_rfc_2865_7_1_does() {
        let request = testdata::telnet_request();
        let packet = testdata::read(&request);
        let password = Secret::new(b"arctangent".to_vec());
        let hidden = hide(&password, packet.authenticator(), &secret()).unwrap();
        assert_eq!(packet.attributes().first(AttributeNumber::USER_PASSWORD), Some(&hidden[..]));
    }

    #[test]
    fn refuses_lengths_that_hiding_never_makes() {
        for length in [0, 1, 15, 17, 127, 129, 144, 240] {
            let result = unhide(&vec![0; length], AUTHENTICATOR, &secret());
            assert_eq!(result, Err(PasswordError::Length(length)));
        }
    }

    #[test]
    fn carries_128_octets_and_not_129() {
        let hide = |length| hide(&Secret::new(vec![b'x'; length]), AUTHENTICATOR, &secret());
        assert_eq!(hide(128).unwrap().len(), 128);
        assert_eq!(hide(129), Err(PasswordError::TooLong));
        assert_eq!(hide(0).unwrap().len(), 16, "even nothing fills a block");
    }

    #[test]
    fn refuses_several_passwords() {
        let mut draft = testdata::draft(Protection::MessageAuthenticator);
        let password = Secret::new(b"755224".to_vec());
        draft.push_user_password(&password, &secret()).unwrap();
        draft.push_user_password(&password, &secret()).unwrap();
        let request = draft.finish_request(&secret());
        assert_eq!(password_in(&request), Err(PasswordError::Several));
    }

    #[test]
    fn another_secret_gives_another_password() {
        let password = Secret::new(b"755224".to_vec());
        let hidden = hide(&password, AUTHENTICATOR, &secret()).unwrap();
        let other = Secret::new(b"other".to_vec());
        assert_ne!(unhide(&hidden, AUTHENTICATOR, &other).unwrap(), password);
    }

    proptest! {
        #[test]
        fn what_was_hidden_is_unhidden(
            mut clear in proptest::collection::vec(any::<u8>(), 0..=128),
            authenticator: [u8; 16],
            secret in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let authenticator = Authenticator(authenticator);
            let secret = Secret::new(secret);
            let hidden = hide(&Secret::new(clear.clone()), authenticator, &secret).unwrap();
            while clear.last() == Some(&0) {
                clear.pop();
            }
            prop_assert_eq!(unhide(&hidden, authenticator, &secret), Ok(Secret::new(clear)));
        }
    }
}
