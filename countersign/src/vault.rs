//! Shared secrets at rest: sealed with AES-256-GCM under the master key, bound to their token.
//!
//! A sealed secret is base64url of a random 96-bit nonce, the ciphertext and the
//! 128-bit tag. The token's id is the associated data, so a secret that was
//! moved to another token's record does not open.
//!
//! From a directory secrets come in another form: as JWE for a key of the site, or in
//! clear where the config allows that.

use std::{fs, io, path::Path};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest, hmac, rand,
};
use countersign_core::{domain::id::TokenId, jose::jwk::PublicJwk, secret::Secret};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rustix::fs::Mode;

use self::keys::{OpenError, SiteKeys};
use crate::store::SealedSecret;

pub mod jwe;
pub mod keys;
pub(crate) mod pkcs8;

/// The master key, ready to seal and open, and the keys that secrets in a directory are for.
pub struct Vault {
    key: RandomizedNonceKey,
    key_id: String,
    derivation: hmac::Key,
    directory: Option<DirectorySecrets>,
}

/// How secrets that come from a directory are opened.
#[derive(Debug)]
pub struct DirectorySecrets {
    /// The keys that they may be encrypted to.
    pub keys: SiteKeys,
    /// Whether they may be in clear, too.
    pub plain: bool,
}

/// Seals what strangers carry for us, under a key made of the master key for one purpose. All
/// nodes with the same master key open it.
pub struct Seal(RandomizedNonceKey);

/// Marks octets so that equal ones are known again, on all nodes with the same master key.
pub struct Marker(hmac::Key);

/// What can go wrong with the master key or a sealed secret.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Operator: the key file cannot be read.
    #[error("master key {path}: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong.
        cause: io::Error,
    },
    /// Operator: the key file holds something else.
    #[error(
        "master key {path}: it must hold 64 hexadecimal digits, as `countersign init` writes them"
    )]
    Malformed {
        /// The file.
        path: String,
    },
    /// A sealed secret does not open: another master key, another token, or damage.
    #[error(
        "the secret of token {0} does not open with this master key; is it the key that this store was made with?"
    )]
    DoesNotOpen(TokenId),
    /// A secret from a directory does not open with the keys of the site.
    #[error("the secret of token {token} in the directory: {cause}")]
    Directory {
        /// The token.
        token: TokenId,
        /// What is wrong.
        cause: OpenError,
    },
    /// A secret from a directory is in clear.
    #[error(
        "the secret of token {0} is in clear in the directory, which `directory.plain-secrets` does not allow; `countersign ldap migrate` encrypts it"
    )]
    InClear(TokenId),
    /// The operating system gave no randomness, or a secret was far too long.
    #[error("the secret of token {0} could not be sealed")]
    CannotSeal(TokenId),
}

impl Vault {
    /// Draws a new master key and writes it to a file that only its owner can read.
    ///
    /// # Errors
    ///
    /// The file exists or cannot be written.
    pub fn create(path: &Path) -> Result<Self, VaultError> {
        let octets = Secret::new(random_octets::<32>());
        write_new(path, HEXLOWER.encode(octets.expose()).as_bytes())
            .map_err(|cause| unreadable(path, cause))?;
        Ok(Self::from_key(&octets))
    }

    /// Reads the master key.
    ///
    /// # Errors
    ///
    /// The file cannot be read or does not hold a key.
    pub fn open(path: &Path) -> Result<Self, VaultError> {
        let text = fs::read_to_string(path).map_err(|cause| unreadable(path, cause))?;
        let text = Secret::new(text);
        let octets = HEXLOWER.decode(text.expose().trim().as_bytes()).ok().map(Secret::new);
        let key = octets.and_then(|octets| <[u8; 32]>::try_from(octets.expose_bytes()).ok());
        let key = key.ok_or_else(|| VaultError::Malformed { path: path.display().to_string() })?;
        Ok(Self::from_key(&Secret::new(key)))
    }

    fn from_key(octets: &Secret<[u8; 32]>) -> Self {
        let key = RandomizedNonceKey::new(&AES_256_GCM, octets.expose())
            .expect("AES-256 takes a key of 32 octets");
        let mut named = Secret::new(b"countersign master key id".to_vec());
        named = Secret::new([named.expose_bytes(), octets.expose()].concat());
        let id = digest::digest(&digest::SHA256, named.expose_bytes());
        let derivation = hmac::Key::new(hmac::HMAC_SHA256, octets.expose());
        Self { key, key_id: HEXLOWER.encode(&id.as_ref()[..8]), derivation, directory: None }
    }

    /// The same vault, which opens secrets from a directory as well.
    #[must_use]
    pub fn with_directory(mut self, directory: DirectorySecrets) -> Self {
        self.directory = Some(directory);
        self
    }

    /// How secrets from a directory are opened, if there is one.
    #[must_use]
    pub fn directory(&self) -> Option<&DirectorySecrets> {
        self.directory.as_ref()
    }

    /// A seal for one purpose.
    #[must_use]
    pub fn seal_for(&self, purpose: &str) -> Seal {
        let key = self.derive(purpose);
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.expose());
        Seal(key.expect("AES-256 takes a key of 32 octets"))
    }

    /// A marker for one purpose.
    #[must_use]
    pub fn marker_for(&self, purpose: &str) -> Marker {
        Marker(hmac::Key::new(hmac::HMAC_SHA256, self.derive(purpose).expose()))
    }

    /// A key for one purpose, from which nobody gets back to the master key.
    fn derive(&self, purpose: &str) -> Secret<[u8; 32]> {
        let tag = hmac::sign(&self.derivation, format!("countersign {purpose}").as_bytes());
        Secret::new(tag.as_ref().try_into().expect("SHA-256 has 32 octets"))
    }

    /// Names the key without telling it; a store remembers which key it belongs to.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Seals a shared secret for a token.
    ///
    /// # Errors
    ///
    /// The operating system gave no randomness.
    pub fn seal(&self, token: TokenId, secret: &[u8]) -> Result<SealedSecret, VaultError> {
        let mut sealed = secret.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(token.as_bytes()), &mut sealed)
            .map_err(|_| VaultError::CannotSeal(token))?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut sealed);
        Ok(SealedSecret(BASE64URL_NOPAD.encode(&whole)))
    }

    /// Seals a shared secret for a token in the directory: as JWE, for the key that the token's
    /// parameters name, or else for the newest key of the site.
    ///
    /// # Errors
    ///
    /// The key is none; there is no key.
    pub fn seal_for_directory(
        &self,
        token: TokenId,
        to: Option<&PublicJwk>,
        secret: &[u8],
    ) -> Result<SealedSecret, VaultError> {
        let newest = || self.directory.as_ref().and_then(|directory| directory.keys.newest());
        let to = to.or_else(newest).ok_or(VaultError::CannotSeal(token))?;
        let sealed = jwe::seal(to, secret).map_err(|_| VaultError::CannotSeal(token))?;
        Ok(SealedSecret(sealed))
    }

    /// Seals a shared secret for a token in the form that the store keeps: in a directory as JWE,
    /// or in clear where that is allowed and there is no key; or else under the master key.
    ///
    /// # Errors
    ///
    /// There is neither a key of the site nor the permission to do without.
    pub fn seal_for_store(
        &self,
        token: TokenId,
        secret: &[u8],
    ) -> Result<SealedSecret, VaultError> {
        let Some(directory) = &self.directory else { return self.seal(token, secret) };
        if directory.plain && directory.keys.newest().is_none() {
            return Ok(SealedSecret(format!("{PLAIN}{}", BASE64URL_NOPAD.encode(secret))));
        }
        self.seal_for_directory(token, None, secret)
    }

    /// Opens the shared secret of a token, in whatever form it is kept: sealed here, as JWE, or
    /// in clear with [`PLAIN`] before it.
    ///
    /// # Errors
    ///
    /// It was sealed with another key or for another token, is damaged, or is in clear where
    /// that is not allowed.
    pub fn open_secret(
        &self,
        token: TokenId,
        sealed: &SealedSecret,
    ) -> Result<Secret<Vec<u8>>, VaultError> {
        if let Some(plain) = sealed.0.strip_prefix(PLAIN) {
            return self.open_plain(token, plain);
        }
        // Our own form has neither.
        if sealed.0.trim_ascii_start().starts_with('{') || sealed.0.contains('.') {
            let unknown = VaultError::DoesNotOpen(token);
            let directory = self.directory.as_ref().ok_or(unknown)?;
            let opened = directory.keys.open(&sealed.0);
            return opened.map_err(|cause| VaultError::Directory { token, cause });
        }
        self.open_sealed(token, sealed).ok_or(VaultError::DoesNotOpen(token))
    }

    fn open_plain(&self, token: TokenId, plain: &str) -> Result<Secret<Vec<u8>>, VaultError> {
        if !self.directory.as_ref().is_some_and(|directory| directory.plain) {
            return Err(VaultError::InClear(token));
        }
        let octets = BASE64URL_NOPAD.decode(plain.as_bytes()).ok();
        let octets = octets.filter(|octets| !octets.is_empty()).map(Secret::new);
        octets.ok_or(VaultError::DoesNotOpen(token))
    }

    fn open_sealed(&self, token: TokenId, sealed: &SealedSecret) -> Option<Secret<Vec<u8>>> {
        let whole = BASE64URL_NOPAD.decode(sealed.0.as_bytes()).ok()?;
        let (nonce, rest) = whole.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut clear = zeroize::Zeroizing::new(rest.to_vec());
        let length =
            self.key.open_in_place(nonce, Aad::from(token.as_bytes()), &mut clear).ok()?.len();
        Some(Secret::new(clear[..length].to_vec()))
    }
}

impl Seal {
    /// Octets that a seal adds.
    pub const OVERHEAD: usize = NONCE_LEN + 16;

    /// Seals `clear`, bound to `context`.
    ///
    /// # Panics
    ///
    /// Never: the operating system gives randomness once it has started.
    #[must_use]
    pub fn seal(&self, context: &[u8], clear: &[u8]) -> Vec<u8> {
        let mut sealed = clear.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(context), &mut sealed);
        let nonce = nonce.expect("the operating system gives randomness once it has started");
        [&nonce.as_ref()[..], &sealed].concat()
    }

    /// What was sealed for this context; nothing if it was not, or by another key.
    #[must_use]
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut clear = rest.to_vec();
        let length = self.0.open_in_place(nonce, Aad::from(context), &mut clear).ok()?.len();
        clear.truncate(length);
        Some(clear)
    }
}

impl Marker {
    /// The mark of these parts, in this order.
    #[must_use]
    pub fn mark(&self, parts: &[&[u8]]) -> u64 {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut octets = [0; 8];
        octets.copy_from_slice(&tag.as_ref()[..8]);
        u64::from_be_bytes(octets)
    }
}

/// Octets for identifiers and serial numbers, from the operating system's random source.
#[must_use]
pub fn random_octets<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    rand::fill(&mut octets).expect("the operating system gives randomness once it has started");
    octets
}

/// Writes a file that must not exist yet, readable by its owner only, and flushes it.
///
/// # Errors
///
/// The file exists or cannot be written.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};

    let mode = (Mode::RUSR | Mode::WUSR).bits();
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn unreadable(path: &Path, cause: io::Error) -> VaultError {
    VaultError::Unreadable { path: path.display().to_string(), cause }
}

/// What stands before the base64url of a secret that a directory keeps in clear.
pub const PLAIN: &str = "plain:";

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        Vault::from_key(&Secret::new([7; 32]))
    }

    const TOKEN: TokenId = TokenId::from_bytes([1; 16]);
    const OTHER: TokenId = TokenId::from_bytes([2; 16]);

    #[test]
    fn opens_what_it_sealed() {
        let sealed = vault().seal(TOKEN, b"12345678901234567890").unwrap();
        let opened = vault().open_secret(TOKEN, &sealed).unwrap();
        assert_eq!(opened.expose_bytes(), b"12345678901234567890");
    }

    #[test]
    fn refuses_another_token_another_key_and_damage() {
        let sealed = vault().seal(TOKEN, b"12345678901234567890").unwrap();
        assert!(vault().open_secret(OTHER, &sealed).is_err());
        let other = Vault::from_key(&Secret::new([8; 32]));
        assert!(other.open_secret(TOKEN, &sealed).is_err());
        for damaged in
            [String::new(), "AAAA".into(), format!("{}A", &sealed.0[..sealed.0.len() - 1])]
        {
            let result = vault().open_secret(TOKEN, &SealedSecret(damaged.clone()));
            assert!(result.is_err() || damaged == sealed.0, "{damaged}");
        }
    }

    #[test]
    fn a_seal_opens_for_its_purpose_context_and_key_only() {
        let seal = vault().seal_for("state");
        let sealed = seal.seal(b"vpn", b"something");
        assert_eq!(sealed.len(), 9 + Seal::OVERHEAD);
        assert_eq!(seal.open(b"vpn", &sealed).as_deref(), Some(&b"something"[..]));
        assert_eq!(
            vault().seal_for("state").open(b"vpn", &sealed).map(|clear| clear.len()),
            Some(9)
        );
        let other_key = Vault::from_key(&Secret::new([8; 32])).seal_for("state");
        assert!(seal.open(b"other", &sealed).is_none());
        assert!(vault().seal_for("other").open(b"vpn", &sealed).is_none());
        assert!(other_key.open(b"vpn", &sealed).is_none());
        for length in 0..sealed.len() {
            assert!(seal.open(b"vpn", &sealed[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn a_mark_depends_on_the_parts_and_on_where_they_end() {
        let marker = vault().marker_for("retries");
        let mark = marker.mark(&[b"ab", b"c"]);
        assert_eq!(vault().marker_for("retries").mark(&[b"ab", b"c"]), mark);
        assert_ne!(marker.mark(&[b"a", b"bc"]), mark);
        assert_ne!(marker.mark(&[b"abc"]), mark);
        assert_ne!(vault().marker_for("other").mark(&[b"ab", b"c"]), mark);
    }

    const JWE: &str = include_str!("../../testdata/oath-ldap/jwe-samples.json");
    const KEY: &str =
        include_str!("../../testdata/oath-ldap/oathldap_primary_key_202601010000.priv");

    fn with_directory(plain: bool) -> Vault {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.priv");
        write_new(&path, KEY.as_bytes()).unwrap();
        let keys = SiteKeys::load(&[path]).unwrap();
        vault().with_directory(DirectorySecrets { keys, plain })
    }

    #[test]
    fn opens_what_a_directory_keeps_beside_its_own() {
        let site = with_directory(false);
        let samples: serde_json::Value = serde_json::from_str(JWE).unwrap();
        let own = site.seal(TOKEN, b"12345678901234567890").unwrap();
        let new = site.seal_for_directory(TOKEN, None, b"12345678901234567890").unwrap();
        let foreign = ["seed_jwe", "seed_jwe_compact"]
            .map(|name| SealedSecret(samples[name].as_str().unwrap().to_owned()));
        for sealed in foreign.into_iter().chain([own, new]) {
            let opened = site.open_secret(TOKEN, &sealed).unwrap();
            assert_eq!(opened.expose_bytes(), b"12345678901234567890");
        }
        assert!(vault().seal_for_directory(TOKEN, None, b"seed").is_err());
    }

    #[test]
    fn a_secret_that_does_not_open_names_its_key() {
        let other = jwe::generate(jwe::NewKey::P256, "lost".into()).unwrap().to_public();
        let sealed = vault().seal_for_directory(TOKEN, Some(&other), b"seed").unwrap();
        let error = with_directory(true).open_secret(TOKEN, &sealed).unwrap_err().to_string();
        assert!(error.contains("\"lost\"") && error.contains(&TOKEN.to_string()), "{error}");
        let without = vault().open_secret(TOKEN, &sealed).unwrap_err();
        assert!(matches!(without, VaultError::DoesNotOpen(_)), "{without}");
    }

    #[test]
    fn a_secret_in_clear_opens_only_where_that_is_allowed() {
        let plain = |text: &str| SealedSecret(format!("{PLAIN}{text}"));
        let open = |plain_is_allowed, text| {
            with_directory(plain_is_allowed).open_secret(TOKEN, &plain(text))
        };
        assert_eq!(open(true, "c2VlZA").unwrap().expose_bytes(), b"seed");
        assert!(matches!(open(false, "c2VlZA"), Err(VaultError::InClear(_))));
        assert!(matches!(open(true, ""), Err(VaultError::DoesNotOpen(_))));
        assert!(matches!(open(true, "*"), Err(VaultError::DoesNotOpen(_))));
        let without = vault().open_secret(TOKEN, &plain("c2VlZA"));
        assert!(matches!(without, Err(VaultError::InClear(_))));
    }

    #[test]
    fn two_sealings_differ() {
        assert_ne!(vault().seal(TOKEN, b"same").unwrap(), vault().seal(TOKEN, b"same").unwrap());
    }

    #[test]
    fn key_file_survives_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let id = Vault::create(&path).unwrap().key_id().to_owned();
        assert_eq!(Vault::open(&path).unwrap().key_id(), id);
        assert!(Vault::create(&path).is_err());
    }
}
