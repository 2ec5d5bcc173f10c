//! What `[directory]` says, and what is said about what it cannot.

#![expect(clippy::unwrap_in_result, reason = "these are tests")]

use std::fs;

use super::*;

fn check(text: &str) -> Result<DirectorySettings, Wrong> {
    let place = tempfile::tempdir().expect("a directory");
    fs::write(place.path().join("password"), "hush\n").expect("a file");
    let usual = "url = \"ldapi:///run/slapd/ldapi\"\nbase = \"dc=example,dc=test\"\n";
    let file: DirectoryFile = toml::from_str(&format!("{usual}{text}")).expect("TOML");
    check_directory(file, place.path())
}

fn refusal(text: &str) -> String {
    check(text).map(drop).map_err(|Wrong { key, cause }| format!("{key}: {cause}")).expect_err(text)
}

#[test]
fn a_url_and_a_base_are_enough() {
    let Ok(settings) = check("") else { panic!("it is enough") };
    assert_eq!(settings.mapping, Profile::InetOrgPerson.mapping());
    assert_eq!(settings.base, "dc=example,dc=test");
    assert_eq!((&settings.account_base, &settings.token_base), (&settings.base, &settings.base));
    assert_eq!((settings.connections, settings.server.time_limit), (8, Duration::from_secs(3)));
    assert_eq!(settings.parameters_cache, Duration::from_secs(600));
    assert!(settings.server.bind.is_none() && settings.keys.is_empty());
}

#[test]
fn what_is_given_stands_in_the_place_of_the_profiles_names() {
    let settings = check(
        r#"
        profile = "ae-dir"
        plain-secrets = "raw"
        hotp-counter = "last"
        bind-dn = "cn=otp"
        bind-password-file = "password"
        keys = ["keys/*.priv"]
        account = { base = "ou=a,dc=example", filter = "(objectClass=person)", name = "cn", groups = "", upn = "mail", login-filter = "(mail={name})" }
        token = { owner = "owner", rdn = "cn", hotp-parameters = "cn=h,dc=example" }
        person = { name = "cn", mail = "" }
        "#,
    );
    let Ok(settings) = settings else { panic!("it is right") };
    let mapping = settings.mapping;
    assert_eq!(mapping.account.filter, "(objectClass=person)");
    assert_eq!((mapping.account.name.as_str(), mapping.account.groups), ("cn", None));
    assert_eq!(mapping.account.upn.as_deref(), Some("mail"));
    assert_eq!(mapping.account.person.as_deref(), Some("aePerson"), "of the profile");
    assert_eq!(mapping.account.login_filter.as_deref(), Some("(mail={name})"));
    assert_eq!((mapping.token.owner.as_str(), mapping.token.rdn.as_str()), ("owner", "cn"));
    assert_eq!(mapping.token.plain_secrets, PlainSecrets::Raw);
    assert_eq!(mapping.token.hotp_counter, HotpCounter::Last);
    assert_eq!(mapping.person.mail, None);
    assert_eq!(settings.account_base, "ou=a,dc=example");
    assert_eq!(settings.hotp_parameters.as_deref(), Some("cn=h,dc=example"));
    let (dn, password) = settings.server.bind.expect("a bind");
    assert_eq!((dn.as_str(), password.expose().as_str()), ("cn=otp", "hush"));
    assert!(settings.keys[0].ends_with("keys/*.priv"));
}

#[test]
fn says_what_is_wrong() {
    for (text, expected) in [
        ("bind-dn = \"cn=a\"", "directory: bind-dn and bind-password-file go together"),
        ("certificate = \"a.pem\"", "directory: certificate and key go together"),
        ("account.base = \"accounts\"", "directory.account.base: the distinguished name is not"),
        ("token.base = \"otp\"", "directory.token.base: the distinguished name is not"),
        ("token.hotp-parameters = \"x\"", "directory.token.hotp-parameters: the distinguished"),
        ("account.filter = \"uid=*\"", "directory.account.filter: \"uid=*\" is no filter"),
        ("account.filter = \"(uid=*\"", "directory.account.filter: \"(uid=*\" is no filter"),
        ("account.login-filter = \"(uid=*)\"", "directory.account.login-filter: {name} is missing"),
        ("account.login-filter = \"{name}\"", "directory.account.login-filter: \"alice\" is no"),
        ("account.name = \"\"", "directory.account.name: \"\" is no name of an attribute"),
        ("account.upn = \"a b\"", "directory.account.upn: \"a b\" is no name of an attribute"),
        ("token.owner = \"a)(b\"", "directory.token.owner: \"a)(b\" is no name of an attribute"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.starts_with(expected), "{text}: {refusal}");
    }
}

#[test]
fn a_url_and_a_base_must_be_what_they_are() {
    let check = |text: &str| {
        let file: DirectoryFile = toml::from_str(text).expect("TOML");
        check_directory(file, Path::new(".")).map(drop).map_err(|wrong| wrong.key)
    };
    let wrong_url = "url = \"ldap://ldap.example.com\"\nbase = \"dc=example\"";
    assert_eq!(check(wrong_url), Err("directory.url".into()));
    let wrong_base = "url = \"ldapi:///run/ldapi\"\nbase = \"example\"";
    assert_eq!(check(wrong_base), Err("directory.base".into()));
}
