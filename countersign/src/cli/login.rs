//! `countersign login`: a one-time password in, a logon certificate and a Kerberos ticket out.

use std::{
    fmt::Write,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use countersign_core::{
    pki::{cert::Certificate, extension::Template},
    secret::Secret,
};
use der::asn1::ObjectIdentifier;
use serde_json::json;

use super::{Context, input, output};
use crate::{
    app::{
        admin::ClearText,
        login::{Login as Request, LoginError, Logon, Step, Ticket, default_upn, machine_identity},
    },
    certificate::{self, readable},
    client::http::{HttpsClient, HttpsUrl, Identity, Patience},
    clock::{Clock, SystemClock},
    config::file::TEMPLATE_OID,
    exit::Exit,
    signer::file::KeySpec,
};

/// Turn a one-time password into a logon certificate, and that into a Kerberos ticket
///
/// The key is made here and stays in memory unless --pem or --pkcs12 asks for a
/// file. Without any of them the certificate is only shown. The one-time
/// password is sent once at most.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Login {
    /// Who logs on: user, DOMAIN\user or a UPN
    user: String,
    /// The MS-OTPCE server; several are tried in order until one can be connected to
    #[arg(long, value_name = "URL", required = true)]
    server: Vec<HttpsUrl>,
    /// The EST address of a CA, instead of the CAs that the server names
    #[arg(long, value_name = "URL")]
    ca: Vec<HttpsUrl>,
    /// Trust anchors of the servers, PEM; the CA of the logon certificate may be among them
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// The certificate of this machine, PEM
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its key, PKCS#8 PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The user principal name [default: user@domain of this machine's certificate]
    #[arg(long, value_name = "UPN")]
    upn: Option<String>,
    /// The distinguished name to ask for, if the CA wants one
    #[arg(long, value_name = "DN")]
    dn: Option<String>,
    /// The logon template, by object identifier
    #[arg(long, value_name = "OID", default_value = TEMPLATE_OID)]
    template: ObjectIdentifier,
    /// The kind of key to make
    #[arg(long, value_name = "KIND", default_value = "p-256")]
    key_type: KeySpec,
    /// Read the one-time password from the first line of a file, - for standard input
    #[arg(long, value_name = "FILE")]
    otp_file: Option<PathBuf>,
    /// Write key, certificate and chain to a new file, PEM
    #[arg(long, value_name = "FILE")]
    pem: Option<PathBuf>,
    /// Write key, certificate and chain to a new file, PKCS#12
    #[arg(long, value_name = "FILE")]
    pkcs12: Option<PathBuf>,
    /// Read the password of the PKCS#12 file from the first line of a file
    #[arg(long, value_name = "FILE", requires = "pkcs12")]
    pkcs12_password_file: Option<PathBuf>,
    /// Get a Kerberos ticket with the certificate (PKINIT)
    #[arg(long)]
    kinit: bool,
    /// Trust anchors of the KDC, PEM [default: those of --trust]
    #[arg(long, value_name = "FILE", requires = "kinit")]
    kdc_trust: Option<PathBuf>,
    /// Whose ticket [default: the one that the certificate names]
    #[arg(long, requires = "kinit")]
    principal: Option<String>,
    /// The credential cache [default: $KRB5CCNAME or the system's]
    #[arg(long, value_name = "CACHE", requires = "kinit")]
    ccache: Option<String>,
    /// Seconds to wait for a connection
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    connect_timeout: u64,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    /// Say what is sent to whom and what comes back
    #[arg(long, short)]
    verbose: bool,
}

impl Login {
    /// Logs in and does with the certificate what was asked for.
    ///
    /// # Errors
    ///
    /// An argument cannot be used, or a file cannot be read or written.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let machine = match machine_identity(&self.certificate, &self.key, SystemClock.now()) {
            Ok(machine) => machine,
            Err(error) => return Ok(failure(context, &error)),
        };
        let upn = self.upn.clone().or_else(|| default_upn(&self.user, &machine));
        let Some(upn) = upn else {
            return Ok(failure(context, &LoginError::NoUpn { user: self.user.clone() }));
        };
        let anchors = certificate::load(&self.trust)?;
        let kdc_anchors = match &self.kdc_trust {
            Some(file) => certificate::load(file)?,
            None => anchors.clone(),
        };
        let client = self.client(&machine, &anchors)?;
        let request = Request {
            servers: self.server.clone(),
            est: self.ca.clone(),
            username: self.user.clone(),
            upn: Some(upn.clone()),
            dn: self.dn.clone(),
            template: Template { oid: self.template, major: 100, minor: 0 },
            key: self.key_type,
            anchors,
        };
        self.check_outputs()?;
        let pkcs12_password = self.pkcs12.as_ref().map(|_| self.pkcs12_password()).transpose()?;
        let one_time_password = self.one_time_password()?;
        let verbose = self.verbose && !context.json;
        let watch = |step: &Step| {
            if verbose {
                let _ = output::line(&describe(step));
            }
        };
        match request.run(&client, &one_time_password, &SystemClock, &watch).await {
            Ok(logon) => {
                if let Err(error) = self.save(&logon, &upn, pkcs12_password.as_ref()) {
                    return Ok(failure(context, &error));
                }
                self.finish(context, &logon, &upn, &kdc_anchors).await
            }
            Err(error) => Ok(failure(context, &error)),
        }
    }

    fn client(&self, machine: &Identity, anchors: &[Certificate]) -> anyhow::Result<HttpsClient> {
        let patience = Patience {
            connect: Duration::from_secs(self.connect_timeout),
            answer: Duration::from_secs(self.timeout),
        };
        Ok(HttpsClient::new(anchors, Some(machine), patience)?)
    }

    fn one_time_password(&self) -> anyhow::Result<Secret<String>> {
        secret("one-time password", self.otp_file.as_deref())
    }

    /// What would fail after the one-time password is spent is looked at before.
    fn check_outputs(&self) -> anyhow::Result<()> {
        for file in [&self.pem, &self.pkcs12].into_iter().flatten() {
            ensure!(!file.exists(), "{}: it exists; move it away first", file.display());
            let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            ensure!(parent.is_dir(), "{}: there is no such directory", parent.display());
        }
        Ok(())
    }

    fn save(
        &self,
        logon: &Logon,
        upn: &str,
        password: Option<&Secret<String>>,
    ) -> Result<(), LoginError> {
        if let Some(file) = &self.pem {
            logon.save_pem(file)?;
        }
        if let (Some(file), Some(password)) = (&self.pkcs12, password) {
            logon.save_pkcs12(file, upn, password)?;
        }
        Ok(())
    }

    async fn finish(
        &self,
        context: &Context,
        logon: &Logon,
        upn: &str,
        kdc_anchors: &[Certificate],
    ) -> anyhow::Result<Exit> {
        let tickets = if self.kinit { Some(self.ticket(logon, kdc_anchors).await?) } else { None };
        let value = json!({
            "event": 10022,
            "ca": logon.ca,
            "serial": logon.certificate.serial().to_hex(),
            "subject": logon.certificate.subject().to_string(),
            "upn": upn,
            "valid-until": readable(logon.certificate.not_after()),
            "pem": self.pem,
            "pkcs12": self.pkcs12,
            "tickets": tickets,
        });
        output::show(context.json, &value, |_| self.report(logon, tickets.as_deref()))?;
        Ok(Exit::Success)
    }

    async fn ticket(&self, logon: &Logon, anchors: &[Certificate]) -> anyhow::Result<String> {
        let principal = self.principal.clone().or_else(|| logon.principal());
        let principal = principal.context(
            "the certificate names no Kerberos principal (id-pkinit-san); give --principal",
        )?;
        let cache = self.ccache.clone();
        let ticket = Ticket { principal: &principal, anchors, cache, config: None };
        Ok(logon.kinit(&ticket).await?)
    }

    fn pkcs12_password(&self) -> anyhow::Result<Secret<String>> {
        secret("password of the PKCS#12 file", self.pkcs12_password_file.as_deref())
    }

    fn report(&self, logon: &Logon, tickets: Option<&str>) -> String {
        let certificate = &logon.certificate;
        let mut text = format!(
            "Logged on: certificate {} of {}, valid until {}.",
            certificate.serial().to_hex(),
            logon.ca,
            readable(certificate.not_after())
        );
        for file in [&self.pem, &self.pkcs12].into_iter().flatten() {
            let _ = write!(text, "\nKey and certificate are in {}.", file.display());
        }
        if let Some(tickets) = tickets {
            let _ = write!(text, "\n{}", tickets.trim_end());
        }
        text
    }
}

/// A step as a person wants to read it.
pub fn describe(step: &Step) -> String {
    let took = format!("{:.1} ms", step.took.as_secs_f64() * 1000.0);
    match &step.peer {
        None => format!("  made   {} ({took})", step.sent),
        Some(peer) => {
            format!("  to     {peer}\n  sent   {}\n  got    {} ({took})", step.sent, step.received)
        }
    }
}

/// From the file given, or else from the terminal.
fn secret(what: &str, file: Option<&Path>) -> anyhow::Result<Secret<String>> {
    let ClearText(secret) = match file {
        Some(file) => input::read(what, file)?,
        None => input::prompt(what)?,
    };
    Ok(secret)
}

fn failure(context: &Context, error: &LoginError) -> Exit {
    let (event, cause, remedy) = (error.event(), error.to_string(), error.remedy());
    if context.json {
        let value = json!({ "event": event, "error": cause, "remedy": remedy });
        let _ = output::line(&value.to_string());
    }
    let _ = io::Write::write_fmt(
        &mut io::stderr(),
        format_args!("countersign: {cause} (event {event})\n  -> {remedy}\n"),
    );
    let refused = matches!(error, LoginError::Refused { is_authentication: true, .. });
    if refused { Exit::Refused } else { Exit::Failure }
}

const EXAMPLES: &str = "\
Examples:
  countersign login alice --server https://otp.example.com:8443/otpce --trust ca.pem \\
      --certificate client1.pem --key client1.key --kinit
  countersign login 'EXAMPLE\\alice' --server https://otp.example.com:8443/otpce --trust ca.pem \\
      --certificate client1.pem --key client1.key --pkcs12 alice.p12

Exit codes: 0 logged on, 1 something else failed, 4 the credentials were refused.
Failures carry the event numbers of the Windows client (10000 to 10022).";
