//! Each row of the discrepancy table that concerns reader or writer, and the limits.

use proptest::prelude::*;

use super::*;

const ACCEPTED: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/otpce/accepted-request.xml"));

/// A request with this text in place of the attributes.
fn request_with(attributes: &str) -> String {
    format!("<signCertRequest xmlns=\"{NAMESPACE}\" {attributes}/>")
}

fn read_request(document: &str) -> Result<SignCertRequest, DocumentError> {
    SignCertRequest::read(document.as_bytes())
}

fn read_response(rest: &str) -> Result<SignCertResponse, DocumentError> {
    let document = format!("<signCertResponse xmlns=\"{NAMESPACE}\" {rest}");
    SignCertResponse::read(document.as_bytes())
}

fn success(issuing_ca: &[&str]) -> SignCertResponse {
    let issuing_ca = issuing_ca.iter().map(|ca| IssuingCa((*ca).to_owned())).collect();
    SignCertResponse::Success { signed_cert_request: b"abc".to_vec(), issuing_ca }
}

const GOOD: &str = r#"username="D\u" oneTimePassword="123456" certRequest="YXNkZg==""#;

#[test]
fn reads_the_accepted_request_of_the_specification() {
    let request = SignCertRequest::read(ACCEPTED).unwrap();
    assert_eq!(request.username, "DOMAIN1\\user1");
    assert_eq!(request.one_time_password.expose(), "Pa$$word1");
    let der = request.cert_request.unwrap();
    assert_eq!((der.len(), &der[..4]), (1171, &[0x30, 0x82, 0x04, 0x8f][..]));
}

#[test]
fn white_space_in_base64_does_not_matter() {
    let text = std::str::from_utf8(ACCEPTED).unwrap();
    let expected = SignCertRequest::read(ACCEPTED).unwrap().cert_request;
    for space in ["", "\n", "\r\n", " ", "\t", "&#xD;&#xA;", "&#32;\n\n"] {
        let document = text.replace("&#xA;", space);
        assert_eq!(read_request(&document).unwrap().cert_request, expected, "{space:?}");
    }
}

#[test]
fn bad_base64_is_the_requests_fault_and_not_the_documents() {
    for value in ["asd", "as*f", "YXNkZg", "YXNkZg=", "=YXNkZg=", "a\u{a0}sdf"] {
        let document = request_with(&GOOD.replace("YXNkZg==", value));
        assert_eq!(read_request(&document).unwrap().cert_request, Err(NotBase64), "{value}");
    }
    let document = request_with(&GOOD.replace("YXNkZg==", "asdf"));
    assert_eq!(read_request(&document).unwrap().cert_request, Ok(vec![0x6a, 0xc7, 0x5f]));
    let document = request_with(&GOOD.replace("YXNkZg==", ""));
    assert_eq!(read_request(&document).unwrap().cert_request, Ok(Vec::new()));
}

#[test]
fn the_one_time_password_is_read_character_for_character() {
    for (written, meant) in [
        ("a&amp;b", "a&b"),
        ("&#x41;&#66;", "AB"),
        ("&amp;#x41;", "&#x41;"),
        ("&lt;&gt;&quot;&apos;", "<>\"'"),
        ("&amp;amp;", "&amp;"),
        ("  12 3 ", "  12 3 "),
        ("&#x20AC;\u{20ac}", "\u{20ac}\u{20ac}"),
        ("a&#xA;b", "a\nb"),
        ("a\r\nb", "a b"),
        ("", ""),
    ] {
        let document = request_with(&GOOD.replace("123456", written));
        let request = read_request(&document).unwrap();
        assert_eq!(request.one_time_password.expose(), meant, "{written}");
    }
}

#[test]
fn no_debug_output_shows_the_one_time_password() {
    let request = read_request(&request_with(GOOD)).unwrap();
    assert!(!format!("{request:?}").contains("123456"));
}

#[test]
fn a_prefix_carries_no_meaning_and_the_case_does() {
    let document =
        format!("<x:signCertRequest xmlns:x='{NAMESPACE}' {GOOD} ></x:signCertRequest >\n\r\t ");
    assert_eq!(read_request(&document).unwrap().username, "D\\u");
    let capital = GOOD.replace("certRequest", "CertRequest");
    assert!(read_request(&request_with(&capital)).is_ok());
    let wrong = GOOD.replace("username", "userName");
    let error = read_request(&request_with(&wrong)).unwrap_err();
    assert_eq!(error, DocumentError::MissingAttribute("username"));
    let qualified = GOOD.replace("username", "x:username xmlns:x='x' x:a='' x:b").replace('\\', "");
    assert!(read_request(&request_with(&qualified)).is_err());
}

#[test]
fn refuses_a_request_without_one_of_its_attributes() {
    for name in ["username", "oneTimePassword", "certRequest"] {
        let document = request_with(&GOOD.replace(name, "other"));
        assert_eq!(read_request(&document).unwrap_err(), DocumentError::MissingAttribute(name));
    }
}

#[test]
fn refuses_another_root_or_namespace() {
    let wrong = DocumentError::WrongRoot { expected: REQUEST };
    for document in [
        format!("<signCertRequest {GOOD}/>"),
        format!("<signCertRequest xmlns='{NAMESPACE}/' {GOOD}/>"),
        format!("<SignCertRequest xmlns='{NAMESPACE}' {GOOD}/>"),
        format!("<signCertResponse xmlns='{NAMESPACE}' {GOOD}/>"),
    ] {
        assert_eq!(read_request(&document).unwrap_err(), wrong, "{document}");
    }
}

#[test]
fn refuses_dtds_entities_and_other_markup() {
    let good = request_with(GOOD);
    let entity = "<!DOCTYPE signCertRequest [<!ENTITY e \"1\">]>";
    for document in [
        format!("{entity}{good}"),
        format!("<!DOCTYPE signCertRequest>{good}"),
        format!("<?xml-stylesheet href='x'?>{good}"),
        good.replace("/>", "><![CDATA[x]]></signCertRequest>"),
    ] {
        let error = read_request(&document).unwrap_err();
        assert_eq!(error, DocumentError::ForbiddenMarkup, "{document}");
    }
    let unknown = request_with(&GOOD.replace("123456", "&e;"));
    assert!(matches!(read_request(&unknown), Err(DocumentError::Malformed { .. })));
}

#[test]
fn refuses_what_is_not_well_formed() {
    let good = request_with(GOOD);
    for document in [
        String::new(),
        " ".into(),
        good.replace("/>", ">"),
        good.replace("/>", "></other>"),
        good.replace("\"/>", "/>"),
        good.replace("123456", "12<456"),
        good.replace("123456", "12&456"),
        good.replace("123456", "12&#;456"),
        good.replace("username=", "username"),
        good.replace("username=\"D", "username=\"a\" username=\"D"),
        format!(" <?xml version='1.0'?>{good}"),
        format!("<?xml version='1.1'?>{good}"),
        format!("<!-- a -- b -->{good}"),
        format!("<x:{}", &good[1..]),
    ] {
        let error = read_request(&document).map(|request| request.username).unwrap_err();
        assert!(matches!(error, DocumentError::Malformed { .. }), "{document}: {error}");
    }
}

#[test]
fn refuses_anything_around_or_inside_a_request() {
    let good = request_with(GOOD);
    for document in [
        format!("{good}x"),
        format!("x{good}"),
        format!("{good}{good}"),
        good.replace("/>", ">x</signCertRequest>"),
        good.replace("/>", ">&#x41;</signCertRequest>"),
        good.replace("/>", "><a/></signCertRequest>"),
        good.replace("/>", "><a><b/></a></signCertRequest>"),
    ] {
        let error = read_request(&document).unwrap_err();
        assert_eq!(error, DocumentError::UnexpectedContent, "{document}");
    }
}

#[test]
fn refuses_nul_and_other_characters_outside_xml() {
    for character in ["\0", "\u{1}", "\u{fffe}", "&#x1;", "&#xFFFF;"] {
        let document = request_with(&GOOD.replace("123456", character));
        let error = read_request(&document).unwrap_err();
        assert_eq!(error, DocumentError::ForbiddenCharacter, "{character:?}");
    }
    for character in ["&#0;", "&#xD800;", "&#x110000;", "&#-1;"] {
        let document = request_with(&GOOD.replace("123456", character));
        let error = read_request(&document).unwrap_err();
        assert!(matches!(error, DocumentError::Malformed { .. }), "{character:?}");
    }
}

#[test]
fn refuses_other_encodings_and_takes_a_byte_order_mark() {
    let good = request_with(GOOD);
    assert_eq!(
        read_request(&format!("<?xml version='1.0' encoding='utf-16'?>{good}")).unwrap_err(),
        DocumentError::NotUtf8
    );
    assert_eq!(SignCertRequest::read(b"<\xff/>").unwrap_err(), DocumentError::NotUtf8);
    let marked = format!("\u{feff}<?xml version='1.0' encoding='UTF-8'?><!-- x -->{good}");
    assert!(read_request(&marked).is_ok());
}

#[test]
fn refuses_documents_without_measure() {
    let long = request_with(&GOOD.replace("123456", &"1".repeat(MAX_DOCUMENT)));
    assert_eq!(read_request(&long).unwrap_err(), DocumentError::TooLarge);
    let many: String = (0..40).map(|number| format!(" a{number}=''")).collect();
    assert_eq!(read_request(&request_with(&many)).unwrap_err(), DocumentError::TooLarge);
    let many = format!(">{}</signCertResponse>", "<IssuingCA/>".repeat(65));
    assert_eq!(read_response(&many).unwrap_err(), DocumentError::TooLarge);
    let deep = request_with(GOOD).replace("/>", &"><a".repeat(1000));
    assert!(read_request(&deep).is_err());
}

#[test]
fn a_client_reads_success_with_its_cas() {
    let ca = "DC1.domain1.corp.company.com\\RootCA-DC1";
    for child in [
        format!("<IssuingCA>{ca}</IssuingCA>"),
        format!("<IssuingCA xmlns=\"{NAMESPACE}\">\n {ca}\n</IssuingCA>"),
        format!("<IssuingCA xmlns=\"\">{ca}</IssuingCA>"),
        format!(
            "<!-- one --><other>no</other><p:IssuingCA xmlns:p='{NAMESPACE}'>{ca}</p:IssuingCA>"
        ),
        format!("<IssuingCA>{ca}</IssuingCA><IssuingCA xmlns='urn:x'>no</IssuingCA>"),
    ] {
        let rest =
            format!("statusCode='Success' SignedCertRequest='YWJj'>{child}</signCertResponse>");
        assert_eq!(read_response(&rest), Ok(success(&[ca])), "{child}");
    }
    let rest = "statusCode='Success' SignedCertRequest='YW&#xA;Jj&#xA;'><IssuingCA>a\\b &amp; c&#x64;</IssuingCA><IssuingCA>d\\e</IssuingCA></signCertResponse>";
    assert_eq!(read_response(rest), Ok(success(&["a\\b & cd", "d\\e"])));
}

#[test]
fn a_client_takes_the_old_name_of_the_signed_request_only_in_need() {
    let rest = "statusCode='Success' certificate='YWJj'/>";
    assert_eq!(read_response(rest), Ok(success(&[])));
    let rest = "statusCode='Success' certificate='' SignedCertRequest='YWJj' x='y'/>";
    assert_eq!(read_response(rest), Ok(success(&[])));
    for rest in ["", "certificate=''", "SignedCertRequest=''", "SignedCertRequest='*'"] {
        let rest = format!("statusCode='Success' {rest}/>");
        assert_eq!(read_response(&rest), Err(DocumentError::NoSignedRequest), "{rest}");
    }
}

#[test]
fn a_client_ignores_what_a_failure_should_not_have() {
    for rest in ["", "certificate=''", "SignedCertRequest='YWJj'"] {
        let rest = format!("statusCode='OtherError' {rest}/>");
        assert_eq!(read_response(&rest), Ok(SignCertResponse::OtherError), "{rest}");
    }
}

#[test]
fn a_client_refuses_an_unknown_status() {
    for status in ["success", "Challenge", "", " Success"] {
        let rest = format!("statusCode='{status}' SignedCertRequest='YWJj'/>");
        assert_eq!(read_response(&rest), Err(DocumentError::UnknownStatus), "{status}");
    }
    assert_eq!(read_response("/>"), Err(DocumentError::MissingAttribute("statusCode")));
}

#[test]
fn needless_parts_of_a_failure_are_named_and_empty_ones_are_not() {
    for (rest, expected) in [
        ("/>", &[][..]),
        (" SignedCertRequest='' certificate=' '/>", &[]),
        (" SignedCertRequest='YWJj'/>", &["SignedCertRequest"]),
        (
            " certificate='x' SignedCertRequest='y'><IssuingCA>a\\b</IssuingCA></signCertResponse>",
            &["SignedCertRequest", "certificate", "IssuingCA"],
        ),
    ] {
        for status in ["OtherError", "AuthenticationError", "Success"] {
            let document =
                format!("<signCertResponse xmlns='{NAMESPACE}' statusCode='{status}'{rest}");
            let expected = if status == "Success" { &[] } else { expected };
            assert_eq!(SignCertResponse::needless_parts(document.as_bytes()), expected, "{rest}");
        }
    }
    assert!(SignCertResponse::needless_parts(b"<nonsense/>").is_empty());
}

#[test]
fn failures_are_written_without_the_optional_parts() {
    assert_eq!(
        SignCertResponse::AuthenticationError.write(),
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<signCertResponse xmlns=\"{NAMESPACE}\" statusCode=\"AuthenticationError\"/>"
        )
    );
}

#[test]
fn success_is_written_with_the_cas_as_elements() {
    assert_eq!(
        success(&["a.b\\C & D"]).write(),
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<signCertResponse xmlns=\"{NAMESPACE}\" statusCode=\"Success\" SignedCertRequest=\"YWJj\"><IssuingCA>a.b\\C &amp; D</IssuingCA></signCertResponse>"
        )
    );
}

#[test]
fn the_configuration_string_is_split_at_the_first_backslash() {
    let split = |text: &str| {
        let ca = IssuingCa(text.to_owned());
        ca.split().map(|(host, name)| format!("{host}|{name}"))
    };
    assert_eq!(split("h.x\\My CA\\2").as_deref(), Some("h.x|My CA\\2"));
    for text in ["", "h", "\\n", "h\\", "h%5Cn"] {
        assert_eq!(split(text), None, "{text}");
    }
}

#[test]
fn a_client_cannot_write_what_xml_cannot_carry() {
    let otp = Secret::new("12\u{0}4".to_owned());
    let error = SignCertRequest::write("u", &otp, b"").unwrap_err();
    assert_eq!(error, DocumentError::ForbiddenCharacter);
}

proptest! {
    #[test]
    fn requests_are_read_as_they_were_written(
        username in "[ -~\u{a0}-\u{ff}\t\r\n]{0,20}",
        otp in "[ -~\u{a0}-\u{ff}\t\r\n\u{10000}]{0,20}",
        der in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let written =
            SignCertRequest::write(&username, &Secret::new(otp.clone()), &der).unwrap();
        let read = SignCertRequest::read(written.expose_bytes()).unwrap();
        prop_assert_eq!(read.username, username);
        prop_assert_eq!(read.one_time_password.expose(), &otp);
        prop_assert_eq!(read.cert_request, Ok(der));
    }

    #[test]
    fn no_octets_make_the_reader_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = SignCertRequest::read(&octets);
    }

    #[test]
    fn no_damage_to_a_document_makes_the_reader_panic(at in 0usize..1700, to in any::<u8>()) {
        let mut octets = ACCEPTED.to_vec();
        let at = at.min(octets.len() - 1);
        octets[at] = to;
        let _ = SignCertRequest::read(&octets);
        let _ = SignCertResponse::read(&octets[at..]);
    }
}
