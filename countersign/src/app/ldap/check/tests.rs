//! Entries in, findings out. A real slapd is examined in `e2e`.

use std::fs;

use countersign_core::ldap::entry::Entry;

use super::*;
use crate::app::{examine::Grade, ldap::config::Options};

const CONFIG: &str = r#"
master-key = "master.key"
store = "store"
audit-log = "audit.log"
control-socket = "control.sock"
[site]
domain = "EXAMPLE"
realm = "example.test"
[directory]
url = "ldapi:///run/slapd/ldapi"
base = "dc=example,dc=test"
plain-secrets = "base32"
[directory.account]
filter = "(objectClass=account)"
[back-sock]
socket = "/run/countersign/slapd.socket"
suffixes = ["dc=example,dc=test"]
accounts = ["ou=accounts,dc=example,dc=test"]
tokens = ["cn=otp,dc=example,dc=test"]
"#;

fn config(text: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.toml");
    fs::write(&path, text).unwrap();
    Config::load(&path).unwrap()
}

fn wanted(config: &Config) -> Wanted {
    let options = Options { user: ("countersign".into(), Some(998)), ..Options::default() };
    Wanted::of(config, options).unwrap()
}

#[track_caller]
fn says(findings: &[Finding], grade: Grade, word: &str) {
    let found = findings.iter().any(|found| found.grade == grade && found.finding.contains(word));
    assert!(found, "{grade:?} {word}: {findings:#?}");
}

#[track_caller]
fn is_silent(findings: &[Finding], word: &str) {
    let found: Vec<_> = findings.iter().filter(|found| found.finding.contains(word)).collect();
    assert!(found.is_empty(), "{word}: {found:#?}");
}

mod overlay_sock {
    use super::*;

    fn database() -> Entry {
        Entry::new("olcDatabase={1}mdb,cn=config")
            .with("objectClass", "olcDatabaseConfig")
            .with("olcSuffix", "dc=Example,dc=test")
            .with("olcRootDN", "cn=admin,dc=example,dc=test")
    }

    fn sock(pattern: Option<&str>) -> Entry {
        let entry = Entry::new("olcOverlay={0}sock,olcDatabase={1}mdb,cn=config")
            .with("olcOverlay", "{0}sock")
            .with("olcDbSocketPath", "/run/countersign/slapd.socket")
            .with("olcDbSocketExtensions", "binddn peername")
            .with("olcDbSocketExtensions", "ssf")
            .with("olcDbSocketExtensions", "connid")
            .with("olcOvSocketOps", "bind compare");
        match pattern {
            Some(pattern) => entry.with("olcOvSocketDNpat", pattern),
            None => entry,
        }
    }

    fn overlay(name: &str) -> Entry {
        Entry::new(format!("olcOverlay={name},olcDatabase={{1}}mdb,cn=config"))
            .with("olcOverlay", name)
    }

    fn global(threads: &str) -> Entry {
        Entry::new("cn=config").with("objectClass", "olcGlobal").with("olcThreads", threads)
    }

    fn examined(entries: Vec<Entry>, more: &str) -> Vec<Finding> {
        let config = config(&format!("{CONFIG}{more}"));
        let mut findings = Findings::default();
        let wanted = wanted(&config);
        overlay::examine(Ok(entries), config.back_sock.as_ref(), &wanted, &mut findings);
        findings.into_vec()
    }

    fn ours() -> String {
        let config = config(CONFIG);
        crate::app::ldap::config::pattern(&wanted(&config))
    }

    #[test]
    fn what_config_writes_is_good() {
        let found = examined(vec![database(), sock(Some(&ours())), overlay("{1}ppolicy")], "");
        assert!(found.iter().all(|found| found.grade == Grade::Good), "{found:#?}");
        says(&found, Grade::Good, "ppolicy stands above");
    }

    #[test]
    fn a_slapd_that_does_not_ask_us_is_an_error() {
        says(&examined(vec![database()], ""), Grade::Error, "asks nobody");
        let elsewhere = Entry::new("olcOverlay={0}sock,olcDatabase={1}mdb,cn=config")
            .with("olcOverlay", "{0}sock")
            .with("olcDbSocketPath", "/run/other");
        says(&examined(vec![database(), elsewhere], ""), Grade::Error, "/run/other");
        let other = Entry::new("olcDatabase={2}mdb,cn=config").with("olcSuffix", "dc=other");
        says(&examined(vec![other], ""), Grade::Error, "no database");
    }

    #[test]
    fn loose_patterns_are_errors() {
        says(&examined(vec![database(), sock(None)], ""), Grade::Error, "no pattern");
        for (pattern, word) in [
            ("uid=[a-z]+,ou=accounts,dc=example,dc=test", "not anchored"),
            ("^uid=.*,ou=accounts,dc=example,dc=test$", "any character"),
            ("^uid=[^,]+,ou=accounts,dc=example,dc=test$", "any character"),
            ("^uid=[a-z]+,ou=a$|^uid=[a-z]+,ou=b$", "not grouped"),
        ] {
            says(&examined(vec![database(), sock(Some(pattern))], ""), Grade::Error, word);
        }
        let other = sock(Some("^uid=[a-z]+,ou=accounts,dc=example,dc=test$"));
        says(&examined(vec![database(), other], ""), Grade::Warning, "not the one");
    }

    #[test]
    fn a_lock_of_ppolicy_counts_only_above() {
        let entries = vec![database(), sock(Some(&ours())), overlay("{0}ppolicy")];
        says(&examined(entries, ""), Grade::Error, "ppolicy stands below");
    }

    #[test]
    fn too_many_requests_leave_no_thread_for_our_questions() {
        let entries = || vec![database(), sock(Some(&ours()))];
        let with =
            |threads: &str, more: &str| examined([entries(), vec![global(threads)]].concat(), more);
        says(&with("16", "max-requests = 15\n"), Grade::Error, "stands still");
        says(&with("8", ""), Grade::Error, "8 threads");
        is_silent(&with("32", "max-requests = 24\n"), "threads");
    }

    #[test]
    fn hand_back_needs_the_number_of_the_connection() {
        let mut entry = Entry::new("olcOverlay={0}sock,olcDatabase={1}mdb,cn=config")
            .with("olcOverlay", "{0}sock")
            .with("olcDbSocketPath", "/run/countersign/slapd.socket")
            .with("olcOvSocketOps", "bind search")
            .with("olcOvSocketResps", "search")
            .with("olcOvSocketDNpat", ours());
        entry.add("olcDbSocketExtensions", [b"peername".to_vec()]);
        let found = examined(vec![database(), entry.clone()], "");
        says(&found, Grade::Warning, "no extensions");
        says(&found, Grade::Warning, "also asks at search");
        says(&found, Grade::Warning, "password hashes");
        says(&found, Grade::Warning, "compares");
        let hand_back = "password = \"directory\"\nhand-back-url = \"ldapi:///run/slapd/ldapi\"\n";
        says(&examined(vec![database(), entry], hand_back), Grade::Error, "connid");
    }

    #[test]
    fn what_may_not_be_read_is_said_and_not_guessed() {
        let config = config(CONFIG);
        let mut findings = Findings::default();
        let error = Err("result code 50".to_owned());
        overlay::examine(error, config.back_sock.as_ref(), &wanted(&config), &mut findings);
        let found = findings.into_vec();
        assert_eq!((found.len(), found[0].grade), (1, Grade::Warning));
        assert!(found[0].remedy.contains("slapcat -n 0"));
        says(&examined(Vec::new(), ""), Grade::Warning, "cannot be read");
    }
}

mod entries {
    use super::*;

    const UUID: &str = "6b057d2e-287e-4133-9f16-436d98000000";

    fn parameters() -> Entry {
        Entry::new("cn=hotp,cn=otp,dc=example,dc=test")
            .with("objectClass", "oathHOTPParams")
            .with("oathOTPLength", "6")
            .with("oathHMACAlgorithm", "1.2.840.113549.2.7")
            .with("oathHOTPLookAhead", "5")
    }

    /// A token without counter and secret.
    fn fresh() -> Entry {
        Entry::new("serialNumber=1,cn=otp,dc=example,dc=test")
            .with("objectClass", "oathHOTPToken")
            .with("entryUUID", UUID)
            .with("serialNumber", "1")
            .with("owner", "cn=alice,ou=people,dc=example,dc=test")
            .with("oathHOTPParams", "cn=HOTP,cn=otp,dc=example,dc=test")
    }

    fn token() -> Entry {
        fresh().with("oathHOTPCounter", "7").with("oathSecret", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    }

    /// An account without a password that we may see.
    fn blind() -> Entry {
        Entry::new("uid=alice,ou=accounts,dc=example,dc=test")
            .with("objectClass", "account")
            .with("entryUUID", UUID)
            .with("uid", "alice")
            .with("seeAlso", "cn=Alice,ou=people,dc=example,dc=test")
            .with("oathHOTPToken", "serialNumber=1, cn=otp,dc=example,dc=test")
    }

    fn account() -> Entry {
        blind().with("userPassword", "{SSHA}x")
    }

    fn examined(account: Entry, token: Entry, parameters: Entry, keys: &[&str]) -> Vec<Finding> {
        let config = config(CONFIG);
        let population = Population {
            accounts: vec![account],
            tokens: vec![token],
            parameters: vec![parameters],
        };
        let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        let mut findings = Findings::default();
        let settings = config.directory.as_ref().unwrap();
        population.examine(settings, &config, &keys, NOW, &mut findings);
        findings.into_vec()
    }

    #[test]
    fn a_whole_chain_is_good() {
        let found = examined(account(), token(), parameters(), &[]);
        assert!(found.iter().all(|found| found.grade == Grade::Good), "{found:#?}");
        says(&found, Grade::Good, "1 accounts with tokens, 1 tokens");
    }

    #[test]
    fn an_account_needs_its_token_and_a_password_that_we_may_see() {
        let found = examined(blind(), token(), parameters(), &[]);
        says(&found, Grade::Error, "no userPassword can be seen");
        let elsewhere = Entry::new("serialNumber=2,cn=otp,dc=example,dc=test")
            .with("objectClass", "oathHOTPToken")
            .with("entryUUID", UUID);
        let found = examined(account(), elsewhere, parameters(), &[]);
        says(&found, Grade::Error, "a token that is not there");
        says(&found, Grade::Warning, "no account refers to them");
        says(&found, Grade::Warning, "belong to nobody");
    }

    #[test]
    fn tokens_are_enrolled_readable_and_not_over() {
        says(
            &examined(account(), fresh(), parameters(), &[]),
            Grade::Warning,
            "wait for their enrolment",
        );
        let hidden = fresh().with("oathHOTPCounter", "7");
        says(
            &examined(account(), hidden, parameters(), &[]),
            Grade::Error,
            "no oathSecret can be seen",
        );
        let damaged = fresh().with("oathHOTPCounter", "x");
        says(&examined(account(), damaged, parameters(), &[]), Grade::Error, "oathHOTPCounter");
        let old = token().with("oathSecretTime", "20200101000000Z");
        let aging = parameters().with("oathSecretMaxAge", "3600");
        says(&examined(account(), old, aging, &[]), Grade::Warning, "older than");
        let spent = parameters().with("oathMaxUsageCount", "6");
        says(&examined(account(), token(), spent, &[]), Grade::Warning, "used up");
    }

    #[test]
    fn secrets_are_encrypted_to_keys_that_are_here() {
        let sample: serde_json::Value = serde_json::from_str(include_str!(
            "../../../../../testdata/oath-ldap/jwe-samples.json"
        ))
        .unwrap();
        let sealed = fresh()
            .with("oathHOTPCounter", "0")
            .with("oathSecret", sample["seed_jwe"].as_str().unwrap());
        let key = "oathldap_primary_key_202601010000";
        is_silent(&examined(account(), sealed.clone(), parameters(), &[key]), "encrypted");
        says(&examined(account(), sealed, parameters(), &["other"]), Grade::Error, key);
        let public =
            include_str!("../../../../../testdata/oath-ldap/oathldap_primary_key_202601010000.pub");
        let with_key = parameters().with("oathEncKey", public.trim());
        is_silent(&examined(account(), token(), with_key.clone(), &[key]), "oathEncKey");
        says(&examined(account(), token(), with_key, &[]), Grade::Error, "private half");
        let broken = parameters().with("oathEncKey", "{}");
        says(&examined(account(), token(), broken, &[key]), Grade::Error, "oathEncKey");
    }

    #[test]
    fn parameters_out_of_bounds_are_named() {
        let wide = Entry::new("cn=hotp,cn=otp,dc=example,dc=test")
            .with("objectClass", "oathHOTPParams")
            .with("oathOTPLength", "6")
            .with("oathHMACAlgorithm", "1.2.840.113549.2.7")
            .with("oathHOTPLookAhead", "500")
            .with("oathSuccessResultCode", "49");
        let found = examined(account(), token(), wide, &[]);
        says(&found, Grade::Warning, "over 100");
        says(&found, Grade::Warning, "nobody is ever let in");
        let short = Entry::new("cn=hotp,cn=otp,dc=example,dc=test")
            .with("objectClass", "oathHOTPParams")
            .with("oathOTPLength", "4")
            .with("oathHMACAlgorithm", "1.2.840.113549.2.7");
        let found = examined(account(), token(), short, &[]);
        says(&found, Grade::Error, "oathOTPLength");
        says(&found, Grade::Error, "parameters are not there");
    }

    #[test]
    fn many_are_one_finding_with_examples() {
        let config = config(CONFIG);
        let tokens = (0..9).map(|number| {
            Entry::new(format!("serialNumber={number},cn=otp,dc=example,dc=test"))
                .with("objectClass", "oathHOTPToken")
                .with("entryUUID", UUID)
        });
        let population = Population { tokens: tokens.collect(), ..Population::default() };
        let mut findings = Findings::default();
        let settings = config.directory.as_ref().unwrap();
        population.examine(settings, &config, &[], NOW, &mut findings);
        let found = findings.into_vec();
        says(&found, Grade::Warning, "and 6 more");
        assert!(found.len() < 8, "{found:#?}");
    }

    mod of_a_bind {
        use super::*;
        use crate::app::ldap::check::forecast::Asked;

        fn forecast(more: &str, account: &Entry, token: Entry, now: UnixTime) -> Vec<Finding> {
            let config = config(&format!("{CONFIG}{more}"));
            let population = Population {
                tokens: vec![token],
                parameters: vec![parameters()],
                ..Population::default()
            };
            let (wanted, settings) = (wanted(&config), config.directory.as_ref().unwrap());
            let asked = Asked { config: &config, settings, wanted: &wanted, keys: &[], now };
            let mut findings = Findings::default();
            asked.account("bind alice", account, &population, &mut findings);
            findings.into_vec()
        }

        #[test]
        fn it_says_what_is_to_be_typed_and_no_secret() {
            let typed = token().with("oathTokenIdentifier", "ubhe00000001");
            let found = forecast("", &account(), typed, NOW);
            says(
                &found,
                Grade::Good,
                "password, \"ubhe00000001\", OTP of 6 digits, of the counters 7 to 12",
            );
            let text = format!("{found:?}");
            assert!(!text.contains("GEZDGNBV") && !text.contains("SSHA"), "{text}");
        }

        #[test]
        fn it_says_where_the_bind_ends() {
            says(&forecast("", &account(), fresh(), NOW), Grade::Error, "waits for its enrolment");
            says(&forecast("", &blind(), token(), NOW), Grade::Error, "no userPassword");
            let failed =
                token().with("oathFailureCount", "50").with("oathLastFailure", "20301231235959Z");
            says(&forecast("", &account(), failed, LATER), Grade::Error, "locked after failures");
            let outside = Entry::new("uid=alice,ou=elsewhere,dc=example,dc=test")
                .with("entryUUID", UUID)
                .with("uid", "alice");
            let found = forecast("", &outside, token(), NOW);
            says(&found, Grade::Error, "below none of back-sock.accounts");
            says(&found, Grade::Warning, "slapd decides by the password alone");
            let refuse = "without-token = \"refuse\"\n";
            says(&forecast(refuse, &outside, token(), NOW), Grade::Warning, "it is refused");
        }
    }

    /// 2026.
    const NOW: UnixTime = UnixTime(1_795_000_000);
    /// One second after the end of 2030.
    const LATER: UnixTime = UnixTime(1_924_992_000);
}

#[test]
fn it_matters_as_whom_we_are_known() {
    let wanted = wanted(&config(CONFIG));
    let known = |identity: &str| {
        let mut findings = Findings::default();
        known_as("directory", identity, &wanted, &mut findings);
        findings.into_vec()[0].grade
    };
    assert_eq!(known(""), Grade::Error);
    assert_eq!(known("dn:gidNumber=0+uidNumber=998,cn=peercred,cn=external,cn=auth"), Grade::Error);
    assert_eq!(known("dn:cn=other,dc=example,dc=test"), Grade::Warning);
    assert_eq!(known("dn:cn=Countersign,dc=example,dc=test"), Grade::Good);
}
