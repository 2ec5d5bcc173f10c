//! Programs that deliver: the OTP on standard input, address and login in the environment.

use std::{ffi::OsString, io, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, Command},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Failure, Message};
use crate::config::delivery::ScriptSettings;

/// Runs a program for each message.
#[derive(Debug)]
pub(super) struct Script {
    settings: ScriptSettings,
    path: OsString,
}

impl Script {
    pub(super) fn new(settings: &ScriptSettings) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
        Self { settings: settings.clone(), path }
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), Failure> {
        let start = |cause| Failure::Start { program: self.program(), cause };
        let mut child = self.command(message).spawn().map_err(start)?;
        let family = Family::of(&child);
        let stderr = child.stderr.take().expect("it was asked for");
        let stdin = child.stdin.take().expect("it was asked for");
        let said = AbortOnDropHandle::new(tokio::spawn(read_start(stderr)));
        tell(stdin, message).await.map_err(start)?;
        let status = child.wait().await.map_err(start)?;
        family.released();
        if status.success() {
            return Ok(());
        }
        // A child of its own may hold standard error open.
        let said = timeout(LAST_WORDS, said).await.ok().and_then(Result::ok).unwrap_or_default();
        Err(Failure::Exit { program: self.program(), status, said })
    }

    fn program(&self) -> String {
        self.settings.program.display().to_string()
    }

    fn command(&self, message: &Message) -> Command {
        let mut command = Command::new(&self.settings.program);
        command
            .args(&self.settings.arguments)
            .env_clear()
            .env("PATH", &self.path)
            .env("COUNTERSIGN_TO", &message.to)
            .env("COUNTERSIGN_ACCOUNT", &message.account)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// A program that does not want to know the OTP is none of our business.
async fn tell(mut stdin: ChildStdin, message: &Message) -> io::Result<()> {
    let written = async {
        stdin.write_all(message.otp.expose_bytes()).await?;
        stdin.write_all(b"\n").await?;
        stdin.shutdown().await
    };
    match written.await {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The start of what a program writes. It is read to the end, so that the program never waits.
async fn read_start(mut source: impl AsyncReadExt + Unpin) -> String {
    let (mut start, mut chunk) = (Vec::new(), [0; 1024]);
    while let Ok(length @ 1..) = source.read(&mut chunk).await {
        let room = MAX_READ - start.len();
        start.extend_from_slice(&chunk[..length.min(room)]);
    }
    String::from_utf8_lossy(&start).into_owned()
}

/// A program with all that it has started; killed unless it was released.
struct Family(Option<Pid>);

impl Family {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// It has ended; what it left behind is meant to go on.
    fn released(mut self) {
        self.0 = None;
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Where programs are looked for by a script if the daemon has no `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Octets of standard error that are kept.
const MAX_READ: usize = 4096;
/// How long after its end a failed program is listened to.
const LAST_WORDS: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use countersign_core::secret::Secret;

    use super::*;

    /// A shell script in a directory of its own. The shell is what is started: a file that
    /// was just written cannot always be, while tests beside this one start programs, too.
    struct Written(tempfile::TempDir);

    impl Written {
        fn new(lines: &str) -> Self {
            let written = Self(tempfile::tempdir().unwrap());
            let path = written.path("send");
            fs::write(&path, format!("cd {}\n{lines}\n", written.0.path().display())).unwrap();
            written
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap()
        }

        fn script(&self) -> Script {
            let arguments = vec![self.path("send").display().to_string(), "--sms".to_owned()];
            Script::new(&ScriptSettings { program: "/bin/sh".into(), arguments })
        }

        async fn send(&self) -> Result<(), Failure> {
            self.script().send(&message()).await
        }
    }

    fn message() -> Message {
        let otp = Secret::new("123456".to_owned());
        Message { to: "$(id) `x` +49".into(), account: "CORP\\alice".into(), otp }
    }

    #[tokio::test]
    async fn the_otp_is_on_standard_input_and_the_rest_in_the_environment() {
        let written = Written::new("echo \"$@\" > arguments; env > environment; cat > input");
        written.send().await.unwrap();
        assert_eq!(written.read("input"), "123456\n");
        assert_eq!(written.read("arguments"), "--sms\n");
        let environment = written.read("environment");
        let mut names: Vec<_> =
            environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        names.sort_unstable();
        // The shell itself sets PWD, and _ where it is bash; dash sets OLDPWD.
        names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
        assert_eq!(names, ["COUNTERSIGN_ACCOUNT", "COUNTERSIGN_TO", "PATH"]);
        assert!(environment.contains("COUNTERSIGN_TO=$(id) `x` +49\n"), "{environment}");
        assert!(environment.contains("COUNTERSIGN_ACCOUNT=CORP\\alice\n"), "{environment}");
    }

    #[tokio::test]
    async fn a_script_that_does_not_read_is_no_failure() {
        Written::new("exec 0<&-").send().await.unwrap();
    }

    #[tokio::test]
    async fn a_failed_script_is_a_failure_with_what_it_said() {
        let written = Written::new("echo no credit left >&2; exit 3");
        let failure = written.send().await.unwrap_err();
        assert_eq!(failure.to_string(), "/bin/sh ended with exit status: 3");
        assert_eq!(failure.said(), Some("no credit left\n"));
    }

    #[tokio::test]
    async fn a_script_may_say_more_than_is_kept() {
        let written = Written::new("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1");
        let failure = written.send().await.unwrap_err();
        assert_eq!(failure.said().unwrap().len(), MAX_READ);
    }

    #[tokio::test]
    async fn a_script_that_is_not_there_is_named() {
        let settings =
            ScriptSettings { program: "/nonexistent/send".into(), arguments: Vec::new() };
        let failure = Script::new(&settings).send(&message()).await.unwrap_err();
        assert!(failure.to_string().starts_with("/nonexistent/send cannot be started: "));
    }

    #[tokio::test]
    async fn a_script_that_hangs_is_killed_with_its_children() {
        let written =
            Written::new("mkfifo gate; cat gate & echo $! > child; mv child id; cat gate");
        let script = written.script();
        let message = message();
        let (hanging, id) = (script.send(&message), written.path("id"));
        tokio::select! {
            _ = hanging => panic!("it cannot end"),
            () = appears(&id) => {}
        }
        let child = written.read("id");
        // It is a zombie until init has seen it, and then nothing.
        let state = || fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        while state().is_ok_and(|state| !state.contains(") Z ")) {
            tokio::task::yield_now().await;
        }
    }

    async fn appears(path: &Path) {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    }
}
