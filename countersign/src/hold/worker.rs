//! The worker's side: what it got, and what it does when the holder is no more.

use std::{io, os::fd::AsFd};

use socket2::Socket;
use tokio::{io::AsyncReadExt, net::UnixStream};

use super::{
    Place,
    handing::{self, Handed},
};
use crate::listener::inherited::Inherited;

/// What a worker has from its holder.
#[derive(Debug)]
pub struct Held {
    channel: Socket,
    place: Place,
}

impl Held {
    /// Takes the sockets that the holder hands over by standard input.
    ///
    /// # Errors
    ///
    /// There is no holder.
    pub fn receive() -> io::Result<(Inherited, Self)> {
        Self::take(Socket::from(io::stdin().as_fd().try_clone_to_owned()?))
    }

    pub(super) fn take(channel: Socket) -> io::Result<(Inherited, Self)> {
        let Handed { path, socket, is_lent, intake, others } = handing::take_over(&channel)?;
        let place = Place { is_lent, ..Place::new(socket, handing::path_of(&path).to_owned()) };
        let mut inherited = Inherited::from(others);
        inherited.add_intake(intake);
        Ok((inherited, Self { channel, place }))
    }

    /// Returns when the holder is no more.
    ///
    /// # Errors
    ///
    /// The channel cannot be watched.
    pub async fn lost(&self) -> io::Result<()> {
        let channel = self.channel.try_clone()?;
        channel.set_nonblocking(true)?;
        let mut channel = UnixStream::from_std(channel.into())?;
        while channel.read(&mut [0; 1]).await.is_ok_and(|length| length > 0) {}
        Ok(())
    }

    /// At the end of the worker. If there is no holder any more, this is the last process
    /// that has the socket.
    pub async fn end(self) {
        let is_alone = self.channel.set_nonblocking(true).is_ok()
            && self
                .channel
                .recv(&mut [std::mem::MaybeUninit::uninit()])
                .is_ok_and(|length| length == 0);
        if is_alone {
            tracing::error!("the holder of the socket is gone: stopped");
            self.place.close().await;
        }
    }
}
