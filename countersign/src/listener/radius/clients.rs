//! Who may ask: clients by address, the longest prefix first.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::config::radius::ClientSettings;

/// The clients of a listener.
#[derive(Debug)]
pub struct Clients {
    /// By the length of their prefixes, the longest first.
    by_length: Vec<(u8, HashMap<IpNet, Arc<ClientSettings>>)>,
}

/// Operator: two clients have the same network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the RADIUS clients {one} and {other} both have the network {network}; remove one")]
pub struct SameNetwork {
    /// The name of one.
    pub one: String,
    /// The name of the other.
    pub other: String,
    /// Their network.
    pub network: IpNet,
}

impl Clients {
    /// All clients of the config.
    ///
    /// # Errors
    ///
    /// Two of them have the same network.
    pub fn new(clients: Vec<ClientSettings>) -> Result<Self, SameNetwork> {
        let mut by_length: Vec<(u8, HashMap<IpNet, Arc<ClientSettings>>)> = Vec::new();
        for client in clients {
            let network = client.network.trunc();
            let length = network.prefix_len();
            let place = match by_length.iter().position(|(other, _)| *other == length) {
                Some(place) => place,
                None => {
                    by_length.push((length, HashMap::new()));
                    by_length.len() - 1
                }
            };
            let name = client.name.clone();
            if let Some(one) = by_length[place].1.insert(network, Arc::new(client)) {
                return Err(SameNetwork { one: one.name.clone(), other: name, network });
            }
        }
        by_length.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        Ok(Self { by_length })
    }

    /// The client that this address belongs to.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<&Arc<ClientSettings>> {
        self.by_length.iter().find_map(|(length, clients)| {
            let network = IpNet::new(address, *length).ok()?.trunc();
            clients.get(&network)
        })
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::secret::Secret;

    use super::*;

    fn client(name: &str, network: &str) -> ClientSettings {
        ClientSettings {
            name: name.into(),
            network: network.parse().unwrap(),
            secret: Secret::new(name.as_bytes().to_vec()),
            require_message_authenticator: true,
            never_challenge: false,
            probe: None,
            reply_attributes: Vec::new(),
        }
    }

    fn found<'a>(clients: &'a Clients, address: &str) -> Option<&'a str> {
        clients.find(address.parse().unwrap()).map(|client| client.name.as_str())
    }

    #[test]
    fn the_longest_prefix_wins() {
        let clients = Clients::new(vec![
            client("everybody", "0.0.0.0/0"),
            client("gateway", "10.1.2.3/32"),
            client("site", "10.1.0.0/16"),
            client("six", "2001:db8::/32"),
            client("host six", "2001:db8::1/128"),
        ])
        .unwrap();
        assert_eq!(found(&clients, "10.1.2.3"), Some("gateway"));
        assert_eq!(found(&clients, "10.1.2.4"), Some("site"));
        assert_eq!(found(&clients, "10.2.2.4"), Some("everybody"));
        assert_eq!(found(&clients, "2001:db8::1"), Some("host six"));
        assert_eq!(found(&clients, "2001:db8::2"), Some("six"));
        assert_eq!(found(&clients, "2001:db9::1"), None);
    }

    #[test]
    fn host_bits_in_a_network_do_not_hide_it() {
        let clients = Clients::new(vec![client("site", "10.1.2.3/16")]).unwrap();
        assert_eq!(found(&clients, "10.1.9.9"), Some("site"));
    }

    #[test]
    fn two_clients_cannot_have_the_same_network() {
        let error =
            Clients::new(vec![client("a", "10.0.0.0/8"), client("b", "10.9.9.9/8")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the RADIUS clients a and b both have the network 10.0.0.0/8; remove one"
        );
    }
}
