//! What OpenSSL reads in certificates, CMS messages and revocation lists of ours.

use std::{fs, path::Path};

use data_encoding::BASE64;

use super::{
    countersign::Site,
    curl::Curl,
    der::at,
    openssl::{Identity, certificate_text, openssl},
    otpce::CertificateRequest,
};

/// Checks the signature of the registration authority on a host in a signed request, and its
/// certificate; the placeholder before it makes `openssl cms -verify` refuse such messages.
#[track_caller]
pub fn check_signed_request(site: &Site, host: &str, signed: &[u8]) {
    let file = site.write("signed.der", signed);
    let text = openssl(["cms", "-cmsout", "-print", "-inform", "DER", "-in", path(&file)], b"");
    let text = text.succeeded();
    for part in ["pkcs7-signedData", "1.3.6.1.5.5.7.12.2", "Dummy Signer", "crls:\n      <ABSENT>"]
    {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    // ContentInfo, [0], SignedData: version, digest algorithms, content, certificates, signers.
    let certificate = at(signed, &[1, 0, 3, 0]).whole;
    let signer = |field| at(signed, &[1, 0, 4, 1, field]);
    let mut attributes = signer(3).whole.to_vec();
    attributes[0] = 0x31;
    let [certificate, attributes, signature] = [
        ("ra.der", certificate),
        ("attributes.der", &attributes),
        ("signature.bin", signer(5).content),
    ]
    .map(|(name, content)| site.write(name, content));
    let public_key = openssl(["x509", "-in", path(&certificate), "-noout", "-pubkey"], b"");
    let public_key = site.write("ra.pub", public_key.succeeded());
    let [key, signature] = [path(&public_key), path(&signature)];
    let verify = ["dgst", "-sha256", "-verify", key, "-signature", signature, path(&attributes)];
    openssl(verify, b"").succeeded();
    // The digest in the attributes is that of the content.
    let content = site.write("content.der", at(signed, &[1, 0, 2, 1, 0]).content);
    let digest = openssl(["dgst", "-sha256", "-r", path(&content)], b"").succeeded();
    let digest = digest.split(' ').next().expect("openssl prints the digest first");
    let attributes = data_encoding::HEXLOWER.encode(signer(3).content);
    assert!(attributes.contains(digest), "messageDigest is another one");

    let pem = openssl(["x509", "-in", path(&certificate)], b"").succeeded();
    let certificate = site.write("ra.pem", pem);
    check_chain(site, &certificate);
    let text = certificate_text(&certificate);
    assert!(text.contains("1.3.6.1.4.1.311.81.1.1"), "{text}");
    assert!(text.contains(&format!("DNS:{host}")), "{text}");
}

/// Has OpenSSL check a certificate of the embedded CA against the revocation list that the
/// certificate itself points to.
#[track_caller]
pub fn check_chain(site: &Site, certificate: &Path) {
    let text = certificate_text(certificate);
    let crl = site.write("published.crl", fetch(site, url_after(&text, "CRL Distribution Points")));
    let pem = openssl(["crl", "-in", path(&crl), "-outform", "PEM"], b"").succeeded();
    let crl = site.write("published.pem", pem);
    let ca = site.ca_certificate();
    let (ca, crl, certificate) = (path(&ca), path(&crl), path(certificate));
    let verified = openssl(["crl", "-in", crl, "-noout", "-CAfile", ca, "-text"], b"");
    assert!(verified.stderr.contains("verify OK"), "{verified}");
    let strict =
        ["verify", "-x509_strict", "-crl_check", "-CAfile", ca, "-CRLfile", crl, certificate];
    openssl(strict, b"").succeeded();
}

/// Where a certificate says, under a heading, that something is published.
#[track_caller]
pub fn url_after<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}:\n{text}"));
    let (_, rest) = rest.split_once("URI:").unwrap_or_else(|| panic!("no URL:\n{text}"));
    rest.split_whitespace().next().expect("a URL")
}

/// What is published at a URL; may be binary.
#[track_caller]
pub fn fetch(site: &Site, url: &str) -> Vec<u8> {
    let file = site.file("fetched");
    let options = ["-o", path(&file), "--fail"];
    Curl::new(&site.ca_certificate()).options(options).run(url, b"").succeeded();
    let whole = fs::read(file).expect("curl wrote it");
    let body = whole.windows(4).position(|part| part == b"\r\n\r\n").expect("curl -i") + 4;
    whole[body..].to_vec()
}

/// Takes a signed request to the EST service and gets the certificate for the request's key.
#[track_caller]
pub fn enrol(
    site: &Site,
    machine: &Identity,
    request: &CertificateRequest,
    signed: &[u8],
) -> Identity {
    let response = Curl::new(&site.ca_certificate())
        .with(machine)
        .header("Content-Type: application/pkcs7-mime; smime-type=CMC-request")
        .header("Content-Transfer-Encoding: base64")
        .post(&site.est_url("fullcmc"), BASE64.encode(signed).as_bytes());
    assert_eq!(response.status, 200, "{response:?}");
    let media_type = response.header("Content-Type").unwrap_or_default();
    assert!(media_type.contains("certs-only"), "{response:?}");
    let base64 = response.body.split_whitespace().collect::<String>();
    let certificates = BASE64.decode(base64.as_bytes()).expect("EST answers in base64");
    leaf(site, &certificates, &request.key)
}

/// The certificate for a key in a certs-only PKCS#7.
#[track_caller]
pub fn leaf(site: &Site, pkcs7: &[u8], key: &Path) -> Identity {
    let file = site.write("certs.p7", pkcs7);
    let all = ["pkcs7", "-inform", "DER", "-in", path(&file), "-print_certs"];
    let all = openssl(all, b"").succeeded();
    let wanted = openssl(["pkey", "-in", path(key), "-pubout"], b"").succeeded();
    let mut certificates = all.split_inclusive("-----END CERTIFICATE-----\n");
    let leaf = certificates.find(|certificate| {
        let key = openssl(["x509", "-noout", "-pubkey"], certificate.as_bytes());
        key.status.success() && key.stdout == wanted
    });
    let leaf = leaf.unwrap_or_else(|| panic!("no certificate for the key:\n{all}"));
    let pem = openssl(["x509"], leaf.as_bytes()).succeeded();
    Identity { certificate: site.write("leaf.pem", pem), key: key.into() }
}

/// The text of a path.
#[track_caller]
pub fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
