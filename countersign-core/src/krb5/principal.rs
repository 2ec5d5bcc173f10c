//! A principal as the KDC's database has it, read from what `kadmin` shows.

/// What decides how a principal can log on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principal {
    /// Its name with realm, with the backslashes that Kerberos writes.
    pub name: String,
    /// How many keys it has; with one of them its password alone may get a ticket.
    pub keys: usize,
    /// Whether the KDC gives out nothing before preauthentication.
    pub requires_preauth: bool,
    /// Whether it wants what only hardware tokens can prove, which OTP is not.
    pub requires_hwauth: bool,
    /// Whether it may log on at all.
    pub disabled: bool,
    /// The name of its policy.
    pub policy: Option<String>,
    /// How often it failed since it last succeeded.
    pub failures: u32,
    /// The string attribute `otp`.
    pub otp: Option<String>,
    /// The string attribute `require_auth`: of a service, which indicators let in.
    pub require_auth: Option<String>,
}

/// A password policy, as far as it locks principals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lockout {
    /// Failures until the principal is locked; 0 is never.
    pub max_failures: u32,
    /// How long, in words.
    pub duration: String,
}

/// What `kadmin` said makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("kadmin's answer has no line that begins with `Principal:`")]
pub struct NoPrincipal;

impl Principal {
    /// Reads the answers to `getprinc` and `getstrs`.
    ///
    /// # Errors
    ///
    /// It is no answer to `getprinc`.
    pub fn from_kadmin(principal: &str, strings: &str) -> Result<Self, NoPrincipal> {
        let field = |name| field(principal, name);
        let attributes: Vec<_> =
            field("Attributes").unwrap_or_default().split_ascii_whitespace().collect();
        let has = |attribute| attributes.contains(&attribute);
        Ok(Self {
            name: field("Principal").ok_or(NoPrincipal)?.to_owned(),
            keys: number(field("Number of keys")),
            requires_preauth: has("REQUIRES_PRE_AUTH"),
            requires_hwauth: has("REQUIRES_HW_AUTH"),
            disabled: has("DISALLOW_ALL_TIX"),
            policy: field("Policy").filter(|policy| *policy != "[none]").map(str::to_owned),
            failures: number(field("Failed password attempts")),
            otp: string(strings, "otp"),
            require_auth: string(strings, "require_auth"),
        })
    }

    /// What the KDC sends as User-Name unless the token has a name of its own: the
    /// principal with or without the realm.
    #[must_use]
    pub fn user_name(&self, strip_realm: bool) -> String {
        if strip_realm {
            // Without a realm `@` needs no backslash.
            split_realm(&self.name).0.replace("\\@", "@")
        } else {
            self.name.clone()
        }
    }

    /// Its realm.
    #[must_use]
    pub fn realm(&self) -> Option<&str> {
        split_realm(&self.name).1
    }
}

impl Lockout {
    /// Reads the answer to `getpol`.
    #[must_use]
    pub fn from_kadmin(policy: &str) -> Self {
        Self {
            max_failures: number(field(policy, "Maximum password failures before lockout")),
            duration: field(policy, "Password lockout duration").unwrap_or_default().to_owned(),
        }
    }
}

/// The principal and its realm, which begins at the last `@` without a backslash.
#[must_use]
pub fn split_realm(name: &str) -> (&str, Option<&str>) {
    let mut escaped = false;
    let mut at = None;
    for (index, letter) in name.char_indices() {
        if letter == '@' && !escaped {
            at = Some(index);
        }
        escaped = letter == '\\' && !escaped;
    }
    at.map_or((name, None), |at| (&name[..at], Some(&name[at + 1..])))
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A string attribute: everything behind its name, up to the next line that has one.
fn string(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.strip_prefix(' ').unwrap_or(value).to_owned())
}

fn number<T: std::str::FromStr + Default>(text: Option<&str>) -> T {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kadmin.local 1.20.1 of Debian 12 said.
    const BOB: &str = "\
Principal: bob@OTP.TEST
Expiration date: [never]
Last password change: Tue Nov 24 09:09:11 UTC 2026
Password expiration date: [never]
Maximum ticket life: 1 day 00:00:00
Failed password attempts: 2
Number of keys: 2
Key: vno 1, aes256-cts-hmac-sha1-96
Key: vno 1, aes128-cts-hmac-sha1-96
MKey: vno 1
Attributes: DISALLOW_ALL_TIX REQUIRES_PRE_AUTH
Policy: strict
";
    const STRICT: &str = "\
Policy: strict
Maximum password life: 0 days 00:00:00
Maximum password failures before lockout: 3
Password failure count reset interval: 0 days 00:01:00
Password lockout duration: 0 days 00:05:00
";

    #[test]
    fn reads_what_kadmin_says() {
        let strings = "require_auth: a b\notp: [{\"type\":\"x: y\"}]\n";
        let expected = Principal {
            name: "bob@OTP.TEST".into(),
            keys: 2,
            requires_preauth: true,
            requires_hwauth: false,
            disabled: true,
            policy: Some("strict".into()),
            failures: 2,
            otp: Some("[{\"type\":\"x: y\"}]".into()),
            require_auth: Some("a b".into()),
        };
        assert_eq!(Principal::from_kadmin(BOB, strings), Ok(expected));
        let lockout = Lockout { max_failures: 3, duration: "0 days 00:05:00".into() };
        assert_eq!(Lockout::from_kadmin(STRICT), lockout);
    }

    #[test]
    fn empty_string_is_another_thing_than_none() {
        let read = |strings| Principal::from_kadmin(BOB, strings).unwrap().otp;
        assert_eq!(read("otp: \n"), Some(String::new()));
        assert_eq!(read("(No string attributes.)\n"), None);
        assert_eq!(Principal::from_kadmin("nonsense", ""), Err(NoPrincipal));
    }

    #[test]
    fn realm_begins_at_the_last_at_sign_without_a_backslash() {
        for (name, user, realm) in [
            ("alice@R", "alice", Some("R")),
            ("alice", "alice", None),
            ("al\\@ice@R", "al@ice", Some("R")),
            ("al\\\\@R", "al\\\\", Some("R")),
            ("host/a.b@R", "host/a.b", Some("R")),
        ] {
            let principal = Principal { name: name.into(), ..Principal::default() };
            assert_eq!(principal.user_name(true), user);
            assert_eq!(principal.user_name(false), name);
            assert_eq!(principal.realm(), realm);
        }
    }
}
