//! Certificates and keys under examination: the ones we show, the ones we sign with.

use std::path::Path;

use countersign_core::{
    domain::time::UnixTime,
    pki::{cert::Certificate, oid},
};
use x509_cert::der::asn1::ObjectIdentifier;

use super::{Findings, warn_if_readable_by_others};
use crate::{
    certificate::{self, readable},
    config::{Config, file::TlsFile},
    signer::{Signer, file::FileSigner},
};

pub(super) fn examine(config: &Config, now: UnixTime, findings: &mut Findings) {
    if let Some(radsec) = config.radius.as_ref().and_then(|radius| radius.tls.as_ref()) {
        examine_tls("radius.tls", &radsec.tls, now, findings);
    }
    if let Some(otpce) = &config.otpce {
        examine_tls("otpce.tls", &otpce.tls, now, findings);
        if otpce.issuing_ca.is_empty() {
            findings.error(
                "otpce.issuing-ca",
                "no CA is named, so every request ends in OtherError (client event 10017)",
                r"name at least one, for instance issuing-ca = ['ca.example.com\Example CA']",
            );
        }
    }
    if config.request.allow_sha1 {
        findings.warning(
            "request.allow-sha1",
            "certificate requests signed over SHA-1 are accepted",
            "set it to false when no Windows 7 or 8 client is left",
        );
    }
    if let Some(ra) = &config.ra {
        if ra.certificate.exists() || ra.key.exists() {
            let facts = examine_pair("ra", &ra.certificate, &ra.key, now, findings);
            require_usage("ra", facts.as_ref(), oid::OTP_REGISTRATION_AUTHORITY, findings);
        } else {
            findings.warning(
                "ra",
                "there is no signing certificate yet",
                "the daemon gets one when it starts; see its log if it does not",
            );
        }
        let source = match &ra.est {
            Some(est) => format!("renewed from {} at half of its life", est.url),
            None => "renewed from the embedded CA at half of its life".into(),
        };
        findings.good("ra", source);
    }
    if let Some(ca) = &config.ca {
        examine_pair("ca", &ca.certificate, &ca.key, now, findings);
        findings.good("ca.publish-url", format!("certificates say {}", ca.publish_url));
        if config.http.is_none() {
            findings.warning(
                "ca",
                "there is no [http] listener, so somebody else must serve the revocation list",
                "add [http], or copy ca.crl to where publish-url points",
            );
        }
    }
    if let Some(est) = &config.est {
        examine_tls("est.tls", &est.tls, now, findings);
    }
}

fn examine_tls(key: &str, tls: &TlsFile, now: UnixTime, findings: &mut Findings) {
    examine_server(key, &tls.certificate, &tls.key, now, findings);
    examine_anchors(&format!("{key}.client-trust"), &tls.client_trust, now, findings);
}

/// What a server shows of itself.
pub(super) fn examine_server(
    key: &str,
    certificate: &Path,
    private: &Path,
    now: UnixTime,
    findings: &mut Findings,
) {
    let facts = examine_pair(key, certificate, private, now, findings);
    if let Some(facts) = &facts {
        if facts.alternative_names().is_empty() {
            findings.error(
                key,
                "the server certificate names no host, so no client will trust it",
                "issue one with subjectAltName",
            );
        } else {
            findings.good(key, format!("the server is known as {}", facts.dns_names().join(", ")));
        }
    }
}

fn examine_anchors(key: &str, path: &Path, now: UnixTime, findings: &mut Findings) {
    let object = format!("{key} {}", path.display());
    let anchors = match certificate::load(path) {
        Ok(anchors) => anchors,
        Err(error) => return findings.error(&object, error.to_string(), NAME_A_FILE),
    };
    for anchor in &anchors {
        examine_validity(&object, anchor, now, findings);
    }
}

/// A certificate and its key: readable, belonging together, valid.
fn examine_pair(
    key: &str,
    certificate: &Path,
    private: &Path,
    now: UnixTime,
    findings: &mut Findings,
) -> Option<Certificate> {
    let object = format!("{key}.certificate {}", certificate.display());
    let facts = certificate::load_first(certificate)
        .map_err(|error| findings.error(&object, error.to_string(), NAME_A_FILE))
        .ok();
    let key_object = format!("{key}.key {}", private.display());
    warn_if_readable_by_others(private, &key_object, findings);
    let signer = FileSigner::load(private)
        .map_err(|error| findings.error(&key_object, error.to_string(), NAME_A_FILE))
        .ok();
    let facts = facts?;
    examine_validity(&object, &facts, now, findings);
    if signer.is_some_and(|signer| signer.public_key() != facts.public_key()) {
        findings.error(&key_object, "it does not belong to the certificate", NAME_A_FILE);
    }
    Some(facts)
}

fn examine_validity(object: &str, facts: &Certificate, now: UnixTime, findings: &mut Findings) {
    let end = readable(facts.not_after());
    let life = facts.not_after().since(facts.not_before());
    if now > facts.not_after() {
        findings.error(object, format!("it expired on {end}"), "renew it");
    } else if now < facts.not_before() {
        let start = readable(facts.not_before());
        let finding = format!("it is not valid before {start}");
        findings.error(object, finding, "check this machine's clock, then the certificate");
    } else if facts.not_after().since(now) < life / 10 {
        findings.warning(object, format!("it expires on {end}"), "renew it");
    } else {
        findings.good(object, format!("it is valid until {end}"));
    }
}

fn require_usage(
    key: &str,
    facts: Option<&Certificate>,
    usage: ObjectIdentifier,
    findings: &mut Findings,
) {
    if facts.is_some_and(|facts| !facts.extended_key_usage().contains(&usage)) {
        findings.error(
            key,
            format!("the certificate lacks the extended key usage {usage}"),
            "issue it by the signing profile (`countersign ca issue signing`)",
        );
    }
}

const NAME_A_FILE: &str = "name a file that can be read and holds what it should";
