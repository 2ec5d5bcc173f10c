//! The back-sock listener: what slapd asks, and who answers.

use std::{io, sync::Arc};

use countersign_core::domain::{attempt::ListenerKind, password::PasswordRule};

use super::{Shared, StartError, io_error};
use crate::{
    app::{
        bind::{BindRules, Binder},
        bind_proxy::BindProxy,
        hand_back::HandBack,
    },
    config::{
        back_sock::{BackSockSettings, PasswordBy, WithoutToken},
        bind_proxy::BindProxySettings,
        directory::ServerSettings,
    },
    listener::{
        backsock::{self, Intake, Rules, responder::Responder},
        inherited::Inherited,
    },
};

/// Answers slapd on the connections that the holder of its socket passes on.
pub(super) fn start(
    settings: &BackSockSettings,
    proxy: Option<&BindProxySettings>,
    inherited: &mut Inherited,
    shared: &Shared,
) -> Result<(), StartError> {
    let object = format!("back-sock on {}", settings.socket.path.display());
    let intake = inherited.take_intake().ok_or_else(|| io::ErrorKind::NotFound.into());
    let intake = intake.and_then(Intake::new).map_err(io_error(object))?;
    let hand_back = hand_back(settings).map(|server| HandBack::new(&server));
    let responder = Responder {
        binder: binder(settings, shared),
        proxy: proxy.map(|proxy| start_proxy(proxy, shared)).transpose()?,
        hand_back: hand_back.transpose()?.map(Arc::new),
        without_token: settings.without_token,
        clock: shared.clock.clone(),
    };
    let (rules, stop) = (Rules::from(settings), shared.stop.clone());
    shared.tasks.spawn(backsock::serve(intake, rules, Arc::new(responder), stop));
    Ok(())
}

fn binder(settings: &BackSockSettings, shared: &Shared) -> Binder {
    let rules = BindRules {
        password: match settings.password {
            PasswordBy::Check => PasswordRule::Required,
            PasswordBy::Directory => PasswordRule::Elsewhere,
        },
        may_decline: settings.without_token == WithoutToken::Continue,
        store_compares_names: shared.store.compares_names(),
        login_attribute: settings.login_attribute.clone(),
    };
    Binder::new(shared.authenticator.clone(), ListenerKind::BackSock, rules)
}

/// The server that passwords are handed back to.
fn hand_back(settings: &BackSockSettings) -> Option<ServerSettings> {
    let url = settings.hand_back_url.clone().filter(|_| settings.password == PasswordBy::Directory);
    Some(ServerSettings {
        url: url?,
        trust: None,
        identity: None,
        bind: None,
        authorization_id: None,
        time_limit: settings.time_limit,
    })
}

fn start_proxy(
    settings: &BindProxySettings,
    shared: &Shared,
) -> Result<Arc<BindProxy>, StartError> {
    let proxy = Arc::new(BindProxy::new(settings.clone())?);
    let (watched, stop) = (proxy.clone(), shared.stop.clone());
    shared.tasks.spawn(async move { watched.watch(&stop).await });
    Ok(proxy)
}
