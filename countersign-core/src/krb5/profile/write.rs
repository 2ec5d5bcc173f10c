//! Writes pieces of a profile so that the library reads what was meant.

use std::fmt::Write;

/// Whether something can be the name of a relation or subsection; there is no quoting for names.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let odd = |letter: char| letter.is_whitespace() || letter.is_control() || "=*".contains(letter);
    !text.is_empty() && !text.contains(odd) && !text.starts_with(['[', ';', '#', '}'])
}

/// `    name = value`, in quotes where they are needed.
#[must_use]
pub fn relation(depth: usize, name: &str, value: &str) -> String {
    format!("{:indent$}{name} = {}\n", "", quoted(value), indent = INDENT * depth)
}

/// `    name = {`, what is in it, and the closing brace.
#[must_use]
pub fn section(depth: usize, name: &str, body: &str) -> String {
    let indent = INDENT * depth;
    format!("{:indent$}{name} = {{\n{body}{:indent$}}}\n", "", "")
}

fn quoted(value: &str) -> String {
    let bare = !value.is_empty()
        && !value.starts_with(['"', '{'])
        && !value.starts_with(char::is_whitespace)
        && !value.ends_with(char::is_whitespace)
        && !value.contains(char::is_control);
    if bare {
        return value.to_owned();
    }
    let mut text = String::from("\"");
    for letter in value.chars() {
        match letter {
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '"' | '\\' => {
                let _ = write!(text, "\\{letter}");
            }
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

const INDENT: usize = 4;
