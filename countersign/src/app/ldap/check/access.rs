//! Access rules, judged by what they let happen: what the daemon sees, what it may change, and
//! whether slapd itself would check the password of an account that has a token.

use std::path::PathBuf;

use countersign_core::ldap::{
    counter::Modification,
    entry::Entry,
    filter,
    schema::{Method, attribute},
};

use super::{
    PRESENT, all,
    population::{Population, examples},
};
use crate::{
    app::examine::Findings,
    client::slapd::{self, Access},
    config::{Config, back_sock::PasswordBy, directory::DirectorySettings},
    directory::{Directory, DirectoryError, ResultCode},
};

/// `slapacl` of the slapd on this machine.
pub(super) struct Slapacl {
    pub(super) directory: PathBuf,
}

/// Tries what can be tried without changing anything.
pub(super) async fn examine(
    directory: &Directory,
    slapacl: &Slapacl,
    config: &Config,
    population: &Population,
    findings: &mut Findings,
) {
    if let Some(settings) = &config.directory
        && let Err(error) = accounts(directory, settings, findings).await
    {
        findings.error(ACCOUNTS, error.to_string(), RIGHTS);
    }
    counter(directory, population, findings).await;
    safety_net(slapacl, config, population, findings).await;
}

/// What we may not read is not there for us: an account without a token is let in by its
/// password alone.
async fn accounts(
    directory: &Directory,
    settings: &DirectorySettings,
    findings: &mut Findings,
) -> Result<(), DirectoryError> {
    let base = &settings.account_base;
    if directory.read(base, PRESENT, &[attribute::OBJECT_CLASS]).await?.is_none() {
        let finding = format!(
            "{base} is not there, or we may not read it: an account that we do not find could \
             have a token, so its binds end with code 52"
        );
        findings.error(ACCOUNTS, finding, RIGHTS);
        return Ok(());
    }
    let is_user = |method: Method| filter::equals(attribute::OBJECT_CLASS, method.user_class());
    let users = filter::any(&Method::ALL.map(is_user));
    let attributes = [attribute::OBJECT_CLASS, attribute::HOTP_TOKEN, attribute::TOTP_TOKEN];
    let users = all(directory, base, &users, &attributes).await?;
    let without: Vec<_> =
        users.iter().filter(|user| !has_token(user)).map(|user| user.dn().to_owned()).collect();
    if !without.is_empty() {
        let finding = format!(
            "accounts made for tokens have none, or we may not read oathHOTPToken and \
             oathTOTPToken of theirs, and then their password alone lets them in: {}",
            examples(&without)
        );
        findings.warning(ACCOUNTS, finding, RIGHTS);
    } else if !users.is_empty() {
        findings.good(ACCOUNTS, "we see which tokens they have");
    }
    Ok(())
}

fn has_token(entry: &Entry) -> bool {
    let is_there = |method: Method| !entry.values(method.token_attribute()).is_empty();
    Method::ALL.into_iter().any(|method| is_there(method) || entry.is_a(method.token_class()))
}

/// Deletes a value that no counter has: access is checked before the value is looked for.
async fn counter(directory: &Directory, population: &Population, findings: &mut Findings) {
    let Some((entry, method)) = population.initialised().next() else { return };
    let name = method.counter_attribute().to_owned();
    let impossible = vec![IMPOSSIBLE.to_vec()];
    let modifications = [
        Modification::Delete(name.clone(), impossible.clone()),
        Modification::Add(name.clone(), impossible),
    ];
    let object = "access to counters";
    let Err(error) = directory.modify(entry.dn(), &modifications).await else {
        findings.error(object, format!("{} had an impossible {name}", entry.dn()), "correct it");
        return;
    };
    match error.code() {
        Some(ResultCode::NO_SUCH_ATTRIBUTE) => findings.good(object, "we may move them"),
        Some(_) | None => findings.error(
            object,
            format!("we may not move {name}, so no OTP can be accepted: {error}"),
            "countersign ldap config access",
        ),
    }
}

/// Nobody may have `auth` on the password of an account with a token: then `CONTINUE` cannot
/// let it in without an OTP, whatever happens.
async fn safety_net(
    slapacl: &Slapacl,
    config: &Config,
    population: &Population,
    findings: &mut Findings,
) {
    let object = "access to passwords";
    let Some(account) = population.accounts.first() else { return };
    let hands_back = config
        .back_sock
        .as_ref()
        .is_some_and(|settings| settings.password == PasswordBy::Directory);
    match slapd::anonymous_auth(&slapacl.directory, account.dn()).await {
        Ok(Access::Denied) => {
            findings.good(object, "slapd checks no password of an account with a token by itself");
        }
        Ok(Access::Allowed) if hands_back => findings.warning(
            object,
            "slapd checks passwords of accounts with a token from everywhere, not only when we hand them back",
            "allow `auth` over slapd's own socket alone: countersign ldap config access",
        ),
        Ok(Access::Allowed) => findings.error(
            object,
            format!("slapd would let {} in by the password alone, if it were told CONTINUE", account.dn()),
            "countersign ldap config access",
        ),
        Err(error) => findings.warning(
            object,
            format!("not examined: {error}"),
            "run this on the machine of slapd, as a user who may read its config",
        ),
    }
}

const ACCOUNTS: &str = "access to accounts";
const RIGHTS: &str = "give us read on the accounts, their base, and their oathHOTPToken and \
                      oathTOTPToken: countersign ldap config access";

/// More than a counter of 64 bits.
const IMPOSSIBLE: &[u8] = b"99999999999999999999";
