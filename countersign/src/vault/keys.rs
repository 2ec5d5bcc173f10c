//! The private keys of a site: files that `countersign ldap genkey` and OATH-LDAP write.
//!
//! There may be several at once, so that a key can be changed while tokens still
//! have secrets for the old one. What was opened is kept, because opening takes
//! long: a thousand times as long as checking an OTP.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs, io,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest;
use countersign_core::{
    jose::{
        MAX_TEXT,
        jwe::{Jwe, JweError},
        jwk::{JwkError, PrivateJwk, PublicJwk},
    },
    secret::Secret,
};

use super::jwe::{self, OpeningKey, Refused};

/// The private keys of a site, by their names, with what was opened by them.
pub struct SiteKeys {
    keys: BTreeMap<String, SiteKey>,
    opened: Mutex<Opened>,
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteKeyError {
    /// Operator: the pattern is none.
    #[error("key files {0}: a single * may stand in the name of the file, and none before it")]
    Pattern(String),
    /// Operator: there is no such file.
    #[error("key files {0}: there is none; `countersign ldap genkey` makes one")]
    None(String),
    /// Operator: the file cannot be read.
    #[error("key file {path}: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong.
        cause: io::Error,
    },
    /// Operator: others may read or change the file.
    #[error(
        "key file {path}: its mode is {mode:04o}, so that others can read or change it; `chmod 0600 {path}`, and make a new key if somebody could have read it"
    )]
    Exposed {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// Operator: the file holds something else.
    #[error("key file {path}: {cause}")]
    Jwk {
        /// The file.
        path: String,
        /// What is wrong.
        cause: JwkError,
    },
    /// Operator: the numbers in the file do not belong together.
    #[error("key file {path}: its numbers do not make a key; is the file damaged?")]
    Damaged {
        /// The file.
        path: String,
    },
    /// Operator: two keys of the same name.
    #[error(
        "key file {path}: its kid {key_id:?} is that of another file, too; which of them is meant nobody could tell"
    )]
    Twice {
        /// The file.
        path: String,
        /// The name.
        key_id: String,
    },
}

/// Why an encrypted secret does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is no JWE that is taken.
    #[error(transparent)]
    Jwe(#[from] JweError),
    /// The key is not here.
    #[error("it is for the key {0:?}, which is not among the keys of this site")]
    UnknownKey(String),
    /// The key is here and does not open it.
    #[error("it does not open with the key {0:?}: another key had this name, or it is damaged")]
    DoesNotOpen(String),
}

struct SiteKey {
    opening: OpeningKey,
    public: PublicJwk,
}

impl SiteKeys {
    /// Loads all files that match one of the patterns, such as `keys/*.priv`.
    ///
    /// # Errors
    ///
    /// The first file that cannot be used; a pattern that no file matches.
    pub fn load<P: AsRef<Path>>(patterns: &[P]) -> Result<Self, SiteKeyError> {
        let mut paths = Vec::new();
        for pattern in patterns {
            for path in matching(pattern.as_ref())? {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        let mut keys = Self::empty();
        for path in paths {
            let jwk = read(&path)?;
            let path = path.display().to_string();
            let key_id = jwk.key_id.clone();
            match keys.insert(&jwk) {
                Ok(true) => {}
                Ok(false) => return Err(SiteKeyError::Twice { path, key_id }),
                Err(Refused) => return Err(SiteKeyError::Damaged { path }),
            }
        }
        Ok(keys)
    }

    fn empty() -> Self {
        Self { keys: BTreeMap::new(), opened: Mutex::default() }
    }

    /// Whether the name was free.
    fn insert(&mut self, jwk: &PrivateJwk) -> Result<bool, Refused> {
        let key = SiteKey { opening: OpeningKey::new(jwk)?, public: jwk.to_public() };
        Ok(self.keys.insert(jwk.key_id.clone(), key).is_none())
    }

    /// The names of all keys, in order.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// The public half of the key of this name.
    #[must_use]
    pub fn public(&self, key_id: &str) -> Option<&PublicJwk> {
        self.keys.get(key_id).map(|key| &key.public)
    }

    /// The public half of the key that new secrets are encrypted to: the one whose name ends in
    /// the latest time, as `genkey` names them; the last by name where none does.
    #[must_use]
    pub fn newest(&self) -> Option<&PublicJwk> {
        let newest = self.keys.values().max_by_key(|key| age(&key.public.key_id));
        newest.map(|key| &key.public)
    }

    /// Opens a JWE, or remembers what it opened to.
    ///
    /// # Errors
    ///
    /// It is none, or for another key.
    pub fn open(&self, text: &str) -> Result<Secret<Vec<u8>>, OpenError> {
        let digest = digest_of(text);
        if let Some(secret) = self.opened().find(&digest) {
            return Ok(secret);
        }
        let jwe = Jwe::parse(text)?;
        let key = self.keys.get(&jwe.key_id);
        let key = key.ok_or_else(|| OpenError::UnknownKey(jwe.key_id.clone()))?;
        let secret =
            key.opening.open(&jwe).map_err(|Refused| OpenError::DoesNotOpen(jwe.key_id))?;
        self.opened().keep(digest, secret.clone());
        Ok(secret)
    }

    /// Encrypts a secret to the newest key.
    ///
    /// # Errors
    ///
    /// There is no key.
    pub fn seal(&self, secret: &[u8]) -> Result<String, Refused> {
        jwe::seal(self.newest().ok_or(Refused)?, secret)
    }

    /// What is kept is whole even if a thread died while it had it.
    fn opened(&self) -> std::sync::MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SiteKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

/// Secrets that were opened, by the digest of their JWE; the oldest goes when it is full.
#[derive(Default)]
struct Opened {
    secrets: HashMap<[u8; 32], Secret<Vec<u8>>>,
    order: VecDeque<[u8; 32]>,
}

impl Opened {
    fn find(&self, digest: &[u8; 32]) -> Option<Secret<Vec<u8>>> {
        self.secrets.get(digest).cloned()
    }

    fn keep(&mut self, digest: [u8; 32], secret: Secret<Vec<u8>>) {
        if self.secrets.insert(digest, secret).is_some() {
            return;
        }
        self.order.push_back(digest);
        if self.order.len() > MAX_OPENED {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.secrets.remove(&oldest));
        }
    }
}

fn digest_of(text: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 octets")
}

/// Orders names: those that end in a time (`YYYYMMDDhhmm`) by it and after those that do not.
fn age(key_id: &str) -> (Option<&str>, &str) {
    let start = key_id.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let digits = &key_id[start..];
    ((digits.len() == TIME_DIGITS).then_some(digits), key_id)
}

/// The files that a pattern means, in order of their names.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>, SiteKeyError> {
    let shown = || pattern.display().to_string();
    let none = || SiteKeyError::None(shown());
    let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let name = pattern.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| SiteKeyError::Pattern(shown()))?;
    if folder.to_string_lossy().contains('*') || name.matches('*').count() > 1 {
        return Err(SiteKeyError::Pattern(shown()));
    }
    let Some((before, after)) = name.split_once('*') else {
        return Ok(vec![pattern.to_owned()]);
    };
    let unreadable = |cause| SiteKeyError::Unreadable { path: folder.display().to_string(), cause };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let found = entry.map_err(unreadable)?.file_name();
        let found = found.to_string_lossy();
        let rest = found.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        if rest.is_some() && !(found.starts_with('.') && before.is_empty()) {
            paths.push(folder.join(&*found));
        }
    }
    paths.sort();
    if paths.is_empty() { Err(none()) } else { Ok(paths) }
}

fn read(path: &Path) -> Result<PrivateJwk, SiteKeyError> {
    let name = || path.display().to_string();
    let unreadable = |cause| SiteKeyError::Unreadable { path: name(), cause };
    let mut file = fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(SiteKeyError::Exposed { path: name(), mode });
    }
    let mut text = String::with_capacity(2 * MAX_TEXT);
    let limit = u64::try_from(MAX_TEXT).unwrap_or(u64::MAX).saturating_add(1);
    let read = file.by_ref().take(limit).read_to_string(&mut text);
    let text = Secret::new(text);
    read.map_err(unreadable)?;
    PrivateJwk::parse(text.expose()).map_err(|cause| SiteKeyError::Jwk { path: name(), cause })
}

/// What others may do with the file, and that its group may change it.
const OTHERS: u32 = 0o027;
/// `YYYYMMDDhhmm`.
const TIME_DIGITS: usize = 12;
/// Some 20 MB if all tokens of a large site are in use.
const MAX_OPENED: usize = 65_536;

#[cfg(test)]
mod tests;
