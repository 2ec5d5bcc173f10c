//! Answers. A torn one must not let anybody in.

pub use crate::wire::ldap::result::ResultCode;

/// Written as soon as a connection is there, before anything is read.
///
/// slapd before 2.6.14 takes an answer without a code for code 0, which is success. With
/// this in front an answer that ends early is code 80, and the last code counts.
pub const PREAMBLE: &[u8] = b"RESULT\ncode: 80\n";

/// What slapd is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// The operation is over.
    Result {
        /// How it ended.
        code: ResultCode,
        /// A text for the client.
        info: Option<String>,
    },
    /// slapd is to go on by itself: it checks `userPassword`, or compares.
    Continue,
}

impl Answer {
    /// The client is who it says.
    pub const SUCCESS: Self = Self::of(ResultCode::SUCCESS);

    /// A result without a text.
    pub const fn of(code: ResultCode) -> Self {
        Self::Result { code, info: None }
    }

    /// A refusal by a code and a text that somebody else has chosen. A code that is no
    /// refusal becomes invalidCredentials.
    pub fn refused(code: ResultCode, info: Option<String>) -> Self {
        Self::Result { code: code.as_refusal(), info }
    }

    /// What is written behind [`PREAMBLE`]. Names are told apart by how lines begin, so a text
    /// is one short line; with success there is none, because slapd would read from
    /// memory that it has given back.
    #[must_use]
    pub fn to_octets(&self) -> Vec<u8> {
        match self {
            Self::Continue => b"CONTINUE\n".to_vec(),
            Self::Result { code, info } => {
                let info = info.as_deref().filter(|_| *code != ResultCode::SUCCESS).map(one_line);
                let info = info.filter(|info| !info.is_empty());
                let info = info.map(|info| format!("info: {info}\n")).unwrap_or_default();
                format!("code: {}\n{info}\n", code.0).into_bytes()
            }
        }
    }

    /// The whole answer of somebody who does not read the request.
    #[must_use]
    pub fn to_octets_with_preamble(&self) -> Vec<u8> {
        [PREAMBLE, &self.to_octets()].concat()
    }
}

/// Without control characters, and so short that slapd reads it in one piece: it takes
/// what comes behind its line buffer for another line.
fn one_line(text: &str) -> String {
    let mut line: String = text.chars().filter(|letter| !letter.is_control()).collect();
    line.truncate(line.floor_char_boundary(MAX_INFO));
    line
}

/// slapd's buffer has BUFSIZ octets, 1024 at least.
const MAX_INFO: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: &Answer) -> String {
        String::from_utf8(answer.to_octets()).unwrap()
    }

    fn refused(info: &str) -> Answer {
        Answer::refused(ResultCode::INVALID_CREDENTIALS, Some(info.to_owned()))
    }

    #[test]
    fn answers_stand_behind_the_preamble() {
        assert_eq!(written(&Answer::SUCCESS), "code: 0\n\n");
        assert_eq!(written(&Answer::Continue), "CONTINUE\n");
        assert_eq!(written(&refused("no")), "code: 49\ninfo: no\n\n");
        let whole = Answer::of(ResultCode::UNAVAILABLE).to_octets_with_preamble();
        assert_eq!(whole, b"RESULT\ncode: 80\ncode: 52\n\n");
    }

    /// What slapd reads: of whole lines up to a blank one the last code counts.
    fn code_of(answer: &[u8]) -> &str {
        let text = str::from_utf8(answer).unwrap();
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let lines = lines.take_while(|line| !line.is_empty());
        lines.filter_map(|line| line.strip_prefix("code: ")).last().unwrap()
    }

    #[test]
    fn a_torn_answer_is_no_success() {
        for (answer, code) in
            [(refused("code: 0"), "49"), (Answer::Continue, "80"), (Answer::SUCCESS, "0")]
        {
            let whole = answer.to_octets_with_preamble();
            for length in PREAMBLE.len()..=whole.len() {
                let found = code_of(&whole[..length]);
                assert!(found == "80" || found == code, "{length}: {found}");
            }
            assert_eq!(code_of(&whole), code);
        }
    }

    #[test]
    fn a_text_cannot_forge_a_line() {
        let forged = written(&refused("no\ncode: 0\r\nCONTINUE\n\n\0\u{85}\u{7f}"));
        assert_eq!(forged, "code: 49\ninfo: nocode: 0CONTINUE\n\n");
        assert_eq!(written(&refused("\n\n")), "code: 49\n\n");
    }

    #[test]
    fn a_text_that_slapd_would_read_in_two_pieces_is_cut() {
        let long = format!("{}code: 0", "x".repeat(1018));
        let line = written(&refused(&long));
        assert!(!line.contains("code: 0") && line.lines().all(|line| line.len() < 1020), "{line}");
        let wide = written(&refused(&"ü€".repeat(600)));
        assert!(wide.lines().all(|line| line.len() < 1020), "{wide}");
    }

    #[test]
    fn success_has_no_text() {
        let success =
            Answer::Result { code: ResultCode::SUCCESS, info: Some("welcome".to_owned()) };
        assert_eq!(written(&success), "code: 0\n\n");
    }

    #[test]
    fn a_refusal_is_a_refusal_whatever_code_was_chosen_for_it() {
        for code in [0, 5, 6, 10, 14] {
            let answer = Answer::refused(ResultCode(code), None);
            assert_eq!(answer, Answer::of(ResultCode::INVALID_CREDENTIALS), "{code}");
        }
        let answer = Answer::refused(ResultCode(53), None);
        assert_eq!(answer, Answer::of(ResultCode::UNWILLING_TO_PERFORM));
    }
}
