//! What an upstream says about a passcode.

use countersign_core::wire::radius::dictionary::{AttributeNumber, Code};

use super::question::Answer;

/// What an upstream said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the upstream's word decides"]
pub enum Reply {
    /// Access-Accept.
    Accepted,
    /// Access-Reject.
    Rejected,
    /// Access-Challenge: the server wants to hear more, by [`answer_challenge`](super::Upstream::answer_challenge).
    Challenged {
        /// The server that asked, by its place in the list.
        server: u8,
        /// What it has to be given back; empty if it gave nothing.
        state: Vec<u8>,
        /// What the user is to be told.
        message: Option<String>,
    },
    /// No server gave an authentic answer in time.
    Silent,
}

impl Reply {
    /// What the answer of a server says.
    pub(super) fn of(server: usize, answer: &Answer) -> Self {
        match answer.code {
            Code::ACCESS_ACCEPT => Self::Accepted,
            Code::ACCESS_CHALLENGE => challenged(server, answer),
            _ => Self::Rejected,
        }
    }
}

fn challenged(server: usize, answer: &Answer) -> Reply {
    let all = |wanted| {
        let attributes = answer.attributes.iter();
        attributes.filter(move |(number, _)| *number == wanted).map(|(_, value)| value)
    };
    let lines: Vec<_> =
        all(AttributeNumber::REPLY_MESSAGE).map(|line| String::from_utf8_lossy(line)).collect();
    Reply::Challenged {
        server: u8::try_from(server).expect("the config has at most 255 servers"),
        state: all(AttributeNumber::STATE).next().cloned().unwrap_or_default(),
        message: (!lines.is_empty()).then(|| lines.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::wire::radius::concealed::Concealment::Transport;

    use super::*;

    #[test]
    fn a_challenge_keeps_its_first_state_and_all_its_lines() {
        let challenge = |attributes: &[(AttributeNumber, &[u8])]| {
            let attributes = attributes.iter().map(|(number, value)| (*number, value.to_vec()));
            let (code, attributes) = (Code::ACCESS_CHALLENGE, attributes.collect());
            Reply::of(2, &Answer { code, attributes, concealment: Transport })
        };
        let (state, line) = (AttributeNumber::STATE, AttributeNumber::REPLY_MESSAGE);
        let challenged = challenge(&[(line, b"one"), (state, b"a"), (state, b"b"), (line, b"two")]);
        let message = Some("one\ntwo".to_owned());
        assert_eq!(challenged, Reply::Challenged { server: 2, state: b"a".to_vec(), message });
        let bare = Reply::Challenged { server: 2, state: Vec::new(), message: None };
        assert_eq!(challenge(&[]), bare);
    }
}
