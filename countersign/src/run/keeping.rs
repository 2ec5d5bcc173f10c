//! What is kept where: shared secrets, accounts, tokens, counters.

use std::sync::Arc;

use countersign_core::ldap::mapping::PlainSecrets;

use super::StartError;
use crate::{
    clock::SystemClock,
    config::{Config, directory::DirectorySettings},
    store::{Store, directory::DirectoryStore, embedded::Embedded},
    vault::{DirectorySecrets, Vault, keys::SiteKeys},
};

/// The master key and, for a directory, the site's private keys.
pub(super) fn vault(config: &Config) -> Result<Arc<Vault>, StartError> {
    let vault = Vault::open(&config.master_key)?;
    let Some(directory) = &config.directory else { return Ok(Arc::new(vault)) };
    Ok(Arc::new(vault.with_directory(secrets(directory)?)))
}

fn secrets(directory: &DirectorySettings) -> Result<DirectorySecrets, StartError> {
    let plain = directory.mapping.token.plain_secrets != PlainSecrets::Refuse;
    Ok(DirectorySecrets { keys: SiteKeys::load(&directory.keys)?, plain })
}

/// The store of this machine, alone or beside a directory.
pub(super) fn store(config: &Config, vault: &Vault) -> Result<Arc<dyn Store>, StartError> {
    let local = Arc::new(Embedded::open(&config.store, vault.key_id())?);
    let Some(directory) = &config.directory else { return Ok(local) };
    let site = config.site.clone();
    let store = DirectoryStore::new(directory, site, local, Arc::new(SystemClock))?;
    store.greet();
    Ok(Arc::new(store))
}
