//! What the lines of a KDC's log about OTP mean.

/// A kind of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// What the line has in it.
    pub text: &'static str,
    /// What it means.
    pub cause: &'static str,
    /// What to do about it.
    pub cure: &'static str,
}

/// What was found of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The kind.
    pub meaning: &'static Meaning,
    /// How many lines.
    pub count: usize,
    /// The first line.
    pub first: String,
    /// The last line.
    pub last: String,
    /// Who was refused, each once; the KDC says it in the line after. No more than a few.
    pub principals: Vec<String>,
}

/// What a log says about OTP, in the order of [`MEANINGS`].
#[must_use]
pub fn summarise(log: &str) -> Vec<Found> {
    let mut found: Vec<Option<Found>> = MEANINGS.iter().map(|_| None).collect();
    let mut of = None;
    for line in log.lines() {
        if let (Some(index), Some(name)) = (of, refused(line)) {
            note(&mut found, index, name);
            of = None;
        }
        let Some(index) = MEANINGS.iter().position(|meaning| meaning.is_in(line)) else { continue };
        let meaning = &MEANINGS[index];
        let (first, last) = (line.to_owned(), line.to_owned());
        of = line.contains(VERIFY).then_some(index);
        let principals = Vec::new();
        let new = Found { meaning, count: 0, first, last, principals };
        let entry = found[index].get_or_insert(new);
        entry.count += 1;
        line.clone_into(&mut entry.last);
    }
    found.into_iter().flatten().collect()
}

fn note(found: &mut [Option<Found>], index: usize, name: &str) {
    let Some(Some(found)) = found.get_mut(index) else { return };
    if found.principals.len() < MAX_PRINCIPALS && !found.principals.iter().any(|it| it == name) {
        found.principals.push(name.to_owned());
    }
}

/// `… PREAUTH_FAILED: alice@EXAMPLE.COM for krbtgt/…`
fn refused(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("PREAUTH_FAILED: ")?;
    rest.split_once(" for ").map(|(name, _)| name)
}

impl Meaning {
    fn is_in(&self, line: &str) -> bool {
        let of_verify = line.contains(VERIFY);
        line.contains(self.text) && (of_verify || !VERIFY_TEXTS.contains(&self.text))
    }
}

const MAX_PRINCIPALS: usize = 10;
const VERIFY: &str = "preauth (otp) verify failure";

/// Texts of system errors, which mean this only in a line about OTP.
const VERIFY_TEXTS: [&str; 10] = [
    "Generic preauthentication failure",
    "Preauthentication failed",
    "Connection timed out",
    "No such file or directory",
    "Connection refused",
    "Permission denied",
    "Numerical result out of range",
    "Message too long",
    "Cannot assign requested address",
    "Invalid argument",
];

/// Every kind that is known; the first that fits a line counts.
pub const MEANINGS: [Meaning; 18] = [
    Meaning {
        text: "preauth otp failed to initialize",
        cause: "a token type of [otp] cannot be read, so OTP is off for everybody",
        cure: "the lines before it name the type; `countersign krb5 check` finds it. Restart the \
             KDC afterwards",
    },
    Meaning {
        text: "Secret missing (token type",
        cause: "a token type with a host as its server has no secret, so OTP is off for everybody",
        cure: "add secret = FILE to the type and restart the KDC",
    },
    Meaning {
        text: "Unable to open secret file",
        cause: "the file of a token type's secret cannot be opened, so OTP is off for everybody",
        cure: "a relative name is looked for in the KDC's directory (/etc/krb5kdc); the packaged \
             unit hides /root and /etc/ssl/private, and root needs no less than read permission \
             there. Restart the KDC",
    },
    Meaning {
        text: "Unable to read secret file",
        cause: "the file of a token type's secret is empty, so OTP is off for everybody",
        cure: "write the secret into its first line and restart the KDC",
    },
    Meaning {
        text: "Can't decode otp config string",
        cause: "the string `otp` of the principal is no JSON as the KDC reads it, or names an \
             unknown token type",
        cure: "`countersign krb5 check PRINCIPAL` says what is wrong with it; double quotes \
             eaten by kadmin are the usual cause",
    },
    Meaning {
        text: "No armor key found",
        cause: "a client sent an OTP without a FAST tunnel",
        cure: "get armour first: kinit -n -c ARMOUR, then kinit -T ARMOUR",
    },
    Meaning {
        text: "Unable to verify nonce or timestamp",
        cause: "more than five minutes passed between the challenge and the OTP, or the clocks \
             of KDCs differ",
        cure: "set the clocks",
    },
    Meaning {
        text: "Generic preauthentication failure",
        cause: "the OTP server answered, and did not accept",
        cure: "the audit log of Countersign has the reason: `authenticated` events of this user",
    },
    Meaning {
        text: "Preauthentication failed",
        cause: "the OTP server answered, and did not accept",
        cure: "the audit log of Countersign has the reason: `authenticated` events of this user",
    },
    Meaning {
        text: "Connection timed out",
        cause: "no answer that the KDC could use: the server was silent or late, the secrets \
             differ, nobody listens on the UDP port, an answer carried what the KDC does not \
             know, or the stream is out of step",
        cure: "is the daemon running, is `deadline` of its client shorter than `timeout` of the \
             type, are the secrets the same; if all of them are well, restart the KDC, which \
             alone brings a stream back into step",
    },
    Meaning {
        text: "No such file or directory",
        cause: "the socket of the token type does not exist",
        cure: "start the daemon, or compare `socket` of its client with `server` of the type",
    },
    Meaning {
        text: "Connection refused",
        cause: "the socket exists, but nobody listens on it",
        cure: "start the daemon",
    },
    Meaning {
        text: "Permission denied",
        cause: "the KDC may not connect to the socket: the packaged unit takes from root what \
             makes it more than an ordinary user",
        cure: "the socket must be owned by root or a group of the KDC's, with mode 0600 or 0660, \
             and its directories open to it; a systemd socket unit makes it so",
    },
    Meaning {
        text: "Numerical result out of range",
        cause: "256 requests were waiting on one connection, and there is no number for another",
        cure: "find out why the OTP server is slow; krb5kdc -w N gives every worker a connection",
    },
    Meaning {
        text: "Message too long",
        cause: "the OTP was empty or longer than 128 octets, or \"username\" of the string `otp` \
             is empty",
        cure: "`countersign krb5 check PRINCIPAL` looks at the string",
    },
    Meaning {
        text: "Cannot assign requested address",
        cause: "`server` of the token type cannot be resolved",
        cure: "write an IPv4 address and a port, or a name that the KDC's host resolves; IPv6 \
             literals do not work",
    },
    Meaning {
        text: "Invalid argument",
        cause: "the string `otp` of the principal is wrong, or OTP is off because a token type \
             cannot be read",
        cure: "`countersign krb5 check PRINCIPAL`",
    },
    Meaning {
        text: "LOCKED_OUT",
        cause: "the KDC's own lockout has closed the principal; it counts OTP servers that do \
             not answer, too",
        cure: "kadmin.local modprinc -unlock PRINCIPAL; and a policy without -maxfailure for \
             principals with OTP",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        format!("Nov 24 09:12:01 kdc krb5kdc[7](info): preauth (otp) verify failure: {text}")
    }

    #[test]
    fn counts_lines_of_a_kind_and_keeps_the_first_and_the_last() {
        let log = [line("Connection timed out"), "other".into(), line("Connection refused")];
        let log = format!("{}\nx {}\n", log.join("\n"), line("Connection timed out"));
        let found = summarise(&log);
        let counts: Vec<_> = found.iter().map(|found| (found.meaning.text, found.count)).collect();
        assert_eq!(counts, [("Connection timed out", 2), ("Connection refused", 1)]);
        assert!(found[0].first.starts_with("Nov") && found[0].last.starts_with("x Nov"));
    }

    #[test]
    fn says_who_was_refused() {
        let refused = |name| {
            format!("x AS_REQ (8 etypes {{}}) 127.0.0.1: PREAUTH_FAILED: {name} for krbtgt/R@R, x")
        };
        let log = [
            refused("other@R"),
            line("Connection refused"),
            refused("alice@R"),
            refused("password@R"),
            line("Connection refused"),
            refused("alice@R"),
        ];
        let found = summarise(&log.join("\n"));
        assert_eq!(found[0].principals, ["alice@R"]);
    }

    #[test]
    fn system_errors_elsewhere_mean_nothing() {
        assert!(summarise("krb5kdc: Permission denied - while opening /x\n").is_empty());
        assert!(summarise("AS_REQ PREAUTH_FAILED: Preauthentication failed\n").is_empty());
    }

    #[test]
    fn every_meaning_is_found_by_its_text() {
        for meaning in &MEANINGS {
            let found = summarise(&line(meaning.text));
            assert_eq!(found.len(), 1, "{}", meaning.text);
            assert_eq!(found[0].meaning, meaning);
            assert!(!meaning.cause.is_empty() && !meaning.cure.is_empty());
        }
    }

    #[test]
    fn plug_in_lines_are_told_apart_from_their_system_error() {
        let log = "krb5kdc: Can't decode otp config string for principal 'a@R': Invalid argument";
        assert!(summarise(log)[0].meaning.text.starts_with("Can't decode"));
        let log = "otp: Invalid argument Secret missing (token type 'udp')";
        assert!(summarise(log)[0].meaning.text.starts_with("Secret missing"));
    }
}
