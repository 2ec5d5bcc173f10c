//! Connections to a server that answers as the test says, or does not.

use std::{
    io::{self, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::Arc,
    thread,
};

use super::*;

/// What becomes of one request that is no bind.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// It is answered with this result code.
    Answer(u8),
    /// The connection is closed.
    Close,
    /// Nothing happens.
    Silence,
}

/// What the server saw.
#[derive(Default)]
struct Seen {
    connections: usize,
    /// Requests by their tags (RFC 4511 §4.2 to §4.8), without the binds.
    requests: Vec<u8>,
}

struct Fake {
    directory: tempfile::TempDir,
    seen: Arc<Mutex<Seen>>,
}

impl Fake {
    /// Each connection goes by its script, the last one for all further connections.
    fn start(scripts: Vec<Vec<Step>>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("ldapi")).unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (Ok(stream), seen) = (stream, shared.clone()) else { return };
                seen.lock().unwrap().connections += 1;
                let script = scripts[number.min(scripts.len() - 1)].clone();
                thread::spawn(move || serve(stream, &script, &seen));
            }
        });
        Self { directory, seen }
    }

    fn client(&self, connections: usize, time_limit: Duration) -> Directory {
        Directory::new(&settings(&self.directory.path().join("ldapi"), time_limit), connections)
            .unwrap()
    }

    fn requests(&self) -> Vec<u8> {
        self.seen.lock().unwrap().requests.clone()
    }

    fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

fn settings(socket: &Path, time_limit: Duration) -> ServerSettings {
    ServerSettings {
        url: format!("ldapi://{}", socket.display()),
        trust: None,
        identity: None,
        bind: None,
        authorization_id: None,
        time_limit,
    }
}

/// Answers binds, and other requests by the script; ends with it.
fn serve(mut stream: UnixStream, script: &[Step], seen: &Mutex<Seen>) {
    let mut steps = script.iter();
    while let Ok((id, tag)) = request(&mut stream) {
        if tag == BIND {
            answer(&mut stream, id, tag, 0);
            continue;
        }
        seen.lock().unwrap().requests.push(tag);
        match steps.next() {
            Some(Step::Answer(code)) => answer(&mut stream, id, tag, *code),
            Some(Step::Silence) => {}
            Some(Step::Close) | None => return,
        }
    }
}

/// Message id and tag of a request of less than 128 octets.
fn request(stream: &mut UnixStream) -> io::Result<(u8, u8)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    assert!(head[0] == 0x30 && head[1] < 0x80, "a short LDAPMessage");
    let mut rest = vec![0; usize::from(head[1])];
    stream.read_exact(&mut rest)?;
    Ok((rest[2], rest[3]))
}

fn answer(stream: &mut UnixStream, id: u8, request: u8, code: u8) {
    let tag = match request {
        SEARCH => 0x65,
        BIND | MODIFY => request + 1,
        DELETE => 0x6b,
        other => panic!("no answer to {other:#x}"),
    };
    let result = [0x30, 12, 2, 1, id, tag, 7, 10, 1, code, 4, 0, 4, 0];
    // Whoever stopped waiting has closed the connection.
    let _ = stream.write_all(&result);
}

async fn ask(directory: &Directory) -> Result<Option<Entry>, DirectoryError> {
    directory.read("cn=a", "(cn=*)", &["cn"]).await
}

#[tokio::test]
async fn connections_are_kept() {
    let fake = Fake::start(vec![vec![Step::Answer(0); 9]]);
    let directory = fake.client(2, LONG);
    for _ in 0..5 {
        assert_eq!(ask(&directory).await, Ok(None));
    }
    directory.modify("cn=a", &[]).await.unwrap();
    assert_eq!((fake.connections(), directory.connections_opened()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_are_used_than_are_allowed() {
    let fake = Fake::start(vec![vec![Step::Answer(0); 99]]);
    let directory = Arc::new(fake.client(2, LONG));
    let tasks = (0..32).map(|_| {
        let directory = directory.clone();
        tokio::spawn(async move { ask(&directory).await.unwrap() })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap(), None);
    }
    assert!(fake.connections() <= 2);
}

#[tokio::test]
async fn a_question_that_a_kept_connection_does_not_answer_is_asked_again() {
    let fake = Fake::start(vec![vec![Step::Answer(0), Step::Close], vec![Step::Answer(0); 9]]);
    let directory = fake.client(2, LONG);
    assert_eq!(ask(&directory).await, Ok(None));
    assert_eq!(ask(&directory).await, Ok(None));
    assert_eq!(fake.requests(), [SEARCH, SEARCH, SEARCH]);
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn a_change_is_never_sent_twice() {
    let fake = Fake::start(vec![vec![Step::Answer(0), Step::Close], vec![Step::Answer(0); 9]]);
    let directory = fake.client(2, LONG);
    assert_eq!(ask(&directory).await, Ok(None));
    let error = directory.modify("cn=a", &[]).await.unwrap_err();
    assert!(matches!(error, DirectoryError::Unanswered { .. }), "{error}");
    assert_eq!(fake.requests(), [SEARCH, MODIFY]);
    directory.delete("cn=a").await.unwrap();
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn a_new_connection_that_does_not_answer_is_an_error() {
    let fake = Fake::start(vec![vec![Step::Close]]);
    let directory = fake.client(2, LONG);
    let error = ask(&directory).await.unwrap_err();
    assert!(matches!(error, DirectoryError::Unanswered { .. }), "{error}");
    assert_eq!(fake.requests(), [SEARCH]);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let script = vec![Step::Answer(0), Step::Silence, Step::Answer(0)];
    let fake = Fake::start(vec![script, vec![Step::Answer(0)]]);
    let directory = fake.client(1, Duration::from_secs(1));
    assert_eq!(ask(&directory).await, Ok(None));
    let error = directory.modify("cn=a", &[]).await.unwrap_err();
    assert!(error.to_string().contains("no answer within 1 s"), "{error}");
    assert_eq!(ask(&directory).await, Ok(None));
    assert_eq!(fake.connections(), 2, "what did not answer is not used again");
}

#[tokio::test]
async fn a_refusal_says_what_was_refused_and_costs_no_connection() {
    let fake = Fake::start(vec![vec![Step::Answer(50), Step::Answer(32), Step::Answer(34)]]);
    let directory = fake.client(1, LONG);
    let error = directory.modify("cn=a", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(50));
    assert!(error.to_string().ends_with("refused to modify \"cn=a\": result code 50"), "{error}");
    assert_eq!(ask(&directory).await, Ok(None), "no such entry is none found");
    let error = ask(&directory).await.unwrap_err().to_string();
    assert!(error.ends_with("result code 34"), "a name that is none is not nobody: {error}");
    assert_eq!(fake.connections(), 1);
    assert_eq!(directory.fault(), None);
}

#[tokio::test]
async fn where_nobody_listens_is_said_and_remembered() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::new(&settings(&place.path().join("none"), LONG), 1).unwrap();
    assert_eq!(directory.fault(), None, "nobody has tried");
    let error = ask(&directory).await.unwrap_err().to_string();
    assert!(error.contains("is this the path of its socket?"), "{error}");
    assert_eq!(directory.fault(), Some(error));
}

#[test]
fn settings_that_cannot_work_are_refused_before_anything_is_asked() {
    let place = tempfile::tempdir().unwrap();
    let usual = settings(&place.path().join("none"), LONG);
    let missing = Some(place.path().join("missing.pem"));
    for (changed, expected) in [
        (ServerSettings { url: "ldap://ldap.example.com".into(), ..usual.clone() }, "in clear"),
        (
            ServerSettings { url: "ldaps://localhost".into(), trust: missing, ..usual },
            "missing.pem",
        ),
    ] {
        let error = Directory::new(&changed, 1).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

const LONG: Duration = Duration::from_secs(60);
const BIND: u8 = 0x60;
const SEARCH: u8 = 0x63;
const MODIFY: u8 = 0x66;
const DELETE: u8 = 0x4a;
