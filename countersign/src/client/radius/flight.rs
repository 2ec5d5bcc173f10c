//! The requests that are under way on one connection, by their numbers.
//!
//! A number whose request was given up stays taken until its answer comes or the connection
//! ends: a late answer is then known for what it is, and an answer that is not authentic is
//! never just a late one.

use std::collections::{HashMap, VecDeque};

use countersign_core::{secret::Secret, wire::radius::packet::Packet};
use tokio::sync::oneshot;

use super::question::{Answer, Dialect, NoAnswer, Pending, Question, Unsendable};

/// Requests under way.
#[derive(Debug)]
pub(super) struct Flight {
    waiting: HashMap<u32, Waiting>,
    numbers: Numbers,
    /// Packets that came, wanted or not.
    heard: u64,
}

/// A request that took off.
#[derive(Debug)]
pub(super) struct TakenOff {
    pub(super) bytes: Secret<Vec<u8>>,
    /// Ends without an answer if the connection does.
    pub(super) answer: oneshot::Receiver<Answer>,
}

#[derive(Debug)]
struct Waiting {
    pending: Pending,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug)]
enum Numbers {
    /// Those that are free, the longest unused first.
    Identifiers(VecDeque<u8>),
    /// The next token.
    Tokens(u32),
}

impl Flight {
    /// Nothing under way. Tokens begin anywhere.
    pub(super) fn new(dialect: &Dialect, first_token: u32) -> Self {
        let numbers = match dialect {
            Dialect::Md5 { .. } => Numbers::Identifiers((0..=u8::MAX).collect()),
            Dialect::Transport => Numbers::Tokens(first_token),
        };
        Self { waiting: HashMap::new(), numbers, heard: 0 }
    }

    /// Gives a request a number and writes it; nothing if all numbers are taken.
    pub(super) fn take_off(
        &mut self,
        question: &Question,
        dialect: &Dialect,
    ) -> Result<Option<TakenOff>, Unsendable> {
        let Some(number) = self.free_number() else { return Ok(None) };
        let written = match question.write(dialect, number) {
            Ok(written) => written,
            Err(error) => {
                self.give_back(number);
                return Err(error);
            }
        };
        let (sender, answer) = oneshot::channel();
        self.waiting.insert(number, Waiting { pending: written.pending, answer: sender });
        Ok(Some(TakenOff { bytes: written.bytes, answer }))
    }

    /// Hands an answer to who waits for it. A packet that answers nothing is passed over
    /// (RFC 6613 §2.6.4).
    ///
    /// # Errors
    ///
    /// It has the number of a request, and is not authentic.
    pub(super) fn land(&mut self, packet: Packet<'_>, dialect: &Dialect) -> Result<(), NoAnswer> {
        self.heard += 1;
        let number = dialect.number_of(&packet);
        let Some(waiting) = self.waiting.get(&number) else { return Ok(()) };
        let answer = match waiting.pending.read(packet, dialect) {
            Ok(answer) => answer,
            Err(NoAnswer::Code(..)) => return Ok(()),
            Err(cause @ NoAnswer::Unauthentic(_)) => return Err(cause),
        };
        if let Some(waiting) = self.waiting.remove(&number) {
            self.give_back(number);
            // Nobody waits any longer if it comes too late.
            let _ = waiting.answer.send(answer);
        }
        Ok(())
    }

    /// Whether nobody waits for anything that is under way.
    pub(super) fn is_given_up(&self) -> bool {
        self.waiting.values().all(|waiting| waiting.answer.is_closed())
    }

    /// How many packets came.
    pub(super) fn heard(&self) -> u64 {
        self.heard
    }

    /// Ends all waiting.
    pub(super) fn crash(&mut self) {
        self.waiting.clear();
    }

    fn free_number(&mut self) -> Option<u32> {
        match &mut self.numbers {
            Numbers::Identifiers(free) => free.pop_front().map(u32::from),
            Numbers::Tokens(_) if self.waiting.len() >= MAX_TOKENS => None,
            Numbers::Tokens(next) => {
                while self.waiting.contains_key(next) {
                    *next = next.wrapping_add(1);
                }
                let token = *next;
                *next = next.wrapping_add(1);
                Some(token)
            }
        }
    }

    fn give_back(&mut self, number: u32) {
        if let (Numbers::Identifiers(free), [.., identifier]) =
            (&mut self.numbers, number.to_be_bytes())
        {
            free.push_back(identifier);
        }
    }
}

/// Requests under way on one connection of RADIUS/1.1; there would be tokens for more.
const MAX_TOKENS: usize = 1024;

#[cfg(test)]
mod tests {
    use countersign_core::wire::radius::{
        authenticator::Demand,
        dictionary::Code,
        packet::{Draft, Protection},
    };

    use super::*;

    fn md5() -> Dialect {
        Dialect::Md5 { secret: secret(), demand: Demand::Required }
    }

    fn secret() -> Secret<Vec<u8>> {
        Secret::new(b"secret".to_vec())
    }

    fn question() -> Question {
        Question::about("alice", &Secret::new(b"755224".to_vec()), "countersign", &[])
    }

    fn reply(request: &Secret<Vec<u8>>, code: Code, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        let packet = Packet::read(request.expose()).unwrap();
        let protection = Protection::MessageAuthenticator;
        Draft::new(code, packet.identifier(), packet.authenticator(), protection)
            .finish_reply(secret)
    }

    fn packet(octets: &[u8]) -> Packet<'_> {
        Packet::read(octets).unwrap()
    }

    #[test]
    fn answers_in_any_order_find_who_asked() {
        let mut flight = Flight::new(&md5(), 0);
        let take_off = |_| flight.take_off(&question(), &md5()).unwrap().unwrap();
        let mut taken: Vec<_> = (0..3).map(take_off).collect();
        let codes = [Code::ACCESS_ACCEPT, Code::ACCESS_REJECT, Code::ACCESS_CHALLENGE];
        for (taken, code) in taken.iter().zip(codes).rev() {
            let reply = reply(&taken.bytes, code, &secret());
            flight.land(packet(&reply), &md5()).unwrap();
        }
        for (taken, code) in taken.iter_mut().zip(codes) {
            assert_eq!(taken.answer.try_recv().unwrap().code, code);
        }
        assert_eq!(flight.heard(), 3);
    }

    #[test]
    fn there_are_256_identifiers_and_one_given_up_stays_taken_until_its_answer() {
        let mut flight = Flight::new(&md5(), 0);
        let mut taken: Vec<_> =
            (0..256).map(|_| flight.take_off(&question(), &md5()).unwrap().unwrap()).collect();
        assert!(flight.take_off(&question(), &md5()).unwrap().is_none());
        let given_up = taken.remove(7).bytes;
        assert!(flight.take_off(&question(), &md5()).unwrap().is_none());
        assert!(!flight.is_given_up());
        let late = reply(&given_up, Code::ACCESS_ACCEPT, &secret());
        flight.land(packet(&late), &md5()).unwrap();
        let next = flight.take_off(&question(), &md5()).unwrap().unwrap();
        assert_eq!(next.bytes.expose()[1], given_up.expose()[1]);
        drop((taken, next));
        assert!(flight.is_given_up());
    }

    #[test]
    fn a_wrong_answer_is_an_error_and_one_to_nothing_is_passed_over() {
        let mut flight = Flight::new(&md5(), 0);
        let mut taken = flight.take_off(&question(), &md5()).unwrap().unwrap();
        let mut to_nothing = reply(&taken.bytes, Code::ACCESS_ACCEPT, &secret());
        to_nothing[1] ^= 1;
        assert_eq!(flight.land(packet(&to_nothing), &md5()), Ok(()));
        let report = reply(&taken.bytes, Code::ACCOUNTING_RESPONSE, &secret());
        assert_eq!(
            flight.land(packet(&report), &md5()),
            Ok(()),
            "it may be some message about the server"
        );
        let other = Secret::new(b"other".to_vec());
        let wrong = reply(&taken.bytes, Code::ACCESS_ACCEPT, &other);
        assert!(matches!(flight.land(packet(&wrong), &md5()), Err(NoAnswer::Unauthentic(_))));
        assert!(taken.answer.try_recv().is_err());
    }

    #[test]
    fn what_cannot_be_written_takes_no_number() {
        let mut flight = Flight::new(&md5(), 0);
        let long = Question::about("alice", &Secret::new(vec![b'1'; 129]), "countersign", &[]);
        for _ in 0..300 {
            assert!(flight.take_off(&long, &md5()).is_err());
        }
        assert!(flight.take_off(&question(), &md5()).unwrap().is_some());
    }

    #[test]
    fn tokens_count_up_beyond_the_end_and_never_meet() {
        let dialect = Dialect::Transport;
        let mut flight = Flight::new(&dialect, u32::MAX);
        let mut token = || {
            let taken = flight.take_off(&question(), &dialect).unwrap()?;
            Some(Packet::read(taken.bytes.expose()).unwrap().request_token().0)
        };
        assert_eq!([token(), token()], [Some(u32::MAX), Some(0)]);
        for expected in 1..1023 {
            assert_eq!(token(), Some(expected));
        }
        assert_eq!(token(), None, "1024 are under way");
        flight.numbers = Numbers::Tokens(u32::MAX);
        flight.waiting.remove(&5);
        let taken = flight.take_off(&question(), &dialect).unwrap().unwrap();
        assert_eq!(Packet::read(taken.bytes.expose()).unwrap().request_token().0, 5);
    }

    #[test]
    fn the_end_of_the_connection_is_the_end_of_waiting() {
        let mut flight = Flight::new(&md5(), 0);
        let mut taken = flight.take_off(&question(), &md5()).unwrap().unwrap();
        flight.crash();
        assert_eq!(taken.answer.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
    }
}
