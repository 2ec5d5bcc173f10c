//! Dictionaries in the format of FreeRADIUS 3, line by line.
//!
//! ```text
//! VENDOR       Example  32473  format=1,1
//! BEGIN-VENDOR Example
//! ATTRIBUTE    Example-Role   1  integer
//! VALUE        Example-Role   Operator  5
//! END-VENDOR   Example
//! $INCLUDE     dictionary.more
//! ```
//!
//! Nothing is opened here: who reads a file hands over its lines, and is told which
//! other file is to be read at this place. Types that we cannot write are kept with the
//! reason, so that a file need not be cut to what we know.

use super::{
    definition::{Definition, Dictionary, Kind, Obstacle, Width},
    vendor::{Format, Vendor},
};

/// What the next line of a file stands in.
#[derive(Debug, Default)]
pub struct Block {
    vendor: Option<Named<Vendor>>,
    /// `BEGIN-VENDOR` with another parent than Vendor-Specific (RFC 6929).
    is_extended: bool,
    structure: Option<Named<()>>,
}

/// The name in the line that began a block.
#[derive(Debug)]
struct Named<T> {
    name: String,
    inside: T,
}

/// Another file, whose lines stand here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Include<'a> {
    /// Relative to the file with this line.
    pub path: &'a str,
    /// Whether it may be absent.
    pub is_optional: bool,
}

/// Operator: a line that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first word. It is not shown: the file may be another one, with a secret in it.
    #[error(
        "a line of a FreeRADIUS 3 dictionary begins with ATTRIBUTE, VALUE, VENDOR, BEGIN-VENDOR, \
         END-VENDOR, BEGIN-TLV, END-TLV or $INCLUDE"
    )]
    Keyword,
    /// The number of words.
    #[error("expected {0}")]
    Words(&'static str),
    /// A number.
    #[error("{0:?} is no number; write it in decimal, without leading zeros, or as 0x1f")]
    Number(String),
    /// A number that does not fit where it stands.
    #[error("{0} is too large, {1} at most")]
    TooLarge(u64, u32),
    /// A type of values.
    #[error("{0:?} is no type of values that FreeRADIUS 3 knows")]
    Type(String),
    /// What stands behind the type.
    #[error("{0:?} is neither a flag of an attribute nor a vendor")]
    Flag(String),
    /// has_tag where no tag has a place.
    #[error("has_tag belongs to the types string and integer")]
    Tag,
    /// How a maker packs its attributes.
    #[error("{0:?} is no format such as format=1,1: 1, 2 or 4 octets of type, 0 to 2 of length")]
    Format(String),
    /// A maker that no line before made known.
    #[error("no VENDOR line before this one names {0:?}")]
    NoSuchVendor(String),
    /// An attribute that no line before made known.
    #[error("no ATTRIBUTE line before this one names {0:?}")]
    NoSuchAttribute(String),
    /// The maker is known with another number or format.
    #[error("{0} is already the name of another vendor, or of the same in another format")]
    OtherVendor(String),
    /// The name is taken.
    #[error("{0} is already the name of another attribute")]
    OtherAttribute(String),
    /// A block in a block of the same kind.
    #[error("{0} has not ended yet")]
    Unfinished(String),
    /// The end of something that did not begin.
    #[error("{0} did not begin")]
    NotBegun(String),
}

impl Block {
    /// Adds what one line says to the dictionary, or tells which file is to be read first.
    ///
    /// # Errors
    ///
    /// The line is not understood, or contradicts an earlier one.
    pub fn read_line<'a>(
        &mut self,
        line: &'a str,
        dictionary: &mut Dictionary,
    ) -> Result<Option<Include<'a>>, Fault> {
        let code = line.split('#').next().unwrap_or_default();
        let words: Vec<_> = code.split_whitespace().collect();
        let Some((keyword, rest)) = words.split_first() else { return Ok(None) };
        match keyword.to_ascii_uppercase().as_str() {
            "ATTRIBUTE" => dictionary.add_attribute(self.attribute(rest, dictionary)?)?,
            "VALUE" => value(rest, dictionary)?,
            "VENDOR" => vendor(rest, dictionary)?,
            "BEGIN-VENDOR" => self.begin_vendor(rest, dictionary)?,
            "END-VENDOR" => {
                end(&mut self.vendor, rest)?;
                self.is_extended = false;
            }
            "BEGIN-TLV" => self.begin_structure(rest, dictionary)?,
            "END-TLV" => end(&mut self.structure, rest)?,
            "$INCLUDE" => return include(rest, false).map(Some),
            "$INCLUDE-" => return include(rest, true).map(Some),
            _ => return Err(Fault::Keyword),
        }
        Ok(None)
    }

    /// After the last line.
    ///
    /// # Errors
    ///
    /// Something that began has not ended.
    pub fn end(self) -> Result<(), Fault> {
        let vendor = self.vendor.map(|vendor| vendor.name);
        match vendor.or(self.structure.map(|structure| structure.name)) {
            Some(name) => Err(Fault::Unfinished(name)),
            None => Ok(()),
        }
    }

    fn attribute(&self, words: &[&str], dictionary: &Dictionary) -> Result<Definition, Fault> {
        let (name, number_word, kind, flags) = match *words {
            [name, number, kind] => (name, number, kind, ""),
            [name, number, kind, flags] => (name, number, kind, flags),
            _ => return Err(Fault::Words("ATTRIBUTE name number type [flags]")),
        };
        let kind = kind_of(kind)?;
        let Flags { tagged, encrypted, is_virtual, vendor } = Flags::read(flags, dictionary)?;
        if tagged && !matches!(kind, Kind::Text | Kind::Integer(Width::Four)) {
            return Err(Fault::Tag);
        }
        let vendor = self.vendor.as_ref().map(|begun| begun.inside).or(vendor);
        let number = last_number(number_word)?;
        let kind = if self.is_structured() || number_word.contains('.') {
            Kind::Never(Obstacle::Nested)
        } else if is_virtual || vendor.is_none() && number > u8::MAX.into() {
            Kind::Never(Obstacle::Internal)
        } else if encrypted {
            Kind::Never(Obstacle::Encrypted)
        } else {
            kind
        };
        match vendor {
            Some(vendor) if kind != Kind::Never(Obstacle::Nested) => {
                within(number, vendor.format.max_number())?;
            }
            Some(_) | None => {}
        }
        Ok(Definition { name: name.into(), vendor, number, kind, tagged })
    }

    fn is_structured(&self) -> bool {
        self.structure.is_some() || self.is_extended
    }

    fn begin_vendor(&mut self, words: &[&str], dictionary: &Dictionary) -> Result<(), Fault> {
        let (name, parent) = match *words {
            [name] => (name, None),
            [name, parent] => (name, Some(parent)),
            _ => return Err(Fault::Words("BEGIN-VENDOR name")),
        };
        let known = dictionary.vendor(name).ok_or_else(|| Fault::NoSuchVendor(name.into()))?;
        self.is_extended = parent.is_some();
        begin(&mut self.vendor, name, known)
    }

    fn begin_structure(&mut self, words: &[&str], dictionary: &Dictionary) -> Result<(), Fault> {
        let [name] = *words else { return Err(Fault::Words("BEGIN-TLV name")) };
        if dictionary.attribute(name).is_none() {
            return Err(Fault::NoSuchAttribute(name.into()));
        }
        begin(&mut self.structure, name, ())
    }
}

fn begin<T>(block: &mut Option<Named<T>>, name: &str, inside: T) -> Result<(), Fault> {
    if let Some(outer) = block {
        return Err(Fault::Unfinished(outer.name.clone()));
    }
    *block = Some(Named { name: name.into(), inside });
    Ok(())
}

fn end<T>(block: &mut Option<Named<T>>, words: &[&str]) -> Result<(), Fault> {
    let [name] = *words else { return Err(Fault::Words("one name")) };
    match block.take() {
        Some(begun) if begun.name.eq_ignore_ascii_case(name) => Ok(()),
        Some(begun) => Err(Fault::Unfinished(begun.name)),
        None => Err(Fault::NotBegun(name.into())),
    }
}

fn value(words: &[&str], dictionary: &mut Dictionary) -> Result<(), Fault> {
    let [attribute, name, word] = *words else {
        return Err(Fault::Words("VALUE attribute name number"));
    };
    dictionary.add_value(attribute, name, wide_number(word)?);
    Ok(())
}

fn vendor(words: &[&str], dictionary: &mut Dictionary) -> Result<(), Fault> {
    let (name, id, format) = match *words {
        [name, id] => (name, id, Format::USUAL),
        [name, id, format] => (name, id, read_format(format)?),
        _ => return Err(Fault::Words("VENDOR name number [format=1,1]")),
    };
    let id = within(number(id)?, Vendor::MAX_ID)?;
    dictionary.add_vendor(name, Vendor { id, format })
}

fn read_format(word: &str) -> Result<Format, Fault> {
    let parts: Vec<_> = word.strip_prefix("format=").unwrap_or_default().split(',').collect();
    let format = match *parts.as_slice() {
        [types, lengths] => digit(types).zip(digit(lengths)).map(|widths| (widths, false)),
        [types, lengths, "c"] => digit(types).zip(digit(lengths)).map(|widths| (widths, true)),
        _ => None,
    };
    let format = format.and_then(|((types, lengths), more)| Format::new(types, lengths, more));
    format.ok_or_else(|| Fault::Format(word.into()))
}

fn digit(word: &str) -> Option<u8> {
    (word.len() == 1).then(|| word.parse().ok())?
}

fn include<'a>(words: &[&'a str], is_optional: bool) -> Result<Include<'a>, Fault> {
    let [path] = *words else { return Err(Fault::Words("$INCLUDE file")) };
    Ok(Include { path, is_optional })
}

/// What stands behind the type of an attribute.
#[derive(Default)]
struct Flags {
    tagged: bool,
    encrypted: bool,
    is_virtual: bool,
    vendor: Option<Vendor>,
}

impl Flags {
    /// In old files the name of the maker stands here.
    fn read(word: &str, dictionary: &Dictionary) -> Result<Self, Fault> {
        let mut flags = Self { vendor: dictionary.vendor(word), ..Self::default() };
        if flags.vendor.is_some() {
            return Ok(flags);
        }
        for flag in word.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "has_tag" => flags.tagged = true,
                "encrypt=1" | "encrypt=2" | "encrypt=3" => flags.encrypted = true,
                "virtual" => flags.is_virtual = true,
                // They do not change how one value travels.
                "array" | "concat" | "secret" => {}
                _ => return Err(Fault::Flag(flag.into())),
            }
        }
        Ok(flags)
    }
}

fn kind_of(word: &str) -> Result<Kind, Fault> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "string" | "text" => Kind::Text,
        "octets" => Kind::Octets(None),
        "byte" | "uint8" => Kind::Integer(Width::One),
        "short" | "uint16" => Kind::Integer(Width::Two),
        "integer" | "uint32" => Kind::Integer(Width::Four),
        "integer64" | "uint64" => Kind::Integer(Width::Eight),
        "signed" | "int32" => Kind::Signed,
        "date" => Kind::Date,
        "ipaddr" | "ipv4addr" => Kind::Ipv4Address,
        "ipv6addr" => Kind::Ipv6Address,
        "combo-ip" => Kind::Address,
        "ipv4prefix" => Kind::Ipv4Prefix,
        "ipv6prefix" => Kind::Ipv6Prefix,
        "ifid" => Kind::InterfaceId,
        "ether" => Kind::Ethernet,
        "tlv" | "vsa" | "evs" | "extended" | "long-extended" | "abinary" => Kind::Structure,
        other => return fixed_octets(other).ok_or_else(|| Fault::Type(word.into())),
    })
}

fn fixed_octets(word: &str) -> Option<Kind> {
    let length = word.strip_prefix("octets[")?.strip_suffix(']')?.parse().ok()?;
    (1..=253).contains(&length).then_some(Kind::Octets(Some(length)))
}

/// Of `241.26.1` the last one: those before it are of the attributes that it stands in.
fn last_number(word: &str) -> Result<u32, Fault> {
    word.split('.').map(number).try_fold(0, |_, part| part)
}

fn number(word: &str) -> Result<u32, Fault> {
    let wide = wide_number(word)?;
    u32::try_from(wide).map_err(|_| Fault::TooLarge(wide, u32::MAX))
}

/// A leading zero is octal for some readers and nothing for others, FreeRADIUS among them.
fn wide_number(word: &str) -> Result<u64, Fault> {
    let is_ambiguous = word.len() > 1 && word.starts_with('0');
    let number = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
        None if !is_ambiguous && !word.starts_with('+') => word.parse().ok(),
        Some(_) | None => None,
    };
    number.ok_or_else(|| Fault::Number(word.into()))
}

fn within(number: u32, limit: u32) -> Result<u32, Fault> {
    if number > limit { Err(Fault::TooLarge(number.into(), limit)) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the lines come to; or the line, from 1, that is wrong, and why. 0 is the end.
    fn read(lines: &str) -> Result<Dictionary, (usize, Fault)> {
        let mut dictionary = Dictionary::default();
        let mut block = Block::default();
        for (index, line) in lines.lines().enumerate() {
            block.read_line(line, &mut dictionary).map_err(|fault| (index + 1, fault))?;
        }
        block.end().map_err(|fault| (0, fault))?;
        Ok(dictionary)
    }

    fn attribute(lines: &str, name: &str) -> Definition {
        read(lines).unwrap().attribute(name).unwrap().clone()
    }

    #[test]
    fn reads_attributes_of_the_standards() {
        let lines = "# a comment\n\n  attribute\tFilter-Id\t11  string # at the end\n\
                     ATTRIBUTE Tunnel-Type 0x40 integer has_tag\nVALUE tunnel-type VLAN 13";
        let filter = attribute(lines, "Filter-Id");
        assert_eq!((filter.number, filter.vendor, filter.kind), (11, None, Kind::Text));
        let tunnel = attribute(lines, "TUNNEL-TYPE");
        assert_eq!((tunnel.number, tunnel.tagged), (64, true));
        assert_eq!(read(lines).unwrap().values(&tunnel).collect::<Vec<_>>(), [("vlan", 13)]);
    }

    #[test]
    fn reads_attributes_of_makers() {
        let vendors = "VENDOR A 10\nVENDOR B 20 format=2,1\nVENDOR C 30 format=1,1,c\n";
        for (lines, id, number) in [
            ("BEGIN-VENDOR A\nATTRIBUTE X 1 string\nEND-VENDOR A", 10, 1),
            ("BEGIN-VENDOR b\nATTRIBUTE X 0x1234 string\nEND-VENDOR B", 20, 0x1234),
            ("BEGIN-VENDOR C\nATTRIBUTE X 255 string\nEND-VENDOR C", 30, 255),
            ("ATTRIBUTE X 7 string A", 10, 7),
        ] {
            let found = attribute(&format!("{vendors}{lines}"), "X");
            assert_eq!((found.vendor.unwrap().id, found.number), (id, number), "{lines}");
        }
    }

    #[test]
    fn reads_every_type_of_freeradius() {
        for (word, kind) in [
            ("string", Kind::Text),
            ("String", Kind::Text),
            ("octets", Kind::Octets(None)),
            ("octets[16]", Kind::Octets(Some(16))),
            ("byte", Kind::Integer(Width::One)),
            ("short", Kind::Integer(Width::Two)),
            ("integer", Kind::Integer(Width::Four)),
            ("integer64", Kind::Integer(Width::Eight)),
            ("signed", Kind::Signed),
            ("date", Kind::Date),
            ("ipaddr", Kind::Ipv4Address),
            ("ipv6addr", Kind::Ipv6Address),
            ("combo-ip", Kind::Address),
            ("ipv4prefix", Kind::Ipv4Prefix),
            ("ipv6prefix", Kind::Ipv6Prefix),
            ("ifid", Kind::InterfaceId),
            ("ether", Kind::Ethernet),
            ("tlv", Kind::Structure),
            ("abinary", Kind::Structure),
        ] {
            assert_eq!(attribute(&format!("ATTRIBUTE X 200 {word}"), "X").kind, kind, "{word}");
        }
    }

    #[test]
    fn keeps_what_cannot_be_sent_with_the_reason() {
        let tlv = "ATTRIBUTE T 200 tlv\nBEGIN-TLV T\nATTRIBUTE X 1 string\nEND-TLV T";
        let extended = "VENDOR A 10\nBEGIN-VENDOR A format=Extended-Vendor-Specific-5\n\
                        ATTRIBUTE X 1 string\nEND-VENDOR A\nATTRIBUTE Y 2 string";
        for (lines, obstacle) in [
            ("ATTRIBUTE X 241.26.1 string", Obstacle::Nested),
            (tlv, Obstacle::Nested),
            (extended, Obstacle::Nested),
            ("ATTRIBUTE X 1000 string", Obstacle::Internal),
            ("ATTRIBUTE X 100 string virtual", Obstacle::Internal),
            ("ATTRIBUTE X 69 string has_tag,encrypt=2", Obstacle::Encrypted),
        ] {
            assert_eq!(attribute(lines, "X").kind, Kind::Never(obstacle), "{lines}");
        }
        assert_eq!(attribute(extended, "Y").kind, Kind::Text, "the block has ended");
    }

    #[test]
    fn asks_for_the_files_that_are_to_be_read_first() {
        let mut dictionary = Dictionary::default();
        let mut include = |line| Block::default().read_line(line, &mut dictionary);
        let required = Include { path: "dictionary.more", is_optional: false };
        assert_eq!(include("$INCLUDE dictionary.more"), Ok(Some(required)));
        let optional = Include { is_optional: true, ..required };
        assert_eq!(include("$include- dictionary.more # if any"), Ok(Some(optional)));
    }

    #[test]
    fn says_what_is_wrong_with_a_line() {
        for (line, expected) in [
            (
                "PROTOCOL RADIUS 1",
                "a line of a FreeRADIUS 3 dictionary begins with ATTRIBUTE, VALUE,",
            ),
            ("ATTRIBUTE X 1", "expected ATTRIBUTE name number type [flags]"),
            ("ATTRIBUTE X 1 string has_tag array", "expected ATTRIBUTE name number type [flags]"),
            ("ATTRIBUTE X one string", "\"one\" is no number"),
            ("ATTRIBUTE X 010 string", "write it in decimal, without leading zeros"),
            ("ATTRIBUTE X -1 string", "\"-1\" is no number"),
            ("ATTRIBUTE X 0x string", "\"0x\" is no number"),
            ("ATTRIBUTE X +1 string", "\"+1\" is no number"),
            ("ATTRIBUTE X 1..2 string", "\"\" is no number"),
            ("ATTRIBUTE X 4294967296 string", "4294967296 is too large, 4294967295 at most"),
            ("ATTRIBUTE X 1 text[4]", "\"text[4]\" is no type of values"),
            ("ATTRIBUTE X 1 octets[0]", "\"octets[0]\" is no type of values"),
            ("ATTRIBUTE X 1 octets[254]", "\"octets[254]\" is no type of values"),
            ("ATTRIBUTE X 1 string big", "\"big\" is neither a flag of an attribute nor a vendor"),
            ("ATTRIBUTE X 1 ipaddr has_tag", "has_tag belongs to the types string and integer"),
            ("VALUE X Yes", "expected VALUE attribute name number"),
            ("VALUE X Yes one", "\"one\" is no number"),
            ("VENDOR A", "expected VENDOR name number [format=1,1]"),
            ("VENDOR A 16777216", "16777216 is too large, 16777215 at most"),
            ("VENDOR A 1 format=3,1", "\"format=3,1\" is no format such as format=1,1"),
            ("VENDOR A 1 format=2,2,c", "is no format such as format=1,1"),
            ("VENDOR A 1 1,1", "is no format such as format=1,1"),
            ("BEGIN-VENDOR A", "no VENDOR line before this one names \"A\""),
            ("BEGIN-VENDOR A B C", "expected BEGIN-VENDOR name"),
            ("END-VENDOR A", "A did not begin"),
            ("BEGIN-TLV T", "no ATTRIBUTE line before this one names \"T\""),
            ("END-TLV T", "T did not begin"),
            ("$INCLUDE", "expected $INCLUDE file"),
        ] {
            let (_, fault) = read(line).unwrap_err();
            assert!(fault.to_string().contains(expected), "{line}: {fault}");
        }
    }

    #[test]
    fn blocks_begin_and_end_in_pairs() {
        let vendors = "VENDOR A 10\nVENDOR B 20\n";
        for (lines, line, unfinished) in [
            ("BEGIN-VENDOR A", 0, "A"),
            ("BEGIN-VENDOR A\nBEGIN-VENDOR B", 4, "A"),
            ("BEGIN-VENDOR A\nEND-VENDOR B", 4, "A"),
            ("ATTRIBUTE T 200 tlv\nBEGIN-TLV T", 0, "T"),
        ] {
            let error = read(&format!("{vendors}{lines}")).unwrap_err();
            assert_eq!(error, (line, Fault::Unfinished(unfinished.into())), "{lines}");
        }
    }

    #[test]
    fn a_number_must_fit_into_the_format_of_its_maker() {
        let begin = |format| format!("VENDOR A 10 format={format}\nBEGIN-VENDOR A\n");
        for (format, number, limit) in [("1,1", 256, 255), ("2,1", 65536, 65535)] {
            let lines = format!("{}ATTRIBUTE X {number} string", begin(format));
            assert_eq!(read(&lines).unwrap_err(), (3, Fault::TooLarge(number, limit)));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
            let _ = read(&text);
        }

        #[test]
        fn words_in_any_order_are_read_or_refused(
            lines in proptest::collection::vec(
                proptest::collection::vec(proptest::sample::select(WORDS), 0..6), 0..12)
        ) {
            let lines: Vec<_> = lines.iter().map(|words| words.join(" ")).collect();
            if let Ok(dictionary) = read(&lines.join("\n")) {
                for known in dictionary.iter() {
                    prop_assert_eq!(dictionary.attribute(&known.name), Some(known));
                }
            }
        }
    }

    const WORDS: &[&str] = &[
        "ATTRIBUTE",
        "VALUE",
        "VENDOR",
        "BEGIN-VENDOR",
        "END-VENDOR",
        "BEGIN-TLV",
        "END-TLV",
        "$INCLUDE",
        "A",
        "B",
        "X",
        "1",
        "0x10",
        "300",
        "1.2",
        "string",
        "integer",
        "tlv",
        "has_tag",
        "encrypt=1",
        "format=2,1",
        "#",
    ];
}
