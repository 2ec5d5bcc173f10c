//! Kerberos principals in a User-Name, as MIT's KDC writes them.
//!
//! Components are joined by `/`, the realm follows an `@`, and both signs and the
//! backslash are escaped by a backslash inside a component.

/// Peer: a principal that no login name can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    /// A backslash and nothing behind it.
    #[error("its principal ends in a backslash")]
    Escape,
    /// A sign that means something in a login name.
    #[error("its principal has a sign inside a component that separates parts of a login name")]
    Ambiguous,
    /// More than one `@` without a backslash.
    #[error("its principal has several realms")]
    Realms,
}

/// The login name of a principal: its components with `/` between them, and the realm.
///
/// What would read as another principal's name is refused: `alice\@HOME` without a realm is
/// not alice of HOME, `a\/b` is not the instance b of a.
///
/// # Errors
///
/// No login name can stand for it.
pub fn login_of(principal: &str) -> Result<String, PrincipalError> {
    let (mut name, mut realm) = (String::new(), None::<String>);
    let mut has_at = false;
    let mut letters = principal.chars();
    while let Some(letter) = letters.next() {
        let taken = match letter {
            '\\' => match letters.next().ok_or(PrincipalError::Escape)? {
                '@' if realm.is_none() => {
                    has_at = true;
                    '@'
                }
                '@' | '/' | '\\' | 'n' | 't' | 'b' | '0' => return Err(PrincipalError::Ambiguous),
                other => other,
            },
            '@' if realm.is_some() => return Err(PrincipalError::Realms),
            '@' => {
                realm = Some(String::new());
                continue;
            }
            other => other,
        };
        realm.as_mut().unwrap_or(&mut name).push(taken);
    }
    match realm {
        Some(realm) => Ok(format!("{name}@{realm}")),
        None if has_at => Err(PrincipalError::Ambiguous),
        None => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_principal_is_a_login_name_with_or_without_its_realm() {
        for (principal, login) in [
            ("alice", "alice"),
            ("alice@OTP.TEST", "alice@OTP.TEST"),
            ("alice/admin@OTP.TEST", "alice/admin@OTP.TEST"),
            (r"alice\@home@OTP.TEST", "alice@home@OTP.TEST"),
            ("müller@OTP.TEST", "müller@OTP.TEST"),
            (r"a\lice@OTP.TEST", "alice@OTP.TEST"),
        ] {
            assert_eq!(login_of(principal).as_deref(), Ok(login), "{principal}");
        }
    }

    #[test]
    fn no_principal_passes_for_another() {
        for (principal, error) in [
            (r"alice\@OTP.TEST", PrincipalError::Ambiguous),
            (r"alice\/admin@OTP.TEST", PrincipalError::Ambiguous),
            (r"CORP\\alice@OTP.TEST", PrincipalError::Ambiguous),
            (r"alice\n@OTP.TEST", PrincipalError::Ambiguous),
            ("alice@OTP.TEST@OTHER", PrincipalError::Realms),
            (r"alice@OTP\@TEST", PrincipalError::Ambiguous),
            ("alice\\", PrincipalError::Escape),
        ] {
            assert_eq!(login_of(principal), Err(error), "{principal}");
        }
    }

    proptest! {
        #[test]
        fn no_principal_panics_or_brings_a_backslash(principal in ".*") {
            if let Ok(login) = login_of(&principal) {
                prop_assert!(!login.contains('\\'));
            }
        }
    }
}
