//! Limits: how often one peer may ask (digest of [MS-OTPCE], §14).

use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

/// Lets each peer ask so many times per minute, all of them at once if it likes.
///
/// It remembers [`MAX_PEERS`] peers at most. Whoever has more names or addresses
/// than that is not held up by a limit for each of them anyway, so then it
/// starts anew.
pub struct Limiter<K: Hash + Eq + Clone, C: Clock + Clone = MonotonicClock> {
    per_minute: NonZeroU32,
    clock: C,
    peers: ArcSwap<Peers<K, C>>,
    refused: AtomicU64,
}

type Peers<K, C> = RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// By the clock of this machine that never goes back.
    #[must_use]
    pub fn new(per_minute: NonZeroU32) -> Self {
        Self::by(MonotonicClock, per_minute)
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Limiter<K, C> {
    /// By another clock.
    #[must_use]
    pub fn by(clock: C, per_minute: NonZeroU32) -> Self {
        let peers = ArcSwap::from_pointee(peers(per_minute, &clock));
        Self { per_minute, clock, peers, refused: AtomicU64::default() }
    }

    /// Whether the peer may ask now. Counts as a request if it may.
    #[must_use]
    pub fn admits(&self, peer: &K) -> bool {
        let peers_now = self.peers.load();
        let admitted = peers_now.check_key(peer).is_ok();
        if !admitted {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        if peers_now.len() > MAX_PEERS {
            // Of a peer that may ask all it likes nothing need be known.
            peers_now.retain_recent();
            if peers_now.len() > MAX_PEERS / 2 {
                self.peers.store(peers(self.per_minute, &self.clock).into());
            }
        }
        admitted
    }

    /// How many requests were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Whom an address stands for: an IPv6 host has a whole /64 to choose from (RFC 4291 §2.5.4).
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

fn peers<K: Hash + Eq + Clone, C: Clock + Clone>(per_minute: NonZeroU32, clock: &C) -> Peers<K, C> {
    RateLimiter::new(Quota::per_minute(per_minute), HashMapStateStore::default(), clock.clone())
}

/// About 100 octets each.
const MAX_PEERS: usize = 65_536;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter<K: Hash + Eq + Clone>(
        per_minute: u32,
    ) -> (Limiter<K, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Limiter::by(clock.clone(), NonZeroU32::new(per_minute).unwrap()), clock)
    }

    #[test]
    fn each_peer_has_its_own_limit_and_gets_it_back_with_time() {
        let (limiter, clock) = limiter(3);
        let admitted = |peer: &str| (0..9).filter(|_| limiter.admits(&peer.to_owned())).count();
        assert_eq!((admitted("one"), admitted("two"), limiter.refused()), (3, 3, 12));
        clock.advance(Duration::from_secs(19));
        assert_eq!(admitted("one"), 0);
        clock.advance(Duration::from_secs(1));
        assert_eq!(admitted("one"), 1);
        clock.advance(Duration::from_secs(600));
        assert_eq!((admitted("one"), admitted("three")), (3, 3));
    }

    #[test]
    fn peers_that_may_ask_all_they_like_are_forgotten_first() {
        let (limiter, clock) = limiter(1);
        for peer in 0..MAX_PEERS {
            assert!(limiter.admits(&peer));
        }
        clock.advance(Duration::from_secs(121));
        assert!(limiter.admits(&MAX_PEERS));
        assert!(limiter.peers.load().len() <= 1);
        assert!(!limiter.admits(&MAX_PEERS), "who asked just now is remembered");
    }

    #[test]
    fn never_remembers_more_peers_than_it_may() {
        let (limiter, _clock) = limiter(1);
        for peer in 0..3 * MAX_PEERS {
            assert!(limiter.admits(&peer));
            assert!(limiter.peers.load().len() <= MAX_PEERS);
        }
    }

    #[test]
    fn an_ipv6_host_is_its_network() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2::1"), "2001:db8:1:2::");
        assert_ne!(network("2001:db8:1:3::1"), "2001:db8:1:2::");
    }
}
