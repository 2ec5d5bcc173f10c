//! slapd's overlay ppolicy above overlay sock, where Countersign hands the password back: what
//! the policy says of the bind of our own, and of the client's.

use tempfile::{TempDir, tempdir};

use crate::support::{
    countersign::Site,
    directory::{Entry, SUFFIX, User},
    ldap::As,
    oath::OathToken,
    process::{Service, run},
    slapd::{ADMIN, ADMIN_PASSWORD, Setup, Slapd, access},
};

/// alice with a token here and bob without one, under one policy.
struct Rig {
    _home: TempDir,
    _site: Site,
    slapd: Slapd,
    _daemon: Service,
    token: OathToken,
}

impl Rig {
    /// With these attributes of the policy and of the accounts.
    fn new(policy: &[(&str, &str)], account: &[(&str, &str)]) -> Self {
        let home = tempdir().unwrap();
        let (directory, site) = (home.path().join("slapd"), Site::new());
        let setup = Setup {
            socket: Some(site.directory().join("slapd.socket")),
            access: Some(access::with_hand_back(&directory.join("ldapi"))),
            password_policy: Some(with(self::policy(), policy)),
            ..Setup::default()
        };
        let mut entries = Vec::new();
        for user in [alice(), bob()] {
            let mut of_user = user.entries();
            let entry = of_user.pop().unwrap();
            entries.extend(of_user);
            entries.push(with(entry, account));
        }
        let slapd = Slapd::start(&directory, &setup, &entries);
        site.configure_with(&format!(
            "[back-sock]\nsocket = \"slapd.socket\"\nsuffixes = [\"{SUFFIX}\"]\n\
             accounts = [\"ou=accounts,{SUFFIX}\"]\npassword = \"directory\"\n\
             login-attribute = \"uid\"\nhand-back-url = \"{}\"\n",
            slapd.ldapi_url()
        ));
        let daemon = site.serve();
        let token = site.add_user("alice", "hotp");
        Self { _home: home, _site: site, slapd, _daemon: daemon, token }
    }

    /// Both users with what they type, alice with the OTP of this counter.
    fn binds(&self, counter: u64) -> [(User, String); 2] {
        let typed = format!("alice-pw{}", self.token.otp(counter));
        [(alice(), typed), (bob(), "bob-pw".into())]
    }

    /// What is said to a bind that wants to hear of the policy.
    fn told(&self, user: &User, typed: &str) -> String {
        let as_user = As::Simple(&user.dn(), typed);
        let mut command = self.slapd.ldap().command("ldapwhoami", as_user);
        let said = run(command.args(["-e", "ppolicy"]), b"");
        said.stdout + &said.stderr
    }

    fn grace_logins(&self, user: &User) -> usize {
        let as_admin = As::Simple(ADMIN, ADMIN_PASSWORD);
        self.slapd.ldapi().values(as_admin, &user.dn(), "pwdGraceUseTime").len()
    }
}

#[test]
fn who_must_change_the_password_may_do_nothing_else() {
    let rig = Rig::new(&[("pwdMustChange", "TRUE")], &[("pwdReset", "TRUE")]);
    for (user, typed) in rig.binds(0) {
        let as_user = As::Simple(&user.dn(), &typed);
        let said = rig.slapd.ldap().search(as_user, SUFFIX, "(uid=bob)", &["cn"]);
        assert_eq!(said.code, INSUFFICIENT_ACCESS, "{}", said.text);
        assert!(said.text.contains("restricted to bind"), "{}", said.text);
    }
}

/// The bind of our own uses one up, the client's another.
#[test]
fn a_grace_login_is_told_of_and_counts_twice() {
    let grace = [("pwdMaxAge", "1000"), ("pwdGraceAuthnLimit", "3")];
    let rig = Rig::new(&grace, &[("pwdChangedTime", "20200101000000Z")]);
    for ((user, typed), used) in rig.binds(0).into_iter().zip([2, 1]) {
        let told = rig.told(&user, &typed);
        assert!(told.contains(&format!("{} grace logins remain", 3 - used)), "{told}");
        assert_eq!(rig.grace_logins(&user), used);
    }
    for (user, typed) in rig.binds(1) {
        let is_alice = user.name == "alice";
        assert_eq!(rig.slapd.ldap().bind(&user.dn(), &typed), if is_alice { INVALID } else { 0 });
    }
}

fn policy() -> Entry {
    Entry::new(format!("cn=policy,{SUFFIX}"), &["applicationProcess", "pwdPolicy"])
        .with("cn", "policy")
        .with("pwdAttribute", "userPassword")
}

fn with(entry: Entry, attributes: &[(&str, &str)]) -> Entry {
    attributes.iter().fold(entry, |entry, (name, value)| entry.with(name, *value))
}

fn alice() -> User {
    User::without_token("alice")
}

fn bob() -> User {
    User::without_token("bob")
}

/// insufficientAccessRights.
const INSUFFICIENT_ACCESS: i32 = 50;
/// invalidCredentials.
const INVALID: i32 = 49;
