//! Moving counters: in the directory, only from what was read, then here.

use countersign_core::{
    domain::{
        counter::{Change, FailureCounter, Move, TokenCounter},
        id::{AccountId, TokenId},
    },
    ldap::{
        account,
        counter::{Modification, Wanted},
        entry::Entry,
        filter,
        schema::attribute,
        token,
    },
};

use super::{DirectoryStore, SeenToken};
use crate::{
    directory::{DirectoryError, ResultCode, Scope, Search},
    store::{Committed, StoreError},
};

/// What is to happen to one entry.
struct Step {
    seen: SeenToken,
    wanted: Wanted,
    /// The token's move, if it is the token that moves.
    token: Option<Move<TokenId, TokenCounter>>,
    /// The failures' move, if they are counted here.
    failures: Option<Move<AccountId, FailureCounter>>,
}

impl DirectoryStore {
    /// Each entry is moved whole or not at all, the tokens before the failures; the first that
    /// does not hold ends it. What was done until then stays done: an OTP that is spent and
    /// accepted by nobody does no harm.
    pub(super) async fn carry_out(&self, change: Change) -> Result<Committed, StoreError> {
        let (steps, failures_alone) = match self.steps(&change).await? {
            Some(planned) => planned,
            None => return Ok(Committed::Conflict),
        };
        let mut tokens_moved = false;
        for step in &steps {
            if self.make(step).await? == Committed::Conflict {
                if tokens_moved && takes_failures_back(step) {
                    // Others failed meanwhile, and their failures stand. Nobody has to be refused for it.
                    continue;
                }
                return Ok(Committed::Conflict);
            }
            tokens_moved |= step.token.is_some();
        }
        match failures_alone {
            Some(step) => self.note(step).await,
            None => Ok(Committed::Done),
        }
    }

    /// The steps of a change, entry by entry, and the failures of an account that has no token to
    /// count them at. Nothing if a value is no longer as the decision was made on it.
    async fn steps(
        &self,
        change: &Change,
    ) -> Result<Option<(Vec<Step>, Option<Move<AccountId, FailureCounter>>)>, StoreError> {
        let now = lets_somebody_in(change).then(|| self.clock.now());
        let mut steps: Vec<Step> = Vec::new();
        for step in &change.tokens {
            let Some(seen) = self.seen_token(step.id, step.from).await? else { return Ok(None) };
            if seen.position.counter(self.local.mark(seen.mark)?) != step.from {
                return Ok(None);
            }
            let wanted = Wanted { counter: Some(step.to), failures: None, last_login: now };
            steps.push(Step { seen, wanted, token: Some(*step), failures: None });
        }
        let Some(failures) = change.failures else { return Ok(Some((steps, None))) };
        let Some(place) = self.seen_failures(failures.id, failures.from).await? else {
            return Ok(None);
        };
        let noted = self.local.last_failure(failures.id)?;
        let Some(seen) = place else {
            let holds = noted.unwrap_or_default() == failures.from;
            return Ok(holds.then_some((steps, Some(failures))));
        };
        if seen.position.failures(noted) != failures.from {
            return Ok(None);
        }
        let is_same = |step: &&mut Step| step.seen.dn == seen.dn && step.seen.method == seen.method;
        if let Some(step) = steps.iter_mut().find(is_same) {
            step.seen.position = step.seen.position.with_failures_of(&seen.position);
            step.wanted.failures = Some(failures.to);
            step.failures = Some(failures);
        } else {
            let wanted = Wanted { failures: Some(failures.to), ..Wanted::default() };
            steps.push(Step { seen, wanted, token: None, failures: Some(failures) });
        }
        Ok(Some((steps, None)))
    }

    /// One entry in the directory, then what is kept here of it.
    async fn make(&self, step: &Step) -> Result<Committed, StoreError> {
        let SeenToken { dn, position, mark, .. } = &step.seen;
        let modifications = position.modifications(&step.wanted);
        let moves = modifications.iter().any(|one| !is_last_login(one));
        if moves && !self.modify(dn, &modifications).await? {
            return Ok(Committed::Conflict);
        }
        if let Some(token) = step.token {
            if position.moves(&token.to) {
                self.local.raise_mark(*mark, token.to).await?;
            } else {
                // The directory has no place for what differs, so the mark alone decides.
                let from = self.local.mark(*mark)?;
                let holds = position.counter(from) == token.from;
                if !holds
                    || self.local.move_mark(*mark, from, token.to).await? == Committed::Conflict
                {
                    return Ok(Committed::Conflict);
                }
            }
        }
        let moved = SeenToken { position: position.moved(&step.wanted), ..step.seen.clone() };
        if let Some(token) = step.token {
            self.tokens.put((token.id, token.to), moved.clone());
        }
        if let Some(failures) = step.failures {
            self.keep_receipt(failures).await?;
            self.failures.put((failures.id, failures.to), Some(moved));
        }
        Ok(Committed::Done)
    }

    /// Whether the directory did it; not if the entry is no longer as it was read.
    async fn modify(&self, dn: &str, modifications: &[Modification]) -> Result<bool, StoreError> {
        match self.directory.modify(dn, modifications).await {
            Ok(()) => Ok(true),
            Err(error) if is_conflict(&error, modifications) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// By its receipt a retry of a failed request is known. If another failure was faster, there
    /// is nothing to know any more.
    async fn keep_receipt(
        &self,
        failures: Move<AccountId, FailureCounter>,
    ) -> Result<(), StoreError> {
        if failures.to.receipt.0 != 0 {
            let from = self.local.last_failure(failures.id)?;
            let _ = self.local.move_last_failure(failures.id, from, failures.to).await?;
        }
        Ok(())
    }

    /// Counts the failures of an account without a token here.
    async fn note(
        &self,
        failures: Move<AccountId, FailureCounter>,
    ) -> Result<Committed, StoreError> {
        let from = self.local.last_failure(failures.id)?;
        if from.unwrap_or_default() != failures.from {
            return Ok(Committed::Conflict);
        }
        self.failures.put((failures.id, failures.to), None);
        self.local.move_last_failure(failures.id, from, failures.to).await
    }

    /// What the decision on this counter was made on; read again if that is forgotten.
    async fn seen_token(
        &self,
        id: TokenId,
        from: TokenCounter,
    ) -> Result<Option<SeenToken>, StoreError> {
        if let Some(seen) = self.tokens.recall(&(id, from)) {
            return Ok(Some(seen));
        }
        let Some(entry) = self.token_entry(id).await? else { return Ok(None) };
        let mark = self.local.mark(entry.mark)?;
        let counter = entry.position.counter(mark);
        let seen = self.saw(&entry, counter);
        Ok((counter == from).then_some(seen))
    }

    /// Where the failures of an account are counted; nothing if there is no such account.
    async fn seen_failures(
        &self,
        id: AccountId,
        from: FailureCounter,
    ) -> Result<Option<Option<SeenToken>>, StoreError> {
        if let Some(seen) = self.failures.recall(&(id, from)) {
            return Ok(Some(seen));
        }
        let (id_text, mapping) = (id.to_string(), &self.mapping.account);
        let attributes = account::attributes(mapping);
        let entry = self.entry_of(&id_text, &mapping.filter, &attributes).await?;
        let Some(entry) = entry else { return Ok(None) };
        self.subject_of(&entry, None).await?;
        Ok(self.failures.recall(&(id, from)))
    }

    /// The entry with an identifier, wherever it is.
    pub(super) async fn entry_of(
        &self,
        id: &str,
        is: &str,
        attributes: &[&str],
    ) -> Result<Option<Entry>, StoreError> {
        let filter = filter::all(&[&filter::equals(attribute::ENTRY_UUID, id), is]);
        let (base, scope) = (&self.places.base, Scope::Subtree);
        let search = Search { base, scope, filter: &filter, attributes, limit: 0 };
        Ok(self.directory.search(&search).await?.pop())
    }

    /// The token with an identifier.
    pub(super) async fn token_entry(
        &self,
        id: TokenId,
    ) -> Result<Option<token::TokenEntry>, StoreError> {
        let attributes = token::attributes(&self.mapping.token);
        let entry = self.entry_of(&id.to_string(), &token::filter(), &attributes).await?;
        let Some(entry) = entry else { return Ok(None) };
        for method in token::methods(&entry) {
            let token = token::read(&entry, method, &self.mapping.token)?;
            if token.id == id {
                return Ok(Some(token));
            }
        }
        Ok(None)
    }
}

/// Whether somebody is let in: a token moves on, and no failure is counted beside it.
fn lets_somebody_in(change: &Change) -> bool {
    change.tokens.iter().any(|step| step.to.next > step.from.next)
        && change.failures.is_none_or(|step| step.to.failures == 0)
}

fn takes_failures_back(step: &Step) -> bool {
    step.token.is_none() && step.failures.is_some_and(|failures| failures.to.failures == 0)
}

fn is_last_login(modification: &Modification) -> bool {
    matches!(modification, Modification::Replace(name, _) if name == attribute::LAST_LOGIN)
}

/// The old value is gone, or a value is there where none was. That a single value cannot be
/// joined by another is a violated constraint, which other things are, too; where an old value
/// was to go first, it means something else.
fn is_conflict(error: &DirectoryError, modifications: &[Modification]) -> bool {
    let deletes = modifications.iter().any(|one| matches!(one, Modification::Delete(..)));
    match error.code() {
        Some(
            ResultCode::NO_SUCH_ATTRIBUTE
            | ResultCode::ATTRIBUTE_OR_VALUE_EXISTS
            | ResultCode::NO_SUCH_OBJECT
            | ResultCode::ASSERTION_FAILED,
        ) => true,
        Some(ResultCode::CONSTRAINT_VIOLATION) => !deletes,
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u32) -> DirectoryError {
        DirectoryError::Refused {
            server: "ldapi:///x".into(),
            operation: "to modify".into(),
            result: ResultCode { code, text: String::new() },
        }
    }

    fn moved(next: u64, failures: Option<u32>) -> Change {
        let to = TokenCounter { next, ..TokenCounter::default() };
        let id = TokenId::from_bytes([1; 16]);
        let failures = failures.map(|failures| Move {
            id: AccountId::from_bytes([1; 16]),
            from: FailureCounter::default(),
            to: FailureCounter { failures, ..FailureCounter::default() },
        });
        Change { failures, tokens: vec![Move { id, from: TokenCounter::default(), to }] }
    }

    #[test]
    fn only_an_entry_that_is_no_longer_as_it_was_read_is_a_conflict() {
        let exchange = [
            Modification::Delete("c".into(), vec![b"1".to_vec()]),
            Modification::Add("c".into(), vec![b"2".to_vec()]),
        ];
        for (code, of_exchange, of_addition) in [
            (16, true, true),
            (20, true, true),
            (32, true, true),
            (122, true, true),
            (19, false, true),
            (50, false, false),
            (51, false, false),
            (53, false, false),
            (80, false, false),
        ] {
            assert_eq!(is_conflict(&refused(code), &exchange), of_exchange, "{code}");
            assert_eq!(is_conflict(&refused(code), &exchange[1..]), of_addition, "{code}");
        }
        let unanswered = DirectoryError::Unanswered { server: String::new(), cause: String::new() };
        assert!(!is_conflict(&unanswered, &exchange));
    }

    #[test]
    fn a_login_is_a_counter_that_moved_on_without_a_failure_beside_it() {
        assert!(lets_somebody_in(&moved(1, None)));
        assert!(lets_somebody_in(&moved(1, Some(0))));
        assert!(!lets_somebody_in(&moved(1, Some(2))), "a right OTP behind a wrong password");
        assert!(!lets_somebody_in(&moved(0, None)), "only a resynchronisation has begun");
        assert!(!lets_somebody_in(&Change::default()));
    }
}
