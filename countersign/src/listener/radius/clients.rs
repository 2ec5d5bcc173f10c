//! Who may ask: clients by address, the longest prefix first.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::rules::Client;

/// The clients of a listener that are known by their addresses.
#[derive(Debug)]
pub(super) struct Clients {
    /// By the length of their prefixes, the longest first.
    by_length: Vec<(u8, HashMap<IpNet, Arc<Client>>)>,
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
    /// All clients with a network.
    pub(super) fn new(clients: Vec<(IpNet, Arc<Client>)>) -> Result<Self, SameNetwork> {
        let mut by_length: Vec<(u8, HashMap<IpNet, Arc<Client>>)> = Vec::new();
        for (network, client) in clients {
            let network = network.trunc();
            let length = network.prefix_len();
            let place = match by_length.iter().position(|(other, _)| *other == length) {
                Some(place) => place,
                None => {
                    by_length.push((length, HashMap::new()));
                    by_length.len() - 1
                }
            };
            let other = client.settings.name.clone();
            if let Some(one) = by_length[place].1.insert(network, client) {
                return Err(SameNetwork { one: one.settings.name.clone(), other, network });
            }
        }
        by_length.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        Ok(Self { by_length })
    }

    /// The client that this address belongs to.
    pub(super) fn find(&self, address: IpAddr) -> Option<&Arc<Client>> {
        self.by_length.iter().find_map(|(length, clients)| {
            let network = IpNet::new(address, *length).ok()?.trunc();
            clients.get(&network)
        })
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::secret::Secret;

    use crate::{
        config::radius::{ClientSettings, RadiusRules, Source},
        listener::radius::rules::{Rules, Twins},
    };

    fn rules(clients: &[(&str, &str)]) -> Result<Rules, Twins> {
        let client = |(name, network): &(&str, &str)| {
            let source = Source::Network(network.parse().unwrap());
            ClientSettings::new((*name).into(), source, Secret::new(name.as_bytes().to_vec()))
        };
        let clients = clients.iter().map(client).collect();
        Rules::new(RadiusRules { clients, ..RadiusRules::default() })
    }

    fn found<'a>(rules: &'a Rules, address: &str) -> Option<&'a str> {
        rules.by_address(address.parse().unwrap()).map(|client| client.settings.name.as_str())
    }

    #[test]
    fn the_longest_prefix_wins() {
        let clients = rules(&[
            ("everybody", "0.0.0.0/0"),
            ("gateway", "10.1.2.3/32"),
            ("site", "10.1.0.0/16"),
            ("six", "2001:db8::/32"),
            ("host six", "2001:db8::1/128"),
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
        let clients = rules(&[("site", "10.1.2.3/16")]).unwrap();
        assert_eq!(found(&clients, "10.1.9.9"), Some("site"));
    }

    #[test]
    fn two_clients_cannot_have_the_same_network() {
        let error = rules(&[("a", "10.0.0.0/8"), ("b", "10.9.9.9/8")]).err().unwrap();
        assert_eq!(
            error.to_string(),
            "the RADIUS clients a and b both have the network 10.0.0.0/8; remove one"
        );
    }
}
