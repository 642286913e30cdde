//! Who may look in and give orders.
//!
//! Where a token is configured, every request shows it, or the cookie that a browser was given for it.
//! A cookie holds no token but a number drawn for one login, which ends with the process. Where there is no
//! token, whoever reaches the address may; and a page of another site cannot get here through a browser,
//! since browsers tell where a request comes from and pages cannot lie about it.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use windlass::proto::http::Status;
use windlass_http::{Refusal, Replied, Reply, Request};

use super::shape::Login;
use super::{Admin, Bound};

/// The cookie's name.
const COOKIE: &str = "windlass_login";
/// How long a login is good for.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(12 * 3600);
/// Logins at a time; with one more, the oldest ends.
const LOGINS_MAX: usize = 64;

/// Logins of all workers.
#[derive(Clone, Default)]
pub(super) struct Logins(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    /// Its key comes from the system, and what it makes of a number tells nobody the next.
    draw: RandomState,
    drawn: u64,
    open: VecDeque<(String, Instant)>,
}

impl Logins {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new one, good from now on.
    fn begin(&self, now: Instant) -> String {
        let mut book = self.lock();
        book.drawn += 1;
        let part = |n: u8| book.draw.hash_one((book.drawn, n));
        let id = format!("{:016x}{:016x}", part(0), part(1));
        if book.open.len() == LOGINS_MAX {
            book.open.pop_front();
        }
        book.open.push_back((id.clone(), now + LOGIN_TIMEOUT));
        id
    }

    fn is_open(&self, shown: &str, now: Instant) -> bool {
        let mut book = self.lock();
        book.open.retain(|(_, until)| now < *until);
        // All of them, so that the time tells nothing.
        book.open.iter().fold(false, |found, (id, _)| found | same(shown, id))
    }

    fn end(&self, shown: &str) {
        self.lock().open.retain(|(id, _)| id != shown);
    }
}

/// Lets in whoever may come in.
pub(super) fn admit<'a>(admin: &'a Admin, request: &Request<'_>) -> Result<&'a Bound, Refusal> {
    if let Some(token) = &admin.token {
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let shows_token = bearer.is_some_and(|shown| same(shown.trim(), token));
        let is_logged_in =
            || cookie(request).is_some_and(|shown| admin.logins.is_open(shown, Instant::now()));
        if !shows_token && !is_logged_in() {
            return Err(Refusal(Status::UNAUTHORIZED));
        }
    }
    if !is_own_page(request) {
        return Err(Refusal(Status::FORBIDDEN));
    }
    admin.bound.get().ok_or(Refusal(Status::SERVICE_UNAVAILABLE))
}

/// Answers with `answer`, if whoever asks may.
pub(super) fn allowed<'a, 'c>(
    admin: &mut Admin,
    request: &Request<'_>,
    reply: Reply<'a, 'c>,
    answer: impl FnOnce(&Admin, &Bound, Reply<'a, 'c>) -> Replied,
) -> Replied {
    match admit(admin, request) {
        Ok(bound) => answer(admin, bound, reply),
        Err(refusal) => reply.refuse(refusal),
    }
}

/// Gives a browser a cookie for the token, which it then need not keep.
pub(super) fn login(admin: &mut Admin, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    if !is_own_page(request) {
        return reply.refuse(Refusal(Status::FORBIDDEN));
    }
    let Some(token) = &admin.token else {
        return reply
            .status(Status::CONFLICT)
            .text("no token is configured: there is nothing to log in to\n");
    };
    match request.json::<Login>() {
        Ok(login) if same(&login.token, token) => {
            let id = admin.logins.begin(Instant::now());
            let life = LOGIN_TIMEOUT.as_secs();
            let cookie = format!("{COOKIE}={id}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict");
            reply.header("set-cookie", cookie).status(Status::NO_CONTENT).empty()
        }
        Ok(_) => reply.refuse(Refusal(Status::UNAUTHORIZED)),
        Err(refusal) => reply.refuse(refusal),
    }
}

/// Ends what `login` began.
pub(super) fn logout(admin: &mut Admin, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    if !is_own_page(request) {
        return reply.refuse(Refusal(Status::FORBIDDEN));
    }
    if let Some(shown) = cookie(request) {
        admin.logins.end(shown);
    }
    let gone = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    reply.header("set-cookie", gone).status(Status::NO_CONTENT).empty()
}

fn cookie<'r>(request: &Request<'r>) -> Option<&'r str> {
    let lines = request.head.headers.all("cookie").filter_map(|line| std::str::from_utf8(line).ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// Whether it comes from no page at all, or from one of ours: browsers tell, and pages cannot lie about it.
fn is_own_page(request: &Request<'_>) -> bool {
    let host = request.head.host.unwrap_or_default();
    let ours = |origin: &str| {
        origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
    };
    request.header("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"))
        && request.head.headers.all("origin").all(|origin| std::str::from_utf8(origin).is_ok_and(ours))
}

/// In a time that does not tell where they differ.
fn same(shown: &str, token: &str) -> bool {
    let differ = shown.bytes().zip(token.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
    std::hint::black_box(differ) == 0 && shown.len() == token.len()
}
