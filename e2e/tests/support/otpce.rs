//! MS-OTPCE documents as a stranger writes and reads them: certificate requests by
//! OpenSSL, XML by hand.

use std::{fs, path::PathBuf, process::Command};

use data_encoding::BASE64;

use super::{
    countersign::Site,
    curl::{Curl, Response},
    openssl::Identity,
    process::run,
};

/// What a certificate request says about the user.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// The user principal names.
    pub upns: &'a [&'a str],
    /// Lines of a subject in OpenSSL's form, most significant first; empty for none.
    pub subject: &'a str,
    /// The object identifier of the template, if one is named.
    pub template: Option<&'a str>,
    /// The kind of key: `rsa:2048`, `ec`.
    pub key: &'a str,
}

impl<'a> Wish<'a> {
    /// A user principal name and the template that is configured.
    pub fn of(upns: &'a [&'a str]) -> Self {
        Self { upns, subject: "", template: Some(TEMPLATE_OID), key: "rsa:2048" }
    }
}

/// A certificate request in DER, and the file with its key.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    pub der: Vec<u8>,
    pub key: PathBuf,
}

/// Has OpenSSL make a certificate request.
#[track_caller]
pub fn certificate_request(site: &Site, name: &str, wish: &Wish<'_>) -> CertificateRequest {
    let config = site.write(&format!("{name}.cnf"), config(wish));
    let [key, request] = ["key", "der"].map(|extension| site.file(&format!("{name}.{extension}")));
    let mut command = Command::new("openssl");
    command.args(["req", "-new", "-nodes", "-sha256", "-outform", "DER", "-newkey", wish.key]);
    if wish.key == "ec" {
        command.args(["-pkeyopt", "ec_paramgen_curve:P-256"]);
    }
    if wish.subject.is_empty() {
        command.args(["-subj", "/"]);
    }
    command.arg("-config").arg(config).arg("-keyout").arg(&key).arg("-out").arg(&request);
    run(&mut command, b"").succeeded();
    CertificateRequest { der: fs::read(request).expect("openssl wrote it"), key }
}

/// A `signCertRequest` document.
pub fn document(user: &str, passcode: &str, request: &[u8]) -> String {
    raw_document(user, passcode, &BASE64.encode(request))
}

/// The same with attribute values as they are to stand in the document.
pub fn raw_document(user: &str, passcode: &str, request: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<signCertRequest \
         xmlns=\"http://schemas.microsoft.com/otpcep/1.0/protocol\" username=\"{user}\" \
         oneTimePassword=\"{passcode}\" certRequest=\"{request}\"/>"
    )
}

/// A curl with the headers of the protocol.
pub fn client(site: &Site) -> Curl {
    let curl = Curl::new(&site.ca_certificate());
    curl.header(&format!("Content-Type: {MEDIA_TYPE}")).header("X-OTPCEP-version: 1.0")
}

/// Posts a document to the service as a machine.
#[track_caller]
pub fn post(site: &Site, machine: &Identity, document: &str) -> Response {
    client(site).with(machine).post(&site.otpce_url(), document.as_bytes())
}

/// The `statusCode` of a response that HTTP calls a success.
#[track_caller]
pub fn status_code(response: &Response) -> &str {
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("X-OTPCEP-version"), Some("1.0"), "{response:?}");
    assert_eq!(response.header("Content-Type"), Some(MEDIA_TYPE), "{response:?}");
    attribute(&response.body, "statusCode").unwrap_or_else(|| panic!("{response:?}"))
}

/// The signed request of a response, DER.
#[track_caller]
pub fn signed_request(response: &Response) -> Vec<u8> {
    let value = attribute(&response.body, "SignedCertRequest").expect("a SignedCertRequest");
    BASE64.decode(value.replace("&#xA;", "").as_bytes()).expect("base64 in lines")
}

/// The texts of the `IssuingCA` elements.
pub fn issuing_cas(response: &Response) -> Vec<&str> {
    let parts = response.body.split("<IssuingCA>").skip(1);
    parts.filter_map(|part| part.split_once("</IssuingCA>")).map(|(text, _)| text).collect()
}

fn attribute<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = body.split_once(&format!(" {name}=\""))?;
    value.split_once('"').map(|(value, _)| value)
}

fn config(wish: &Wish<'_>) -> String {
    let names = wish.upns.iter().map(|upn| format!("otherName:{UPN};UTF8:{upn}"));
    let names = names.collect::<Vec<_>>().join(",");
    let names = if names.is_empty() { names } else { format!("subjectAltName = {names}\n") };
    let template = wish.template.map_or_else(String::new, |oid| {
        format!(
            "1.3.6.1.4.1.311.21.7 = ASN1:SEQUENCE:template\n[template]\noid = OID:{oid}\n\
             major = INTEGER:100\nminor = INTEGER:5\n"
        )
    });
    format!(
        "[req]\nprompt = no\ndistinguished_name = subject\nreq_extensions = extensions\n\
         string_mask = utf8only\n[subject]\n{}\n[extensions]\n\
         keyUsage = critical, digitalSignature, keyEncipherment\n\
         extendedKeyUsage = 1.3.6.1.4.1.311.20.2.2\n{names}{template}",
        wish.subject
    )
}

/// The media type exactly as the protocol prints it.
pub const MEDIA_TYPE: &str = "Application/xml;charset=utf-8";

/// The template that requests must name unless configured otherwise.
pub const TEMPLATE_OID: &str =
    "1.3.6.1.4.1.311.21.8.11428739.7223099.3899702.7840424.4400901.94.2064177.9313408";

const UPN: &str = "1.3.6.1.4.1.311.20.2.3";
