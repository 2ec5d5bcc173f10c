//! Profiles as MIT krb5 reads them, and as nobody should write them.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<ProfileFile, ProfileError> {
    let mut reader = ProfileReader::new();
    reader.open("kdc.conf", text);
    while reader.advance()?.is_some() {}
    Ok(reader.finish())
}

#[track_caller]
fn profile(text: &str) -> Profile {
    Profile { files: vec![read(text).unwrap()] }
}

#[track_caller]
fn error(text: &str) -> (usize, ProfileErrorKind) {
    let error = read(text).unwrap_err();
    (error.place.line, error.kind)
}

#[test]
fn reads_sections_subsections_and_repeated_relations() {
    let read = profile(
        "# comment\n[otp]\n  vpn = {\n server = /run/vpn\n\n; comment\n\tindicator=a\n indicator = b \n }\n[x]\ny = z",
    );
    assert_eq!(read.sections(&["otp"]), ["vpn"]);
    assert_eq!(read.value(&["otp", "vpn", "server"]), Some("/run/vpn"));
    assert_eq!(read.values(&["otp", "vpn", "indicator"]), ["a", "b"]);
    assert_eq!(read.value(&["x", "y"]), Some("z"));
    assert_eq!(read.value(&["otp", "vpn"]), None);
    assert_eq!(read.relation_names(&["otp", "vpn"]), ["server", "indicator"]);
    assert_eq!(read.relations(&["x", "y"])[0].1.to_string(), "kdc.conf:11");
}

#[test]
fn sections_of_one_name_are_one() {
    let read = profile("[a]\nb = {\nc = 1\n}\n[d]\n[a]\nb = {\nc = 2\n}\n");
    assert_eq!(read.values(&["a", "b", "c"]), ["1", "2"]);
    assert_eq!(read.sections(&["a"]), ["b"]);
}

#[test]
fn brace_may_stand_on_the_next_line_and_nowhere_else() {
    assert_eq!(profile("[a]\nb =\n  {\nc = 1\n}\n").value(&["a", "b", "c"]), Some("1"));
    assert_eq!(error("[a]\nb =\n\n{\n}"), (3, ProfileErrorKind::MissingBrace));
    let read = profile("[otp]\nvpn = { server = /x }\n");
    assert_eq!(read.value(&["otp", "vpn"]), Some("{ server = /x }"));
    assert_eq!(read.remarks().next().unwrap().place.line, 2);
}

#[test]
fn lines_before_the_first_section_in_column_one_are_comments() {
    let read = profile("  [a]\nb = 1\n[c]\nd = 2\n");
    assert_eq!((read.value(&["a", "b"]), read.value(&["c", "d"])), (None, Some("2")));
    assert_eq!(read.remarks().count(), 2);
    assert!(profile("\n# x\n ; y\n[c]\n").remarks().next().is_none());
}

#[test]
fn quotes_keep_space_and_know_escapes() {
    let read = profile("[a]\nb = \" x\\n\\t\\\"y\\z\\\\ \" behind\nc = \"open\nd = it \"is\"\n");
    assert_eq!(read.value(&["a", "b"]), Some(" x\n\t\"yz\\ "));
    assert_eq!(read.value(&["a", "c"]), Some("open"));
    assert_eq!(read.value(&["a", "d"]), Some("it \"is\""));
}

#[test]
fn lines_that_the_library_refuses_are_named_by_number() {
    use ProfileErrorKind as Kind;
    assert_eq!(error("[a]\nb = {\n[c]\n"), (3, Kind::SectionNotTop));
    assert_eq!(error("[a\n"), (1, Kind::SectionSyntax));
    assert_eq!(error("[a] b\n"), (1, Kind::SectionSyntax));
    assert_eq!(error("[a]\n\nword\n"), (3, Kind::RelationSyntax));
    assert_eq!(error("[a]\n= b\n"), (2, Kind::RelationSyntax));
    assert_eq!(error("[a]\nb c = d\n"), (2, Kind::RelationSyntax));
    assert_eq!(error("[a]\n}\n"), (2, Kind::ExtraBrace));
    assert_eq!(error("module /x.so:y\n"), (1, Kind::Module));
    assert!(read("[a] \r\nb = c\r\n").is_ok());
    assert!(profile("[a]\nb = {\n").remarks().next().is_some());
}

#[test]
fn final_relation_takes_no_more_and_final_section_hides_later_files() {
    let read = profile("[a]\nb* = 1\nb = 2\nc = {\nd = 1\n}*\nc = {\nd = 2\n}\ne = 5\n");
    assert_eq!(read.values(&["a", "b"]), ["1"]);
    assert_eq!(read.values(&["a", "c", "d"]), ["1"]);
    assert_eq!(read.value(&["a", "e"]), Some("5"), "it goes on behind what was thrown away");
    let mut two = profile("[a]*\nb = 1\n[f]\ng = 1\n");
    two.push(read_file("[a]\nb = 2\nh = 3\n[f]\ng = 2\n"));
    assert_eq!(two.values(&["a", "b"]), ["1"]);
    assert_eq!(two.value(&["a", "h"]), None);
    assert_eq!(two.values(&["f", "g"]), ["1", "2"]);
    let mut two = profile("[a]\nb = {\n}*\nc* = 1\n");
    two.push(read_file("[a]\nb = {\nd = {\ne = 2\n}\n}\nc = 2\nf = {\n}\n"));
    assert_eq!(two.value(&["a", "b", "d", "e"]), None, "the end of the path is not there at all");
    assert_eq!(two.values(&["a", "c"]), ["1"]);
    assert_eq!(two.sections(&["a"]), ["b"]);
}

fn read_file(text: &str) -> ProfileFile {
    read(text).unwrap()
}

#[test]
fn included_files_are_asked_for_and_stand_where_they_are_included() {
    let mut reader = ProfileReader::new();
    reader.open("krb5.conf", "include /one\n[a]\nb = 2\nincludedir  /dir \n[a]\nb = 5\n");
    let place = |line| Place { file: "krb5.conf".into(), line };
    let one = Include::File { path: "/one".into(), place: place(1) };
    assert_eq!(reader.advance(), Ok(Some(one)));
    reader.open("/one", "[a]\nb = 1\nc = {\n");
    let directory = Include::Directory { path: "/dir ".into(), place: place(4) };
    assert_eq!(reader.advance(), Ok(Some(directory)));
    reader.open("/dir/2", "[a]\nb = 4\n");
    reader.open("/dir/1", "[a]\nb = 3\n");
    assert_eq!(reader.advance(), Ok(None));
    let read = Profile { files: vec![reader.finish()] };
    assert_eq!(read.values(&["a", "b"]), ["1", "2", "3", "4", "5"]);
}

#[test]
fn files_that_include_themselves_come_to_an_end() {
    let mut reader = ProfileReader::new();
    reader.open("x", "include x\n");
    let error = loop {
        match reader.advance() {
            Ok(Some(_)) => reader.open("x", "include x\n"),
            Ok(None) => panic!("it ended"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ProfileErrorKind::IncludeDepth);
}

#[test]
fn names_of_included_files_are_those_the_library_takes() {
    for name in ["a", "A-1_b", "x.conf", "..conf"] {
        assert_eq!(Include::takes(name), !name.starts_with('.'), "{name}");
    }
    for name in [".x", "x.rpmsave", "x~", "ä", ".conf"] {
        assert!(!Include::takes(name), "{name}");
    }
}

#[test]
fn a_line_longer_than_the_buffer_is_two_lines() {
    let read = profile(&format!("[a]\nb = {}c = d\n", "x".repeat(2043)));
    assert_eq!(read.value(&["a", "c"]), Some("d"));
}

proptest! {
    #[test]
    fn nothing_panics(text in "(\\[a\\]\n)?([ab={}*\\[\\] \"\\\\\n#]{0,9}\n?){0,30}") {
        let _ = read(&text);
    }

    #[test]
    fn what_is_written_is_read(name in "[a-z/.@-]{1,9}", value in "[ -~äß\t\n\u{8}]{0,40}") {
        prop_assume!(is_name(&name));
        let text = format!("[otp]\n{}", section(1, "type", &relation(2, &name, &value)));
        let read = profile(&text);
        prop_assert_eq!(read.values(&["otp", "type", &name]), [value], "{}", text);
    }
}
