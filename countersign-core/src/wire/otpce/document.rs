//! The small part of XML that MS-OTPCE needs: a root with attributes, and children with text.
//!
//! No DTD, no entities but the five of XML and character references, no
//! processing instructions, two levels, bounded counts. This is the one place
//! that knows the XML library.

use std::collections::HashMap;

use quick_xml::{
    XmlVersion,
    escape::resolve_xml_entity,
    events::{BytesDecl, BytesRef, BytesStart, Event},
    name::ResolveResult,
    reader::NsReader,
};
use zeroize::Zeroizing;

use super::{DocumentError, MAX_DOCUMENT, NAMESPACE};

/// A document that is well-formed and has nothing that is forbidden.
pub(super) struct Document {
    root: Element,
}

/// An element. Values may be one-time passwords, so all are wiped.
pub(super) struct Element {
    name: String,
    place: Place,
    attributes: HashMap<String, Zeroizing<String>>,
    pub(super) text: Zeroizing<String>,
    pub(super) children: Vec<Element>,
}

/// Where an element's name belongs.
#[derive(PartialEq, Eq)]
enum Place {
    Ours,
    NoNamespace,
    Elsewhere,
}

impl Document {
    /// Reads a document; recognises all of it before anything is used.
    pub(super) fn read(octets: &[u8]) -> Result<Self, DocumentError> {
        if octets.len() > MAX_DOCUMENT {
            return Err(DocumentError::TooLarge);
        }
        let text = std::str::from_utf8(octets).map_err(|_| DocumentError::NotUtf8)?;
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        if !text.chars().all(is_xml_character) {
            return Err(DocumentError::ForbiddenCharacter);
        }
        let mut reader = NsReader::from_str(text);
        reader.config_mut().check_comments = true;
        reader.config_mut().expand_empty_elements = true;
        let mut builder = Builder::default();
        loop {
            let event = reader.read_event().map_err(|_| malformed(&reader))?;
            if matches!(event, Event::Eof) {
                break;
            }
            builder.take(&reader, event)?;
        }
        match builder {
            Builder { root: Some(root), depth: 0, .. } => Ok(Self { root }),
            Builder { .. } => Err(malformed(&reader)),
        }
    }

    /// The root, if it is the element of this name in our namespace.
    pub(super) fn into_root(self, expected: &'static str) -> Result<Element, DocumentError> {
        if self.root.name == expected && self.root.place == Place::Ours {
            Ok(self.root)
        } else {
            Err(DocumentError::WrongRoot { expected })
        }
    }
}

impl Element {
    /// The value of an attribute; their names are in no namespace and have a case.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(|value| value.as_str())
    }

    /// Whether the element has this name, in our namespace or in none.
    pub(super) fn is_ours(&self, name: &str) -> bool {
        self.name == name && self.place != Place::Elsewhere
    }

    fn read(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Self, DocumentError> {
        let (namespace, name) = reader.resolver().resolve_element(start.name());
        let place = match namespace {
            ResolveResult::Bound(namespace) if namespace.as_ref() == NAMESPACE => Place::Ours,
            ResolveResult::Bound(_) => Place::Elsewhere,
            ResolveResult::Unbound => Place::NoNamespace,
            ResolveResult::Unknown(_) => return Err(malformed(reader)),
        };
        let mut attributes = HashMap::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| malformed(reader))?;
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(DocumentError::TooLarge);
            }
            if attribute.value.contains('<') {
                return Err(malformed(reader));
            }
            let value = attribute.normalized_value(XmlVersion::Explicit1_0);
            let value = Zeroizing::new(value.map_err(|_| malformed(reader))?.into_owned());
            if !value.chars().all(is_xml_character) {
                return Err(DocumentError::ForbiddenCharacter);
            }
            attributes.insert(attribute.key.as_ref().to_owned(), value);
        }
        let name = name.as_ref().to_owned();
        Ok(Self { name, place, attributes, text: Zeroizing::default(), children: Vec::new() })
    }
}

/// Puts events together.
#[derive(Default)]
struct Builder {
    root: Option<Element>,
    depth: usize,
    begun: bool,
}

impl Builder {
    fn take(&mut self, reader: &NsReader<&[u8]>, event: Event<'_>) -> Result<(), DocumentError> {
        let is_first = !std::mem::replace(&mut self.begun, true);
        match event {
            Event::Decl(declaration) if is_first => check_declaration(reader, &declaration),
            Event::Decl(_) => Err(malformed(reader)),
            Event::Start(start) => self.open(Element::read(reader, &start)?),
            Event::End(_) => {
                self.depth = self.depth.checked_sub(1).ok_or(malformed(reader))?;
                Ok(())
            }
            Event::Text(text) => self.add_text(&text.xml10_content()),
            Event::GeneralRef(reference) => self.add_text(&resolve(reader, &reference)?),
            Event::Comment(_) | Event::Eof => Ok(()),
            Event::DocType(_) | Event::PI(_) | Event::CData(_) | Event::Empty(_) => {
                Err(DocumentError::ForbiddenMarkup)
            }
        }
    }

    fn open(&mut self, element: Element) -> Result<(), DocumentError> {
        self.depth += 1;
        match (&mut self.root, self.depth) {
            (root @ None, 1) => *root = Some(element),
            (Some(root), 2) if root.children.len() == MAX_CHILDREN => {
                return Err(DocumentError::TooLarge);
            }
            (Some(root), 2) => root.children.push(element),
            _ => return Err(DocumentError::UnexpectedContent),
        }
        Ok(())
    }

    /// Only children have text; elsewhere white space may stand.
    fn add_text(&mut self, text: &str) -> Result<(), DocumentError> {
        let child = self.root.as_mut().and_then(|root| root.children.last_mut());
        match child {
            Some(child) if self.depth == 2 => child.text.push_str(text),
            _ if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() => {}
            _ => return Err(DocumentError::UnexpectedContent),
        }
        Ok(())
    }
}

fn check_declaration(
    reader: &NsReader<&[u8]>,
    declaration: &BytesDecl<'_>,
) -> Result<(), DocumentError> {
    let version = declaration.version().map_err(|_| malformed(reader))?;
    if version != "1.0" {
        return Err(malformed(reader));
    }
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => Err(DocumentError::NotUtf8),
    }
}

fn resolve(reader: &NsReader<&[u8]>, reference: &BytesRef<'_>) -> Result<String, DocumentError> {
    match reference.resolve_char_ref() {
        Ok(Some(character)) if is_xml_character(character) => Ok(character.to_string()),
        Ok(Some(_)) => Err(DocumentError::ForbiddenCharacter),
        Ok(None) => {
            resolve_xml_entity(reference).map(str::to_owned).ok_or_else(|| malformed(reader))
        }
        Err(_) => Err(malformed(reader)),
    }
}

/// Writes a document: a root with attributes, and children with text.
pub(super) fn write(root: &str, attributes: &[(&str, &str)], children: &[(&str, &str)]) -> String {
    let values = attributes.iter().chain(children).map(|(name, value)| name.len() + value.len());
    // Roomy, so that a one-time password is not left behind in an outgrown buffer.
    let mut out = String::with_capacity(1024 + 2 * values.sum::<usize>());
    out.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<");
    out.push_str(root);
    for (name, value) in std::iter::once(&("xmlns", NAMESPACE)).chain(attributes) {
        out.extend([" ", name, "=\""]);
        push_escaped(&mut out, value);
        out.push('"');
    }
    if children.is_empty() {
        out.push_str("/>");
        return out;
    }
    out.push('>');
    for (name, value) in children {
        out.extend(["<", name, ">"]);
        push_escaped(&mut out, value);
        out.extend(["</", name, ">"]);
    }
    out.extend(["</", root, ">"]);
    out
}

fn push_escaped(out: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            other => out.push(other),
        }
    }
}

/// The characters of XML 1.0 (production 2, Char).
pub(super) fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

fn malformed(reader: &NsReader<&[u8]>) -> DocumentError {
    DocumentError::Malformed { position: reader.buffer_position() }
}

const MAX_ATTRIBUTES: usize = 32;
const MAX_CHILDREN: usize = 64;
