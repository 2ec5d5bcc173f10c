//! Starts the listener that is an LDAP proxy.

use std::sync::Arc;

use countersign_core::domain::{attempt::ListenerKind, password::PasswordRule};
use rustls::pki_types::PrivateKeyDer;

use super::{Shared, StartError};
use crate::{
    app::{
        bind::{BindRules, Binder},
        ldap_proxy::{LdapProxy, LdapServer},
    },
    certificate,
    config::ldap_proxy::{LdapProxySettings, LdapTlsFile, WithoutToken},
    listener::{
        inherited::Inherited,
        ldap::{LdapAddresses, LdapListener, Service, TlsService},
        tls::server_config_for_anybody,
    },
    signer::file::FileSigner,
};

/// Where it listens, if the config has one.
pub(super) fn start(
    settings: Option<LdapProxySettings>,
    inherited: &mut Inherited,
    shared: &Shared,
) -> Result<LdapAddresses, StartError> {
    let Some(settings) = settings else { return Ok(LdapAddresses::default()) };
    let listener = LdapListener::bind(&settings, inherited)?;
    let server = LdapServer::new(&settings.upstream)?;
    let rules = BindRules {
        password: PasswordRule::Elsewhere,
        may_decline: settings.without_token == WithoutToken::Pass,
        // The directory behind the proxy need not be the one that is the store.
        store_compares_names: false,
        login_attribute: settings.login_attribute,
    };
    let binder = Binder::new(shared.authenticator.clone(), ListenerKind::Ldap, rules);
    let service = Arc::new(Service {
        proxy: LdapProxy { binder, server },
        clock: shared.clock.clone(),
        rules: settings.rules,
        tls: settings.tls.as_ref().map(tls).transpose()?,
    });
    let addresses = listener.addresses();
    shared.tasks.spawn(listener.serve(service, shared.stop.clone()));
    Ok(addresses)
}

fn tls(file: &LdapTlsFile) -> Result<TlsService, StartError> {
    let chain = certificate::for_tls(&certificate::load(&file.certificate)?);
    let key = FileSigner::load(&file.key)?.pkcs8()?;
    let key = PrivateKeyDer::Pkcs8(key.expose_bytes().to_vec().into());
    let config = server_config_for_anybody(chain, key)?;
    Ok(TlsService { config, start_tls: file.start_tls })
}
