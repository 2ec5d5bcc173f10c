//! Dictionaries of attributes: whatever was read is found again, and what it says of an
//! attribute leads to values that fit into one.

use countersign_core::wire::radius::{
    attribute::Attribute,
    dictionary::{
        definition::{Definition, Dictionary, Kind},
        file::Block,
    },
};

/// The lines of a file, first as such, then as values of every attribute that they name.
pub fn radius(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let mut dictionary = Dictionary::default();
    let mut block = Block::default();
    for line in text.lines() {
        if let Err(fault) = block.read_line(line, &mut dictionary) {
            assert!(!fault.to_string().is_empty());
        }
    }
    let _ = block.end();
    for known in dictionary.iter().take(64) {
        let found = dictionary.attribute(&known.name.to_ascii_uppercase());
        assert_eq!(found, Some(known), "names have no case");
        let names = dictionary.values(known).map(|(name, _)| name).take(16);
        for line in text.lines().take(16).chain(names) {
            read_value(&dictionary, known, line);
        }
    }
}

fn read_value(dictionary: &Dictionary, known: &Definition, text: &str) {
    let Ok(value) = dictionary.value(known, text) else { return };
    assert!(!matches!(known.kind, Kind::Structure | Kind::Never(_)), "cannot be written");
    let Ok(tagged) = known.tag(known.tagged.then_some(7), value.clone()) else { return };
    assert!(tagged.len() >= value.len());
    let Some(vendor) = known.vendor else { return };
    let packed = vendor.pack(known.number, &tagged);
    assert_eq!(packed.is_some(), tagged.len() <= vendor.max_value_length());
    if let Some(packed) = packed {
        assert!(packed.len() <= Attribute::MAX_VALUE_LENGTH);
        assert!(packed.starts_with(&vendor.id.to_be_bytes()) && packed.ends_with(&tagged));
    }
}
