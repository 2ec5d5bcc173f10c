//! Requests out of octets that come in any pieces, read so that nobody can slip one into another.
//!
//! slapd prints names and passwords as they are. A name may hold a line feed, and behind it
//! whole forged lines; a password ends at its first NUL although its length counts on. So
//! lines have a fixed order, each stands once, none is unknown, no name has a control
//! character, the password is exactly as long as was said, and nothing follows.

use zeroize::Zeroizing;

use super::{
    line::{Cursor, Stop, text},
    request::{Bind, Compare, Notice, Operation, Origin, Peer, Request},
};
use crate::secret::Secret;

/// Peer: a request that slapd itself would not write for an honest client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The first line.
    #[error("the operation is not known")]
    UnknownOperation,
    /// Another line stands where this one belongs.
    #[error("the line {0} is not where it belongs")]
    Missing(&'static str),
    /// A line feed in a name, above all.
    #[error("the line {0} has control characters or is not UTF-8")]
    NotText(&'static str),
    /// Not digits alone.
    #[error("the line {0} is no number")]
    NotNumber(&'static str),
    /// Neither an address nor a path.
    #[error("the line peername names no peer")]
    NotPeer,
    /// Not a simple bind.
    #[error("the bind is not simple")]
    NotSimple,
    /// No `attribute: value`.
    #[error("the assertion makes no sense")]
    NotAssertion,
    /// The password is cut off at a NUL.
    #[error("the password is shorter than its length, as with a NUL in it")]
    Cut,
    /// Something follows, as with a forged request inside a name.
    #[error("there is more behind the end of the request")]
    TooManyOctets,
    /// Longer than [`RequestReader::MAX_LENGTH`].
    #[error("the request is too long")]
    TooLong,
}

/// Takes a request out of a stream.
///
/// It holds at most [`RequestReader::MAX_LENGTH`] octets, and wipes them.
#[derive(Default)]
pub struct RequestReader {
    octets: Zeroizing<Vec<u8>>,
    /// With fewer octets than this there is nothing to be found.
    wanted: usize,
}

impl RequestReader {
    /// An anonymous client can make slapd write about 256 kB.
    pub const MAX_LENGTH: usize = 300_000;

    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was read from the stream; the request, if it is complete now.
    ///
    /// # Errors
    ///
    /// It is no request, or something follows it.
    pub fn push(&mut self, octets: &[u8]) -> Result<Option<Request>, RequestError> {
        self.append(octets)?;
        if self.octets.len() < self.wanted {
            return Ok(None);
        }
        let request = self.read()?;
        Ok(request.filter(|_| self.octets.len() < BLOCK))
    }

    /// The stream has been quiet for a while; the request, if it is complete then.
    ///
    /// What is longer than a block comes in pieces, and the first may look like a whole
    /// request; only now is it known that nothing follows.
    ///
    /// # Errors
    ///
    /// It ends, but not where it should: the password has a NUL.
    pub fn quiet(&mut self) -> Result<Option<Request>, RequestError> {
        let request = self.read()?;
        if request.is_none() && self.octets.ends_with(b"\n\n") {
            return Err(RequestError::Cut);
        }
        Ok(request)
    }

    fn append(&mut self, octets: &[u8]) -> Result<(), RequestError> {
        let length = self.octets.len() + octets.len();
        if length > Self::MAX_LENGTH {
            return Err(RequestError::TooLong);
        }
        if length > self.octets.capacity() {
            // A vector that grows by itself would leave a copy behind.
            let mut grown = Vec::with_capacity(length.next_power_of_two().max(BLOCK));
            grown.extend_from_slice(&self.octets);
            self.octets = Zeroizing::new(grown);
        }
        self.octets.extend_from_slice(octets);
        Ok(())
    }

    fn read(&mut self) -> Result<Option<Request>, RequestError> {
        match read(&self.octets) {
            Ok(request) => Ok(Some(request)),
            Err(Stop::Wants(octets)) => {
                self.wanted = octets;
                Ok(None)
            }
            Err(Stop::Refused(error)) => Err(error),
        }
    }
}

fn read(octets: &[u8]) -> Result<Request, Stop> {
    let mut cursor = Cursor::new(octets);
    let request = match cursor.line()? {
        b"BIND" => return bind(cursor).map(Request::Bind),
        b"COMPARE" => return compare(cursor).map(Request::Compare),
        b"ADD" => Request::Other(Operation::Add),
        b"DELETE" => Request::Other(Operation::Delete),
        b"EXTENDED" => Request::Other(Operation::Extended),
        b"MODIFY" => Request::Other(Operation::Modify),
        b"MODRDN" => Request::Other(Operation::ModifyDn),
        b"SEARCH" => Request::Other(Operation::Search),
        b"ENTRY" => Request::Notice(Notice::Entry),
        b"RESULT" => Request::Notice(Notice::Result),
        b"UNBIND" => Request::Notice(Notice::Unbind),
        _ => return Err(RequestError::UnknownOperation.into()),
    };
    // Nobody acts upon these, so nothing in them can do harm.
    if cursor.rest().ends_with(b"\n\n") { Ok(request) } else { Err(Stop::Wants(octets.len() + 1)) }
}

fn bind(mut cursor: Cursor<'_>) -> Result<Bind, Stop> {
    let origin = origin(&mut cursor)?;
    let dn = cursor.field("dn")?.to_owned();
    if cursor.number("method")? != SIMPLE {
        return Err(RequestError::NotSimple.into());
    }
    let length = cursor.number("credlen")?;
    let length = usize::try_from(length).ok().filter(|length| *length <= RequestReader::MAX_LENGTH);
    let length = length.ok_or(RequestError::TooLong)?;
    cursor.expect(b"cred: ", RequestError::Missing("cred"))?;
    let credentials = Secret::new(cursor.take(length)?.to_vec());
    end(cursor, b"\n\n")?;
    Ok(Bind { origin, dn, credentials })
}

fn compare(mut cursor: Cursor<'_>) -> Result<Compare, Stop> {
    let origin = origin(&mut cursor)?;
    let dn = cursor.field("dn")?.to_owned();
    let (attribute, value) = assertion(cursor.line()?)?;
    end(cursor, b"\n")?;
    Ok(Compare { origin, dn, attribute: attribute.to_owned(), value })
}

/// The lines that all operations have in common. How much slapd tells is its configuration.
fn origin(cursor: &mut Cursor<'_>) -> Result<Origin, Stop> {
    let message = cursor.number("msgid")?;
    let bound = cursor.optional("binddn")?.map(str::to_owned);
    let peer = cursor.optional("peername")?;
    let peer = peer.map(|text| Peer::parse(text).ok_or(RequestError::NotPeer)).transpose()?;
    let strength = cursor.optional_number("ssf")?;
    let connection = cursor.optional_number("connid")?;
    let mut suffixes = Vec::new();
    while let Some(suffix) = cursor.optional("suffix")? {
        suffixes.push(suffix.to_owned());
    }
    Ok(Origin { message, bound, peer, strength, connection, suffixes })
}

/// A line of LDIF (RFC 2849): `attribute: text`, or `attribute:: base64`.
fn assertion(line: &[u8]) -> Result<(&str, Secret<Vec<u8>>), RequestError> {
    let line = text("assertion", line)?;
    let (attribute, value) = line.split_once(':').ok_or(RequestError::NotAssertion)?;
    let is_description = |octet: u8| octet.is_ascii_alphanumeric() || b".-;".contains(&octet);
    if attribute.is_empty() || !attribute.bytes().all(is_description) {
        return Err(RequestError::NotAssertion);
    }
    let value = match value.as_bytes() {
        [] => Vec::new(),
        [b':', b' ', base64 @ ..] => {
            let decoded = data_encoding::BASE64.decode(base64);
            decoded.map_err(|_| RequestError::NotAssertion)?
        }
        [b' ', text @ ..] => text.to_vec(),
        _ => return Err(RequestError::NotAssertion),
    };
    Ok((attribute, Secret::new(value)))
}

/// The end of the request and of what has come.
fn end(mut cursor: Cursor<'_>, expected: &[u8]) -> Result<(), Stop> {
    cursor.expect(expected, RequestError::TooManyOctets)?;
    if cursor.rest().is_empty() { Ok(()) } else { Err(RequestError::TooManyOctets.into()) }
}

/// LDAP_AUTH_SIMPLE.
const SIMPLE: u64 = 128;
/// What a C library's output buffer holds at least (BUFSIZ of musl; glibc has more): what is
/// shorter is written at once.
const BLOCK: usize = 1024;

#[cfg(test)]
mod tests;
