//! Access rules as a site with OATH-LDAP has them: who may see a seed, move a counter, and
//! whose password slapd itself must never check.

use crate::support::directory::{ACCOUNTS, SUFFIX, TOKENS, service_dn};

/// The rules, in the order in which slapd reads them; the first that fits decides.
pub fn usual() -> Vec<String> {
    let [validator, enrolment, provider, consumer] =
        ["validator", "enrolment", "provider", "consumer"].map(service_dn);
    let token = format!("dn.subtree=\"{TOKENS}\"");
    let initialised = format!("{token} filter=\"{INITIALISED}\"");
    let account = format!("dn.subtree=\"{ACCOUNTS}\"");
    let replicate = format!("by dn.exact=\"{provider}\" read");
    let counters = "attrs=oathHOTPCounter,oathTOTPLastTimeStep,oathTOTPTimeStepDrift,\
                    oathFailureCount,oathLastLogin,oathLastFailure";
    vec![
        format!("to {initialised} attrs=oathSecret by dn.exact=\"{validator}\" read {replicate}"),
        format!("to {token} attrs=oathSecret by self =a {replicate}"),
        format!("to {initialised} attrs=userPassword {replicate} by * none"),
        format!(
            "to {token} attrs=userPassword by dn.exact=\"{enrolment}\" write by self =z \
             {replicate} by anonymous auth"
        ),
        format!("to {initialised} attrs=oathTokenPIN {replicate} by * none"),
        format!("to {token} attrs=oathTokenPIN by self write {replicate} by * none"),
        // The safety net: slapd never checks the password of an account with a token.
        format!(
            "to {account} filter=\"(oathToken=*)\" attrs=userPassword \
             by dn.exact=\"{validator}\" read by self =w {replicate} \
             by dn.exact=\"{consumer}\" read by * none"
        ),
        format!(
            "to attrs=userPassword {replicate} by dn.exact=\"{consumer}\" read by self =w \
             by anonymous auth"
        ),
        format!(
            "to {token} {counters} by dn.exact=\"{validator}\" write \
             by dn.exact=\"{enrolment}\" write by self =arscx {replicate}"
        ),
        format!("to {token} attrs=oathSecretTime by dn.exact=\"{enrolment}\" write by * break"),
        // Consumers hold neither tokens nor people.
        format!(
            "to {token} by dn.exact=\"{validator}\" read by dn.exact=\"{enrolment}\" read \
             {replicate} by dn.exact=\"{consumer}\" none by users read by anonymous auth"
        ),
        format!(
            "to dn.subtree=\"ou=people,{SUFFIX}\" by dn.exact=\"{consumer}\" none by users read"
        ),
        "to * by users read by anonymous auth".to_owned(),
    ]
}

/// The same for a slapd that is to check the passwords of accounts with tokens itself, if it
/// is asked over its own UNIX socket: hand-back, and what an LDAP proxy forwards.
pub fn with_hand_back(ldapi: &std::path::Path) -> Vec<String> {
    let path = format!("by peername.path=\"{}\" auth by * none", ldapi.display());
    let net = |rule: String| match rule.contains("(oathToken=*)") {
        true => rule.replace("by * none", &path),
        false => rule,
    };
    usual().into_iter().map(net).collect()
}

/// A token with a counter; a TOTP token gets one at its first use, and counts as soon as it
/// has a seed.
const INITIALISED: &str = "(|(oathHOTPCounter=*)(&(objectClass=oathTOTPToken)(oathSecret=*)))";
