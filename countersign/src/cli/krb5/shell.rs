//! Words as a shell reads them.

/// A command line that a POSIX shell takes apart into exactly these words.
pub(super) fn line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&octet);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_needs_quotes_gets_them() {
        let words = ["kadmin.local", "setstr", "a@R", "otp", r#"[{"type":"x"}]"#, "", "it's"];
        let words = words.map(str::to_owned);
        let expected = r#"kadmin.local setstr a@R otp '[{"type":"x"}]' '' 'it'\''s'"#;
        assert_eq!(line(&words), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_shell_reads_the_same_words(words in prop::collection::vec("[ -~äß\n]{0,9}", 1..5)) {
            let script = format!("printf '%s\\0' {}", line(&words));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            let read: Vec<_> = output.stdout.split(|&octet| octet == 0).collect();
            let expected: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
            prop_assert_eq!(&read[..words.len()], &expected[..]);
        }
    }
}
