//! The profile format of MIT krb5: sections, subsections in braces, relations.
//!
//! ```text
//! [section]
//!     name = value
//!     name = "value in quotes, with \n, \t, \b, \\ and \""
//!     subsection = {
//!         name* = value of which no other file may say more
//!     }
//! ```
//!
//! Read as the library reads it, with all that is surprising about that:
//!
//! * Lines before the first `[` in column one are comments, whatever they hold.
//! * A brace and what is in it on one line is no subsection, but a value.
//! * A name may occur several times; of sections all are one, of relations the
//!   first counts where only one is wanted.
//! * A line of more than 2046 octets is two lines.
//! * Of several files the first that says something about a relation counts.
//! * A `*` behind a section keeps later files from saying more about it; since 1.22 it works
//!   behind relations, too, and for the rest of the same file. This does as 1.22 does.
//!
//! Files are read by whoever calls: [`ProfileReader`] says which it wants next.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Include, ProfileReader};
pub use write::{is_name, relation, section};

/// Several files, the one that counts first in front.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    files: Vec<ProfileFile>,
}

/// One file with all that it includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileFile {
    /// The first is the root.
    nodes: Vec<Node>,
    /// What is not wrong but certainly not meant.
    remarks: Vec<Remark>,
}

/// A section or a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    name: String,
    parent: usize,
    /// Of a relation.
    value: Option<String>,
    /// Of a section.
    children: Vec<usize>,
    is_final: bool,
    place: Place,
}

/// Where something stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The name of the file, as whoever opened it gave it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// Something that the library takes, but not as it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub text: &'static str,
}

/// Why the library does not take a file; a KDC does not start with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {kind}")]
pub struct ProfileError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub kind: ProfileErrorKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProfileErrorKind {
    /// `[name]` within braces.
    #[error("a [section] begins inside of braces; a closing brace is missing above")]
    SectionNotTop,
    /// `[name` or something behind `]`.
    #[error("a section must be [name] and nothing behind it but *")]
    SectionSyntax,
    /// No `=`, no name, or several words before `=`.
    #[error("this is no relation; it must be name = value, with a name of one word")]
    RelationSyntax,
    /// `}` without `{`.
    #[error("a closing brace without an opening one")]
    ExtraBrace,
    /// `name =` and then no `{`.
    #[error("behind `name =` the next line must begin with an opening brace")]
    MissingBrace,
    /// `module` where none is read.
    #[error("the file is replaced by a module, which is not read here")]
    Module,
    /// Files include each other too deeply.
    #[error("files include each other without end")]
    IncludeDepth,
}

impl Profile {
    /// Adds a file that counts less than those before it.
    pub fn push(&mut self, file: ProfileFile) {
        self.files.push(file);
    }

    /// All values of a relation, named by its sections and itself.
    #[must_use]
    pub fn values(&self, path: &[&str]) -> Vec<&str> {
        self.relations(path).into_iter().map(|(value, _)| value).collect()
    }

    /// The value that counts where only one is wanted.
    #[must_use]
    pub fn value(&self, path: &[&str]) -> Option<&str> {
        self.values(path).into_iter().next()
    }

    /// All values of a relation and where they stand.
    #[must_use]
    pub fn relations(&self, path: &[&str]) -> Vec<(&str, &Place)> {
        let Some((name, sections)) = path.split_last() else { return Vec::new() };
        let mut found = Vec::new();
        for file in &self.files {
            let (section, mut is_final) = file.section(sections);
            for node in file.children(section).filter(|node| node.name == *name) {
                let Some(value) = &node.value else { continue };
                found.push((value.as_str(), &node.place));
                is_final |= node.is_final;
            }
            if is_final {
                break;
            }
        }
        found
    }

    /// The names of the subsections of a section, each once.
    #[must_use]
    pub fn sections(&self, path: &[&str]) -> Vec<&str> {
        self.names(path, |node| node.value.is_none())
    }

    /// The names of the relations of a section, each once.
    #[must_use]
    pub fn relation_names(&self, path: &[&str]) -> Vec<&str> {
        self.names(path, |node| node.value.is_some())
    }

    /// What the library takes, but not as it looks.
    pub fn remarks(&self) -> impl Iterator<Item = &Remark> {
        self.files.iter().flat_map(|file| &file.remarks)
    }

    fn names(&self, path: &[&str], wanted: impl Fn(&Node) -> bool) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for file in &self.files {
            let (section, mut is_final) = file.section(path);
            for node in file.children(section).filter(|node| wanted(node)) {
                is_final |= node.is_final;
                if !names.contains(&node.name.as_str()) {
                    names.push(&node.name);
                }
            }
            if is_final {
                break;
            }
        }
        names
    }
}

impl ProfileFile {
    /// The section at the end of a path, and whether a section on the path is final, be the
    /// end there or not.
    fn section(&self, path: &[&str]) -> (Option<usize>, bool) {
        let (mut at, mut is_final) = (ROOT, false);
        for name in path {
            let Some(next) = self.child_section(at, name) else { return (None, is_final) };
            at = next;
            is_final |= self.nodes[at].is_final;
        }
        (Some(at), is_final)
    }

    fn child_section(&self, parent: usize, name: &str) -> Option<usize> {
        let is_it = |node: &Node| node.value.is_none() && node.name == name;
        self.nodes[parent].children.iter().copied().find(|&child| is_it(&self.nodes[child]))
    }

    fn children(&self, section: Option<usize>) -> impl Iterator<Item = &Node> {
        let children = section.into_iter().flat_map(|section| &self.nodes[section].children);
        children.map(|&child| &self.nodes[child])
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

const ROOT: usize = 0;
