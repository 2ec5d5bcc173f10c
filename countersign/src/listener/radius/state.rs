//! State: what counts in the next round of a logon, sealed (RFC 2865 §5.24).
//!
//! The server keeps nothing. Whoever has the same master key opens the State, so a second
//! round may come to another node. It is bound to the client and to the name, and dies
//! after a while.

use countersign_core::domain::{challenge::Prior, id::TokenId, name::LoginName, time::UnixTime};

use crate::vault::{Marker, Seal, Vault};

/// Writes and reads States.
pub(super) struct States {
    seal: Seal,
    names: Marker,
    valid: u32,
}

/// For whom a State is.
#[derive(Clone, Copy)]
pub(super) struct Bearer<'a> {
    /// The name of the client.
    pub(super) client: &'a str,
    /// Who logs on.
    pub(super) login: &'a LoginName,
}

impl States {
    /// States that are good for so many seconds.
    pub(super) fn new(vault: &Vault, valid: u32) -> Self {
        let purpose = "RADIUS State";
        Self { seal: vault.seal_for(purpose), names: vault.marker_for(purpose), valid }
    }

    /// The State for a next round; nothing if it is too long for an attribute.
    pub(super) fn write(
        &self,
        prior: &Prior,
        bearer: Bearer<'_>,
        now: UnixTime,
    ) -> Option<Vec<u8>> {
        let until = now.plus(self.valid.into()).0.to_be_bytes();
        let name = self.name(bearer);
        let clear = [&[VERSION][..], &until, &name, &encode(prior)?].concat();
        let sealed = self.seal.seal(bearer.client.as_bytes(), &clear);
        (sealed.len() <= MAX_OCTETS).then_some(sealed)
    }

    /// What a State says; nothing if it is not ours, or of another client or name, or too old.
    pub(super) fn read(&self, state: &[u8], bearer: Bearer<'_>, now: UnixTime) -> Option<Prior> {
        let clear = self.seal.open(bearer.client.as_bytes(), state)?;
        let (version, rest) = clear.split_first()?;
        let (until, rest) = rest.split_first_chunk()?;
        let (name, prior) = rest.split_first_chunk()?;
        let is_good = *version == VERSION
            && now.0 <= u64::from_be_bytes(*until)
            && *name == self.name(bearer);
        if is_good { decode(prior) } else { None }
    }

    fn name(&self, bearer: Bearer<'_>) -> [u8; 8] {
        self.names.mark(&[bearer.login.key().as_str().as_bytes()]).to_be_bytes()
    }
}

fn encode(prior: &Prior) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    match prior {
        Prior::PinRight(tokens) => {
            octets.push(PIN_RIGHT);
            tokens.iter().for_each(|token| octets.extend_from_slice(token.as_bytes()));
        }
        Prior::Upstream { upstream, server, token, state } => {
            octets.extend([UPSTREAM, *server, u8::from(token.is_some())]);
            octets.extend_from_slice(token.as_ref().map(TokenId::as_bytes).unwrap_or(&[0; 16]));
            octets.push(u8::try_from(upstream.len()).ok()?);
            octets.extend_from_slice(upstream.as_bytes());
            octets.extend_from_slice(state);
        }
    }
    Some(octets)
}

fn decode(octets: &[u8]) -> Option<Prior> {
    match octets {
        [PIN_RIGHT, tokens @ ..] => {
            let (tokens, []) = tokens.as_chunks() else { return None };
            Some(Prior::PinRight(tokens.iter().copied().map(TokenId::from_bytes).collect()))
        }
        [UPSTREAM, server, has_token, rest @ ..] => {
            let (token, rest) = rest.split_first_chunk()?;
            let (length, rest) = rest.split_first()?;
            let (upstream, state) = rest.split_at_checked(usize::from(*length))?;
            Some(Prior::Upstream {
                upstream: String::from_utf8(upstream.to_vec()).ok()?,
                server: *server,
                token: (*has_token == 1).then(|| TokenId::from_bytes(*token)),
                state: state.to_vec(),
            })
        }
        _ => None,
    }
}

const VERSION: u8 = 1;
const PIN_RIGHT: u8 = 1;
const UPSTREAM: u8 = 2;
/// An attribute holds no more.
const MAX_OCTETS: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn states() -> States {
        let directory = tempfile::tempdir().unwrap();
        States::new(&Vault::create(&directory.path().join("key")).unwrap(), 120)
    }

    fn login(name: &str) -> LoginName {
        LoginName::parse(name).unwrap()
    }

    fn upstream(state: usize) -> Prior {
        let token = Some(TokenId::from_bytes([7; 16]));
        Prior::Upstream { upstream: "old".into(), server: 1, token, state: vec![b's'; state] }
    }

    #[test]
    fn says_in_the_next_round_what_it_was_given() {
        let (states, alice) = (states(), login("alice"));
        let bearer = Bearer { client: "vpn", login: &alice };
        let account_wide =
            Prior::Upstream { upstream: "old".into(), server: 0, token: None, state: Vec::new() };
        let tokens = [1, 2].map(|id| TokenId::from_bytes([id; 16]));
        for prior in [Prior::PinRight(tokens.to_vec()), upstream(9), account_wide] {
            let state = states.write(&prior, bearer, NOW).unwrap();
            assert_eq!(states.read(&state, bearer, NOW.plus(120)), Some(prior.clone()));
            assert_eq!(states.read(&state, bearer, NOW.plus(121)), None, "too old");
            assert_ne!(states.write(&prior, bearer, NOW).unwrap(), state);
        }
    }

    #[test]
    fn is_nothing_to_another_client_another_name_and_another_key() {
        let (states, alice, bob) = (states(), login("alice"), login("bob"));
        let bearer = Bearer { client: "vpn", login: &alice };
        let state = states.write(&upstream(9), bearer, NOW).unwrap();
        assert_eq!(states.read(&state, Bearer { client: "wifi", ..bearer }, NOW), None);
        assert_eq!(states.read(&state, Bearer { login: &bob, ..bearer }, NOW), None);
        assert_eq!(self::states().read(&state, bearer, NOW), None);
        for place in 0..state.len() {
            let mut changed = state.clone();
            changed[place] ^= 1;
            assert_eq!(states.read(&changed, bearer, NOW), None, "{place}");
            assert_eq!(states.read(&state[..place], bearer, NOW), None, "{place}");
        }
    }

    #[test]
    fn is_not_written_if_it_does_not_fit() {
        let (states, alice) = (states(), login("alice"));
        let bearer = Bearer { client: "vpn", login: &alice };
        let longest =
            (0..253).rfind(|length| states.write(&upstream(*length), bearer, NOW).is_some());
        assert_eq!(longest, Some(185));
    }
}
