//! Places for connections, by whom they are with.
//!
//! Who has not shown who it is yet is a stranger, and takes up a place all the same.
//! One network gets so many, so that no host of it keeps all others out.

use std::{
    collections::HashMap,
    future::Future,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use super::limit::network_of;

/// Places of which every network has so many.
#[derive(Debug, Clone)]
pub(super) struct Places {
    of_network: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    network: IpAddr,
}

impl Places {
    /// So many for every network.
    pub(super) fn new(of_network: usize) -> Self {
        Self { of_network, taken: Arc::default() }
    }

    /// For handshakes of TLS: many more than a proxy begins at once after a restart.
    pub(super) fn for_handshakes() -> Self {
        Self::new(128)
    }

    /// A place, if the network has one left.
    pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
        let network = network_of(address);
        let mut taken = self.taken();
        let count = taken.entry(network).or_default();
        if *count >= self.of_network {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), network })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().expect("nobody panics with this lock")
    }
}

impl Place {
    /// Keeps the place until that is done.
    pub(super) async fn while_it_lasts(self, doing: impl Future<Output = ()>) {
        doing.await;
        drop(self);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_so_many_places_and_gets_them_back() {
        let limit = Places::for_handshakes().of_network;
        let all = Places::new(limit);
        let take = |address: &str| all.take(address.parse().unwrap());
        let mut places: Vec<_> = (0..limit).map(|_| take("2001:db8::1").unwrap()).collect();
        assert!(take("2001:db8::2").is_none(), "a host has the whole network to choose from");
        let other = take("192.0.2.1");
        assert!(other.is_some() && take("2001:db8:0:1::1").is_some());
        places.pop();
        assert!(take("2001:db8::2").is_some());
        drop((places, other));
        assert!(all.taken().is_empty(), "nothing is kept");
    }
}
