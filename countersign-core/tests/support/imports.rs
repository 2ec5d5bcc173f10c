//! Finds what a source file imports from its own crate and from others.

use std::{fs, path::Path};

/// One path that a file names, as its parts: `["domain", "account", "Account"]`.
pub(crate) type Import = Vec<String>;

/// Every `.rs` file below `root` that is no test: its path relative to `root`,
/// and its code without comments and tests.
pub(crate) fn sources(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && path.file_name().is_some_and(|name| name != "tests.rs")
            {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                let code = without_tests(&fs::read_to_string(&path).unwrap());
                found.push((name, code));
            }
        }
    }
    found.sort();
    found
}

/// The paths that `code` names below `root::`, in `use` lines and elsewhere.
pub(crate) fn imports(code: &str, root: &str) -> Vec<Import> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let stands_alone = index == 0 || tokens[index - 1] != "::";
        if token == root && stands_alone && tokens.get(index + 1).is_some_and(|next| next == "::") {
            expand(&tokens, index + 2, &mut Vec::new(), &mut found);
        }
    }
    found
}

/// Whether some `super::super::…` leaves the folder that a layer is.
pub(crate) fn climbs_out(file: &str, code: &str) -> bool {
    let depth = file.matches('/').count() - usize::from(file.ends_with("/mod.rs"));
    longest_climb(code) > depth
}

/// How many `super::` stand in a row at most.
fn longest_climb(code: &str) -> usize {
    let (mut longest, mut climb) = (0, 0);
    for token in tokens(code) {
        match token.as_str() {
            "super" => climb += 1,
            "::" => {}
            _ => climb = 0,
        }
        longest = longest.max(climb);
    }
    longest
}

/// Reads one use tree from `at`; returns where it ends.
fn expand(tokens: &[String], mut at: usize, prefix: &mut Import, found: &mut Vec<Import>) -> usize {
    let depth = prefix.len();
    loop {
        let token = tokens.get(at).map_or("", String::as_str);
        if token == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token != "}") {
                at = expand(tokens, at, prefix, found);
                if tokens.get(at).is_some_and(|token| token == ",") {
                    at += 1;
                }
            }
            at += 1;
            break;
        }
        prefix.push(token.to_owned());
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            found.push(prefix.clone());
            break;
        }
        at += 1;
    }
    prefix.truncate(depth);
    // `as name` belongs to the path before it.
    if tokens.get(at).is_some_and(|token| token == "as") { at + 2 } else { at }
}

/// Words, `::`, and single signs.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = if is_word(first) {
            rest.find(|letter| !is_word(letter)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            tokens.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

/// Tests stand at the end, as the style asks.
fn without_tests(text: &str) -> String {
    let code = text.lines().take_while(|line| !line.ends_with("mod tests {"));
    code.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_are_found_in_trees_and_in_code() {
    let code =
        "use crate::{a::{B, c::*}, d::E as F, g};\nfn f(x: crate::h::I) { other::crate::j(); }";
    let found: Vec<_> = imports(code, "crate").iter().map(|import| import.join("::")).collect();
    assert_eq!(found, ["a::B", "a::c::*", "d::E", "g", "h::I"]);
}

#[test]
fn climbs_are_counted_from_the_place_of_the_file() {
    for (file, code, out) in [
        ("a/b.rs", "use super::{c, d::e};", false),
        ("a/b.rs", "use super::super::c;", true),
        ("a/mod.rs", "use super::b;", true),
        ("a/mod.rs", "use crate::a::b;", false),
        ("a/b/mod.rs", "use super::c;", false),
    ] {
        assert_eq!(climbs_out(file, code), out, "{file}: {code}");
    }
}

#[test]
fn tests_and_comments_are_left_out() {
    let text = "use a; // crate::b\n\n#[cfg(test)]\nmod tests {\n    use crate::c;\n}\n";
    assert_eq!(without_tests(text).lines().next(), Some("use a; "));
    assert!(imports(&without_tests(text), "crate").is_empty());
}
