//! MS-OTPCE documents: what was read says the same when it is written and read again.

use countersign_core::wire::otpce::{IssuingCa, SignCertRequest, SignCertResponse};

/// The document of a client.
pub fn request(octets: &[u8]) {
    let Ok(read) = SignCertRequest::read(octets) else { return };
    let Ok(certificate_request) = &read.cert_request else { return };
    let written =
        SignCertRequest::write(&read.username, &read.one_time_password, certificate_request)
            .expect("XML had these characters");
    let again = SignCertRequest::read(written.expose_bytes()).expect("it was written here");
    assert_eq!(again.username, read.username);
    assert_eq!(again.one_time_password, read.one_time_password);
    assert_eq!(again.cert_request, read.cert_request);
}

/// The document of a server.
pub fn response(octets: &[u8]) {
    let Ok(read) = SignCertResponse::read(octets) else { return };
    let again = SignCertResponse::read(read.write().as_bytes()).expect("it was written here");
    assert_eq!(again, read);
    if let SignCertResponse::Success { issuing_ca, .. } = &read {
        issuing_ca.iter().for_each(|ca| assert!(IssuingCa::split(ca).is_none_or(is_in_two)));
    }
}

fn is_in_two((host, name): (&str, &str)) -> bool {
    !host.is_empty() && !name.is_empty() && !host.contains('\\')
}
