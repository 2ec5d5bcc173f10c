//! Attributes by name: their number, maker and type, and the names of their values.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use super::{
    file::{Block, Fault},
    vendor::Vendor,
};

/// Every attribute that has a name. Names have no case.
#[derive(Debug, Clone, Default)]
pub struct Dictionary {
    attributes: HashMap<String, Entry<Definition>>,
    vendors: HashMap<String, Entry<Vendor>>,
    /// Attributes of one number share their values, whatever their names.
    values: HashMap<Place, BTreeMap<String, u64>>,
    /// Values of attributes that no line has named yet. Some files name them later, and
    /// many makers name values of attributes that are in accounting only.
    early_values: HashMap<String, BTreeMap<String, u64>>,
    /// The first name of each attribute.
    names: HashMap<Place, String>,
}

/// What is known of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name, as written.
    pub name: String,
    /// Whose it is; nobody's if it is in the standards.
    pub vendor: Option<Vendor>,
    /// Its number among those of its maker.
    pub number: u32,
    /// How its value travels.
    pub kind: Kind,
    /// Whether the value begins with a tag that tells to which tunnel it belongs (RFC 2868 §3).
    pub tagged: bool,
}

/// How a value travels (RFC 8044, under the names of FreeRADIUS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `string`
    Text,
    /// `octets`, and `octets[n]` of a fixed length.
    Octets(Option<u8>),
    /// `byte`, `short`, `integer`, `integer64`, by their width.
    Integer(Width),
    /// `signed`, 32 bits.
    Signed,
    /// `date`, seconds since 1970 in 32 bits.
    Date,
    /// `ipaddr`
    Ipv4Address,
    /// `ipv6addr`
    Ipv6Address,
    /// `combo-ip`: either.
    Address,
    /// `ipv4prefix`
    Ipv4Prefix,
    /// `ipv6prefix` (RFC 3162 §2.3)
    Ipv6Prefix,
    /// `ifid`: the lower half of an IPv6 address.
    InterfaceId,
    /// `ether`: the address of a network card.
    Ethernet,
    /// `tlv`, `vsa`, `abinary` and others that have a form of their own inside.
    Structure,
    /// What cannot be sent.
    Never(Obstacle),
}

/// How wide an integer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    One = 1,
    /// 16 bits.
    Two = 2,
    /// 32 bits.
    Four = 4,
    /// 64 bits.
    Eight = 8,
}

/// Why an attribute cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// It travels in another one.
    Nested,
    /// FreeRADIUS has it for itself.
    Internal,
    /// It has to be encrypted anew for every reply (RFC 2868 §3.5, RFC 2548 §2.4).
    Encrypted,
}

/// Something known under a name, and whether a file may say otherwise.
#[derive(Debug, Clone)]
struct Entry<T> {
    known: T,
    is_built_in: bool,
}

/// What an attribute is, under whatever name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    /// The identifier of the maker, and the number of the attribute.
    Number(Option<u32>, u32),
    /// Inside of another; the name in lower case.
    Inside(String),
}

impl Dictionary {
    /// The attributes of the standards that make sense in an Access-Accept, and those
    /// that the usual VPN gateways, switches and access points want in one.
    #[must_use]
    pub fn built_in() -> Self {
        let mut dictionary = Self::default();
        for text in BUILT_IN {
            let mut block = Block::default();
            for line in text.lines() {
                let read = block.read_line(line, &mut dictionary);
                read.expect("a test reads the built-in dictionary");
            }
        }
        dictionary.attributes.values_mut().for_each(|entry| entry.is_built_in = true);
        dictionary.vendors.values_mut().for_each(|entry| entry.is_built_in = true);
        dictionary
    }

    /// The attribute of this name, whatever the case of its letters.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Definition> {
        self.attributes.get(&name.to_ascii_lowercase()).map(|entry| &entry.known)
    }

    /// The attribute of the standards that has this number.
    #[must_use]
    pub fn standard(&self, number: u8) -> Option<&Definition> {
        let place = Place::Number(None, number.into());
        // A file may have given its name away to another number.
        self.attribute(self.names.get(&place)?).filter(|known| known.place() == place)
    }

    /// Every attribute, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.attributes.values().map(|entry| &entry.known)
    }

    /// The names of an attribute's values and what they stand for, in the order of the names.
    pub fn values(&self, of: &Definition) -> impl Iterator<Item = (&str, u64)> {
        let values = self.values.get(&of.place()).into_iter().flatten();
        values.map(|(name, number)| (name.as_str(), *number))
    }

    pub(super) fn vendor(&self, name: &str) -> Option<Vendor> {
        self.vendors.get(&name.to_ascii_lowercase()).map(|entry| entry.known)
    }

    /// Files may change what is built in, but not contradict each other.
    pub(super) fn add_vendor(&mut self, name: &str, vendor: Vendor) -> Result<(), Fault> {
        let key = name.to_ascii_lowercase();
        match self.vendors.get(&key) {
            Some(known) if !known.is_built_in && known.known != vendor => {
                return Err(Fault::OtherVendor(name.into()));
            }
            Some(_) | None => {}
        }
        self.vendors.insert(key, Entry { known: vendor, is_built_in: false });
        Ok(())
    }

    pub(super) fn add_attribute(&mut self, definition: Definition) -> Result<(), Fault> {
        let key = definition.name.to_ascii_lowercase();
        let place = definition.place();
        match self.attributes.get(&key) {
            Some(known) if !known.is_built_in && known.known.place() != place => {
                return Err(Fault::OtherAttribute(definition.name));
            }
            Some(_) | None => {}
        }
        if let Some(values) = self.early_values.remove(&key) {
            self.values.entry(place.clone()).or_default().extend(values);
        }
        self.names.entry(place).or_insert_with(|| key.clone());
        self.attributes.insert(key, Entry { known: definition, is_built_in: false });
        Ok(())
    }

    pub(super) fn add_value(&mut self, attribute: &str, name: &str, number: u64) {
        let values = match self.attribute(attribute).map(Definition::place) {
            Some(place) => self.values.entry(place).or_default(),
            None => self.early_values.entry(attribute.to_ascii_lowercase()).or_default(),
        };
        values.insert(name.to_ascii_lowercase(), number);
    }
}

impl Definition {
    fn place(&self) -> Place {
        if self.kind == Kind::Never(Obstacle::Nested) {
            return Place::Inside(self.name.to_ascii_lowercase());
        }
        Place::Number(self.vendor.map(|vendor| vendor.id), self.number)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nested => "it travels inside another attribute",
            Self::Internal => "it is FreeRADIUS' own and never travels",
            Self::Encrypted => "it would have to be encrypted, which Countersign does not do",
        })
    }
}

/// In the format of FreeRADIUS, like those of administrators.
const BUILT_IN: [&str; 2] =
    [include_str!("standard.dictionary"), include_str!("vendors.dictionary")];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::radius::dictionary::AttributeNumber;

    /// A dictionary with these lines beside what is built in.
    fn with(lines: &str) -> Result<Dictionary, (usize, Fault)> {
        let mut dictionary = Dictionary::built_in();
        let mut block = Block::default();
        for (index, line) in lines.lines().enumerate() {
            block.read_line(line, &mut dictionary).map_err(|fault| (index + 1, fault))?;
        }
        Ok(dictionary)
    }

    #[test]
    fn every_line_of_the_built_in_dictionary_is_read_and_every_block_ends() {
        let mut dictionary = Dictionary::default();
        for text in BUILT_IN {
            let mut block = Block::default();
            for (index, line) in text.lines().enumerate() {
                let read = block.read_line(line, &mut dictionary);
                assert_eq!(read, Ok(None), "line {}: {line}", index + 1);
            }
            block.end().unwrap();
        }
        assert!(dictionary.iter().count() > 400);
    }

    #[test]
    fn attributes_are_found_by_name_in_any_case_and_by_number() {
        let dictionary = Dictionary::built_in();
        let pair = dictionary.attribute("cisco-avpair").unwrap();
        assert_eq!((pair.name.as_str(), pair.number), ("Cisco-AVPair", 1));
        assert_eq!(pair.vendor.unwrap().id, 9);
        assert_eq!(dictionary.standard(25).unwrap().name, "Class");
        assert_eq!(dictionary.standard(200), None);
        assert_eq!(dictionary.attribute("Fliter-Id"), None);
    }

    #[test]
    fn names_of_the_built_in_dictionary_agree_with_the_constants() {
        let dictionary = Dictionary::built_in();
        for number in 0..=u8::MAX {
            let constant = AttributeNumber(number).name();
            if let (Some(known), Some(constant)) = (dictionary.standard(number), constant) {
                assert_eq!(known.name, constant);
            }
        }
    }

    #[test]
    fn attributes_of_one_number_share_their_values() {
        let dictionary = with("ATTRIBUTE Kind-Of-Service 6 integer").unwrap();
        let other = dictionary.attribute("Kind-Of-Service").unwrap();
        assert!(dictionary.values(other).any(|value| value == ("framed-user", 2)));
        assert_eq!(dictionary.standard(6).unwrap().name, "Service-Type", "the first name stays");
    }

    #[test]
    fn values_may_come_before_their_attribute() {
        let dictionary = with("VALUE Menu Fish 1\nATTRIBUTE MENU 200 integer\nVALUE menu Fowl 2");
        let dictionary = dictionary.unwrap();
        let menu = dictionary.attribute("Menu").unwrap();
        assert_eq!(dictionary.values(menu).collect::<Vec<_>>(), [("fish", 1), ("fowl", 2)]);
        assert!(with("VALUE Acct-Status-Type Lunch 12").is_ok(), "we need not know it");
    }

    #[test]
    fn what_travels_inside_another_attribute_takes_no_number_away() {
        let dictionary = with("ATTRIBUTE Inner 241.1 integer\nVALUE Inner Yes 1").unwrap();
        let inner = dictionary.attribute("Inner").unwrap();
        assert_eq!(inner.kind, Kind::Never(Obstacle::Nested));
        assert_eq!(dictionary.values(inner).count(), 1);
        assert_eq!(dictionary.values(dictionary.standard(1).unwrap()).count(), 0);
    }

    #[test]
    fn a_file_may_change_what_is_built_in_but_not_what_a_file_said() {
        let dictionary = with("ATTRIBUTE Filter-Id 200 octets").unwrap();
        assert_eq!(dictionary.attribute("Filter-Id").unwrap().number, 200);
        assert_eq!(dictionary.standard(11), None);
        let twice = "ATTRIBUTE Filter-Id 11 octets\nATTRIBUTE Filter-Id 11 string";
        let dictionary = with(twice).unwrap();
        assert_eq!(dictionary.attribute("Filter-Id").unwrap().kind, Kind::Text);
        let error = with("ATTRIBUTE A 200 octets\nATTRIBUTE a 201 octets").unwrap_err();
        assert_eq!(error, (2, Fault::OtherAttribute("a".into())));
        assert!(with("VENDOR Cisco 10").is_ok());
        let error = with("VENDOR A 10\nVENDOR A 10\nVENDOR A 10 format=2,1").unwrap_err();
        assert_eq!(error, (3, Fault::OtherVendor("A".into())));
    }
}
