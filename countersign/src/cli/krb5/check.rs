//! `countersign krb5 check`: what a realm's OTP set-up does, and what is wrong with it.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use tokio::time::timeout;

use crate::{
    app::{
        admin::{AdminReply, AdminRequest},
        examine::{Finding, Grade},
        krb5::{
            self, Asked, Examination, Examined, Named, Who, account::Way, client::clients_of,
            realm::Places,
        },
    },
    cli::{Context, check, control, output},
    config::Config,
    exit::Exit,
};

/// Say what a KDC will do when principals log on with OTPs, and what is wrong
///
/// Reads the files that the KDC of this machine reads, looks at the sockets, and asks
/// kadmin.local about principals; nothing is changed. Best run on the KDC, as root.
/// Where there is a config of Countersign, both sides are compared.
///
/// Ends with 0 if nothing will fail, with 1 if something will.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Principals whose logon is looked at; services show who gets tickets for them
    principals: Vec<String>,
    /// Every principal that has a string `otp` or `require_auth`
    #[arg(long, conflicts_with = "principals")]
    all: bool,
    /// The files of the realm [default: $KRB5_CONFIG, /etc/krb5.conf]
    #[arg(long, value_name = "FILE[:FILE]")]
    krb5_conf: Option<String>,
    /// The file of the KDC [default: $KRB5_KDC_PROFILE, /etc/krb5kdc/kdc.conf]
    #[arg(long, value_name = "FILE")]
    kdc_conf: Option<PathBuf>,
    /// The realm, if the KDC serves several [default: default_realm]
    #[arg(long, value_name = "REALM")]
    realm: Option<String>,
    /// Read principals from what `kdb5_util dump` wrote instead of asking kadmin.local
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,
    /// Try a string `otp` that no principal has yet
    #[arg(long, value_name = "STRING", conflicts_with_all = ["all", "dump"])]
    user_string: Option<String>,
    /// A log of the KDC whose lines about OTP are to be explained
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Show only warnings and errors
    #[arg(long, short)]
    quiet: bool,
}

impl Check {
    /// Examines and reports.
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let quiet = self.quiet;
        let config = config(context)?;
        let clients = config.as_ref().map(clients_of);
        let examination = self.examination();
        let Examined { mut findings, asked } = krb5::check(&examination, clients.as_deref()).await;
        for request in &asked {
            findings.extend(account(context, request).await);
        }
        let mut findings = krb5::grouped(findings);
        findings.retain(|finding| !quiet || finding.grade != Grade::Good);
        output::show(context.json, &findings, |findings| check::report(findings))?;
        let failing = findings.iter().any(|finding| finding.grade == Grade::Error);
        Ok(if failing { Exit::Failure } else { Exit::Success })
    }

    fn examination(self) -> Examination {
        let mut places = Places::usual(self.krb5_conf, self.kdc_conf);
        places.realm = self.realm;
        let named = if self.all { Named::All } else { Named::These(self.principals) };
        let nobody = matches!(&named, Named::These(names) if names.is_empty());
        let who = match (self.user_string, self.dump, named) {
            (Some(otp), _, named) => Who::String { principal: first(named), otp },
            (None, Some(file), _) if nobody => Who::Dump { file, named: Named::All },
            (None, Some(file), named) => Who::Dump { file, named },
            (None, None, _) if nobody => Who::Nobody,
            (None, None, named) => Who::Database(named),
        };
        Examination { places, who, log: self.log }
    }
}

/// A string is tried for somebody.
fn first(named: Named) -> String {
    match named {
        Named::These(names) => names.into_iter().next().unwrap_or_else(|| "user".to_owned()),
        Named::All => "user".to_owned(),
    }
}

/// The KDC may be on a machine without Countersign.
fn config(context: &Context) -> anyhow::Result<Option<Config>> {
    if !context.config_is_named() && !context.config_file().exists() {
        return Ok(None);
    }
    Ok(Some(context.load_config()?))
}

async fn account(context: &Context, request: &Asked) -> Vec<Finding> {
    let Way::Here(account) = request.way() else { return request.elsewhere() };
    let show = AdminRequest::AccountShow { account };
    let Ok(answer) = timeout(PATIENCE, control::administer(context, show)).await else {
        return request.unanswered();
    };
    match answer {
        Ok(AdminReply::Account(view)) => request.examine(Ok(&view)),
        Ok(_) => Vec::new(),
        Err(error) => request.examine(Err(format!("{error:#}"))),
    }
}

/// A daemon that hangs is something to be told, not to be waited for.
const PATIENCE: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  countersign krb5 check                          the realm, its token types, their sockets
  countersign krb5 check alice                    and what happens when alice logs on
  countersign krb5 check --all --quiet            whatever is wrong with anybody
  countersign krb5 check host/www.example.com     by which token types one gets tickets for it
  countersign krb5 check --user-string '[{\"type\":\"hard\"}]' alice
  countersign krb5 check --log /var/log/krb5kdc.log
  countersign krb5 check --krb5-conf krb5.conf --kdc-conf kdc.conf --dump realm.dump";
