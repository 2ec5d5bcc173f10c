//! Apply: a plan is carried out, one entry after the other.

use super::{EntryPlan, Outcome, Plan};
use crate::directory::{Directory, DirectoryError, ResultCode};

/// Carries a plan out, and writes into it what became of each entry. `progress` gets how many
/// entries are done, of how many.
///
/// Where the directory does not answer, or we may not write, it ends: the entries after that have no outcome.
pub async fn apply(directory: &Directory, plan: &mut Plan, mut progress: impl FnMut(usize, usize)) {
    let all = plan.to_change();
    let entries = plan.entries.iter_mut().filter(|entry| !entry.changes.is_empty());
    for (number, entry) in entries.enumerate() {
        let outcome = change(directory, entry).await;
        let is_over = matches!(outcome, Outcome::Unknown(_) | Outcome::NoRight(_));
        entry.outcome = Some(outcome);
        progress(number + 1, all);
        if is_over {
            return;
        }
    }
}

/// All changes of an entry in one request (RFC 4511 §4.6: all of them or none).
async fn change(directory: &Directory, entry: &EntryPlan) -> Outcome {
    let mut modifications = Vec::new();
    for change in &entry.changes {
        match change.modifications() {
            Ok(some) => modifications.extend(some),
            Err(error) => return Outcome::Refused(format!("{}: {error}", change.text)),
        }
    }
    match directory.modify(&entry.dn, &modifications).await {
        Ok(()) => Outcome::Done,
        Err(error) => outcome_of(&error),
    }
}

fn outcome_of(error: &DirectoryError) -> Outcome {
    match error {
        DirectoryError::Refused { result, .. } => match result.code {
            ResultCode::NO_SUCH_ATTRIBUTE
            | ResultCode::ATTRIBUTE_OR_VALUE_EXISTS
            | ResultCode::CONSTRAINT_VIOLATION
            | ResultCode::NO_SUCH_OBJECT => Outcome::ChangedMeanwhile,
            ResultCode::INSUFFICIENT_ACCESS_RIGHTS => Outcome::NoRight(error.to_string()),
            _ => Outcome::Refused(error.to_string()),
        },
        DirectoryError::Settings { .. }
        | DirectoryError::Unreachable { .. }
        | DirectoryError::Busy { .. }
        | DirectoryError::Unanswered { .. } => Outcome::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_gone_is_told_from_a_refusal_and_from_silence() {
        let refused = |code| DirectoryError::Refused {
            server: "ldapi:///".into(),
            operation: "to modify \"cn=t\"".into(),
            result: ResultCode { code, text: String::new() },
        };
        for code in [16, 20, 32] {
            assert_eq!(outcome_of(&refused(code)), Outcome::ChangedMeanwhile);
        }
        assert!(matches!(outcome_of(&refused(50)), Outcome::NoRight(why) if why.contains("cn=t")));
        assert!(matches!(outcome_of(&refused(53)), Outcome::Refused(why) if why.contains("cn=t")));
        let lost =
            DirectoryError::Unanswered { server: "ldapi:///".into(), cause: "closed".into() };
        assert!(matches!(outcome_of(&lost), Outcome::Unknown(_)));
    }
}
