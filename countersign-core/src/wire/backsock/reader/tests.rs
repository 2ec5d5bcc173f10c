//! Requests as a real slapd wrote them, and every trick that has been seen or thought of.

use std::{collections::BTreeMap, fs, path::PathBuf};

use proptest::prelude::*;

use super::*;

const PLAIN: &str = "\
BIND
msgid: 1
binddn: 
peername: IP=127.0.0.1:56406
ssf: 0
connid: 1001
suffix: dc=example,dc=test
dn: uid=alice,ou=accounts,dc=example,dc=test
method: 128
credlen: 13
cred: alicepw755224

";

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../testdata/oath-ldap/backsock"].iter().collect()
}

fn vector(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

/// What is made of octets that come at once, after which the stream is quiet.
fn read_quietly(octets: &[u8]) -> Result<Option<Request>, RequestError> {
    let mut reader = RequestReader::new();
    let request = reader.push(octets)?;
    if request.is_some() { Ok(request) } else { reader.quiet() }
}

fn bind_of(octets: &[u8]) -> Bind {
    let request = read_quietly(octets).unwrap();
    let Some(Request::Bind(bind)) = request else { panic!("{request:?}") };
    bind
}

fn error_of(text: &str) -> RequestError {
    read_quietly(text.as_bytes()).unwrap_err()
}

/// A bind for a name that is printed as it is, by a client with this password.
fn bind_as(dn: &str, password: &str) -> String {
    let (before, _) = PLAIN.split_once("dn: uid").unwrap();
    format!("{before}dn: {dn}\nmethod: 128\ncredlen: {}\ncred: {password}\n\n", password.len())
}

/// A request in the words of `expected.txt`.
fn in_words(name: &str, octets: &[u8]) -> String {
    let request = match read_quietly(octets) {
        Err(error) => return format!("refuse: {error}"),
        Ok(request) => request.unwrap_or_else(|| panic!("{name} is not complete")),
    };
    match request {
        Request::Bind(bind) => {
            let credentials = String::from_utf8_lossy(bind.credentials.expose());
            format!("dn={} cred={credentials}", bind.dn)
        }
        Request::Compare(compare) => {
            let value = str::from_utf8(compare.value.expose()).unwrap();
            format!("dn={} {}={value}", compare.dn, compare.attribute)
        }
        Request::Other(operation) => format!("accept: {operation:?}"),
        Request::Notice(notice) => format!("no answer expected: {notice:?}"),
    }
}

#[test]
fn requests_of_a_real_slapd_are_read_as_a_careful_reader_does() {
    let expected = fs::read_to_string(folder().join("expected.txt")).unwrap();
    let lines = expected.lines().filter(|line| !line.starts_with('#'));
    let expected: BTreeMap<_, _> = lines.map(|line| line.split_once(' ').unwrap()).collect();
    for (name, expected) in &expected {
        let (expected, words) = (expected.trim(), in_words(name, &vector(name)));
        let is_met = match expected.split_once(": ") {
            Some(("accept", what)) if what.starts_with("dn=") => what.starts_with(&words),
            Some(("refuse", _)) => words.starts_with("refuse: "),
            Some(("accept" | "accept as a request", _)) | None
                if expected.starts_with("accept") =>
            {
                !words.starts_with("refuse: ") && !words.starts_with("no answer")
            }
            Some(_) | None => words.starts_with("no answer expected: "),
        };
        assert!(is_met, "{name}: expected {expected}, found {words}");
    }
    let files = fs::read_dir(folder()).unwrap().count();
    assert_eq!(files, expected.len() + 1, "every file has its expectation");
}

#[test]
fn a_bind_is_read_with_all_that_slapd_tells_about_its_connection() {
    let bind = bind_of(&vector("bind-ldapi.txt"));
    assert_eq!(
        bind.origin,
        Origin {
            message: 1,
            bound: Some(String::new()),
            peer: Some(Peer::Path("/run/slapd/ldapi".into())),
            strength: Some(71),
            connection: Some(1004),
            suffixes: vec!["dc=example,dc=test".into()],
        }
    );
    let bind = bind_of(&vector("bind-ipv6.txt"));
    assert_eq!(bind.origin.peer, Some(Peer::Ip("[::1]:58938".parse().unwrap())));
    assert_eq!(bind_of(&vector("bind-ldaps.txt")).origin.strength, Some(256));
}

#[test]
fn what_slapd_was_not_told_to_tell_is_not_there() {
    let bind = bind_of(b"BIND\nmsgid: 7\ndn: uid=a\nmethod: 128\ncredlen: 1\ncred: x\n\n");
    assert_eq!(bind.origin, Origin { message: 7, ..Origin::default() });
}

#[test]
fn a_database_with_several_suffixes_tells_them_all() {
    let two = PLAIN.replace("suffix: ", "suffix: o=one\nsuffix: ");
    assert_eq!(bind_of(two.as_bytes()).origin.suffixes, ["o=one", "dc=example,dc=test"]);
}

#[test]
fn a_password_may_hold_line_feeds_and_whole_answers() {
    let two_lines = bind_of(&vector("bind-password-two-lines.txt"));
    assert_eq!(two_lines.credentials.expose(), b"two\nlines162583");
    let line_feeds = bind_of(&vector("bind-password-only-linefeeds.txt"));
    assert_eq!(line_feeds.credentials.expose(), b"\n\n");
    let answer = bind_of(&vector("bind-password-fake-result.txt"));
    assert_eq!(answer.credentials.expose(), b"x\n\nRESULT\ncode: 0\n\n");
    let long = bind_of(&vector("bind-password-5000.txt"));
    assert_eq!(long.credentials.expose().len(), 5000);
}

/// 8.3: a line feed inside a name.
#[test]
fn a_line_feed_in_a_name_is_refused() {
    let octets = vector("bind-dn-linefeed.txt");
    assert_eq!(read_quietly(&octets), Err(RequestError::Missing("method")));
}

/// 8.3: a whole request of the attacker's own account fits into a name below the administrators.
#[test]
fn a_request_inside_a_name_is_refused() {
    let inner =
        "uid=mallory,ou=accounts,dc=example,dc=test\nmethod: 128\ncredlen: 9\ncred: mine12345\n\n";
    let forged = bind_as(&format!("{inner},ou=admins,dc=example,dc=test"), "anything");
    assert_eq!(error_of(&forged), RequestError::TooManyOctets);
}

/// 8.3: so long that the first piece is the forged request and nothing else.
#[test]
fn a_request_inside_a_name_is_refused_even_if_it_fills_the_first_piece() {
    let tail = "\nmethod: 128\ncredlen: 9\ncred: mine12345\n\n";
    let head = bind_as("", "").find("\ndn: \n").unwrap() + "\ndn: ".len();
    for block in [1024, 4096, 8192] {
        let own = "uid=mallory,ou=accounts,dc=example,dc=test";
        let padding = "x".repeat(block - head - tail.len() - own.len() - 4);
        let inner = format!("cn={padding},{own}{tail}");
        let forged = bind_as(&format!("{inner},ou=admins,dc=example,dc=test"), "anything");
        let (first, rest) = forged.as_bytes().split_at(block);
        assert!(first.ends_with(b"mine12345\n\n"));
        let mut reader = RequestReader::new();
        assert_eq!(reader.push(first), Ok(None), "{block}: more may come");
        assert_eq!(reader.push(rest), Err(RequestError::TooManyOctets), "{block}");
    }
}

/// 8.3: octets that come late.
#[test]
fn octets_behind_a_request_are_refused_whenever_they_come() {
    let mut reader = RequestReader::new();
    assert!(reader.push(PLAIN.as_bytes()).unwrap().is_some());
    assert_eq!(reader.push(b"x"), Err(RequestError::TooManyOctets));
    assert_eq!(error_of(&format!("{PLAIN}\n")), RequestError::TooManyOctets);
    assert_eq!(error_of(&format!("{PLAIN}{PLAIN}")), RequestError::TooManyOctets);
}

/// 8.3: the last line of a name must not win.
#[test]
fn no_line_stands_twice() {
    for line in PLAIN.lines().filter(|line| line.contains(": ") && !line.starts_with("suffix")) {
        let twice = PLAIN.replace(line, &format!("{line}\n{line}"));
        assert!(read_quietly(twice.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn lines_have_an_order() {
    let lines: Vec<_> = PLAIN.lines().collect();
    for at in 1..10 {
        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        let text = swapped.join("\n") + "\n";
        assert!(read_quietly(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn an_unknown_line_is_refused() {
    for place in ["msgid", "binddn", "suffix", "dn: uid", "method", "credlen", "cred: "] {
        let more = PLAIN.replacen(place, &format!("extra: 1\n{place}"), 1);
        assert!(read_quietly(more.as_bytes()).is_err(), "{place}");
    }
}

#[test]
fn a_necessary_line_is_missed() {
    for name in ["msgid", "dn", "method", "credlen", "cred"] {
        let lines = PLAIN.lines().filter(|line| !line.starts_with(&format!("{name}: ")));
        let less = lines.map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!(error_of(&less), RequestError::Missing(name));
    }
}

#[test]
fn control_characters_in_names_are_refused() {
    for character in ['\0', '\r', '\u{1b}', '\u{7f}', '\u{85}'] {
        for (line, name) in [("dn: uid=", "dn"), ("binddn: ", "binddn"), ("suffix: ", "suffix")] {
            let text = PLAIN.replacen(line, &format!("{line}{character}"), 1);
            assert_eq!(error_of(&text), RequestError::NotText(name));
        }
    }
    let octets = [&b"BIND\nmsgid: 1\ndn: uid=\xff\n"[..]].concat();
    assert_eq!(read_quietly(&octets), Err(RequestError::NotText("dn")));
}

/// 8.4: the password is cut at its NUL, its length is not.
#[test]
fn a_password_with_a_nul_is_refused_when_the_stream_is_quiet() {
    let octets = vector("bind-password-nul.txt");
    let mut reader = RequestReader::new();
    assert_eq!(reader.push(&octets), Ok(None));
    assert_eq!(reader.quiet(), Err(RequestError::Cut));
}

#[test]
fn a_request_that_pauses_within_a_line_goes_on() {
    let mut reader = RequestReader::new();
    let (first, rest) = PLAIN.split_at(PLAIN.len() - 9);
    assert_eq!(reader.push(first.as_bytes()), Ok(None));
    assert_eq!(reader.quiet(), Ok(None));
    assert!(reader.push(rest.as_bytes()).unwrap().is_some());
}

#[test]
fn a_length_that_lies_is_found_out() {
    let with = |length: &str| PLAIN.replace("credlen: 13", &format!("credlen: {length}"));
    assert_eq!(error_of(&with("12")), RequestError::TooManyOctets);
    assert_eq!(error_of(&with("0")), RequestError::TooManyOctets);
    assert_eq!(error_of(&with("14")), RequestError::Cut);
    assert_eq!(error_of(&with("300001")), RequestError::TooLong);
    assert_eq!(error_of(&with("18446744073709551615")), RequestError::TooLong);
    assert_eq!(error_of(&with("-1")), RequestError::NotNumber("credlen"));
}

#[test]
fn a_bind_that_is_not_simple_is_refused() {
    for method in ["0", "129", "163"] {
        let text = PLAIN.replace("method: 128", &format!("method: {method}"));
        assert_eq!(error_of(&text), RequestError::NotSimple);
    }
}

#[test]
fn another_operation_is_refused_and_its_case_counts() {
    for operation in ["bind", "BIND ", "ABANDON", "MONITOR", "", "\n"] {
        let text = PLAIN.replacen("BIND", operation, 1);
        assert_eq!(error_of(&text), RequestError::UnknownOperation, "{operation:?}");
    }
}

#[test]
fn a_request_has_an_end_in_length() {
    let mut reader = RequestReader::new();
    let block = [b'x'; 50_000];
    assert_eq!(reader.push(b"BIND\nmsgid: 1\ndn: "), Ok(None));
    let pushed = (0..6).map(|_| reader.push(&block)).collect::<Vec<_>>();
    assert_eq!(pushed.last(), Some(&Err(RequestError::TooLong)));
    assert!(pushed[..5].iter().all(|pushed| *pushed == Ok(None)));
}

#[test]
fn a_comparison_is_read() {
    let Some(Request::Compare(compare)) = read_quietly(&vector("compare-hotpvalue.txt")).unwrap()
    else {
        panic!("no comparison");
    };
    assert_eq!(compare.origin.bound.as_deref(), Some("cn=admin,dc=example,dc=test"));
    assert_eq!(compare.dn, "serialNumber=yubikey-7654321,cn=otp,dc=example,dc=test");
    assert_eq!(compare.attribute, "oathHOTPValue");
    assert_eq!(compare.value.expose(), b"ubhe07654321755224");
    assert!(compare.is_about_otp());
}

#[test]
fn assertions_are_text_or_base64() {
    let value = |line: &str| assertion(line.as_bytes()).map(|(_, value)| value.expose().clone());
    assert_eq!(value("a: b"), Ok(b"b".to_vec()));
    assert_eq!(value("a:: w6Q="), Ok("ä".as_bytes().to_vec()));
    assert_eq!(value("a:: CgA="), Ok(b"\n\0".to_vec()));
    assert_eq!(value("a;x-one: b: c"), Ok(b"b: c".to_vec()));
    assert_eq!((value("a:"), value("a: ")), (Ok(Vec::new()), Ok(Vec::new())));
    for wrong in ["", "a", ": b", "a b: c", "a:b", "a:< file:///etc", "a:: w6Q", "a:: ?", "ä: b"] {
        assert_eq!(value(wrong), Err(RequestError::NotAssertion), "{wrong:?}");
    }
}

#[test]
fn a_comparison_has_one_assertion_and_nothing_more() {
    let text = "COMPARE\nmsgid: 1\ndn: cn=a\noathHOTPValue: 1\n";
    assert_eq!(error_of(&format!("{text}oathHOTPValue: 2\n\n")), RequestError::TooManyOctets);
    assert_eq!(error_of(&format!("{text}\n\n")), RequestError::TooManyOctets);
    assert_eq!(read_quietly(text.as_bytes()), Ok(None));
}

#[test]
fn nothing_of_a_password_is_shown() {
    let shown = format!("{:?}", bind_of(PLAIN.as_bytes()));
    assert!(shown.contains("uid=alice") && !shown.contains("alicepw"), "{shown}");
}

proptest! {
    #[test]
    fn pieces_do_not_matter(cuts in proptest::collection::vec(1_usize..40, 1..20)) {
        for name in ["bind-plain.txt", "compare-base64.txt", "bind-password-two-lines.txt"] {
            let octets = vector(name);
            let whole = read_quietly(&octets);
            let (mut reader, mut rest, mut cuts) = (RequestReader::new(), &octets[..], cuts.iter().cycle());
            let mut found = Ok(None);
            while !rest.is_empty() {
                prop_assert_eq!(&found, &Ok(None));
                let (piece, more) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                found = reader.push(piece);
                rest = more;
            }
            prop_assert_eq!(&found, &whole);
        }
    }

    #[test]
    fn any_password_comes_through(password in proptest::collection::vec(any::<u8>(), 1..3000)) {
        let head = format!("BIND\nmsgid: 1\ndn: uid=a\nmethod: 128\ncredlen: {}\ncred: ", password.len());
        let octets = [head.as_bytes(), &password, b"\n\n"].concat();
        let bind = bind_of(&octets);
        prop_assert_eq!(bind.credentials.expose(), &password);
    }
}
