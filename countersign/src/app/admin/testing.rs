//! An [`Admin`] over a store in memory, and a validator beside it, for the tests of this folder.

use std::sync::Arc;

use countersign_core::{
    domain::{
        attempt::{Attempt, ListenerKind, Terms},
        event::What,
        id::CorrelationId,
        name::{LoginName, Site},
        policy::Policy,
        subject::Subject,
        time::UnixTime,
        verdict::Reason,
    },
    oath::hotp::{Algorithm, Digits, hotp},
    secret::Secret,
};

use super::{
    AccountFields, AccountView, Admin, AdminError, AdminReply, AdminRequest, ClearText, NewKind,
    NewSecret, NewToken, Parts, TokenView,
};
use crate::{
    app::{authenticate, pin::Argon2Pins},
    audit::MemoryAudit,
    clock::ManualClock,
    config::delivery::DeliveryKind,
    store::{SealedSecret, memory::Memory},
    vault::Vault,
};

/// The first second of time step 60,000,000.
pub(super) const START: UnixTime = UnixTime(1_800_000_000);
pub(super) const SEED: &[u8] = b"12345678901234567890";
pub(super) const SEED_BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A help desk, and a door that it lets people through.
pub(super) struct Desk {
    admin: Admin,
    door: authenticate::Authenticator,
    pub(super) clock: Arc<ManualClock>,
    audit: Arc<MemoryAudit>,
}

impl Desk {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::create(&dir.path().join("master.key")).unwrap());
        let store = Arc::new(Memory::new());
        let clock = Arc::new(ManualClock::new(START));
        let audit = Arc::new(MemoryAudit::default());
        let site = Site { domain: Some("CORP".into()), realm: Some("corp.example".into()) };
        let door = authenticate::Authenticator::new(authenticate::Parts {
            store: store.clone(),
            vault: vault.clone(),
            audit: Arc::new(MemoryAudit::default()),
            policy: Policy::default(),
            pins: Arc::new(Argon2Pins),
            pin_permits: 1,
            others: authenticate::Others::default().shared(),
        });
        let admin = Admin::new(Parts {
            store,
            vault,
            audit: audit.clone(),
            clock: clock.clone(),
            site,
            policy: Policy::default(),
            upstreams: ["old".to_owned()].into(),
            deliveries: [
                ("mail".to_owned(), DeliveryKind::Mail),
                ("sms".to_owned(), DeliveryKind::Http),
            ]
            .into(),
        });
        Self { admin, door, clock, audit }
    }

    pub(super) async fn ask(&self, request: AdminRequest) -> Result<AdminReply, AdminError> {
        self.admin.execute("uid 0", request).await
    }

    pub(super) async fn refusal(&self, request: AdminRequest) -> String {
        let before = self.actions().len();
        let refusal = self.ask(request).await.unwrap_err().to_string();
        assert_eq!(self.actions().len(), before, "a refusal changes nothing");
        refusal
    }

    pub(super) async fn account(&self, request: AdminRequest) -> AccountView {
        let reply = self.ask(request).await.unwrap();
        let AdminReply::Account(view) = reply else { panic!("{reply:?}") };
        *view
    }

    pub(super) async fn token(&self, request: AdminRequest) -> TokenView {
        let reply = self.ask(request).await.unwrap();
        let (AdminReply::Token(view) | AdminReply::TokenAdded { token: view, .. }) = reply else {
            panic!("{reply:?}")
        };
        view
    }

    /// What the store has.
    pub(super) async fn stored(&self, login: &str) -> Subject<SealedSecret> {
        let login = LoginName::parse(login).unwrap();
        self.admin.parts.store.find(login.key()).await.unwrap().unwrap()
    }

    /// What is thought of a passcode.
    pub(super) async fn attempt(&self, login: &str, passcode: &[u8]) -> Reason {
        let attempt = Attempt {
            correlation: CorrelationId::from_bytes([0; 16]),
            login: LoginName::parse(login).unwrap(),
            passcode: Secret::new(passcode.to_vec()),
            listener: ListenerKind::Radius,
            peer: "vpn".into(),
            at: crate::clock::Clock::now(&*self.clock),
            terms: Terms::default(),
        };
        self.door.authenticate(attempt).await.verdict.reason
    }

    /// What the audit log has: action and object.
    pub(super) fn actions(&self) -> Vec<(String, String)> {
        let administered = self.audit.events().into_iter().map(|event| {
            let What::Administered { by, action, object } = event.what else { panic!("{event:?}") };
            assert_eq!(by, "uid 0");
            (action, object)
        });
        administered.collect()
    }
}

pub(super) fn add_account(name: &str) -> AdminRequest {
    AdminRequest::AccountAdd { name: name.into(), person: None, fields: AccountFields::default() }
}

pub(super) fn show_account(account: &str) -> AdminRequest {
    AdminRequest::AccountShow { account: account.into() }
}

pub(super) fn event_token(account: &str) -> NewToken {
    let kind = NewKind::Hotp {
        algorithm: Algorithm::Sha1,
        digits: Digits::SIX,
        counter: 0,
        secret: NewSecret::Base32(clear(SEED_BASE32)),
    };
    let accounts = vec![account.into()];
    NewToken {
        label: None,
        accounts,
        kind,
        pin: None,
        indicators: Vec::new(),
        not_before: None,
        not_after: None,
    }
}

pub(super) fn clear(text: &str) -> ClearText {
    text.to_owned().into()
}

pub(super) fn otp(factor: u64) -> String {
    let otp = hotp(Algorithm::Sha1, SEED, factor, Digits::SIX);
    String::from_utf8(otp.as_bytes().to_vec()).unwrap()
}
