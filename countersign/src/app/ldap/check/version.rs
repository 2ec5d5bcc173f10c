//! The version of slapd, and what is known of it: ITS#10559, an answer that breaks off.

use crate::{
    app::examine::Findings,
    client::slapd::{self, Version},
};

/// Looks at the slapd on this machine, if the directory is on this machine.
pub(super) async fn examine(url: &str, findings: &mut Findings) {
    if !url.starts_with("ldapi:") {
        return;
    }
    let object = "slapd";
    match slapd::version().await {
        Ok(version) => says(object, version, findings),
        Err(error) => findings.warning(object, format!("its version is not known: {error}"), TRY),
    }
}

/// Fixed in 2.6.14; no version of 2.5 has the fix.
fn says(object: &str, version: Version, findings: &mut Findings) {
    if version >= FIXED {
        findings.good(object, format!("version {version}: an answer that breaks off is a failure"));
        return;
    }
    let finding = format!(
        "version {version} takes an answer that breaks off for a success (ITS#10559); Countersign \
         writes a refusal before it reads a request, and its socket outlives it, so that nothing breaks off"
    );
    findings.warning(
        object,
        finding,
        "keep the socket unit (countersign ldap config socket-unit); nobody but Countersign may \
         answer there; slapd 2.6.14 mends it",
    );
}

const FIXED: Version = Version(2, 6, 14);
const TRY: &str = "--try-torn DN tries whether an answer that breaks off is taken for a success";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::examine::Grade;

    #[test]
    fn versions_before_the_fix_are_warned_of() {
        let grade = |version: Version| {
            let mut findings = Findings::default();
            says("slapd", version, &mut findings);
            findings.into_vec()[0].grade
        };
        assert_eq!(grade(Version(2, 5, 13)), Grade::Warning);
        assert_eq!(grade(Version(2, 6, 13)), Grade::Warning);
        assert_eq!(grade(Version(2, 6, 14)), Grade::Good);
        assert_eq!(grade(Version(2, 7, 0)), Grade::Good);
    }
}
