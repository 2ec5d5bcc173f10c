//! Access rules: the daemon sees seeds and moves counters, nobody else does; slapd itself
//! checks no password of an account that has a token.

use std::fmt::Write;

use super::{Name, Part, Place, Wanted, quoted};

/// Rules that go before those that the database has. The first rule that fits decides, so
/// each ends for everybody unless it says `break`.
pub(super) fn write(wanted: &Wanted) -> Part {
    let mut text = format!("dn: {}\nchangetype: modify\nadd: olcAccess\n", wanted.database);
    for (index, rule) in rules(wanted).iter().enumerate() {
        let _ = writeln!(text, "olcAccess: {{{index}}}{rule}");
    }
    text.push('\n');
    Part { name: Name::Access, place: Place::Config, notes: notes(wanted), text }
}

fn rules(wanted: &Wanted) -> Vec<String> {
    let tokens = wanted.tokens.iter().flat_map(|base| token_rules(wanted, base));
    let accounts = wanted.accounts.iter().flat_map(|base| account_rules(wanted, base));
    let base = below(&wanted.base);
    // Whoever has no token is none of the daemon's business.
    let passwords = format!("to {base} attrs=userPassword {} by * break", daemon(wanted, "none"));
    let everything = format!("to {base} {} by * break", daemon(wanted, "read"));
    tokens.chain(accounts).chain([passwords, everything]).collect()
}

/// A token with a counter is initialised; one of TOTP is, as soon as it has a seed.
fn token_rules(wanted: &Wanted, base: &str) -> Vec<String> {
    let token = below(base);
    let initialised = format!("{token} filter={}", quoted(INITIALISED));
    let seed = if wanted.manages_tokens { "write" } else { "read" };
    let [write_only, delete, read] =
        ["=w", "=z", "read"].map(|right| administrators(wanted, right));
    let enrolment = |right: &str| service(wanted.enrolment.as_deref(), right);
    let mut rules = vec![
        format!("to {initialised} attrs=oathSecret {}{write_only} by * none", daemon(wanted, seed)),
        format!("to {token} attrs=oathSecret by self =a{delete} by * none"),
        format!("to {token} attrs=oathTokenPIN by self write{read} by * none"),
        format!("to {initialised} attrs=userPassword by * none"),
        format!(
            "to {token} attrs=userPassword by self =z{} by anonymous auth by * none",
            enrolment("write")
        ),
        format!(
            "to {token} attrs={STATE} {}{}{} by self =arscx by * none",
            daemon(wanted, "write"),
            enrolment("=zrscxd"),
            administrators(wanted, "=zrscxd"),
        ),
        format!(
            "to {token} attrs=oathSecretTime{}{} by * break",
            enrolment("write"),
            administrators(wanted, "write")
        ),
        format!(
            "to {token} filter=\"(objectClass=oathParams)\" \
             by set=\"user/oathHOTPParams & this\" read \
             by set=\"user/oathTOTPParams & this\" read by * break"
        ),
    ];
    if wanted.manages_tokens {
        rules.push(format!("to {token} {} by * break", daemon(wanted, "write")));
    }
    rules
}

fn account_rules(wanted: &Wanted, base: &str) -> Vec<String> {
    let account = below(base);
    let mut rules = vec![format!(
        "to {account} filter=\"(oathToken=*)\" attrs=userPassword {} by self =w{}{} by * none",
        daemon(wanted, "read"),
        administrators(wanted, "=w"),
        hand_back(wanted),
    )];
    if wanted.manages_tokens {
        rules.push(format!(
            "to {account} attrs=oathHOTPToken,oathTOTPToken,objectClass {} by * break",
            daemon(wanted, "write")
        ));
    }
    rules
}

/// Only over the own UNIX socket of slapd, which nobody but this machine reaches, and there
/// only Countersign's own binds are passed on.
fn hand_back(wanted: &Wanted) -> String {
    let url = wanted.socket.as_ref().and_then(|socket| socket.hand_back.as_deref());
    let Some(url) = url else { return String::new() };
    let path = url.trim_start_matches("ldapi://").replace("%2F", "/").replace("%2f", "/");
    // Debian's slapd says /var/run, which leads to /run.
    match path.trim_start_matches("/var").trim_end_matches('/') {
        "" => r#" by peername.regex="^PATH=(/var)?/run/slapd/ldapi$" auth"#.to_owned(),
        run if run.starts_with("/run/") => {
            format!(r#" by peername.regex="^PATH=(/var)?{}$" auth"#, run.replace('.', r"\\."))
        }
        other => format!(" by peername.path={} auth", quoted(other)),
    }
}

fn below(base: &str) -> String {
    format!("dn.subtree={}", quoted(base))
}

fn daemon(wanted: &Wanted, right: &str) -> String {
    format!("by dn.exact={} {right}", quoted(&wanted.identity))
}

fn service(identity: Option<&str>, right: &str) -> String {
    identity.map_or(String::new(), |dn| format!(" by dn.exact={} {right}", quoted(dn)))
}

fn administrators(wanted: &Wanted, right: &str) -> String {
    let group = wanted.administrators.as_deref();
    group.map_or(String::new(), |dn| format!(" by group.exact={} {right}", quoted(dn)))
}

fn notes(wanted: &Wanted) -> Vec<String> {
    let mut notes = vec![
        "they go before the rules that the database has, which stay as they are".to_owned(),
        "entries of accounts must give anonymous `auth` (attribute `entry`), or slapd answers 50 \
         before Countersign is asked"
            .to_owned(),
        "replicas: give consumers neither tokens nor persons".to_owned(),
    ];
    if wanted.administrators.is_none() {
        notes.push(
            "nobody but the administrator of the database issues tokens; --administrators names \
             a group that does"
                .to_owned(),
        );
    }
    notes
}

const INITIALISED: &str = "(|(oathHOTPCounter=*)(&(objectClass=oathTOTPToken)(oathSecret=*)))";
const STATE: &str = "oathHOTPCounter,oathTOTPLastTimeStep,oathTOTPTimeStepDrift,oathFailureCount,\
                     oathLastLogin,oathLastFailure";
