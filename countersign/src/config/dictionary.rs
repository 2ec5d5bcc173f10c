//! Attributes by name: what is built in, and the files that the config names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use countersign_core::wire::radius::dictionary::{definition::Dictionary, file::Block};

use super::{Wrong, wrong};

/// The built-in dictionary, and what the files add to it, in their order.
pub(super) fn load_dictionary(files: &[PathBuf], base: &Path) -> Result<Dictionary, Wrong> {
    let mut loader = Loader { dictionary: Dictionary::built_in(), files: 0 };
    for file in files {
        let loaded = loader.file(&base.join(file), 0);
        loaded.or_else(|cause| wrong("radius.dictionary", cause))?;
    }
    Ok(loader.dictionary)
}

struct Loader {
    dictionary: Dictionary,
    files: usize,
}

impl Loader {
    /// Reads one file and those that it includes; says what is wrong and where.
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), String> {
        let text = fs::read(path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        self.files += 1;
        if self.files > MAX_FILES || depth > MAX_DEPTH {
            return Err(format!("{}: too many files include each other", path.display()));
        }
        // What is not UTF-8 are comments.
        let text = String::from_utf8_lossy(&text);
        let mut block = Block::default();
        for (index, line) in text.lines().enumerate() {
            let at = |cause: &dyn std::fmt::Display| {
                format!("{}:{}: {cause}", path.display(), index + 1)
            };
            let include = block.read_line(line, &mut self.dictionary);
            let Some(include) = include.map_err(|fault| at(&fault))? else { continue };
            let included = path.parent().unwrap_or(Path::new(".")).join(include.path);
            if include.is_optional && is_absent(&included) {
                continue;
            }
            self.file(&included, depth + 1).map_err(|cause| at(&cause))?;
        }
        block.end().map_err(|fault| format!("{}: {fault}", path.display()))
    }
}

fn is_absent(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// FreeRADIUS comes with some 230 files, two deep.
const MAX_FILES: usize = 2000;
const MAX_DEPTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Loads `main` of these files, given as name and content.
    fn load(files: &[(&str, &str)]) -> Result<Dictionary, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        for (name, content) in files {
            fs::write(dir.path().join(name), content).map_err(|error| error.to_string())?;
        }
        load_dictionary(&["main".into()], dir.path()).map_err(|Wrong { key, cause }| {
            format!("{key}: {}", cause.replace(&dir.path().display().to_string(), "DIR"))
        })
    }

    #[test]
    fn files_add_to_what_is_built_in() {
        let more = "ATTRIBUTE Example-Zone 2 string\nEND-VENDOR Example\n";
        let begin = "VENDOR Example 32473\nBEGIN-VENDOR Example\n";
        let dictionary = load(&[
            ("main", "$INCLUDE vendor\n$INCLUDE- absent\nVALUE Service-Type Teller 900\n"),
            ("vendor", &format!("{begin}{more}")),
        ]);
        let dictionary = dictionary.unwrap();
        assert_eq!(dictionary.attribute("example-zone").unwrap().vendor.unwrap().id, 32473);
        let service = dictionary.attribute("Service-Type").unwrap();
        assert!(dictionary.values(service).any(|value| value == ("teller", 900)));
    }

    #[test]
    fn what_is_not_utf_8_is_read_where_it_is_a_comment() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("main"), b"# caf\xe9\nATTRIBUTE Menu 200 string\n").unwrap();
        let dictionary = load_dictionary(&["main".into()], dir.path());
        assert!(dictionary.is_ok_and(|dictionary| dictionary.attribute("Menu").is_some()));
    }

    #[test]
    fn a_file_that_is_no_dictionary_is_not_shown() {
        let error = load(&[("main", "hush-hush\n")]).err().unwrap_or_default();
        assert!(error.contains("DIR/main:1: ") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn errors_name_file_and_line() {
        for (main, expected) in [
            ("\nATTRIBUT X 200 string", "DIR/main:2: a line of a FreeRADIUS 3 dictionary begins"),
            ("$INCLUDE vendor", "DIR/main:1: DIR/vendor:1: a line of a"),
            ("$INCLUDE absent", "DIR/main:1: DIR/absent: No such file"),
            ("$INCLUDE main", "too many files include each other"),
            ("$INCLUDE main\n$INCLUDE main", "too many files include each other"),
            ("VENDOR A 1\nBEGIN-VENDOR A", "DIR/main: A has not ended yet"),
        ] {
            let error = load(&[("main", main), ("vendor", "EN")]).err().unwrap_or_default();
            assert!(error.starts_with("radius.dictionary: "), "{main}: {error}");
            assert!(error.contains(expected), "{main}: {error}");
        }
    }
}
