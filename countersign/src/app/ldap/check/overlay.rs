//! Overlay sock in cn=config: whether slapd asks us, about what, and in which order.

use countersign_core::{domain::dn::Dn, ldap::entry::Entry};

use crate::{
    app::{
        examine::Findings,
        ldap::config::{Wanted, pattern},
    },
    config::back_sock::{BackSockSettings, PasswordBy},
};

/// Compares cn=config, as far as it can be read, with what the listener needs.
pub(super) fn examine(
    config: Result<Vec<Entry>, String>,
    back_sock: Option<&BackSockSettings>,
    wanted: &Wanted,
    findings: &mut Findings,
) {
    let Some(back_sock) = back_sock else { return };
    let entries = match config {
        Ok(entries) if !entries.is_empty() => entries,
        Ok(_) => return findings.warning(OBJECT, "cn=config cannot be read by us", UNREAD),
        Err(error) => return findings.warning(OBJECT, format!("cn=config: {error}"), UNREAD),
    };
    for suffix in &back_sock.suffixes {
        let object = format!("overlay sock of {suffix}");
        let Some(database) = entries.iter().find(|entry| has_suffix(entry, suffix)) else {
            findings.error(
                &object,
                "slapd has no database with this suffix",
                "correct back-sock.suffixes",
            );
            continue;
        };
        let overlays = overlays(&entries, database);
        let Some(sock) = overlays.iter().find(|overlay| is_for(overlay, back_sock)) else {
            findings.error(&object, absent(&overlays, back_sock), APPLY);
            continue;
        };
        Seen { object: &object, database, sock, overlays: &overlays, back_sock, wanted }
            .examine(findings);
    }
    threads(&entries, back_sock, findings);
}

struct Seen<'a> {
    object: &'a str,
    database: &'a Entry,
    sock: &'a Overlay<'a>,
    overlays: &'a [Overlay<'a>],
    back_sock: &'a BackSockSettings,
    wanted: &'a Wanted,
}

/// An overlay of a database.
struct Overlay<'a> {
    entry: &'a Entry,
    name: String,
    /// The higher one is asked first.
    place: u32,
}

impl Seen<'_> {
    fn examine(&self, findings: &mut Findings) {
        let path = self.back_sock.socket.path.display();
        findings.good(self.object, format!("slapd asks through {path}"));
        self.operations(findings);
        self.extensions(findings);
        self.pattern(findings);
        self.order(findings);
        self.rootdn(findings);
    }

    fn operations(&self, findings: &mut Findings) {
        let asked = lower(self.sock.entry, "olcOvSocketOps");
        if !asked.iter().any(|name| name == "bind") {
            findings.error(self.object, "slapd does not ask at binds", "olcOvSocketOps: bind");
        }
        if !asked.iter().any(|name| name == "compare") {
            let finding = "slapd does not ask at compares, so an OTP alone cannot be checked";
            findings.warning(
                self.object,
                finding,
                "add olcOvSocketOps: compare, if that is wanted",
            );
        }
        let more: Vec<_> =
            asked.iter().filter(|name| !["bind", "compare"].contains(&name.as_str())).collect();
        if !more.is_empty() {
            let more = more.into_iter().cloned().collect::<Vec<_>>().join(", ");
            let finding =
                format!("slapd also asks at {more}, which costs a thread each and changes nothing");
            findings.warning(self.object, finding, "olcOvSocketOps: bind and compare alone");
        }
        if !lower(self.sock.entry, "olcOvSocketResps").is_empty() {
            let finding = "slapd also sends results, entries with password hashes among them";
            findings.warning(self.object, finding, "remove olcOvSocketResps");
        }
    }

    fn extensions(&self, findings: &mut Findings) {
        let told = lower(self.sock.entry, "olcDbSocketExtensions");
        let missing: Vec<_> =
            EXTENSIONS.into_iter().filter(|name| !told.iter().any(|told| told == name)).collect();
        if missing.is_empty() {
            return;
        }
        let remedy = "olcDbSocketExtensions: binddn, peername, ssf, connid, all of them at once";
        let missing_text = missing.join(", ");
        if missing.contains(&"connid") && self.back_sock.password == PasswordBy::Directory {
            let finding = "no extension connid, without which a password cannot be handed back";
            findings.error(self.object, finding, remedy);
        } else {
            let finding = format!("no extensions {missing_text}, so the audit log says less");
            findings.warning(self.object, finding, remedy);
        }
    }

    /// The pattern is what keeps forged requests away (a line feed in a DN).
    fn pattern(&self, findings: &mut Findings) {
        let ours = pattern(self.wanted);
        let remedy = format!("olcOvSocketDNpat: {ours}");
        let Some(found) = self.sock.entry.text("olcOvSocketDNpat").ok().flatten() else {
            let finding = "no pattern: binds of everybody come here, the administrator's as well, and \
                           a DN can carry lines of its own into the request";
            return findings.error(self.object, finding, &remedy);
        };
        if found == ours {
            return findings
                .good(self.object, "the pattern is the one of `countersign ldap config`");
        }
        if let Some(why) = loose(found) {
            return findings.error(
                self.object,
                format!("the pattern {found:?} is loose: {why}"),
                &remedy,
            );
        }
        let finding = format!("the pattern is {found:?}, not the one of `countersign ldap config`");
        findings.warning(self.object, finding, &format!("compare it with {ours}"));
    }

    fn order(&self, findings: &mut Findings) {
        for name in ["ppolicy", "rwm"] {
            let Some(other) = self.overlays.iter().find(|overlay| overlay.name == name) else {
                continue;
            };
            if other.place > self.sock.place {
                findings.good(self.object, format!("{name} stands above it and is asked first"));
                continue;
            }
            let finding = match name {
                "ppolicy" => {
                    "ppolicy stands below it: an account that is locked there is let in by a right OTP"
                }
                _ => "rwm stands below it: the DN that comes here is not the one of the entry",
            };
            findings.error(self.object, finding, "remove overlay sock and add it as number {0}");
        }
    }

    fn rootdn(&self, findings: &mut Findings) {
        let Some(root) = self.database.text("olcRootDN").ok().flatten() else { return };
        let Ok(name) = Dn::parse(root) else { return };
        if self.back_sock.accounts.iter().any(|base| name.is_within(base)) {
            let finding =
                format!("the administrator {root} is below accounts, so its binds come here");
            findings.warning(
                self.object,
                finding,
                "give the administrator of the database another place",
            );
        }
    }
}

/// Why a pattern lets more through than names.
fn loose(pattern: &str) -> Option<&'static str> {
    if !pattern.starts_with('^') || !pattern.ends_with('$') {
        return Some("it is not anchored with ^ and $, so it fits in the midst of a DN");
    }
    if pattern.contains(".*") || pattern.contains(".+") || pattern.contains("[^") {
        return Some("it takes any character, line feeds among them");
    }
    has_outer_alternatives(pattern)
        .then_some("its alternatives are not grouped, so ^ and $ hold for one of them only")
}

/// Whether a `|` stands outside of all parentheses and brackets.
fn has_outer_alternatives(pattern: &str) -> bool {
    let (mut depth, mut is_escaped, mut is_outer) = (0_u32, false, false);
    for character in pattern.chars() {
        match character {
            _ if is_escaped => {}
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '|' => is_outer |= depth == 0,
            _ => {}
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    is_outer
}

fn overlays<'a>(entries: &'a [Entry], database: &Entry) -> Vec<Overlay<'a>> {
    let below = Dn::parse(database.dn()).ok();
    let is_below = |entry: &&Entry| {
        entry.dn() != database.dn()
            && Dn::parse(entry.dn())
                .is_ok_and(|dn| below.as_ref().is_some_and(|base| dn.is_within(base)))
    };
    let overlay = |entry: &'a Entry| {
        let text = entry.text("olcOverlay").ok().flatten()?;
        let (place, name) = text.strip_prefix('{')?.split_once('}')?;
        Some(Overlay { entry, name: name.to_ascii_lowercase(), place: place.parse().ok()? })
    };
    entries.iter().filter(is_below).filter_map(overlay).collect()
}

fn is_for(overlay: &Overlay<'_>, back_sock: &BackSockSettings) -> bool {
    let path = overlay.entry.text("olcDbSocketPath").ok().flatten();
    overlay.name == "sock" && path.is_some_and(|path| back_sock.socket.path.as_os_str() == path)
}

fn absent(overlays: &[Overlay<'_>], back_sock: &BackSockSettings) -> String {
    let others = overlays.iter().filter(|overlay| overlay.name == "sock");
    let paths = others.filter_map(|overlay| overlay.entry.text("olcDbSocketPath").ok().flatten());
    let paths: Vec<_> = paths.collect();
    let path = back_sock.socket.path.display();
    if paths.is_empty() {
        return "there is none, so slapd asks nobody about OTPs".to_owned();
    }
    format!("slapd asks through {}, and we listen on {path}", paths.join(", "))
}

fn has_suffix(entry: &Entry, suffix: &Dn) -> bool {
    let suffixes = entry.texts("olcSuffix").unwrap_or_default();
    suffixes.iter().any(|text| Dn::parse(text).is_ok_and(|found| found == *suffix))
}

/// A thread of slapd waits for each request, and the answers need threads as well.
fn threads(entries: &[Entry], back_sock: &BackSockSettings, findings: &mut Findings) {
    let global = entries.iter().find(|entry| entry.is_a("olcGlobal"));
    let threads = global.and_then(|global| global.number("olcThreads", "a number").ok().flatten());
    let threads: usize = threads.unwrap_or(16);
    if back_sock.max_requests + RESERVE > threads {
        let finding = format!(
            "slapd has {threads} threads; with {} requests at once too few are left for our own questions, and slapd stands still",
            back_sock.max_requests
        );
        let remedy = format!(
            "max-requests = {} or less, or more olcThreads",
            threads.saturating_sub(4).max(1)
        );
        findings.error("back-sock.max-requests", finding, &remedy);
    }
}

fn lower(entry: &Entry, name: &str) -> Vec<String> {
    let texts = entry.texts(name).unwrap_or_default();
    texts.iter().flat_map(|text| text.split_whitespace()).map(str::to_ascii_lowercase).collect()
}

const OBJECT: &str = "overlay sock";
const EXTENSIONS: [&str; 4] = ["binddn", "peername", "ssf", "connid"];
const RESERVE: usize = 2;
const APPLY: &str = "countersign ldap config overlay | ldapmodify -Y EXTERNAL -H ldapi:///";
const UNREAD: &str = "as root: slapcat -n 0 >config.ldif, and then --slapd-config config.ldif";
