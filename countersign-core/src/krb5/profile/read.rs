//! Reads a profile line by line, and asks for the files that it includes.

use std::collections::VecDeque;

use super::{Node, Place, ProfileError, ProfileErrorKind, ProfileFile, ROOT, Remark};

/// Reads one file with all that it includes.
///
/// [`ProfileReader::open`] begins a file, [`ProfileReader::advance`] reads on until
/// another one is wanted, which is opened next; a directory is opened file by file,
/// the last one first. `None` means that everything is read.
#[derive(Debug)]
pub struct ProfileReader {
    file: ProfileFile,
    /// The files that are being read; the last one is read next.
    open: Vec<Source>,
    /// How many were opened so far.
    opened: usize,
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Include {
    /// `include`: a file that must be there.
    File {
        /// Its path.
        path: String,
        /// Where it is asked for.
        place: Place,
    },
    /// `includedir`: all files of a directory whose names [`Include::takes`].
    Directory {
        /// Its path.
        path: String,
        /// Where it is asked for.
        place: Place,
    },
}

/// A file that is being read. Files share nothing but the sections.
#[derive(Debug)]
struct Source {
    lines: VecDeque<String>,
    place: Place,
    expects: Expects,
    current: usize,
    /// How many braces deep; 1 is a section.
    level: usize,
    /// The level of a section that is final already, whose content is thrown away; 0 if none.
    discard: usize,
}

/// What the next line must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    /// Anything up to the first section.
    FirstSection,
    /// A section, a relation, a brace.
    Line,
    /// The brace that belongs to the line before.
    Brace,
}

impl Include {
    /// Whether a file of an included directory is read: a name of letters, digits,
    /// dashes and underscores, or one that ends with `.conf`; never a hidden one.
    #[must_use]
    pub fn takes(name: &str) -> bool {
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
        !name.starts_with('.') && (name.ends_with(".conf") || name.bytes().all(plain))
    }
}

impl Default for ProfileReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ProfileReader {
    /// A reader that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        let root = Node {
            name: String::new(),
            parent: ROOT,
            value: None,
            children: Vec::new(),
            is_final: false,
            place: Place::default(),
        };
        let file = ProfileFile { nodes: vec![root], remarks: Vec::new() };
        Self { file, open: Vec::new(), opened: 0 }
    }

    /// Begins a file; what was being read goes on after it.
    pub fn open(&mut self, name: &str, text: &str) {
        self.opened += 1;
        self.open.push(Source {
            lines: text.split_inclusive('\n').flat_map(pieces).map(str::to_owned).collect(),
            place: Place { file: name.to_owned(), line: 0 },
            expects: Expects::FirstSection,
            current: ROOT,
            level: 0,
            discard: 0,
        });
    }

    /// Reads on until a file is wanted, or to the end.
    ///
    /// # Errors
    ///
    /// The first line that the library does not take.
    pub fn advance(&mut self) -> Result<Option<Include>, ProfileError> {
        if let (true, Some(source)) = (self.opened > MAX_FILES, self.open.last()) {
            let place = source.place.clone();
            return Err(ProfileError { place, kind: ProfileErrorKind::IncludeDepth });
        }
        while let Some(mut source) = self.open.pop() {
            let Some(line) = source.lines.pop_front() else {
                if source.level > 1 || source.expects == Expects::Brace {
                    self.remark(&source.place, UNCLOSED);
                }
                continue;
            };
            source.place.line += 1;
            let read = self.line(&line, &mut source);
            let place = source.place.clone();
            self.open.push(source);
            match read {
                Ok(None) => {}
                Ok(include) => return Ok(include),
                Err(kind) => return Err(ProfileError { place, kind }),
            }
        }
        Ok(None)
    }

    /// What was read.
    #[must_use]
    pub fn finish(self) -> ProfileFile {
        self.file
    }

    fn line(
        &mut self,
        line: &str,
        source: &mut Source,
    ) -> Result<Option<Include>, ProfileErrorKind> {
        let place = source.place.clone();
        if let Some(path) = argument(line, "include") {
            return Ok(Some(Include::File { path: path.to_owned(), place }));
        }
        if let Some(path) = argument(line, "includedir") {
            return Ok(Some(Include::Directory { path: path.to_owned(), place }));
        }
        match source.expects {
            Expects::FirstSection if argument(line, "module").is_some() => {
                Err(ProfileErrorKind::Module)
            }
            Expects::FirstSection if !line.starts_with('[') => {
                if !is_blank(line) && !is_comment(line.trim_start_matches(is_space)) {
                    self.remark(&source.place, BEFORE_SECTION);
                }
                Ok(None)
            }
            Expects::FirstSection | Expects::Line => {
                source.expects = Expects::Line;
                self.standard_line(line, source).map(|()| None)
            }
            Expects::Brace if line.trim_start_matches(is_space).starts_with('{') => {
                source.expects = Expects::Line;
                Ok(None)
            }
            Expects::Brace => Err(ProfileErrorKind::MissingBrace),
        }
    }

    fn standard_line(&mut self, line: &str, source: &mut Source) -> Result<(), ProfileErrorKind> {
        let line = line.trim_start_matches(is_space).trim_end_matches(['\n', '\r']);
        if line.is_empty() || is_comment(line) {
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix('[') {
            return self.begin_section(rest, source);
        }
        if let Some(rest) = line.strip_prefix('}') {
            return self.end_subsection(rest, source);
        }
        let (name, value) = line.split_once('=').ok_or(ProfileErrorKind::RelationSyntax)?;
        let name = one_word(name)?;
        // The library cuts the name at the star, and what is behind it away.
        let (name, is_final) = name.split_once('*').map_or((name, false), |(name, _)| (name, true));
        self.relation(name, is_final, value.trim_start_matches(is_space), source);
        Ok(())
    }

    fn begin_section(&mut self, rest: &str, source: &mut Source) -> Result<(), ProfileErrorKind> {
        if source.level > 1 {
            return Err(ProfileErrorKind::SectionNotTop);
        }
        let (name, rest) = rest.split_once(']').ok_or(ProfileErrorKind::SectionSyntax)?;
        source.current = self.add_section(ROOT, name, &source.place);
        source.level = 1;
        source.discard = usize::from(self.file.nodes[source.current].is_final);
        let behind = rest.strip_prefix('*');
        self.file.nodes[source.current].is_final |= behind.is_some();
        let behind = behind.unwrap_or(rest);
        if is_blank(behind) { Ok(()) } else { Err(ProfileErrorKind::SectionSyntax) }
    }

    fn end_subsection(&mut self, rest: &str, source: &mut Source) -> Result<(), ProfileErrorKind> {
        if source.level < 2 {
            return Err(ProfileErrorKind::ExtraBrace);
        }
        if rest.starts_with('*') {
            self.file.nodes[source.current].is_final = true;
        }
        source.level -= 1;
        if source.level < source.discard {
            source.discard = 0;
        }
        if source.discard == 0 {
            source.current = self.file.nodes[source.current].parent;
        }
        Ok(())
    }

    fn relation(&mut self, name: &str, is_final: bool, value: &str, source: &mut Source) {
        let brace = value.strip_prefix('{').is_some_and(is_blank);
        if value.is_empty() {
            source.expects = Expects::Brace;
        }
        if value.is_empty() || brace {
            return self.begin_subsection(name, is_final, source);
        }
        if value.starts_with('{') {
            self.remark(&source.place, BRACE_IN_LINE);
        }
        let value = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => value.trim_end_matches(is_space).to_owned(),
        };
        if source.discard == 0 {
            self.add_relation(source.current, name, value, is_final, &source.place);
        }
    }

    fn begin_subsection(&mut self, name: &str, is_final: bool, source: &mut Source) {
        source.level += 1;
        if source.discard != 0 {
            return;
        }
        source.current = self.add_section(source.current, name, &source.place);
        let section = &mut self.file.nodes[source.current];
        if section.is_final {
            source.discard = source.level;
        }
        section.is_final |= is_final;
    }

    fn add_section(&mut self, parent: usize, name: &str, place: &Place) -> usize {
        let there = self.file.child_section(parent, name);
        there.unwrap_or_else(|| self.add(parent, name, None, false, place))
    }

    fn add_relation(
        &mut self,
        parent: usize,
        name: &str,
        value: String,
        is_final: bool,
        place: &Place,
    ) {
        let closed =
            self.file.children(Some(parent)).any(|node| node.name == name && node.is_final);
        if !closed {
            self.add(parent, name, Some(value), is_final, place);
        }
    }

    fn add(
        &mut self,
        parent: usize,
        name: &str,
        value: Option<String>,
        is_final: bool,
        place: &Place,
    ) -> usize {
        let (name, place, children) = (name.to_owned(), place.clone(), Vec::new());
        let index = self.file.nodes.len();
        self.file.nodes.push(Node { name, parent, value, children, is_final, place });
        self.file.nodes[parent].children.push(index);
        index
    }

    fn remark(&mut self, place: &Place, text: &'static str) {
        if self.file.remarks.len() < MAX_REMARKS {
            self.file.remarks.push(Remark { place: place.clone(), text });
        }
    }
}

/// The path behind a word at the very beginning of a line.
fn argument<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(word)?;
    let path = rest.trim_start_matches(is_space);
    (path.len() < rest.len()).then(|| path.trim_end_matches(['\n', '\r']))
}

/// A name with nothing but space around it.
fn one_word(text: &str) -> Result<&str, ProfileErrorKind> {
    let word = text.trim_end_matches(is_space);
    let good = !text.is_empty() && !word.contains(is_space);
    good.then_some(word).ok_or(ProfileErrorKind::RelationSyntax)
}

/// Up to the closing quote; what is behind it does not matter.
fn unquote(text: &str) -> String {
    let mut value = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next().filter(|&letter| letter != '"') {
        let escaped = if letter == '\\' { letters.next() } else { None };
        value.push(match escaped {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('b') => '\u{8}',
            Some(other) => other,
            None => letter,
        });
    }
    value
}

/// A line in the pieces that fit into the buffer of the library.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(MAX_LINE));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

fn is_comment(text: &str) -> bool {
    text.starts_with([';', '#'])
}

/// `isspace` of C.
fn is_space(letter: char) -> bool {
    letter == ' ' || ('\t'..='\r').contains(&letter)
}

/// The library reads into a buffer of 2048 octets, with a zero at the end.
const MAX_LINE: usize = 2047;
/// Files read for one; more means that they include each other without end.
const MAX_FILES: usize = 1000;
const MAX_REMARKS: usize = 100;
const BEFORE_SECTION: &str =
    "everything before the first [section] in column one is taken for a comment";
const BRACE_IN_LINE: &str = "a brace with something behind it on the same line begins no subsection; \
                             all of it is a value";
const UNCLOSED: &str = "the file ends inside of braces";
