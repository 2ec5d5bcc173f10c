//! One connection: what slapd asks, and what that leads to.

use std::{
    mem::MaybeUninit,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_core::wire::backsock::{
    Answer, Bind, Compare, Request, RequestError, RequestReader, ResultCode,
};
use socket2::SockRef;
use tokio::{
    io::AsyncReadExt,
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use super::{Handler, door::finish, guard::Connection, rules::Rules};
use crate::{listener::unix::may_connect, log::Seldom};

/// What every connection needs.
pub(super) struct Desk<H> {
    rules: Rules,
    handler: Arc<H>,
    places: Arc<Semaphore>,
    /// When the operator was told of a user who may not ask.
    told: Seldom,
    pub(super) tasks: TaskTracker,
}

/// Why there is nothing to judge.
#[derive(Debug, PartialEq, Eq)]
enum Unread {
    Refused(RequestError),
    Gone,
}

impl<H: Handler> Desk<H> {
    pub(super) fn new(rules: Rules, handler: Arc<H>) -> Self {
        let places = Arc::new(Semaphore::new(rules.max_requests));
        Self { rules, handler, places, told: Seldom::default(), tasks: TaskTracker::new() }
    }

    /// From the preamble to the end. Whatever goes wrong, slapd gets an answer, because it
    /// would wait for one for ever.
    pub(super) async fn serve(self: Arc<Self>, connection: Connection) {
        let Connection { mut stream, lifeline } = connection;
        let answering = timeout(self.rules.time_limit, self.answer(&mut stream));
        let answer = answering.await.unwrap_or_else(|_| {
            tracing::debug!("a request of slapd took too long");
            Some(Answer::of(ResultCode::BUSY))
        });
        if let Some(answer) = answer
            && let Err(error) = finish(stream, &answer).await
        {
            tracing::debug!(%error, "slapd did not take its answer");
        }
        lifeline.over();
    }

    /// Nothing, if nobody waits for an answer.
    async fn answer(&self, stream: &mut UnixStream) -> Option<Answer> {
        if !self.admits(stream) {
            return Some(Answer::of(ResultCode::OTHER));
        }
        match self.judge(stream).await {
            Ok(answer) => answer,
            Err(Unread::Gone) => None,
            Err(Unread::Refused(error)) => {
                tracing::debug!(%error, "a request of slapd was refused");
                Some(Answer::of(ResultCode::INVALID_CREDENTIALS))
            }
        }
    }

    async fn judge(&self, stream: &mut UnixStream) -> Result<Option<Answer>, Unread> {
        let request = read(stream).await?;
        let answer = match request {
            Request::Other(_) => return Ok(Some(Answer::Continue)),
            Request::Notice(_) => return Ok(None),
            Request::Bind(_) | Request::Compare(_) if has_more(stream) => {
                return Err(RequestError::TooManyOctets.into());
            }
            Request::Bind(bind) => self.bind(bind).await,
            Request::Compare(compare) => self.compare(compare).await,
        };
        // What was late has had all this time to come.
        if has_more(stream) { Err(RequestError::TooManyOctets.into()) } else { Ok(Some(answer)) }
    }

    /// The kernel's word counts.
    fn admits(&self, stream: &UnixStream) -> bool {
        let user = stream.peer_cred().map(|credentials| credentials.uid());
        let admitted = user.as_ref().is_ok_and(|user| may_connect(*user, &self.rules.users));
        if let (false, Ok(user)) = (admitted, &user) {
            self.complain_of(*user);
        }
        admitted
    }

    /// Told once a minute: slapd asks at every bind.
    fn complain_of(&self, user: u32) {
        if self.told.is_due(Instant::now()) {
            tracing::warn!(
                user,
                "this user may not ask on the socket of slapd; if slapd runs as this one, name it in back-sock.socket-users"
            );
        }
    }

    async fn bind(&self, bind: Bind) -> Answer {
        if let Some(answer) = self.rules.judge_bind(&bind) {
            return answer;
        }
        if let Some(answer) = self.handler.own(&bind) {
            return answer;
        }
        let handler = self.handler.clone();
        self.ask(async move { handler.bind(bind).await }).await
    }

    async fn compare(&self, compare: Compare) -> Answer {
        if let Some(answer) = self.rules.judge_compare(&compare) {
            return answer;
        }
        let handler = self.handler.clone();
        self.ask(async move { handler.compare(compare).await }).await
    }

    /// Has it answered if there is a place, or else says at once that there is none: whoever
    /// waits in a queue has one of slapd's threads.
    ///
    /// What was begun goes on when slapd is told that it took too long, for a counter may be
    /// on its way to the disk; and keeps its place.
    async fn ask(&self, answering: impl Future<Output = Answer> + Send + 'static) -> Answer {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Answer::of(ResultCode::BUSY);
        };
        let answered = self.tasks.spawn(with(place, answering)).await;
        answered.unwrap_or_else(|error| {
            tracing::error!(%error, "a request of slapd could not be answered");
            Answer::of(ResultCode::OTHER)
        })
    }
}

async fn with(place: OwnedSemaphorePermit, answering: impl Future<Output = Answer>) -> Answer {
    let answer = answering.await;
    drop(place);
    answer
}

async fn read(stream: &mut UnixStream) -> Result<Request, Unread> {
    let mut reader = RequestReader::new();
    let mut piece = Zeroizing::new(vec![0; PIECE]);
    loop {
        let found = match timeout(QUIET, stream.read(&mut piece)).await {
            Err(_) => reader.quiet()?,
            Ok(Ok(0)) => return reader.quiet()?.ok_or(Unread::Gone),
            Ok(Ok(length)) => reader.push(&piece[..length])?,
            Ok(Err(_)) => return Err(Unread::Gone),
        };
        if let Some(request) = found {
            return Ok(request);
        }
    }
}

/// Whether there are octets behind a request. The system is asked, for the runtime only
/// knows what it has been told.
fn has_more(stream: &UnixStream) -> bool {
    let mut octet = [MaybeUninit::uninit()];
    SockRef::from(stream).peek(&mut octet).is_ok_and(|length| length > 0)
}

impl From<RequestError> for Unread {
    fn from(error: RequestError) -> Self {
        Self::Refused(error)
    }
}

/// A writer that pauses for so long has nothing more to say.
const QUIET: Duration = Duration::from_millis(200);
/// More than what slapd writes at once, so that an end inside of it is seen as such.
const PIECE: usize = 16 * 1024;
