//! `countersign ldap genkey`: a key pair for secrets in the directory.

use std::path::PathBuf;

use clap::Args;

use crate::{
    app::ldap::genkey::{self, Made},
    cli::{Context, output},
    clock::{Clock, SystemClock},
    exit::Exit,
    vault::jwe::NewKey,
};

/// Make a key pair to which the secrets of tokens are encrypted
///
/// The private key is for the validator alone (directory.keys in the config); the public
/// key goes into the attribute oathEncKey of the parameter entries. The files are those
/// of OATH-LDAP: KID.priv and KID.pub, KID being oathldap_primary_key_ and the minute (UTC).
/// A file that is there is never overwritten.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Genkey {
    /// The directory for the two files
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    dir: PathBuf,
    /// The kind of key: rsa-2048, rsa-3072, rsa-4096, p256 or p384; OATH-LDAP's tools know RSA
    #[arg(long = "type", value_name = "KIND", default_value = "rsa-2048")]
    kind: NewKey,
}

impl Genkey {
    /// Writes the files, and says what to do with them.
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let made = genkey::make(&self.dir, self.kind, SystemClock.now())?;
        output::show(context.json, &made, text)?;
        Ok(Exit::Success)
    }
}

fn text(made: &Made) -> String {
    let Made { kid, kind, thumbprint, private_key, public_key, .. } = made;
    let (private_key, public_key) = (private_key.display(), public_key.display());
    format!(
        "Key {kid} ({kind}), thumbprint {thumbprint}\n\
         \n\
         {private_key}\n    for the validator alone: directory.keys in its config\n\
         {public_key}\n    for oathEncKey of the parameter entries\n\
         \n\
         Keep a copy of the private key offline: without it the tokens have to be\n\
         initialised anew. Keep old keys until `countersign ldap rekey` finds no\n\
         secret for them any more."
    )
}

const EXAMPLES: &str = "\
Examples:
  countersign ldap genkey --dir /etc/countersign/keys
  countersign ldap genkey --dir /etc/countersign/keys --type rsa-3072
  countersign --json ldap genkey --type p256      with the value of oathEncKey";
