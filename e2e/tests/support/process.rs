//! Programs: run to their end with a limit, or kept running and killed at the end.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use super::clock::{LIMIT, poll};

/// What a program said and how it ended.
#[derive(Debug, Clone)]
pub struct Ran {
    pub command: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Standard output of a program that succeeded.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert!(self.status.success(), "this should succeed:\n{self}");
        self.stdout
    }

    /// Both outputs of a program that failed with an exit code of its own.
    #[track_caller]
    pub fn failed(self) -> String {
        let code = self.status.code();
        assert!(code.is_some_and(|code| code != 0 && code != 101), "this should fail:\n{self}");
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, status, stdout, stderr } = self;
        write!(f, "$ {command}\n{stdout}{stderr}[{status}]")
    }
}

/// Runs a program to its end, with an input.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    let text = describe(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{text}: {error}"));
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_vec();
    // A program that reads nothing may be gone by now; that is its business.
    let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
    let status = poll(LIMIT, || child.try_wait().expect("a child can be waited for"));
    if status.is_none() {
        let _ = child.kill();
    }
    let _ = feeder.join();
    let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().expect("it only reads"));
    let Some(status) = status else {
        panic!("{text}\n{stdout}{stderr}[did not end within {LIMIT:?}]");
    };
    Ran { command: text, status, stdout, stderr }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    let mut pipe = pipe.expect("it is piped");
    thread::spawn(move || {
        let mut octets = Vec::new();
        let _ = pipe.read_to_end(&mut octets);
        String::from_utf8_lossy(&octets).into_owned()
    })
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A program that runs until this value is dropped. Its output is in a file.
#[derive(Debug)]
pub struct Service {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts a program; its output is appended to the file `log`.
    #[track_caller]
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let open = || File::options().create(true).append(true).open(log).expect("a log file");
        command.stdin(Stdio::null()).stdout(open()).stderr(open());
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.into(), child, log: log.into() }
    }

    /// Waits until something is so; shows the log if it does not become so, or the program ends.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        let outcome = poll(LIMIT, || {
            if is_so() {
                return Some(Ok(()));
            }
            self.child.try_wait().expect("a child can be waited for").map(Err)
        });
        match outcome {
            Some(Ok(())) => {}
            Some(Err(status)) => panic!("{} ended ({status}) before {what}", self.name),
            None => panic!("{}: not within {LIMIT:?}: {what}", self.name),
        }
    }

    /// Waits until it has ended by itself, and not well.
    #[track_caller]
    pub fn wait_for_its_end(&mut self) {
        let status = poll(LIMIT, || self.child.try_wait().expect("a child can be waited for"));
        assert!(status.is_some_and(|status| !status.success()), "{} goes on", self.name);
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process identifier.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it on the spot (SIGKILL).
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        self.terminate().unwrap_or_else(|| panic!("{} does not stop at SIGTERM", self.name))
    }

    /// The same for whoever cannot part with it; `None` if it goes on all the same.
    pub fn terminate(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        self.signal("TERM");
        poll(LIMIT, || self.child.try_wait().expect("a child can be waited for"))
    }

    /// Sends it a signal, by the name that kill(1) knows: `HUP`.
    pub fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.id().to_string()];
        run(Command::new("/bin/kill").args(arguments), b"");
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            eprintln!("--- {} said:\n{}---", self.name, self.log());
        }
    }
}

/// How long to look out for something that must not come.
pub const SILENCE: Duration = Duration::from_millis(700);
