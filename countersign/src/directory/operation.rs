//! Requests and their answers, in the terms of the LDAP library.

use std::{collections::HashSet, fmt};

use countersign_core::ldap::{counter::Modification, entry::Entry};
use ldap3::{
    Ldap, LdapError, LdapResult, Mod, ResultEntry, SearchOptions,
    controls::{Control, ControlType, MakeCritical, PagedResults, ProxyAuth, RawControl},
    exop::WhoAmI,
};

use super::{ResultCode, Scope, Search};

/// What is asked of a directory.
pub(super) enum Operation<'a> {
    Search(&'a Search<'a>),
    Page { search: &'a Search<'a>, cookie: Vec<u8> },
    Modify { dn: &'a str, modifications: &'a [Modification] },
    Add { dn: &'a str, attributes: &'a [(&'a str, Vec<Vec<u8>>)] },
    Delete { dn: &'a str },
    WhoAmI,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) entries: Vec<Entry>,
    /// What the next page is asked for by; empty after the last one.
    pub(super) cookie: Vec<u8>,
    pub(super) identity: String,
}

/// Why nothing came of it.
pub(super) enum Failure {
    /// The directory refused; the connection is as good as before.
    Refused(ResultCode),
    /// There is no answer and never will be.
    Lost(String),
}

impl Operation<'_> {
    /// Whether asking twice does no harm.
    pub(super) fn is_question(&self) -> bool {
        match self {
            Self::Search(_) | Self::Page { .. } | Self::WhoAmI => true,
            Self::Modify { .. } | Self::Add { .. } | Self::Delete { .. } => false,
        }
    }
}

/// For errors: no value of an entry is shown.
impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Search(search) | Self::Page { search, .. } => {
                write!(f, "to search {:?}", search.base)
            }
            Self::Modify { dn, .. } => write!(f, "to modify {dn:?}"),
            Self::Add { dn, .. } => write!(f, "to add {dn:?}"),
            Self::Delete { dn } => write!(f, "to delete {dn:?}"),
            Self::WhoAmI => f.write_str("to say who we are"),
        }
    }
}

/// Asks, on this connection, and waits for the answer.
pub(super) async fn perform(
    connection: &mut Ldap,
    operation: &Operation<'_>,
    authorization: Option<&str>,
) -> Result<Outcome, Failure> {
    let mut controls: Vec<RawControl> = Vec::new();
    if let Some(identity) = authorization {
        controls.push(ProxyAuth { authzid: identity.to_owned() }.into());
    }
    if let Operation::Page { cookie, .. } = operation {
        let page = PagedResults { size: PAGE, cookie: cookie.clone() };
        controls.push(page.critical().into());
    }
    if !controls.is_empty() {
        connection.with_controls(controls);
    }
    match operation {
        Operation::Search(search) | Operation::Page { search, .. } => {
            look_for(connection, search).await
        }
        Operation::Modify { dn, modifications } => {
            let modifications = modifications.iter().map(modification).collect();
            done(connection.modify(dn, modifications).await)
        }
        Operation::Add { dn, attributes } => {
            let attributes = attributes.iter().map(|(name, values)| {
                (name.as_bytes().to_vec(), values.iter().cloned().collect::<HashSet<_>>())
            });
            done(connection.add(dn, attributes.collect()).await)
        }
        Operation::Delete { dn } => done(connection.delete(dn).await),
        Operation::WhoAmI => who_am_i(connection).await,
    }
}

async fn look_for(connection: &mut Ldap, search: &Search<'_>) -> Result<Outcome, Failure> {
    let scope = match search.scope {
        Scope::Base => ldap3::Scope::Base,
        Scope::One => ldap3::Scope::OneLevel,
        Scope::Subtree => ldap3::Scope::Subtree,
    };
    if search.limit != 0 {
        connection.with_search_options(SearchOptions::new().sizelimit(search.limit));
    }
    let found = connection.search(search.base, scope, search.filter, search.attributes).await;
    let (found, result) = found.map(|found| (found.0, found.1)).map_err(failure)?;
    // More entries than were wanted are no error: those that were wanted are here.
    let is_full = search.limit != 0 && result.rc == SIZE_LIMIT_EXCEEDED;
    let result = if is_full { result } else { succeeded(result)? };
    let mut outcome = Outcome { cookie: cookie(&result), ..Outcome::default() };
    for found in found {
        outcome.entries.extend(entry(found)?);
    }
    Ok(outcome)
}

async fn who_am_i(connection: &mut Ldap) -> Result<Outcome, Failure> {
    let answer = connection.extended(WhoAmI).await.map_err(failure)?;
    succeeded(answer.1)?;
    // The library's own reader of this answer panics without a value.
    let identity = answer.0.val.unwrap_or_default();
    let identity = String::from_utf8_lossy(&identity).into_owned();
    Ok(Outcome { identity, ..Outcome::default() })
}

fn done(result: Result<LdapResult, LdapError>) -> Result<Outcome, Failure> {
    result.map_err(failure).and_then(succeeded).map(|_| Outcome::default())
}

/// The result, unless it is none of success.
pub(super) fn succeeded(result: LdapResult) -> Result<LdapResult, Failure> {
    if result.rc == 0 {
        return Ok(result);
    }
    let text = if result.refs.is_empty() {
        result.text
    } else {
        format!("{} referral to {}", result.text, result.refs.join(" ")).trim_start().to_owned()
    };
    Err(Failure::Refused(ResultCode { code: result.rc, text }))
}

/// What the library says when there is no result.
pub(super) fn failure(error: LdapError) -> Failure {
    let is_closed = matches!(
        error,
        LdapError::OpSend { .. } | LdapError::ResultRecv { .. } | LdapError::EndOfStream
    );
    if is_closed {
        return Failure::Lost("the connection was closed".into());
    }
    Failure::Lost(error.to_string())
}

fn cookie(result: &LdapResult) -> Vec<u8> {
    let page = result.ctrls.iter().find_map(|control| match control {
        Control(Some(ControlType::PagedResults), raw) if raw.val.is_some() => {
            Some(raw.parse::<PagedResults>().cookie)
        }
        _ => None,
    });
    page.unwrap_or_default()
}

/// An entry as its octets are. The library's own reader panics at what is none and cannot tell
/// text from other octets; continuations and intermediate answers are no entries.
fn entry(found: ResultEntry) -> Result<Option<Entry>, Failure> {
    if found.is_ref() || found.is_intermediate() {
        return Ok(None);
    }
    let mut parts = found.0.expect_constructed().ok_or_else(garbled)?.into_iter();
    let dn = parts.next().and_then(|part| part.expect_primitive()).ok_or_else(garbled)?;
    let mut entry = Entry::new(String::from_utf8(dn).map_err(|_| garbled())?);
    let attributes = parts.next().and_then(|part| part.expect_constructed());
    for attribute in attributes.ok_or_else(garbled)? {
        let mut parts = attribute.expect_constructed().ok_or_else(garbled)?.into_iter();
        let name = parts.next().and_then(|part| part.expect_primitive()).ok_or_else(garbled)?;
        let name = String::from_utf8(name).map_err(|_| garbled())?;
        let values = parts.next().and_then(|part| part.expect_constructed());
        let values = values.ok_or_else(garbled)?.into_iter().map(|value| value.expect_primitive());
        entry.add(&name, values.collect::<Option<Vec<_>>>().ok_or_else(garbled)?);
    }
    Ok(Some(entry))
}

fn garbled() -> Failure {
    Failure::Lost("the answer to a search is no entry (RFC 4511 §4.5.2)".into())
}

fn modification(modification: &Modification) -> Mod<Vec<u8>> {
    let set = |values: &[Vec<u8>]| values.iter().cloned().collect();
    match modification {
        Modification::Add(name, values) => Mod::Add(name.as_bytes().to_vec(), set(values)),
        Modification::Delete(name, values) => Mod::Delete(name.as_bytes().to_vec(), set(values)),
        Modification::Replace(name, values) => Mod::Replace(name.as_bytes().to_vec(), set(values)),
    }
}

const PAGE: i32 = 500;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
