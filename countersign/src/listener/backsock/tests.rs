//! slapd's side of the conversation, over a real socket.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use countersign_core::wire::backsock::{PREAMBLE, ResultCode};
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::{Notify, Semaphore},
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;

use super::{rules::tests::rules, *};
use crate::listener::rights;

/// Accepts `right`, panics at `panic`, is never done with `never`, and waits for permission
/// with `wait`.
struct Fake {
    asked: AtomicUsize,
    began: Semaphore,
    may_go_on: Notify,
}

impl Fake {
    fn new() -> Self {
        let (asked, began) = (AtomicUsize::new(0), Semaphore::new(0));
        Self { asked, began, may_go_on: Notify::new() }
    }
}

impl Handler for Fake {
    async fn bind(&self, bind: Bind) -> Answer {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.began.add_permits(1);
        match bind.credentials.expose().as_slice() {
            b"right" => Answer::SUCCESS,
            b"panic" => panic!("as the test wants"),
            b"never" => std::future::pending().await,
            b"wait" => {
                self.may_go_on.notified().await;
                Answer::SUCCESS
            }
            _ => Answer::refused(ResultCode::INVALID_CREDENTIALS, Some("no\ncode: 0".into())),
        }
    }

    async fn compare(&self, compare: Compare) -> Answer {
        let is_right = compare.value.expose() == b"755224";
        Answer::of(if is_right { ResultCode::COMPARE_TRUE } else { ResultCode::COMPARE_FALSE })
    }

    fn own(&self, bind: &Bind) -> Option<Answer> {
        (bind.credentials.expose() == b"own").then_some(Answer::Continue)
    }
}

struct Listening {
    _directory: TempDir,
    path: PathBuf,
    handler: Arc<Fake>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

fn socket_at(path: &Path) -> Socket {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(path).unwrap()).unwrap();
    socket.listen(8).unwrap();
    socket
}

fn listen(rules: Rules) -> Listening {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("slapd.sock");
    let (handler, stop) = (Arc::new(Fake::new()), CancellationToken::new());
    let (ours, theirs) = rights::channel().unwrap();
    let (guard, door) =
        (Guard::new(ours, TaskTracker::new()).unwrap(), Door::new(socket_at(&path)));
    tokio::spawn(async move { guard.pass_on(&door.unwrap()).await });
    let intake = Intake::new(theirs).unwrap();
    let serving = tokio::spawn(serve(intake, rules, handler.clone(), stop.clone()));
    Listening { _directory: directory, path, handler, stop, serving }
}

/// A bind as slapd writes it.
fn bind(password: &str) -> Vec<u8> {
    let length = password.len();
    let text = format!(
        "BIND\nmsgid: 1\nbinddn: \npeername: IP=127.0.0.1:5\nssf: 0\nconnid: 1\n\
         suffix: dc=example,dc=test\ndn: uid=alice,ou=accounts,dc=example,dc=test\n\
         method: 128\ncredlen: {length}\ncred: {password}\n\n"
    );
    text.into_bytes()
}

fn vector(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/oath-ldap/backsock");
    fs::read(folder.join(name)).unwrap()
}

impl Listening {
    async fn knock(&self) -> UnixStream {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        let mut preamble = [0; PREAMBLE.len()];
        stream.read_exact(&mut preamble).await.unwrap();
        assert_eq!(preamble, PREAMBLE, "it comes before anything is asked");
        stream
    }

    /// The answer behind the preamble, as it is read until the connection ends.
    async fn ask(&self, request: &[u8]) -> String {
        let mut stream = self.knock().await;
        stream.write_all(request).await.unwrap();
        read(stream).await
    }

    async fn begun(&self) {
        self.handler.began.acquire().await.unwrap().forget();
    }

    async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

/// slapd reads up to a blank line and closes.
async fn read(mut stream: UnixStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n\n") && answer != b"CONTINUE\n" {
        if stream.read_buf(&mut answer).await.unwrap() == 0 {
            break;
        }
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn binds_and_comparisons_get_the_answer_of_who_knows() {
    let listening = listen(rules());
    assert_eq!(listening.ask(&bind("right")).await, "code: 0\n\n");
    assert_eq!(listening.ask(&bind("wrong")).await, "code: 49\ninfo: nocode: 0\n\n");
    let compared = listening.ask(&vector("compare-hotpvalue.txt")).await;
    assert_eq!(compared, "code: 5\n\n");
    assert_eq!(listening.ask(&vector("compare-base64.txt")).await, "CONTINUE\n");
    listening.end().await;
}

#[tokio::test]
async fn operations_of_no_concern_go_on_and_notices_get_no_answer() {
    let listening = listen(rules());
    for name in ["add", "delete", "extended-passwd", "modify", "modrdn", "search"] {
        assert_eq!(listening.ask(&vector(&format!("{name}.txt"))).await, "CONTINUE\n", "{name}");
    }
    for name in ["unbind", "result-of-modify", "entry"] {
        assert_eq!(listening.ask(&vector(&format!("{name}.txt"))).await, "", "{name}");
    }
    listening.end().await;
}

#[tokio::test]
async fn forged_and_broken_requests_are_refused_and_nobody_is_asked() {
    let listening = listen(rules());
    let mut octets_behind = bind("right");
    octets_behind.extend(bind("right"));
    let foreign = bind("right").escape_ascii().to_string();
    let foreign = foreign.replace("ou=accounts", "ou=admins").replace("\\n", "\n");
    for request in [
        vector("bind-dn-linefeed.txt"),
        vector("bind-password-nul.txt"),
        octets_behind,
        foreign.into_bytes(),
        b"MONITOR\n\n".to_vec(),
    ] {
        let shown = request.escape_ascii();
        assert_eq!(listening.ask(&request).await, "code: 49\n\n", "{shown}");
    }
    assert_eq!(listening.handler.asked.load(Ordering::Relaxed), 0);
    listening.end().await;
}

/// 8.3: octets that come when the request is being decided already.
#[tokio::test]
async fn octets_that_come_late_are_seen_before_the_answer() {
    let listening = listen(rules());
    let mut stream = listening.knock().await;
    stream.write_all(&bind("wait")).await.unwrap();
    listening.begun().await;
    stream.write_all(b",ou=admins,dc=example,dc=test").await.unwrap();
    listening.handler.may_go_on.notify_one();
    assert_eq!(read(stream).await, "code: 49\n\n");
    listening.end().await;
}

#[tokio::test]
async fn a_request_in_pieces_is_one_request() {
    let listening = listen(rules());
    let (mut stream, request) = (listening.knock().await, bind("right"));
    for piece in request.chunks(30) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read(stream).await, "code: 0\n\n");
    let long = bind(&"x".repeat(5000));
    assert_eq!(listening.ask(&long).await, "code: 49\ninfo: nocode: 0\n\n");
    listening.end().await;
}

/// 9: whoever waits here has one of slapd's threads.
#[tokio::test]
async fn what_is_too_much_is_told_so_at_once_and_own_binds_do_not_count() {
    let listening = listen(rules());
    let mut under_way = Vec::new();
    for _ in 0..2 {
        let mut stream = listening.knock().await;
        stream.write_all(&bind("wait")).await.unwrap();
        listening.begun().await;
        under_way.push(stream);
    }
    assert_eq!(listening.ask(&bind("right")).await, "code: 51\n\n");
    assert_eq!(listening.ask(&bind("own")).await, "CONTINUE\n");
    for stream in under_way {
        listening.handler.may_go_on.notify_one();
        assert_eq!(read(stream).await, "code: 0\n\n");
    }
    assert_eq!(listening.ask(&bind("right")).await, "code: 0\n\n");
    listening.end().await;
}

/// 8.5: slapd waits for ever.
#[tokio::test]
async fn what_takes_too_long_is_answered_all_the_same() {
    let rules = Rules { time_limit: Duration::from_millis(300), ..rules() };
    let listening = listen(rules);
    assert_eq!(listening.ask(&bind("never")).await, "code: 51\n\n");
    assert_eq!(listening.ask(b"BIND\nmsgid: 1\n").await, "code: 51\n\n");
    listening.stop.cancel();
}

/// 8.1c.
#[tokio::test]
async fn a_panic_is_told_as_an_error_and_harms_nobody_else() {
    let listening = listen(rules());
    assert_eq!(listening.ask(&bind("panic")).await, "code: 80\n\n");
    assert_eq!(listening.ask(&bind("right")).await, "code: 0\n\n");
    listening.end().await;
}

#[tokio::test]
async fn other_users_are_turned_away() {
    let own = rustix::process::geteuid().as_raw();
    let listening = listen(Rules { users: vec![own + 1], ..rules() });
    assert_eq!(listening.ask(&bind("right")).await, "code: 80\n\n");
    listening.end().await;
    let listening = listen(Rules { users: vec![own], ..rules() });
    assert_eq!(listening.ask(&bind("right")).await, "code: 0\n\n");
    listening.end().await;
}

#[tokio::test]
async fn at_the_end_what_is_under_way_is_answered_and_nothing_new_is_taken() {
    let listening = listen(rules());
    let mut stream = listening.knock().await;
    stream.write_all(&bind("wait")).await.unwrap();
    listening.begun().await;
    let (path, handler) = (listening.path.clone(), listening.handler.clone());
    listening.stop.cancel();
    let answer = tokio::spawn(read(stream));
    handler.may_go_on.notify_one();
    assert_eq!(answer.await.unwrap(), "code: 0\n\n");
    listening.serving.await.unwrap();
    let late = UnixStream::connect(&path).await.unwrap();
    assert_eq!(read(late).await, "RESULT\ncode: 80\ncode: 52\n\n", "nobody takes it any more");
}

#[tokio::test]
async fn a_door_that_is_closed_answers_who_waits_and_lets_nobody_knock() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("slapd.sock");
    let socket = socket_at(&path);
    let elsewhere = socket.try_clone().unwrap();
    let door = Door::new(socket).unwrap();
    let mut waiting = UnixStream::connect(&path).await.unwrap();
    waiting.write_all(&bind("right")).await.unwrap();
    let answer = tokio::spawn(read(waiting));
    door.close().await;
    assert_eq!(answer.await.unwrap(), "RESULT\ncode: 80\ncode: 52\n\n");
    assert!(UnixStream::connect(&path).await.is_err(), "though the socket is still open");
    drop(elsewhere);
}
