//! From the directory server to the client: all passes as it comes, but for the responses that
//! a bind awaits here.

use countersign_core::wire::ldap::message::{Head, MessageError};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{dialogue::Dialogue, ended::Ended, inlet::Inlet, outlet::Outlet};

/// What has come from the directory server.
pub(super) struct Responses {
    inlet: Inlet,
    /// Octets of a message that are still to be passed on.
    remaining: usize,
}

impl Responses {
    pub(super) fn new() -> Self {
        Self { inlet: Inlet::new(USUAL), remaining: 0 }
    }

    /// Whether a message has been passed on in part, so that none may follow.
    pub(super) fn is_within_message(&self) -> bool {
        self.remaining > 0
    }

    /// Passes responses on until the server has gone. A message that is too large for memory
    /// is in the client's hands in part while its rest is still to come.
    pub(super) async fn run(
        &mut self,
        server: &mut (impl AsyncRead + Unpin),
        client: &Outlet<impl AsyncWrite + Unpin>,
        dialogue: &Dialogue,
    ) -> Ended {
        match self.pass_on(server, client, dialogue).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn pass_on(
        &mut self,
        server: &mut (impl AsyncRead + Unpin),
        client: &Outlet<impl AsyncWrite + Unpin>,
        dialogue: &Dialogue,
    ) -> Result<std::convert::Infallible, Ended> {
        let mut turn = None;
        loop {
            let (length, awaited) = self.sort(dialogue).map_err(Ended::Nonsense)?;
            if length > 0 {
                dialogue.set_within_response(true);
                if turn.is_none() {
                    turn = Some(client.turn().await);
                }
                if let Some(turn) = &mut turn {
                    turn.send(&self.inlet.octets()[..length]).await?;
                }
                self.inlet.consume(length);
            }
            if self.remaining == 0 {
                turn = None;
                dialogue.set_within_response(false);
            }
            match awaited {
                Some(head) => self.hold(&head, server, dialogue).await?,
                None => self.fill(server).await?,
            }
        }
    }

    /// How many octets are to be passed on, and the response behind them that is awaited here.
    fn sort(&mut self, dialogue: &Dialogue) -> Result<(usize, Option<Head>), MessageError> {
        let octets = self.inlet.octets();
        let mut length = self.remaining.min(octets.len());
        self.remaining -= length;
        while self.remaining == 0 {
            let Some(head) = Head::read(&octets[length..])? else { break };
            if dialogue.responds(&head) {
                return Ok((length, Some(head)));
            }
            let here = head.length.min(octets.len() - length);
            length += here;
            self.remaining = head.length - here;
        }
        Ok((length, None))
    }

    async fn hold(
        &mut self,
        head: &Head,
        server: &mut (impl AsyncRead + Unpin),
        dialogue: &Dialogue,
    ) -> Result<(), Ended> {
        if head.length > MAX_HELD {
            return Err(Ended::TooLong(head.length));
        }
        self.inlet.make_room(head.length);
        while self.inlet.octets().len() < head.length {
            self.fill(server).await?;
        }
        dialogue.deliver(&self.inlet.octets()[..head.length]);
        self.inlet.consume(head.length);
        Ok(())
    }

    async fn fill(&mut self, server: &mut (impl AsyncRead + Unpin)) -> Result<(), Ended> {
        match self.inlet.fill(server).await {
            Ok(0) | Err(_) => Err(Ended::Gone),
            Ok(_) => Ok(()),
        }
    }
}

/// Octets that are read at once.
const USUAL: usize = 16 * 1024;
/// Octets of a bind response, with whatever a SASL mechanism puts into it.
const MAX_HELD: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_core::wire::ldap::{
        message::{MessageId, Operation},
        result::{ResultCode, response},
    };

    use super::*;

    fn result(number: u32, operation: Operation) -> Vec<u8> {
        response(MessageId::new(number).unwrap(), operation, ResultCode::SUCCESS, "")
    }

    async fn passed(server: &[u8], dialogue: &Dialogue) -> (Vec<u8>, Ended) {
        let (mut server, mut client) = (server, Vec::new());
        let ended = {
            let outlet = Outlet::new(&mut client, Duration::from_secs(5));
            Responses::new().run(&mut server, &outlet, dialogue).await
        };
        (client, ended)
    }

    #[tokio::test]
    async fn everything_passes_but_what_is_awaited() {
        let dialogue = Dialogue::default();
        dialogue.expect(MessageId::new(2).unwrap(), Operation::BIND_RESPONSE);
        let entry = result(1, Operation(0x64));
        let bound = result(2, Operation::BIND_RESPONSE);
        let large = response(
            MessageId::new(1).unwrap(),
            Operation(0x64),
            ResultCode::SUCCESS,
            &"x".repeat(3 * USUAL),
        );
        let server = [&entry[..], &bound, &large, &entry].concat();
        let (client, ended) = passed(&server, &dialogue).await;
        assert_eq!(client, [&entry[..], &large, &entry].concat());
        assert!(matches!(ended, Ended::Gone));
        assert_eq!(dialogue.answer().await.unwrap().expose(), &bound);
    }

    #[tokio::test]
    async fn what_is_no_ldap_passes_no_more() {
        let entry = result(1, Operation(0x64));
        let server = [&entry[..], b"\x00\x00\x00\x10"].concat();
        let (client, ended) = passed(&server, &Dialogue::default()).await;
        assert!(client.is_empty() && matches!(ended, Ended::Nonsense(_)));
    }

    #[tokio::test]
    async fn a_response_that_is_held_has_its_limit() {
        let dialogue = Dialogue::default();
        dialogue.expect(MessageId::new(2).unwrap(), Operation::BIND_RESPONSE);
        let endless = b"\x30\x84\x7f\xff\xff\xff\x02\x01\x02\x61\x84\x7f\xff\xff\xf0";
        let (_, ended) = passed(endless, &dialogue).await;
        assert!(matches!(ended, Ended::TooLong(_)));
    }

    #[test]
    fn a_message_that_broke_off_is_known() {
        let mut responses = Responses::new();
        assert!(!responses.is_within_message());
        responses.remaining = 1;
        assert!(responses.is_within_message());
    }
}
