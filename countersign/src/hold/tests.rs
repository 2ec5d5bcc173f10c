//! The holder over real sockets, with shells as workers.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    thread,
};

use tempfile::TempDir;
use tokio::{
    sync::mpsc::{Sender, channel},
    task::JoinHandle,
};

use super::*;

/// A directory with the socket, and with the files that workers leave.
struct Site {
    directory: TempDir,
    orders: Sender<Signal>,
    running: JoinHandle<io::Result<u8>>,
}

fn settings(directory: &Path) -> SocketSettings {
    let path = directory.join("slapd.sock");
    SocketSettings { path, mode: 0o600, group: None, users: Vec::new() }
}

fn hold(script: &'static str) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let holder = Holder::bind(&settings(directory.path()), Inherited::default()).unwrap();
    let (orders, receiver) = channel(1);
    let place = directory.path().to_owned();
    let command = move || {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(&place).kill_on_drop(true);
        command
    };
    let running = tokio::spawn(holder.run(command, receiver));
    Site { directory, orders, running }
}

impl Site {
    fn path(&self) -> PathBuf {
        self.directory.path().join("slapd.sock")
    }

    /// Asks as slapd does: connects, writes, waits for the end of the answer.
    fn ask(&self) -> thread::JoinHandle<String> {
        let stream = UnixStream::connect(self.path()).unwrap();
        thread::spawn(move || ask(stream))
    }

    async fn left_file(&self, name: &str) {
        let file = self.directory.path().join(name);
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    }

    async fn ended(self) -> (u8, TempDir) {
        let code = self.running.await.unwrap().unwrap();
        assert!(!self.directory.path().join("slapd.sock").exists(), "the path is removed");
        (code, self.directory)
    }
}

fn ask(mut stream: UnixStream) -> String {
    stream.write_all(b"BIND\nmsgid: 1\n").unwrap();
    let mut answer = Vec::new();
    let mut octet = [0];
    while !answer.ends_with(b"\n\n") && stream.read(&mut octet).unwrap() > 0 {
        answer.push(octet[0]);
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_worker_that_ends_by_itself_ends_the_holder_with_its_exit_code() {
    assert_eq!(hold("exit 0").ended().await.0, 0);
    assert_eq!(hold("exit 3").ended().await.0, 3);
}

#[tokio::test]
async fn a_worker_that_is_killed_or_panics_has_a_successor() {
    let script =
        "echo x >> lives; case $(wc -l < lives) in 1) kill -9 $$;; 2) exit 101;; *) exit 4;; esac";
    let (code, directory) = hold(script).ended().await;
    assert_eq!(code, 4);
    let lives = fs::read_to_string(directory.path().join("lives")).unwrap();
    assert_eq!(lives.lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_workers_die_slapd_is_told_that_nobody_is_there() {
    let site = hold("echo x >> lives; test $(wc -l < lives) -lt 3 || touch several; kill -9 $$");
    site.left_file("several").await;
    let answer = site.ask();
    assert_eq!(answer.join().unwrap(), "RESULT\ncode: 80\ncode: 52\n\n");
    site.orders.send(Signal::TERM).await.unwrap();
    assert_eq!(site.ended().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_reach_the_worker_and_whoever_waits_at_the_end_gets_an_answer() {
    let site = hold(
        "trap 'touch reloaded' HUP; trap 'touch stopped; exit 0' TERM; touch ready; \
         while :; do sleep 1 & wait $!; done",
    );
    site.left_file("ready").await;
    let waiting = site.ask();
    site.orders.send(Signal::HUP).await.unwrap();
    site.left_file("reloaded").await;
    site.orders.send(Signal::TERM).await.unwrap();
    site.left_file("stopped").await;
    assert_eq!(waiting.join().unwrap(), "RESULT\ncode: 80\ncode: 52\n\n");
    assert_eq!(site.ended().await.0, 0);
}

#[tokio::test]
async fn a_socket_that_took_the_path_meanwhile_stays() {
    let directory = tempfile::tempdir().unwrap();
    let holder = Holder::bind(&settings(directory.path()), Inherited::default()).unwrap();
    fs::remove_file(&holder.place.path).unwrap();
    let successor = Holder::bind(&settings(directory.path()), Inherited::default()).unwrap();
    holder.place.close().await;
    assert!(UnixStream::connect(&successor.place.path).is_ok());
    assert!(Holder::bind(&settings(directory.path()), Inherited::default()).is_err());
}

#[tokio::test]
async fn a_worker_gets_the_sockets_and_sees_the_end_of_its_holder() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let holder = Holder::bind(&settings, Inherited::default()).unwrap();
    let ((ours, theirs), (_guard, intake)) =
        (rights::channel().unwrap(), rights::channel().unwrap());
    handing::hand_over(&ours, &holder.place, &intake, &Inherited::default()).unwrap();
    let (mut inherited, held) = Held::take(theirs).unwrap();
    assert!(inherited.take_intake().is_some() && inherited.left() == 0);
    assert!(timeout(Duration::ZERO, held.lost()).await.is_err(), "the holder lives");
    drop((holder, ours));
    held.lost().await.unwrap();
    let waiting = UnixStream::connect(&settings.path).unwrap();
    let waiting = thread::spawn(|| ask(waiting));
    held.end().await;
    assert_eq!(waiting.join().unwrap(), "RESULT\ncode: 80\ncode: 52\n\n");
    assert!(!settings.path.exists());
}

#[tokio::test]
async fn a_worker_that_ends_before_its_holder_leaves_the_socket_alone() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let holder = Holder::bind(&settings, Inherited::default()).unwrap();
    let ((ours, theirs), (_, intake)) = (rights::channel().unwrap(), rights::channel().unwrap());
    handing::hand_over(&ours, &holder.place, &intake, &Inherited::default()).unwrap();
    let (inherited, held) = Held::take(theirs).unwrap();
    held.end().await;
    drop(inherited);
    assert!(UnixStream::connect(&settings.path).is_ok());
}

/// systemd has it still, and starts the next daemon on it.
#[tokio::test]
async fn a_worker_whose_holder_is_gone_leaves_a_lent_socket_open() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let mut holder = Holder::bind(&settings, Inherited::default()).unwrap();
    holder.place.is_lent = true;
    let managers = holder.place.socket.try_clone().unwrap();
    let ((ours, theirs), (_, intake)) = (rights::channel().unwrap(), rights::channel().unwrap());
    handing::hand_over(&ours, &holder.place, &intake, &Inherited::default()).unwrap();
    let (inherited, held) = Held::take(theirs).unwrap();
    drop((holder, ours, inherited));
    held.end().await;
    assert!(UnixStream::connect(&settings.path).is_ok(), "the path and the socket are there");
    assert!(managers.accept().is_ok(), "and who has the socket takes connections");
}
