//! `countersign demo`: the whole chain on this machine, in a temporary directory.
//!
//! Nothing in it is a mock: it makes a state directory as `init` does, runs the
//! daemon as `serve` does, and is then the client of `login`, a RADIUS client,
//! and, where MIT Kerberos is installed, a KDC with its user.

use std::{fmt::Write, path::PathBuf};

use anyhow::ensure;
use clap::Args;
use countersign_core::pki::{
    extension::{Principal, read_upn},
    oid,
};
use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::name::GeneralName;

use self::site::Site;
use super::{Context, output};
use crate::{
    app::login::{LoginError, Logon, Ticket},
    certificate::readable,
    client::radius::Reply,
    exit::Exit,
};

mod kerberos;
mod site;

/// Run the whole chain on this machine: one-time password in, certificate and ticket out
///
/// Everything happens in a temporary directory and on free loopback ports, and
/// is gone afterwards unless --keep asks for it.
#[derive(Debug, Args)]
pub struct Demo {
    /// Keep everything in this new directory, and say how to go on
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl Demo {
    /// Runs the demo and says each step.
    ///
    /// # Errors
    ///
    /// A step did not do what it must.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let temporary = tempfile::Builder::new().prefix("countersign-demo-").tempdir()?;
        let directory = match &self.keep {
            Some(keep) => std::path::absolute(keep)?,
            None => temporary.path().join("site"),
        };
        let mut story = Story::new(context.json);
        let site = Site::make(&directory, &mut story).await?;
        let daemon = site.serve(&mut story).await?;
        let told = tell(&site, &mut story).await;
        daemon.stop().await;
        told?;
        story.end(self.keep.as_deref().map(|_| &site))?;
        Ok(Exit::Success)
    }
}

/// What a new user wants to see, in this order.
async fn tell(site: &Site, story: &mut Story) -> anyhow::Result<()> {
    let logon = logs_on(site, story).await?;
    refuses_the_same_otp_again(site, story).await?;
    refuses_a_wrong_otp(site, story).await?;
    refuses_another_users_name(site, story).await?;
    spends_an_otp_everywhere(site, story).await?;
    gets_a_ticket(site, &logon, story).await
}

async fn logs_on(site: &Site, story: &mut Story) -> anyhow::Result<Logon> {
    story.chapter("Alice logs on with a one-time password")?;
    let logon = site.login("alice", "alice@example.com", &site.otp(0), story).await??;
    let certificate = &logon.certificate;
    story.chapter("The certificate")?;
    story.line(&format!("  serial   {}", certificate.serial().to_hex()))?;
    story.line(&format!("  subject  {}", certificate.subject()))?;
    story.line(&format!("  issuer   {}", certificate.issuer()))?;
    story.line(&format!(
        "  valid    {} to {}",
        readable(certificate.not_before()),
        readable(certificate.not_after())
    ))?;
    for name in certificate.alternative_names() {
        story.line(&format!("  name     {}", in_words(&name)))?;
    }
    for usage in certificate.extended_key_usage() {
        story.line(&format!("  usage    {usage} {}", usage_in_words(usage)))?;
    }
    Ok(logon)
}

async fn refuses_the_same_otp_again(site: &Site, story: &mut Story) -> anyhow::Result<()> {
    story.chapter("The same one-time password a second time")?;
    let error = site.refused("alice", "alice@example.com", &site.otp(0), story).await?;
    story.refused(&error, 10005)
}

async fn refuses_a_wrong_otp(site: &Site, story: &mut Story) -> anyhow::Result<()> {
    story.chapter("A wrong one-time password")?;
    let error = site.refused("alice", "alice@example.com", &site.wrong_otp(), story).await?;
    story.refused(&error, 10005)
}

async fn refuses_another_users_name(site: &Site, story: &mut Story) -> anyhow::Result<()> {
    story.chapter("Bob's name in a certificate request with Alice's one-time password")?;
    let error = site.refused("alice", "bob@example.com", &site.otp(1), story).await?;
    story.refused(&error, 10005)?;
    story.line(
        "  The request was refused before the one-time password was looked at: it is unspent.",
    )
}

async fn spends_an_otp_everywhere(site: &Site, story: &mut Story) -> anyhow::Result<()> {
    story.chapter("That unspent one-time password at the RADIUS listener, then at MS-OTPCE")?;
    let reply = site.ask_radius("alice", &site.otp(1)).await?;
    ensure!(reply == Reply::Accepted, "RADIUS said {reply:?} to an unspent one-time password");
    story.line("  RADIUS   Access-Accept")?;
    let error = site.refused("alice", "alice@example.com", &site.otp(1), story).await?;
    story.refused(&error, 10005)?;
    story.line("  An OTP that was used at one listener is spent at all of them.")
}

async fn gets_a_ticket(site: &Site, logon: &Logon, story: &mut Story) -> anyhow::Result<()> {
    story.chapter("A Kerberos ticket")?;
    let missing = kerberos::missing_packages();
    if !missing.is_empty() {
        return story.line(&format!(
            "  No ticket, because MIT Kerberos is not here. On Debian:\n    apt-get install {}",
            missing.join(" ")
        ));
    }
    let kdc = site.start_kdc().await?;
    story.line(&format!("  A KDC of MIT Kerberos for EXAMPLE.COM runs on {}.", kdc.address))?;
    story.line(
        "  kinit alice@EXAMPLE.COM, by PKINIT with the certificate; the key stays in memory.",
    )?;
    let cache = format!("FILE:{}", site.directory.join("krb5cc").display());
    let anchors = site.anchors()?;
    let ticket = Ticket {
        principal: "alice@EXAMPLE.COM",
        anchors: &anchors,
        cache: Some(cache),
        config: Some(kdc.config.clone()),
    };
    let tickets = logon.kinit(&ticket).await?;
    for line in tickets.trim().lines() {
        story.line(&format!("  {line}"))?;
    }
    Ok(())
}

/// Says what happens, for people.
struct Story {
    json: bool,
    steps: Vec<String>,
}

impl Story {
    fn new(json: bool) -> Self {
        Self { json, steps: Vec::new() }
    }

    fn chapter(&mut self, title: &str) -> anyhow::Result<()> {
        self.line(&format!("\n{title}"))
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        self.steps.push(line.trim().to_owned());
        if self.json { Ok(()) } else { output::line(line) }
    }

    /// A refusal that had to come.
    fn refused(&mut self, error: &LoginError, event: u16) -> anyhow::Result<()> {
        ensure!(
            error.event() == event,
            "event {event} was expected, not {}: {error}",
            error.event()
        );
        self.line(&format!("  refused  {error} (event {event})"))
    }

    fn end(&mut self, kept: Option<&Site>) -> anyhow::Result<()> {
        let mut text = String::from("\nDone.");
        if let Some(site) = kept {
            text.push_str(" Everything is kept. Go on with:\n");
            for command in site.commands() {
                let _ = write!(text, "\n  {command}");
            }
        }
        self.line(&text)?;
        if self.json { output::show(true, &self.steps, |_| String::new()) } else { Ok(()) }
    }
}

/// A subject alternative name as a person wants to read it.
fn in_words(name: &GeneralName) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a logon certificate has two of nine kinds")]
    match name {
        GeneralName::OtherName(other) => match (read_upn(other), Principal::from_name(other)) {
            (Some(upn), _) => format!("user principal name {upn}"),
            (None, Some(principal)) => {
                format!("Kerberos principal {}@{}", principal.components.join("/"), principal.realm)
            }
            (None, None) => format!("other name {}", other.type_id),
        },
        GeneralName::UniformResourceIdentifier(uri) => format!("URI {uri}"),
        other => format!("{other:?}"),
    }
}

fn usage_in_words(usage: ObjectIdentifier) -> &'static str {
    match usage {
        oid::SMART_CARD_LOGON => "(smart card logon)",
        oid::CLIENT_AUTH => "(TLS client authentication)",
        oid::PKINIT_CLIENT => "(PKINIT client)",
        _ => "",
    }
}
