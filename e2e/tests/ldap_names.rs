//! Names in other spellings: whatever slapd takes for the name of an account with a token is no
//! way around its OTP, nor is an account that we may not read.

use tempfile::{TempDir, tempdir};

use crate::support::{
    countersign::Site,
    directory::{ACCOUNTS, Entry, User, service_dn},
    ldap_stage::LdapStage,
    oath::OathToken,
    process::Service,
    slapd::{Setup, Slapd, access},
};

/// The embedded store behind slapd, which finds names as we do and not as slapd does.
struct Embedded {
    _home: TempDir,
    site: Site,
    slapd: Slapd,
    _daemon: Service,
}

impl Embedded {
    fn new(users: &[&User]) -> Self {
        let home = tempdir().unwrap();
        let (directory, site) = (home.path().join("slapd"), Site::new());
        let socket = site.directory().join("slapd.socket");
        let access = Some(access::with_hand_back(&directory.join("ldapi")));
        let setup =
            Setup { socket: Some(socket), access, dn_pattern: any_name(), ..Setup::default() };
        let entries: Vec<Entry> = users.iter().flat_map(|user| user.entries()).collect();
        let slapd = Slapd::start(&directory, &setup, &entries);
        site.configure_with(&format!(
            "[back-sock]\nsocket = \"slapd.socket\"\nsuffixes = [\"dc=example,dc=test\"]\n\
             accounts = [\"{ACCOUNTS}\"]\npassword = \"directory\"\n\
             login-attribute = \"uid\"\nhand-back-url = \"{}\"\n",
            slapd.ldapi_url()
        ));
        let daemon = site.serve();
        Self { _home: home, site, slapd, _daemon: daemon }
    }

    fn with_token(&self, user: &User) -> OathToken {
        self.site.add_user(&user.name, "hotp")
    }

    fn bind(&self, name: &str, typed: &str) -> i32 {
        self.slapd.ldap().bind(&format!("uid={name},{ACCOUNTS}"), typed)
    }
}

/// All accounts, of whatever letters.
fn any_name() -> Option<String> {
    Some(format!("^uid=[^,]+,{ACCOUNTS}$"))
}

/// Accounts with tokens, behind access rules without the safety net: whoever is told CONTINUE
/// gets in by the password alone.
fn without_net(user: &User) -> LdapStage {
    let is_net = |rule: &String| rule.contains("(oathToken=*)");
    let access: Vec<_> = access::usual().into_iter().filter(|rule| !is_net(rule)).collect();
    let read = format!(
        "to dn.subtree=\"{ACCOUNTS}\" attrs=userPassword by dn.exact=\"{}\" read by anonymous auth",
        service_dn("validator")
    );
    let access = Some([vec![read], access].concat());
    LdapStage::with(&[user], Setup { access, dn_pattern: any_name(), ..Setup::default() }, "")
}

#[test]
fn a_compatible_letter_is_the_letter_and_no_way_around_the_otp() {
    let alice = User::without_token("alice");
    let rig = Embedded::new(&[&alice]);
    let token = rig.with_token(&alice);
    for (factor, name) in ["alice", "ａlice", "alice\u{a0}", "al\u{2170}ce"].iter().enumerate() {
        assert_eq!(rig.bind(name, "alice-pw"), INVALID, "{name}");
        let typed = format!("alice-pw{}", token.otp(factor.try_into().unwrap()));
        assert_eq!(rig.bind(name, &typed), 0, "{name}");
    }
}

#[test]
fn a_decomposed_letter_is_the_letter_and_no_way_around_the_otp() {
    let user = User::without_token("jürgen");
    let rig = Embedded::new(&[&user]);
    let token = rig.with_token(&user);
    for name in ["jürgen", "ju\u{308}rgen", "JU\u{308}RGEN"] {
        assert_eq!(rig.bind(name, "jürgen-pw"), INVALID, "{name}");
    }
    assert_eq!(rig.bind("ju\u{308}rgen", &format!("jürgen-pw{}", token.otp(0))), 0);
}

/// slapd has a small i for the capital one with a dot; the account has that name here.
#[test]
fn an_account_of_unusual_letters_is_found_by_the_plain_ones() {
    let user = User::without_token("\u{130}nci");
    let rig = Embedded::new(&[&user]);
    let token = rig.with_token(&user);
    let password = &user.password;
    for name in ["\u{130}nci", "inci", "\u{ff49}nci"] {
        assert_eq!(rig.bind(name, password), INVALID, "{name}");
    }
    assert_eq!(rig.bind("\u{130}nci", &format!("{password}{}", token.otp(0))), 0);
}

/// Who knows no account of this name cannot know whose it is, unless it is a plain name.
#[test]
fn without_a_token_a_plain_name_is_left_to_slapd_and_another_is_not() {
    let (bob, jorg) = (User::without_token("bob"), User::without_token("jörg"));
    let rig = Embedded::new(&[&bob, &jorg]);
    assert_eq!(rig.bind("bob", &bob.password), 0);
    assert_eq!(rig.bind("ｂob", &bob.password), INVALID);
    assert_eq!(rig.bind("jörg", &jorg.password), INVALID);
}

/// The LDAP store asks slapd for the name as it was given, and folds nothing for it.
#[test]
fn slapd_finds_the_account_of_each_name_that_it_lets_in() {
    let mut wrong = Vec::new();
    for name in ["jürgen", "νικος", "groẞ", "\u{13a0}da", "\u{10a0}ia", "İnci", "\u{1c90}a"]
    {
        let user = User {
            name: name.into(),
            password: "some-pw".into(),
            stored: "some-pw".into(),
            ..User::hotp("alice")
        };
        let stage = without_net(&user);
        let alone = stage.bind(&user, &user.password);
        let both = stage.bind(&user, &user.credentials(0));
        if (alone, both) != (INVALID, 0) {
            wrong.push(format!("{name}: password alone {alone}, with OTP {both}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn with_the_ldap_store_a_compatible_letter_is_the_letter() {
    let alice = User::hotp("alice");
    let stage = without_net(&alice);
    for (factor, name) in ["alice", "ａlice", "alice\u{a0}"].iter().enumerate() {
        let dn = format!("uid={name},{ACCOUNTS}");
        assert_eq!(stage.slapd.ldap().bind(&dn, &alice.password), INVALID, "{dn}");
        let typed = alice.credentials(factor.try_into().unwrap());
        assert_eq!(stage.slapd.ldap().bind(&dn, &typed), 0, "{dn}");
    }
}

/// As when the daemon's identity is not mapped to the one that the access rules name.
#[test]
fn an_account_that_we_may_not_read_is_not_nobody() {
    let alice = User::hotp("alice");
    let access = vec![
        "to attrs=userPassword by anonymous auth".to_owned(),
        "to * by anonymous auth".to_owned(),
    ];
    let stage = LdapStage::with(&[&alice], Setup { access: Some(access), ..Setup::default() }, "");
    assert_eq!(stage.bind(&alice, &alice.password), UNAVAILABLE);
    assert_eq!(stage.bind(&alice, &alice.credentials(0)), UNAVAILABLE);
}

/// invalidCredentials.
const INVALID: i32 = 49;
/// unavailable.
const UNAVAILABLE: i32 = 52;
