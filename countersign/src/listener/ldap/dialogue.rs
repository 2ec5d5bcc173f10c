//! What both directions of a connection must know of each other.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard},
};

use countersign_core::{
    secret::Secret,
    wire::ldap::message::{Head, MessageId, Operation},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Shared by requests and responses of one connection.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    state: Mutex<State>,
    answered: Notify,
    /// The directory server is gone.
    pub(super) gone: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    /// Requests that were passed on and have no final response yet.
    outstanding: HashSet<MessageId>,
    awaited: Option<Awaited>,
    /// A response has been passed on in part.
    is_within_response: bool,
    /// How many responses have ended.
    ended: u64,
}

/// A response that is not passed on but looked at.
#[derive(Debug)]
struct Awaited {
    id: MessageId,
    operation: Operation,
    answer: Option<Secret<Vec<u8>>>,
}

impl Dialogue {
    /// A request is passed on.
    ///
    /// # Errors
    ///
    /// Too many are.
    pub(super) fn begin(&self, head: &Head) -> Result<(), TooMany> {
        if head.operation.response().is_none() {
            return Ok(());
        }
        let mut state = self.state();
        state.outstanding.insert(head.id);
        if state.outstanding.len() > MAX_OUTSTANDING { Err(TooMany) } else { Ok(()) }
    }

    /// A request is abandoned; it has no response.
    pub(super) fn abandon(&self, id: MessageId) {
        self.state().outstanding.remove(&id);
    }

    /// A response has come. Whether it is one that is awaited here.
    pub(super) fn responds(&self, head: &Head) -> bool {
        if !head.operation.is_final() {
            return false;
        }
        let mut state = self.state();
        let awaited = state.awaited.as_ref();
        let is_awaited = awaited.is_some_and(|awaited| awaited.is(head));
        if !is_awaited {
            state.outstanding.remove(&head.id);
            state.ended = state.ended.wrapping_add(1);
        }
        is_awaited
    }

    /// From now on the response of this kind to this request is awaited.
    pub(super) fn expect(&self, id: MessageId, operation: Operation) {
        self.state().awaited = Some(Awaited { id, operation, answer: None });
    }

    /// The awaited response has come in whole.
    pub(super) fn deliver(&self, octets: &[u8]) {
        if let Some(awaited) = &mut self.state().awaited {
            awaited.answer = Some(Secret::new(octets.to_vec()));
        }
        self.answered.notify_one();
    }

    /// The awaited response; `None` if the directory server is gone.
    pub(super) async fn answer(&self) -> Option<Secret<Vec<u8>>> {
        loop {
            if let Some(answer) = self.take_answer() {
                return Some(answer);
            }
            tokio::select! {
                () = self.answered.notified() => {}
                () = self.gone.cancelled() => return self.take_answer(),
            }
        }
    }

    /// A response has been passed on in part, or to its end.
    pub(super) fn set_within_response(&self, is_within: bool) {
        self.state().is_within_response = is_within;
    }

    /// Whether nothing is under way in either direction.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state();
        state.outstanding.is_empty() && !state.is_within_response
    }

    /// A number that changes whenever a response ends.
    pub(super) fn ended(&self) -> u64 {
        self.state().ended
    }

    fn take_answer(&self) -> Option<Secret<Vec<u8>>> {
        let mut state = self.state();
        let answer = state.awaited.as_mut().and_then(|awaited| awaited.answer.take());
        if answer.is_some() {
            state.awaited = None;
        }
        answer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with this lock")
    }
}

impl Awaited {
    fn is(&self, head: &Head) -> bool {
        self.id == head.id && self.operation == head.operation && self.answer.is_none()
    }
}

/// Peer: more requests under way than one connection may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// As many as slapd takes of a connection that is bound.
const MAX_OUTSTANDING: usize = 1000;

#[cfg(test)]
mod tests {
    use countersign_core::wire::ldap::{
        bind,
        extended::{START_TLS, request},
        result::{ResultCode, response},
    };

    use super::*;

    fn id(number: u32) -> MessageId {
        MessageId::new(number).unwrap()
    }

    fn head(octets: &[u8]) -> Head {
        Head::read(octets).unwrap().unwrap()
    }

    fn response_to(number: u32, operation: Operation) -> Vec<u8> {
        response(id(number), operation, ResultCode::SUCCESS, "")
    }

    #[test]
    fn a_connection_is_quiet_when_all_is_answered_or_abandoned() {
        let dialogue = Dialogue::default();
        for number in 1..=3 {
            dialogue.begin(&head(&request(id(number), START_TLS))).unwrap();
        }
        assert!(!dialogue.is_quiet());
        let entry = response_to(1, Operation(0x64));
        assert!(!dialogue.responds(&head(&entry)));
        for number in [1, 2] {
            assert!(!dialogue.responds(&head(&response_to(number, Operation::EXTENDED_RESPONSE))));
        }
        assert!(!dialogue.is_quiet());
        dialogue.abandon(id(3));
        assert!(dialogue.is_quiet());
        dialogue.set_within_response(true);
        assert!(!dialogue.is_quiet());
    }

    #[test]
    fn requests_without_a_response_are_not_waited_for_and_others_not_without_end() {
        let dialogue = Dialogue::default();
        dialogue.begin(&head(b"\x30\x05\x02\x01\x07\x42\x00")).unwrap();
        assert!(dialogue.is_quiet());
        let mut begun = 0;
        while dialogue.begin(&head(&request(id(begun), START_TLS))) == Ok(()) {
            begun += 1;
        }
        assert_eq!(usize::try_from(begun).unwrap(), MAX_OUTSTANDING);
    }

    #[tokio::test]
    async fn only_the_response_that_is_awaited_is_kept() {
        let dialogue = Dialogue::default();
        let bind = bind::anonymous(id(5));
        dialogue.begin(&head(&bind)).unwrap();
        dialogue.expect(id(5), Operation::BIND_RESPONSE);
        assert!(!dialogue.responds(&head(&response_to(4, Operation::BIND_RESPONSE))));
        assert!(!dialogue.responds(&head(&response_to(5, Operation::SEARCH_RESULT_DONE))));
        let awaited = response_to(5, Operation::BIND_RESPONSE);
        assert!(dialogue.responds(&head(&awaited)));
        dialogue.deliver(&awaited);
        assert_eq!(dialogue.answer().await.unwrap().expose(), &awaited);
        assert!(!dialogue.responds(&head(&awaited)), "it is awaited once");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_server_that_is_gone() {
        let dialogue = Dialogue::default();
        dialogue.expect(id(5), Operation::BIND_RESPONSE);
        dialogue.gone.cancel();
        assert!(dialogue.answer().await.is_none());
    }
}
