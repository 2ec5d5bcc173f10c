//! A directory's entries as accounts, persons, tokens and parameters (OATH-LDAP).
//!
//! In reading order:
//!
//! * [`entry`]: an entry as a search returns it, and its values by their syntax (RFC 4517).
//! * [`time`]: generalized time.
//! * [`filter`]: search filters whose values cannot become filters themselves (RFC 4515).
//! * [`schema`]: names of the OATH-LDAP schema.
//! * [`mapping`]: the site's own names for what the schema leaves open.
//! * [`account`], [`person`], [`token`], [`parameters`]: what entries say.
//! * [`counter`]: what moves at every attempt, and how a directory is asked to move it.
//!
//! What is not here: connections and messages. `countersign::directory` brings the entries.

pub mod account;
pub mod counter;
pub mod entry;
pub mod filter;
pub mod mapping;
pub mod parameters;
pub mod person;
pub mod schema;
pub mod time;
pub mod token;
