//! What only a worker can tell: its connections, one of its turns, the end of a connection. The answer comes
//! by mailbox, and until then the request waits.

use std::time::Duration;

use windlass::proto::http::Status;
use windlass::{CloseHow, Mailbox, ObserveError, Page, Query, Sort, TurnTrace};
use windlass_http::{Later, Push, Refusal, Replied, Reply, Request};

use super::shape::{CloseOrder, Reloaded};
use super::{Admin, Bound, state};
use crate::config::Wrong;
use crate::serving::reload::Report;

/// How long a turn that has something to do is waited for.
const TURN_WAIT: Duration = Duration::from_secs(3);
/// Connections on one page.
const PER_PAGE: usize = 50;
const PER_PAGE_MAX: usize = 1_000;

/// What came back, and for which request.
pub(crate) enum Told {
    Answer {
        later: Later,
        what: What,
    },
    /// For somebody who looks at topics of a hub.
    #[cfg(feature = "hub")]
    Seen(super::hubs::Seen),
}

pub(crate) enum What {
    Connections {
        found: Page,
        page: usize,
        per_page: usize,
    },
    Turn(Option<TurnTrace>),
    Closed(bool),
    Reloaded(Box<Result<Report, Wrong>>),
    #[cfg(feature = "proxy")]
    Ordered(Box<Result<super::shape::BackendOrdered, super::proxies::Refused>>),
    /// Of a hub; with the page of clients that was asked for, and how many are on it.
    #[cfg(feature = "hub")]
    OfHub(Result<windlass_hub::inspect::Told, windlass_hub::inspect::AskError>, (usize, usize)),
    #[cfg(feature = "realtime")]
    OfGame(Result<windlass_realtime::inspect::Told, windlass_realtime::inspect::AskError>),
    Refused(ObserveError),
}

/// The way back to the worker that was asked. What finds no room is lost, and its request answered with 504.
pub(super) fn tell(mailbox: &Mailbox<Told>, later: Later, what: What) {
    let _ = mailbox.send(later.worker(), Told::Answer { later, what });
}

/// The same for somebody who looks.
#[cfg(feature = "hub")]
pub(super) fn show(mailbox: &Mailbox<Told>, seen: super::hubs::Seen) {
    let _ = mailbox.send(seen.worker(), Told::Seen(seen));
}

/// Whose question was not taken is told so, the same way.
fn or_refuse(admin: &Admin, later: Later, asked: Result<(), ObserveError>) {
    if let Err(why) = asked {
        tell(&admin.mailbox, later, What::Refused(why));
    }
}

/// Answers a request that waited, or shows somebody what he looks at.
pub(super) fn answer(push: &mut Push<'_, '_, Admin>, told: Told) {
    let (later, what) = match told {
        Told::Answer { later, what } => (later, what),
        #[cfg(feature = "hub")]
        Told::Seen(seen) => return super::hubs::show(push, seen),
    };
    push.answer(later, |reply| match what {
        What::Connections { found, page, per_page } => reply.json(&state::connections(found, page, per_page)),
        What::Turn(Some(turn)) => reply.json(&state::turn(turn)),
        What::Turn(None) => reply.status(Status::NO_CONTENT).empty(),
        What::Closed(true) => reply.text("closed\n"),
        What::Closed(false) => reply.refuse(Refusal(Status::NOT_FOUND)),
        What::Reloaded(outcome) => match *outcome {
            Ok(Report { changed, restart_needed }) => reply.json(&Reloaded { changed, restart_needed }),
            Err(wrong) => {
                let problems = wrong.sources.json(&wrong.problems);
                let body = format!("{{\"problems\":{}}}\n", problems.trim_end());
                reply.status(Status::UNPROCESSABLE_CONTENT).bytes("application/json", body.as_bytes())
            }
        },
        #[cfg(feature = "proxy")]
        What::Ordered(outcome) => super::proxies::answer(reply, *outcome),
        #[cfg(feature = "hub")]
        What::OfHub(told, page) => super::hubs::answer(reply, told, page),
        #[cfg(feature = "realtime")]
        What::OfGame(told) => super::games::answer(reply, told),
        What::Refused(ObserveError::Busy) => {
            reply.status(Status::SERVICE_UNAVAILABLE).header("retry-after", "1").text("busy: ask again\n")
        }
        What::Refused(ObserveError::TooFar) => {
            reply.status(Status::BAD_REQUEST).text("only the first 10,000 are told: use a filter\n")
        }
        What::Refused(_) => reply.refuse(Refusal(Status::NOT_FOUND)),
    });
}

/// `GET /api/connections?sort=..&filter=..&page=..&per_page=..`
pub(super) fn connections(
    admin: &Admin,
    bound: &Bound,
    request: &Request<'_>,
    reply: Reply<'_, '_>,
) -> Replied {
    let Some((query, page, per_page)) = query(request) else {
        return reply
            .status(Status::BAD_REQUEST)
            .text("sort is traffic, received, sent, age, idle or queued; page and per_page are numbers\n");
    };
    let (replied, later) = reply.later();
    let back = admin.mailbox.clone();
    let asked = bound.handle.inspect(query, move |found| {
        tell(&back, later, What::Connections { found, page, per_page });
    });
    or_refuse(admin, later, asked);
    replied
}

fn query(request: &Request<'_>) -> Option<(Query, usize, usize)> {
    let number = |name: &str, default: usize| match request.param(name) {
        Some(text) => text.parse().ok(),
        None => Some(default),
    };
    let sort = match request.param("sort").as_deref() {
        None | Some("traffic") => Sort::Traffic,
        Some("received") => Sort::Received,
        Some("sent") => Sort::Sent,
        Some("age") => Sort::Age,
        Some("idle") => Sort::Idle,
        Some("queued") => Sort::Queued,
        Some(_) => return None,
    };
    let (page, per_page) = (number("page", 1)?.max(1), number("per_page", PER_PAGE)?.clamp(1, PER_PAGE_MAX));
    let filter = request.param("filter").unwrap_or_default();
    let offset = (page - 1).saturating_mul(per_page);
    Some((Query::default().sort(sort).filter(filter).offset(offset).count(per_page), page, per_page))
}

/// `GET /api/turn?worker=0`
pub(super) fn turn(admin: &Admin, bound: &Bound, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    let worker = request.param("worker").map_or(Ok(0), |text| text.parse::<usize>());
    let Ok(worker) = worker else { return reply.refuse(Refusal(Status::BAD_REQUEST)) };
    let (replied, later) = reply.later();
    let back = admin.mailbox.clone();
    let asked = bound.handle.trace_turn(worker, TURN_WAIT, move |turn| {
        tell(&back, later, What::Turn(turn));
    });
    or_refuse(admin, later, asked);
    replied
}

/// `POST /api/close`
pub(super) fn close(admin: &Admin, bound: &Bound, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    let order = match request.json::<CloseOrder>() {
        Ok(order) => order,
        Err(refusal) => return reply.refuse(refusal),
    };
    let Ok(id) = order.conn.parse() else { return reply.refuse(Refusal(Status::BAD_REQUEST)) };
    let how = if order.abort { CloseHow::Abort } else { CloseHow::Orderly };
    tracing::info!(conn = order.conn, ?how, "the operator closes a connection");
    let (replied, later) = reply.later();
    let back = admin.mailbox.clone();
    let asked = bound.handle.close_connection(id, how, move |found| {
        tell(&back, later, What::Closed(found));
    });
    or_refuse(admin, later, asked);
    replied
}

/// `POST /api/reload`
pub(super) fn reload(admin: &Admin, reply: Reply<'_, '_>) -> Replied {
    let Some(reloader) = admin.reloader.get() else {
        return reply.status(Status::CONFLICT).text("this server was not started from a file\n");
    };
    let (replied, later) = reply.later();
    let back = admin.mailbox.clone();
    reloader.request(move |outcome| tell(&back, later, What::Reloaded(Box::new(outcome))));
    replied
}
