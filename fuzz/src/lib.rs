//! What is done with arbitrary octets: one function for each target.
//!
//! None of them may panic, whatever it is given; each asserts what must hold of
//! whatever was read. The fuzzer calls them from `fuzz/targets`, and
//! `countersign-core/tests/corpus.rs` includes this file and replays the corpus.

pub mod backsock;
pub mod decision;
pub mod dictionary;
pub mod entry;
pub mod jose;
pub mod krb5;
pub mod ldap;
pub mod names;
pub mod otpce;
pub mod pki;
pub mod radius;
pub mod stream;

/// What is called with arbitrary octets.
pub type Target = fn(&[u8]);

/// Every target with the name of its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 23] = [
    ("radius_request", radius::request),
    ("radius_reply", radius::reply),
    ("radius_stream", stream::radius),
    ("radius_dictionary", dictionary::radius),
    ("ldap_message", ldap::message),
    ("directory_entry", entry::read),
    ("generalized_time", entry::generalized_time),
    ("backsock_request", backsock::request),
    ("otpce_request", otpce::request),
    ("otpce_response", otpce::response),
    ("certificate_request", pki::certificate_request),
    ("full_request", pki::full_request),
    ("full_response", pki::full_response),
    ("certificate", pki::certificate),
    ("revocation_list", pki::revocation_list),
    ("distinguished_name", names::distinguished_name),
    ("key_uri", names::key_uri),
    ("login_name", names::login_name),
    ("decision", decision::decision),
    ("krb5_profile", krb5::profile),
    ("krb5_user_string", krb5::user_string),
    ("jwe", jose::jwe),
    ("jwk", jose::jwk),
];

/// Targets that need more than `countersign-core`, each in a file of its own beside this one.
pub const ELSEWHERE: [&str; 2] = ["radius_handler", "stored_password"];
