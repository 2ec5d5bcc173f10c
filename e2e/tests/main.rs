//! Real peers judge the real binary.
//!
//! Every test makes what it needs in a temporary directory: a state directory by
//! `countersign init`, daemons on free loopback ports, FreeRADIUS, a Kerberos KDC.
//! Nothing waits for a fixed time; whatever is waited for has a limit, and a wait
//! that fails shows the log of what was waited for. A peer that is not installed
//! is a failure, not a skip: `admin/test` installs them all.

mod support;

mod chain;
mod challenge;
mod cli;
mod crash;
mod delivery;
mod demo;
mod dictionary;
mod ipv6;
mod krb5_activation;
mod krb5_check;
mod krb5_crash;
mod krb5_otp;
mod krb5_socket;
mod krb5_vectors;
mod ldap_bind;
mod ldap_check;
mod ldap_config;
mod ldap_crash;
mod ldap_hand_back;
mod ldap_holder;
mod ldap_isolated;
mod ldap_migrate;
mod ldap_names;
mod ldap_password_policy;
mod ldap_passwords;
mod ldap_proxy;
mod ldap_race;
mod ldap_replicas;
mod ldap_rig;
mod ldap_store;
mod ldap_strict;
mod login;
mod otpce;
mod proxy;
mod publish;
mod pyrad;
mod ra;
mod race;
mod radius;
mod radsec;
mod readme;
mod reload;
mod reply;
mod rigs;
mod secrecy;
mod time;
mod tokens;
mod upstream;
mod vpn;
