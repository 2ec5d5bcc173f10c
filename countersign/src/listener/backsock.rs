//! What slapd asks through its overlay `sock`: whether a bind is good, whether a comparison is true.
//!
//! slapd waits for an answer without any time limit and with one of its threads, and old
//! ones take a connection that ends early for success. So there is an answer to everything,
//! at once if there are too many requests, and after a time limit in any case. The socket
//! itself belongs to a process that does not die with this one ([`crate::hold`]).

use std::{sync::Arc, time::Duration};

use countersign_core::wire::backsock::{Answer, Bind, Compare};
use tokio_util::sync::CancellationToken;

use self::conversation::Desk;
pub use self::{
    door::Door,
    guard::{Guard, Intake},
    rules::Rules,
};

mod conversation;
mod door;
pub mod guard;
pub mod responder;
mod rules;
#[cfg(test)]
mod tests;

/// Who knows the answers.
pub trait Handler: Send + Sync + 'static {
    /// Whether the client of slapd is who it says.
    fn bind(&self, bind: Bind) -> impl Future<Output = Answer> + Send;

    /// Whether an OTP is one of this account or token.
    fn compare(&self, compare: Compare) -> impl Future<Output = Answer> + Send;

    /// The answer to a bind that was begun by the handler itself. It takes no place, because
    /// the request that it is part of has one. Asked once for each bind, so one that is
    /// expected is forgotten here.
    fn own(&self, bind: &Bind) -> Option<Answer>;
}

/// Answers slapd on the connections that come in until it is stopped; then takes nothing new,
/// and returns when what is under way is answered.
pub async fn serve<H: Handler>(
    intake: Intake,
    rules: Rules,
    handler: Arc<H>,
    stop: CancellationToken,
) {
    let desk = Arc::new(Desk::new(rules, handler));
    loop {
        let taken = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            taken = intake.next() => taken,
        };
        match taken {
            Ok(Some(connection)) => drop(desk.tasks.spawn(desk.clone().serve(connection))),
            // Whoever holds the socket passes on no more.
            Ok(None) => {
                stop.cancelled().await;
                break;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection of slapd could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(intake);
    desk.tasks.close();
    desk.tasks.wait().await;
}

/// After the system was out of something.
const PAUSE: Duration = Duration::from_millis(100);
