//! Signals to the holder, which are meant for the worker.

use std::io;

use rustix::process::Signal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::{Receiver, Sender, channel},
};

/// What comes from now on.
///
/// # Errors
///
/// The system refuses.
pub fn orders() -> io::Result<Receiver<Signal>> {
    let (sender, receiver) = channel(1);
    for (kind, order) in [
        (SignalKind::terminate(), Signal::TERM),
        (SignalKind::interrupt(), Signal::INT),
        (SignalKind::hangup(), Signal::HUP),
    ] {
        tokio::spawn(pass_on(signal(kind)?, order, sender.clone()));
    }
    Ok(receiver)
}

async fn pass_on(mut from: tokio::signal::unix::Signal, order: Signal, to: Sender<Signal>) {
    while from.recv().await.is_some() {
        if to.send(order).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn a_signal_is_an_order() {
        let mut orders = orders().unwrap();
        kill_process(getpid(), Signal::HUP).unwrap();
        assert_eq!(orders.recv().await, Some(Signal::HUP));
    }
}
