//! Plans for entries of slapo-otp and OATH-LDAP, and what they come to.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use countersign_core::{
    jose::jwe::Jwe,
    ldap::{
        entry::Entry,
        mapping::{Mapping, Profile},
        time,
    },
    time::UnixTime,
};

use super::{
    plan::{NoKey, Site, plan},
    survey::Survey,
    *,
};
use crate::vault::{
    jwe::{NewKey, generate},
    keys::SiteKeys,
};

const SEED: &[u8] = b"12345678901234567890";
const OLD: &str = "oathldap_primary_key_202501010000";
const NEW: &str = "oathldap_primary_key_202601010000";
const TOKEN: &str = "serialNumber=1,cn=otp,dc=example,dc=test";
const BASE: &str = "cn=otp,dc=example,dc=test";
const ALICE: &str = "uid=alice,ou=accounts,dc=example,dc=test";
const PARAMETERS: &str = "cn=hotp,cn=otp,dc=example,dc=test";

/// Two keys of a site, and what a plan is made of.
struct Rig {
    dir: tempfile::TempDir,
    mapping: Mapping,
    survey: Survey,
}

#[test]
fn slapo_otp_secrets_are_encrypted_and_counters_move_by_one_in_the_same_change() {
    let mut rig = Rig::new();
    rig.token(hotp_token().with("oathSecret", SEED).with("oathHOTPCounter", "41"));
    let plan = rig.plan(Task::SlapoOtp);
    let token = entry(&plan, TOKEN);
    assert_eq!(
        texts(token),
        [
            format!("oathSecret: 20 octets in clear are encrypted to {NEW}"),
            "oathHOTPCounter: 41 (last used) becomes 42 (next expected)".into(),
            "oathFailureCount: absent becomes 0".into(),
        ]
    );
    let modifications = modifications(token);
    let [delete, add, rest @ ..] = modifications.as_slice() else { panic!("{modifications:?}") };
    assert_eq!(*delete, Modification::Delete("oathSecret".into(), vec![SEED.to_vec()]));
    let Modification::Add(name, values) = add else { panic!("{add:?}") };
    assert_eq!((name.as_str(), rig.open(&values[0])), ("oathSecret", SEED.to_vec()));
    let value = |text: &str| vec![text.as_bytes().to_vec()];
    let expected = [
        Modification::Delete("oathHOTPCounter".into(), value("41")),
        Modification::Add("oathHOTPCounter".into(), value("42")),
        Modification::Add("oathFailureCount".into(), value("0")),
    ];
    assert_eq!(rest, expected);
}

#[test]
fn a_counter_that_was_never_used_begins_at_zero() {
    let mut rig = Rig::new();
    rig.token(hotp_token().with("oathSecret", SEED).with("oathFailureCount", "3"));
    let plan = rig.plan(Task::SlapoOtp);
    let token = entry(&plan, TOKEN);
    assert_eq!(texts(token)[1], "oathHOTPCounter: absent (last used) becomes 0 (next expected)");
    assert_eq!(texts(token).len(), 2);
    assert!(finding(token, Severity::Note, "oathFailureCount is 3"));
}

#[test]
fn what_is_migrated_is_not_migrated_again() {
    let mut rig = Rig::new();
    let sealed = rig.seal(NEW, SEED);
    rig.token(hotp_token().with("oathSecret", sealed).with("oathHOTPCounter", "42"));
    for task in [Task::SlapoOtp, Task::OathLdap, Task::Rekey] {
        let plan = rig.plan(task);
        assert_eq!((plan.to_change(), plan.has_errors()), (0, false), "{task:?}");
    }
}

#[test]
fn a_clock_keeps_its_time_step_and_an_entry_of_both_kinds_is_encrypted_once() {
    let mut rig = Rig::new();
    let totp = || {
        bare_token()
            .with("objectClass", "oathTOTPToken")
            .with("oathTOTPParams", PARAMETERS)
            .with("oathTOTPLastTimeStep", "7")
            .with("oathSecret", SEED)
    };
    rig.token(totp());
    let plan = rig.plan(Task::SlapoOtp);
    assert_eq!(texts(entry(&plan, TOKEN)).len(), 2);
    rig.token(totp().with("objectClass", "oathHOTPToken").with("oathHOTPCounter", "1"));
    let plan = rig.plan(Task::SlapoOtp);
    let token = texts(entry(&plan, TOKEN));
    let count = |name: &str| token.iter().filter(|text| text.starts_with(name)).count();
    let counts = ["oathSecret", "oathHOTPCounter", "oathFailureCount"].map(count);
    assert_eq!(counts, [1, 1, 1], "{token:?}");
}

/// Otherwise the encrypted secret would tell that the counter was moved.
#[test]
fn an_entry_with_a_broken_half_is_left_alone() {
    let mut rig = Rig::new();
    let token = hotp_token()
        .with("objectClass", "oathTOTPToken")
        .with("oathSecret", SEED)
        .with("oathHOTPCounter", "many");
    rig.token(token);
    let plan = rig.plan(Task::SlapoOtp);
    assert_eq!(plan.to_change(), 0);
    assert!(finding(entry(&plan, TOKEN), Severity::Error, "oathHOTPCounter is no decimal number"));
}

#[test]
fn of_oath_ldap_base32_is_encrypted_and_nothing_else_changes() {
    let mut rig = Rig::new();
    let base32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    rig.token(hotp_token().with("oathSecret", base32).with("oathHOTPCounter", "5"));
    let plan = rig.plan(Task::OathLdap);
    let token = entry(&plan, TOKEN);
    assert_eq!(texts(token).len(), 1);
    let Modification::Add(_, values) = &modifications(token)[1] else { panic!("it is an add") };
    assert_eq!(rig.open(&values[0]), SEED);

    let wrong = rig.plan(Task::SlapoOtp);
    assert!(finding(entry(&wrong, TOKEN), Severity::Warning, "is --from oath-ldap meant?"));
    rig.token(hotp_token().with("oathSecret", [0xff; 20]).with("oathHOTPCounter", "5"));
    let wrong = rig.plan(Task::OathLdap);
    assert!(finding(entry(&wrong, TOKEN), Severity::Error, "--from slapo-otp"));
}

#[test]
fn a_secret_is_encrypted_to_the_key_of_its_parameters_if_that_is_ours() {
    let mut rig = Rig::new();
    for (key, expected) in [(rig.public(OLD), OLD), (foreign_key("lost").1, NEW)] {
        rig.parameters(parameters().with("oathEncKey", key));
        rig.token(hotp_token().with("oathSecret", SEED).with("oathHOTPCounter", "1"));
        let plan = rig.plan(Task::SlapoOtp);
        let text = texts(entry(&plan, TOKEN))[0].clone();
        assert!(text.ends_with(expected), "{text}");
    }
}

#[test]
fn secrets_that_do_not_open_name_their_key() {
    let mut rig = Rig::new();
    let lost = jwe::seal(&foreign_key("lost").0, SEED).unwrap();
    rig.token(hotp_token().with("oathSecret", lost).with("oathHOTPCounter", "1"));
    for task in [Task::OathLdap, Task::Rekey] {
        let plan = rig.plan(task);
        let unknown = "for the key \"lost\", which is not among the keys";
        assert!(finding(entry(&plan, TOKEN), Severity::Error, unknown));
        assert!(plan.has_errors());
    }
    let other = jwe::seal(&foreign_key(NEW).0, SEED).unwrap();
    rig.token(hotp_token().with("oathSecret", other).with("oathHOTPCounter", "1"));
    let plan = rig.plan(Task::OathLdap);
    assert!(finding(entry(&plan, TOKEN), Severity::Error, "another key had this name"));
}

#[test]
fn secrets_and_access_codes_for_an_old_key_are_encrypted_to_the_newest() {
    let mut rig = Rig::new();
    let (secret, pin) = (rig.seal(OLD, SEED), rig.seal(OLD, b"k7m2xq"));
    let old = hotp_token().with("oathSecret", &secret).with("oathTokenPIN", &pin);
    rig.token(old.with("oathHOTPCounter", "1"));
    let plan = rig.plan(Task::Rekey);
    let token = entry(&plan, TOKEN);
    assert_eq!(texts(token)[0], format!("oathSecret: from {OLD} to {NEW}"));
    let modifications = modifications(token);
    let opened = |at: usize, old: &str| {
        let (Modification::Delete(_, gone), Modification::Add(_, put)) =
            (&modifications[at], &modifications[at + 1])
        else {
            panic!("{modifications:?}");
        };
        assert_eq!(gone, &[old.as_bytes().to_vec()]);
        assert_eq!(Jwe::parse(str::from_utf8(&put[0]).unwrap()).unwrap().key_id, NEW);
        rig.open(&put[0])
    };
    assert_eq!((opened(0, &secret), opened(2, &pin)), (SEED.to_vec(), b"k7m2xq".to_vec()));
}

#[test]
fn what_is_wrong_with_tokens_is_said() {
    let mut rig = Rig::new();
    let cases = [
        (hotp_token(), Severity::Note, "waits to be initialised"),
        (hotp_token().with("oathSecret", "short"), Severity::Warning, "has 5 octets"),
        (bare_token(), Severity::Error, "neither of the class oathHOTPToken nor"),
        (
            hotp_token().with("oathTokenIdentifier", "x".repeat(13)),
            Severity::Warning,
            "oathTokenIdentifier has 13 octets",
        ),
        (
            bare_token().with("objectClass", "oathHOTPToken").with("oathHOTPParams", "cn=gone"),
            Severity::Error,
            "oathHOTPParams leads to \"cn=gone\"",
        ),
        (
            bare_token().with("objectClass", "oathHOTPToken"),
            Severity::Note,
            "has no oathHOTPParams",
        ),
        (
            hotp_token().with("oathSecret", SEED).with("oathSecretTime", "20200101000000Z"),
            Severity::Error,
            "older than oathSecretMaxAge allows, since 20201231",
        ),
        (
            hotp_token().with("oathSecret", SEED).with("oathHOTPCounter", "5000"),
            Severity::Error,
            "beyond oathMaxUsageCount",
        ),
    ];
    rig.parameters(
        parameters().with("oathSecretMaxAge", "31536000").with("oathMaxUsageCount", "5000"),
    );
    for (token, severity, text) in cases {
        rig.token(token);
        let plan = rig.plan(Task::SlapoOtp);
        let found = entry(&plan, TOKEN);
        assert!(finding(found, severity, text), "{text}: {:?}", found.findings);
    }
    rig.survey.referred_to.clear();
    assert!(finding(entry(&rig.plan(Task::OathLdap), TOKEN), Severity::Note, "no account refers"));
}

#[test]
fn what_is_wrong_with_accounts_is_said() {
    let mut rig = Rig::new();
    rig.token(hotp_token().with("owner", "cn=Bob,ou=people"));
    let hash = "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=";
    let cases = [
        (
            account(TOKEN).with("seeAlso", "cn=Alice,ou=people"),
            Severity::Warning,
            "whose owner is \"cn=Bob,ou=people\"",
        ),
        (account("cn=gone"), Severity::Error, "leads to \"cn=gone\", which is not there"),
        (account(TOKEN).with("oathTOTPToken", TOKEN), Severity::Error, "class oathTOTPToken"),
        (account(TOKEN), Severity::Note, "no userPassword"),
        (
            account(TOKEN).with("userPassword", "{SASL}alice"),
            Severity::Error,
            "{SASL} cannot be checked here; without another one nobody logs on",
        ),
        (
            account(TOKEN).with("userPassword", "{SASL}alice").with("userPassword", hash),
            Severity::Warning,
            "{SASL} cannot be checked here",
        ),
        (Entry::new(ALICE).with("oathHOTPToken", TOKEN), Severity::Error, "entryUUID is missing"),
        (account(ALICE), Severity::Error, "it is its own token"),
        (
            account("serialNumber=1,ou=elsewhere,dc=example,dc=test"),
            Severity::Error,
            "is not below directory.token.base",
        ),
    ];
    for (account, severity, text) in cases {
        rig.account(account);
        let plan = rig.plan(Task::OathLdap);
        let found = entry(&plan, ALICE);
        assert!(finding(found, severity, text), "{text}: {:?}", found.findings);
    }
    let same = account("SERIALNUMBER=1, cn=OTP,dc=example,dc=test").with("userPassword", hash);
    rig.account(same.with("seeAlso", "CN=bob, ou=people"));
    assert_eq!(entry(&rig.plan(Task::OathLdap), ALICE).findings, []);
}

#[test]
fn what_is_wrong_with_parameters_is_said() {
    let mut rig = Rig::new();
    let old_key = rig.public(OLD);
    let cases = [
        (parameters().with("oathHOTPLookAhead", "1000"), Severity::Warning, "1001 tries in one"),
        (
            parameters().with("oathHOTPLookAhead", "-1"),
            Severity::Error,
            "oathHOTPLookAhead is -1; it must be",
        ),
        (Entry::new(PARAMETERS), Severity::Error, "neither of the class oathHOTPParams"),
        (parameters().with("oathEncKey", "x"), Severity::Error, "oathEncKey cannot be used"),
        (
            parameters().with("oathEncKey", foreign_key("lost").1),
            Severity::Error,
            "is \"lost\", which is not among directory.keys",
        ),
        (parameters().with("oathEncKey", old_key), Severity::Warning, "put oathldap_primary_key"),
    ];
    for (entry_of, severity, text) in cases {
        rig.parameters(entry_of);
        let plan = rig.plan(Task::OathLdap);
        let found = entry(&plan, PARAMETERS);
        assert!(finding(found, severity, text), "{text}: {:?}", found.findings);
    }
}

#[test]
fn without_a_key_there_is_no_plan() {
    let rig = Rig::new();
    let keys = SiteKeys::load::<&Path>(&[]).unwrap();
    let site = Site {
        task: Task::SlapoOtp,
        mapping: &rig.mapping,
        keys: &keys,
        now: UnixTime(0),
        token_base: BASE,
    };
    assert_eq!(plan(&rig.survey, &site).unwrap_err(), NoKey);
}

#[test]
fn a_plan_shows_no_secret() {
    let mut rig = Rig::new();
    rig.token(hotp_token().with("oathSecret", SEED).with("oathHOTPCounter", "1"));
    let plan = rig.plan(Task::SlapoOtp);
    let shown = format!("{plan:?} {}", serde_json::to_string(&plan).unwrap());
    assert!(!shown.contains("1234567890") && !shown.contains("49, 50, 51"), "{shown}");
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in [OLD, NEW] {
            let path = dir.path().join(format!("{name}.priv"));
            let key = generate(NewKey::P256, name.into()).unwrap();
            fs::write(&path, key.to_json().expose()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut rig =
            Self { dir, mapping: Profile::default().mapping(), survey: Survey::default() };
        rig.parameters(parameters());
        rig.survey.referred_to.insert(survey::key(TOKEN));
        rig
    }

    fn keys(&self) -> SiteKeys {
        SiteKeys::load(&[self.dir.path().join("*.priv")]).unwrap()
    }

    fn public(&self, key_id: &str) -> String {
        self.keys().public(key_id).unwrap().to_json()
    }

    fn seal(&self, key_id: &str, clear: &[u8]) -> String {
        jwe::seal(self.keys().public(key_id).unwrap(), clear).unwrap()
    }

    fn open(&self, sealed: &[u8]) -> Vec<u8> {
        self.keys().open(str::from_utf8(sealed).unwrap()).unwrap().expose().clone()
    }

    fn token(&mut self, entry: Entry) {
        self.survey.tokens.insert(survey::key(entry.dn()), entry);
    }

    fn account(&mut self, entry: Entry) {
        self.survey.accounts.insert(survey::key(entry.dn()), entry);
    }

    fn parameters(&mut self, entry: Entry) {
        self.survey.parameters.insert(survey::key(entry.dn()), entry);
    }

    fn plan(&self, task: Task) -> Plan {
        let now = time::read("20261124115633Z").unwrap();
        let keys = self.keys();
        plan(
            &self.survey,
            &Site { task, mapping: &self.mapping, keys: &keys, now, token_base: BASE },
        )
        .unwrap()
    }
}

fn bare_token() -> Entry {
    Entry::new(TOKEN)
        .with("entryUUID", "6ba7b810-9dad-11d1-80b4-00c04fd430c8")
        .with("createTimestamp", "20261101000000Z")
        .with("serialNumber", "1")
}

fn hotp_token() -> Entry {
    bare_token().with("objectClass", "oathHOTPToken").with("oathHOTPParams", PARAMETERS)
}

fn account(token: &str) -> Entry {
    Entry::new(ALICE)
        .with("entryUUID", "6ba7b811-9dad-11d1-80b4-00c04fd430c8")
        .with("uid", "alice")
        .with("oathHOTPToken", token)
}

fn parameters() -> Entry {
    Entry::new(PARAMETERS)
        .with("objectClass", "oathHOTPParams")
        .with("oathOTPLength", "6")
        .with("oathHMACAlgorithm", "1.2.840.113549.2.7")
}

fn foreign_key(name: &str) -> (PublicJwk, String) {
    let key = generate(NewKey::P256, name.into()).unwrap().to_public();
    let text = key.to_json();
    (key, text)
}

fn entry<'a>(plan: &'a Plan, dn: &str) -> &'a EntryPlan {
    plan.entries.iter().find(|entry| entry.dn == dn).unwrap()
}

fn texts(entry: &EntryPlan) -> Vec<String> {
    entry.changes.iter().map(|change| change.text.clone()).collect()
}

fn modifications(entry: &EntryPlan) -> Vec<Modification> {
    entry.changes.iter().flat_map(|change| change.modifications().unwrap()).collect()
}

fn finding(entry: &EntryPlan, severity: Severity, text: &str) -> bool {
    entry.findings.iter().any(|found| found.severity == severity && found.text.contains(text))
}
