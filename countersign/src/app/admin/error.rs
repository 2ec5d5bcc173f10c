//! Why an administrator's job was not done: the object, the cause, the next step.

use countersign_core::domain::{id::TokenId, name::LoginNameError, time::UnixTime};

use super::request::Setting;
use crate::{store::StoreError, vault::VaultError};

/// Why a job was not done. All but the last three are the administrator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// What was given as a login name is none.
    #[error("account {name:?}: {cause}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong.
        cause: LoginNameError,
    },
    /// The name leads nowhere.
    #[error("there is no account {0:?}; `countersign account list` shows all")]
    NoAccount(String),
    /// Neither an id nor a label.
    #[error("there is no token {0:?}; `countersign token list` shows ids and labels")]
    NoToken(String),
    /// A label that several tokens have.
    #[error("several tokens are labelled {label:?}; name one by its id, for instance {id}")]
    ManyTokens {
        /// The label.
        label: String,
        /// One of them.
        id: TokenId,
    },
    /// A field cannot have this value.
    #[error("{field} {value:?}: {cause}")]
    Field {
        /// The field.
        field: &'static str,
        /// The value, which is no secret.
        value: String,
        /// What is wrong, and what would be right.
        cause: String,
    },
    /// A validity without a single second.
    #[error("the validity would end, at {end}, before it begins, at {start}; both count in seconds since 1970", end = end.0, start = start.0)]
    Validity {
        /// The first second.
        start: UnixTime,
        /// The last one.
        end: UnixTime,
    },
    /// Nothing was given to change.
    #[error("nothing to change was given; --help lists what can be changed")]
    NothingToChange,
    /// The shared secret is not in the encoding named.
    #[error("the shared secret is not {0}; is it complete, and is its format the right one?")]
    SecretMalformed(&'static str),
    /// The shared secret is too short to be safe or too long to be one.
    #[error(
        "the shared secret has {octets} octets; 10 to 128 are taken, 16 or more are asked for by RFC 4226"
    )]
    SecretLength {
        /// Its length.
        octets: usize,
    },
    /// A PIN that is too short or too long.
    #[error("the PIN has {octets} octets; it must have 4 to 64")]
    PinLength {
        /// Its length.
        octets: usize,
    },
    /// There was not enough memory to hash a PIN.
    #[error("the PIN could not be hashed, which takes 19 MiB of memory")]
    PinHash,
    /// No upstream of this name.
    #[error("the config has no upstream {name:?}; it has {known}")]
    UpstreamUnknown {
        /// As given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// No delivery channel of this name.
    #[error("the config has no delivery channel {name:?}; it has {known}")]
    ChannelUnknown {
        /// As given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Nobody knows where a channel is to deliver to.
    #[error(
        "delivery channel {0:?} needs an address, and the owner of the token has no mail address; \
         give one by --to"
    )]
    NoAddress(String),
    /// What was asked for is of delivered tokens only.
    #[error("token {0:?} has no address: its OTPs are not sent to anybody")]
    NotDelivered(String),
    /// What was asked for needs a device.
    #[error("token {0:?} cannot be out of step: its OTPs are made here, where they are checked")]
    InStep(String),
    /// What was asked for needs a shared secret.
    #[error("token {label:?} is remote: {what} is kept by its upstream, not here")]
    Remote {
        /// Its label.
        label: String,
        /// What is not here.
        what: &'static str,
    },
    /// What was asked for needs an account.
    #[error("token {label:?} is assigned to no account; `countersign token assign` assigns it")]
    Unassigned {
        /// Its label.
        label: String,
    },
    /// The two OTPs did not lead to the token.
    #[error(
        "token {label:?}: these are not two OTPs that it shows one after the other within {reach}; \
         take two fresh ones, and check the token and the clocks"
    )]
    NotInReach {
        /// Its label.
        label: String,
        /// How far was looked.
        reach: String,
    },
    /// Attempts were faster, time after time.
    #[error("{0} is being used right now; try again")]
    Busy(String),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl AdminError {
    pub(super) fn field(field: &'static str, value: &str, cause: impl ToString) -> Self {
        Self::Field { field, value: value.to_owned(), cause: cause.to_string() }
    }
}

/// What a setting makes of a field, after `check` has found nothing wrong with a new value.
pub(super) fn apply<T>(
    field: &mut Option<T>,
    setting: Option<Setting<T>>,
    check: impl FnOnce(&T) -> Result<(), AdminError>,
) -> Result<(), AdminError> {
    match setting {
        None => {}
        Some(Setting::Clear) => *field = None,
        Some(Setting::To(value)) => {
            check(&value)?;
            *field = Some(value);
        }
    }
    Ok(())
}
