//! Access rules, judged by what they let happen: what the daemon sees, what it may change, and
//! whether slapd itself would check the password of an account that has a token.

use std::path::PathBuf;

use countersign_core::ldap::counter::Modification;

use super::population::Population;
use crate::{
    app::examine::Findings,
    client::slapd::{self, Access},
    config::{Config, back_sock::PasswordBy},
    directory::{Directory, ResultCode},
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
    counter(directory, population, findings).await;
    safety_net(slapacl, config, population, findings).await;
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

/// More than a counter of 64 bits.
const IMPOSSIBLE: &[u8] = b"99999999999999999999";
