//! Handshakes of TLS that are under way, by whom they are with.
//!
//! Who has not shown a certificate yet is a stranger, and takes up a place all the same.
//! One network gets a few places, so that no host of it keeps all others out.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::listener::limit::network_of;

/// Handshakes under way on one socket.
#[derive(Debug, Clone, Default)]
pub(in crate::listener) struct Handshakes(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place for one handshake, free again when this is dropped.
#[derive(Debug)]
pub(in crate::listener) struct Place {
    handshakes: Handshakes,
    network: IpAddr,
}

impl Handshakes {
    /// A place, if the network has one left.
    pub(in crate::listener) fn begin(&self, address: IpAddr) -> Option<Place> {
        let network = network_of(address);
        let mut under_way = self.under_way();
        let count = under_way.entry(network).or_default();
        if *count >= MAX_OF_NETWORK {
            return None;
        }
        *count += 1;
        Some(Place { handshakes: self.clone(), network })
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().expect("nobody panics with this lock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.handshakes.under_way();
        if let Some(count) = under_way.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.network);
            }
        }
    }
}

/// Many more than a proxy begins at once after a restart.
const MAX_OF_NETWORK: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_so_many_places_and_gets_them_back() {
        let handshakes = Handshakes::default();
        let begin = |address: &str| handshakes.begin(address.parse().unwrap());
        let mut places: Vec<_> =
            (0..MAX_OF_NETWORK).map(|_| begin("2001:db8::1").unwrap()).collect();
        assert!(begin("2001:db8::2").is_none(), "a host has the whole network to choose from");
        let other = begin("192.0.2.1");
        assert!(other.is_some() && begin("2001:db8:0:1::1").is_some());
        places.pop();
        assert!(begin("2001:db8::2").is_some());
        drop((places, other));
        assert!(handshakes.under_way().is_empty(), "nothing is kept");
    }
}
