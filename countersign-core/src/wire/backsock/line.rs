//! A cursor over header lines: each has its place, a name, and text without control characters.

use super::reader::RequestError;

/// Why there is no value yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// So many octets are needed at least, all in all.
    Wants(usize),
    /// There never will be one.
    Refused(RequestError),
}

impl From<RequestError> for Stop {
    fn from(error: RequestError) -> Self {
        Self::Refused(error)
    }
}

/// What is still unread of the octets that have come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0 }
    }

    /// What stands behind the cursor.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.octets[self.at..]
    }

    /// So many octets, whatever they are.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let taken = self.rest().get(..count).ok_or(Stop::Wants(self.at + count))?;
        self.at += count;
        Ok(taken)
    }

    /// A line without its end.
    pub(super) fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = self.rest();
        let end = rest.iter().position(|octet| *octet == b'\n');
        let end = end.ok_or(Stop::Wants(self.octets.len() + 1))?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    /// Whether exactly these octets come next.
    pub(super) fn expect(&mut self, expected: &[u8], error: RequestError) -> Result<(), Stop> {
        let there = &self.rest()[..expected.len().min(self.rest().len())];
        if !expected.starts_with(there) {
            return Err(error.into());
        }
        self.take(expected.len()).map(|_| ())
    }

    /// The text of the line that must stand here.
    pub(super) fn field(&mut self, name: &'static str) -> Result<&'a str, Stop> {
        self.optional(name)?.ok_or(RequestError::Missing(name).into())
    }

    /// The text of a line that may stand here.
    pub(super) fn optional(&mut self, name: &'static str) -> Result<Option<&'a str>, Stop> {
        let mut ahead = *self;
        let line = ahead.line()?;
        let value = line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b": "));
        let Some(value) = value else { return Ok(None) };
        *self = ahead;
        Ok(Some(text(name, value)?))
    }

    /// The number of a line that must stand here.
    pub(super) fn number(&mut self, name: &'static str) -> Result<u64, Stop> {
        let text = self.field(name)?;
        Ok(number(name, text)?)
    }

    /// The number of a line that may stand here.
    pub(super) fn optional_number(&mut self, name: &'static str) -> Result<Option<u64>, Stop> {
        let text = self.optional(name)?;
        Ok(text.map(|text| number(name, text)).transpose()?)
    }
}

/// UTF-8 without control characters: a line feed would forge lines, and nobody else has a
/// use for any.
pub(super) fn text<'a>(name: &'static str, octets: &'a [u8]) -> Result<&'a str, RequestError> {
    let text = str::from_utf8(octets).map_err(|_| RequestError::NotText(name))?;
    if text.contains(char::is_control) { Err(RequestError::NotText(name)) } else { Ok(text) }
}

/// Decimal digits as `printf` writes them: no sign, no blank, no zero in front.
fn number(name: &'static str, text: &str) -> Result<u64, RequestError> {
    let is_plain =
        text.bytes().all(|octet| octet.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number = text.parse().ok().filter(|_| is_plain);
    number.ok_or(RequestError::NotNumber(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_when_its_end_has_come() {
        let mut cursor = Cursor::new(b"dn: a\nssf");
        assert_eq!(cursor.field("dn"), Ok("a"));
        assert_eq!(cursor.field("ssf"), Err(Stop::Wants(10)));
        assert_eq!(cursor.rest(), b"ssf");
        assert_eq!(cursor.take(4), Err(Stop::Wants(10)));
    }

    #[test]
    fn another_line_is_left_where_it_is() {
        let mut cursor = Cursor::new(b"dn: a\n");
        assert_eq!(cursor.optional("binddn"), Ok(None));
        assert_eq!(cursor.field("d"), Err(RequestError::Missing("d").into()));
        assert_eq!(cursor.field("dn"), Ok("a"));
    }

    #[test]
    fn numbers_are_written_in_one_way_only() {
        for (text, value) in [("0", 0), ("25", 25), ("18446744073709551615", u64::MAX)] {
            assert_eq!(number("ssf", text), Ok(value));
        }
        for text in ["", "-1", "+1", " 1", "1 ", "01", "00", "1.0", "0x1", "18446744073709551616"] {
            assert_eq!(number("ssf", text), Err(RequestError::NotNumber("ssf")), "{text:?}");
        }
    }

    #[test]
    fn expected_octets_are_waited_for_as_long_as_they_can_come() {
        for (octets, found) in [
            (&b""[..], Err(Stop::Wants(2))),
            (b"\n", Err(Stop::Wants(2))),
            (b"\n\nmore", Ok(())),
            (b"\nx", Err(RequestError::TooManyOctets.into())),
        ] {
            let mut cursor = Cursor::new(octets);
            assert_eq!(cursor.expect(b"\n\n", RequestError::TooManyOctets), found, "{octets:?}");
        }
    }

    #[test]
    fn text_has_no_control_characters_of_any_kind() {
        assert_eq!(text("dn", "cn=Jürgen".as_bytes()), Ok("cn=Jürgen"));
        for wrong in [&b"\0"[..], b"a\rb", b"\x1b[m", b"\x7f", "\u{85}".as_bytes(), b"\xff"] {
            assert_eq!(text("dn", wrong), Err(RequestError::NotText("dn")), "{wrong:?}");
        }
    }
}
