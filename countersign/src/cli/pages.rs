//! Lists of an administrator, page after page.

use anyhow::anyhow;

use super::{Context, control};
use crate::app::admin::{AdminReply, AdminRequest, MAX_PAGE};

/// Asks for page after page, until one is not full.
///
/// # Errors
///
/// One of the pages cannot be had.
pub async fn all<T, Id>(
    context: &Context,
    request: impl Fn(Option<Id>) -> AdminRequest,
    items: impl Fn(AdminReply) -> anyhow::Result<Vec<T>>,
    id: impl Fn(&T) -> Id,
) -> anyhow::Result<Vec<T>> {
    let mut all: Vec<T> = Vec::new();
    loop {
        let page = items(control::administer(context, request(all.last().map(&id))).await?)?;
        let is_last = page.len() < MAX_PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// A reply that does not belong to the request, from a daemon of another version.
#[must_use]
pub fn unexpected() -> anyhow::Error {
    anyhow!(
        "the daemon answers something else than was asked; does it run this version? Restart it"
    )
}
