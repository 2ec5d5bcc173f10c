//! What a server sends must not stop us: the LDAP library panics at answers that are none.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use super::operation::Failure;

/// Waits for an answer. One at which the library panics is a connection that is lost; nobody
/// uses it after that.
pub(super) async fn guarded<T>(
    asking: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let answer = AssertUnwindSafe(asking).catch_unwind().await;
    answer.unwrap_or_else(|_| Err(Failure::Lost("the answer is none of LDAP".into())))
}
