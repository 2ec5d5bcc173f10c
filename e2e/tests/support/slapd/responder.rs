//! What may stand behind overlay sock in the place of Countersign: answers that are always
//! the same, so that it can be seen what slapd makes of them.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A responder that gives everybody the same answer, until it is dropped.
#[derive(Debug)]
pub struct Responder {
    socket: PathBuf,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    stop: Arc<AtomicBool>,
}

impl Responder {
    /// Answers `RESULT` with code 0: everybody is let in.
    pub fn yes(socket: &Path) -> Self {
        Self::saying(socket, b"RESULT\ncode: 0\n\n")
    }

    /// Answers with these octets and closes.
    #[track_caller]
    pub fn saying(socket: &Path, answer: &'static [u8]) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (requests, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let requests = Arc::clone(&requests);
                thread::spawn(move || respond(stream, answer, &requests));
            }
        });
        Self { socket: socket.into(), seen, stop }
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("nobody panics with it").clone()
    }
}

fn respond(mut stream: UnixStream, answer: &[u8], requests: &Mutex<Vec<Vec<u8>>>) {
    let mut request = Vec::new();
    let mut octets = [0; 4096];
    while !request.ends_with(b"\n\n") {
        match stream.read(&mut octets) {
            Ok(0) | Err(_) => break,
            Ok(length) => request.extend(&octets[..length]),
        }
    }
    // Who only looks whether somebody listens has no request.
    if !request.is_empty() {
        requests.lock().expect("nobody panics with it").push(request);
    }
    let _ = stream.write_all(answer);
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.socket);
        let _ = fs::remove_file(&self.socket);
    }
}
