//! `countersign account`: who may log on.

use std::fmt::Write;

use clap::{Args, Subcommand};
use countersign_core::{
    domain::{
        account::{self, Authentication, Validity},
        lockout::Gate,
    },
    time::UnixTime,
};

use super::{
    Context, control,
    input::{end_setting, names_setting, replacing, setting, shown, start_setting},
    output, pages,
    token::summary,
};
use crate::{
    app::admin::{
        AccountFields, AccountView, AdminReply, AdminRequest, MAX_PAGE, NewPerson, Setting,
        TokenView, login_of,
    },
    exit::Exit,
};

/// Manage who may log on
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Account {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add an account, and the person behind it
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// The login name, without domain or realm
        name: String,
        /// The full name of the person behind it
        #[arg(long, value_name = "NAME")]
        person: Option<String>,
        /// The person's mail address
        #[arg(long, value_name = "ADDRESS", requires = "person")]
        mail: Option<String>,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// List all accounts
    List,
    /// Show an account with its tokens, failures and login names
    Show {
        /// The account, by any of its login names
        account: String,
    },
    /// Change fields of an account; an empty value ("") removes one
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// The account, by any of its login names
        account: String,
        #[command(flatten)]
        fields: Box<Fields>,
        /// Take it out of all groups
        #[arg(long, conflicts_with = "groups")]
        no_groups: bool,
    },
    /// Let an account log on again
    Enable {
        /// The account, by any of its login names
        account: String,
    },
    /// Let an account log on no longer
    Disable {
        /// The account, by any of its login names
        account: String,
    },
    /// Forget an account's failures, and with them any lockout
    Unlock {
        /// The account, by any of its login names
        account: String,
    },
    /// Remove an account; its tokens stay
    Remove {
        /// The account, by any of its login names
        account: String,
    },
}

#[derive(Debug, Default, Args)]
struct Fields {
    /// The NetBIOS domain, as in DOMAIN\user [default: the site's]
    #[arg(long, value_name = "NAME", value_parser = setting)]
    domain: Option<Setting<String>>,
    /// The DNS domain, which in upper case is the Kerberos realm [default: the site's]
    #[arg(long, value_name = "NAME", value_parser = setting)]
    realm: Option<Setting<String>>,
    /// The user principal name [default: name@realm]
    #[arg(long, value_name = "NAME@SUFFIX", value_parser = setting)]
    upn: Option<Setting<String>>,
    /// The distinguished name in the directory
    #[arg(long, value_name = "DN", value_parser = setting)]
    dn: Option<Setting<String>>,
    /// The Windows security identifier, for strong certificate mapping
    #[arg(long, value_name = "S-1-5-21-...", value_parser = setting)]
    sid: Option<Setting<String>>,
    /// The first day or moment it may be used (2027-01-01, 2027-01-01T08:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = start_setting)]
    valid_from: Option<Setting<UnixTime>>,
    /// The last day or moment it may be used
    #[arg(long, value_name = "TIME", value_parser = end_setting)]
    valid_until: Option<Setting<UnixTime>>,
    /// The upstream of the config that decides about every passcode
    #[arg(long, value_name = "NAME", value_parser = setting)]
    upstream: Option<Setting<String>>,
    /// A group that it belongs to, by which RADIUS replies differ; may be given several times,
    /// and replaces all groups it had
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
}

impl Account {
    /// Asks the daemon and shows its answer.
    ///
    /// # Errors
    ///
    /// The daemon cannot be asked or refuses.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let request = match self.command.into_request() {
            Some(request) => request,
            None => return list(context).await,
        };
        match control::administer(context, request).await? {
            AdminReply::Account(view) => output::show(context.json, &view, |view| account(view))?,
            AdminReply::AccountRemoved { account, left } => {
                let removed = serde_json::json!({ "removed": account, "left": left });
                output::show(context.json, &removed, |_| removal(&account, &left))?;
            }
            AdminReply::Accounts(_)
            | AdminReply::Token(_)
            | AdminReply::TokenAdded { .. }
            | AdminReply::Tokens(_)
            | AdminReply::TokenRemoved(_) => return Err(pages::unexpected()),
        }
        Ok(Exit::Success)
    }
}

async fn list(context: &Context) -> anyhow::Result<Exit> {
    let request = |after| AdminRequest::AccountList { after, limit: MAX_PAGE };
    let accounts = |reply| match reply {
        AdminReply::Accounts(page) => Ok(page),
        AdminReply::Account(_)
        | AdminReply::AccountRemoved { .. }
        | AdminReply::Token(_)
        | AdminReply::TokenAdded { .. }
        | AdminReply::Tokens(_)
        | AdminReply::TokenRemoved(_) => Err(pages::unexpected()),
    };
    let mut all = pages::all(context, request, accounts, |account| account.id).await?;
    all.sort_by_cached_key(login_of);
    output::show(context.json, &all, |all| all.iter().map(line).collect())?;
    Ok(Exit::Success)
}

impl Command {
    /// What the daemon is asked; nothing for a list, which takes several questions.
    fn into_request(self) -> Option<AdminRequest> {
        Some(match self {
            Self::List => return None,
            Self::Add { name, person, mail, fields } => {
                let person = person.map(|name| NewPerson { name, mail });
                AdminRequest::AccountAdd { name, person, fields: (*fields).into() }
            }
            Self::Show { account } => AdminRequest::AccountShow { account },
            Self::Set { account, fields, no_groups } => {
                let mut fields = AccountFields::from(*fields);
                fields.groups = names_setting(no_groups, fields.groups);
                AdminRequest::AccountSet { account, fields }
            }
            Self::Enable { account } => AdminRequest::AccountSwitch { account, enabled: true },
            Self::Disable { account } => AdminRequest::AccountSwitch { account, enabled: false },
            Self::Unlock { account } => AdminRequest::AccountUnlock { account },
            Self::Remove { account } => AdminRequest::AccountRemove { account },
        })
    }
}

impl From<Fields> for AccountFields {
    fn from(fields: Fields) -> Self {
        let Fields { domain, realm, upn, dn, sid, valid_from, valid_until, upstream, groups } =
            fields;
        let (not_before, not_after, groups) = (valid_from, valid_until, replacing(groups));
        Self { domain, realm, upn, dn, sid, not_before, not_after, upstream, groups }
    }
}

fn line(account: &account::Account) -> String {
    let upn = account.effective_upn().unwrap_or_default();
    let state = if account.disabled { "  disabled" } else { "" };
    format!("{:<24} {upn}{state}\n", login_of(account))
}

fn account(view: &AccountView) -> String {
    let account = &view.account;
    let mut rows = vec![("id", account.id.to_string())];
    let owner = view.owner.as_ref().map(|owner| match &owner.mail {
        Some(mail) => format!("{} <{mail}>", owner.name),
        None => owner.name.clone(),
    });
    rows.extend(owner.map(|owner| ("person", owner)));
    rows.push(("state", if account.disabled { "disabled" } else { "enabled" }.to_owned()));
    rows.extend(validity(account.validity).map(|validity| ("valid", validity)));
    rows.extend(account.effective_upn().map(|upn| ("UPN", upn)));
    rows.extend(account.dn.clone().map(|dn| ("DN", dn)));
    rows.extend(account.sid.clone().map(|sid| ("SID", sid)));
    rows.push(("logins", view.logins.join(", ")));
    if !account.groups.is_empty() {
        rows.push(("groups", account.groups.join(", ")));
    }
    rows.push((
        "passcodes",
        match &account.authentication {
            Authentication::Tokens => "decided by its tokens".to_owned(),
            Authentication::Upstream(name) => format!("decided by upstream {name}"),
        },
    ));
    rows.extend(failures(view).map(|failures| ("failures", failures)));
    let mut text = format!("{}\n", login_of(account));
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:<10} {value}");
    }
    for token in &view.tokens {
        let _ = writeln!(text, "  {:<10} {}", "token", summary(token));
    }
    text
}

/// A span of time in words; nothing if it is open at both ends.
pub(super) fn validity(validity: Validity) -> Option<String> {
    match (validity.not_before.map(shown), validity.not_after.map(shown)) {
        (Some(start), Some(end)) => Some(format!("from {start} until {end}")),
        (Some(start), None) => Some(format!("from {start}")),
        (None, Some(end)) => Some(format!("until {end}")),
        (None, None) => None,
    }
}

fn failures(view: &AccountView) -> Option<String> {
    let last = view.last_failure.map(shown)?;
    let gate = match view.gate {
        Gate::Open => String::new(),
        Gate::Throttled { until } => {
            format!("; the next attempt has to wait until {}", shown(until))
        }
        Gate::LockedOut { until: Some(until) } => format!("; LOCKED until {}", shown(until)),
        Gate::LockedOut { until: None } => "; LOCKED until it is unlocked".to_owned(),
    };
    Some(format!("{} since the last success, the last at {last}{gate}", view.failures))
}

fn removal(account: &account::Account, left: &[TokenView]) -> String {
    let mut text = format!("removed account {}\n", login_of(account));
    for token in left {
        let _ = writeln!(text, "token {:?} {} is assigned to nobody now", token.label, token.id);
    }
    text
}

const ADD_EXAMPLES: &str = "\
Examples:
  countersign account add alice --person \"Alice Smith\" --mail alice@example.com --group vpn
  countersign account add bob --domain LAB --realm lab.example --valid-until 2027-12-31
  countersign account add carol --upstream old-server";

const SET_EXAMPLES: &str = "\
Examples:
  countersign account set alice --group admins --group vpn
  countersign account set alice --sid S-1-5-21-1-2-3-1001 --valid-until \"\"
  countersign account set carol --upstream \"\"";

const EXAMPLES: &str = "\
Examples:
  countersign account add alice --person \"Alice Smith\" --upn alice@example.com
  countersign account add bob --domain LAB --realm lab.example --valid-until 2027-12-31
  countersign account show 'CORP\\alice'
  countersign account set alice --group admins --group vpn
  countersign account set alice --sid S-1-5-21-1-2-3-1001 --valid-until \"\"
  countersign account unlock alice@example.com";

#[cfg(test)]
mod tests;
