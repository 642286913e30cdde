//! Hubs: how they are, who their clients are, what is said in them, and the end of one client.
//!
//! What only a hub knows is asked of all of its workers ([`windlass_hub::inspect`]), and its answer comes by mailbox. Whoever
//! looks at topics has a stream of events of his own, since everybody has other levels open; the questions for it are
//! asked once a second, and none while nobody looks.

use windlass::ConnId;
use windlass::proto::http::Status;
use windlass_http::{Event, Http, Push, Refusal, Replied, Reply, Request};
use windlass_hub::inspect::{
    Ask, AskError, ClientQuery, ClientSort, OPEN_MAX, Question, REACH_MAX, Told, TopicQuery, TopicSort,
};

use super::Admin;
use super::ask::{self, What};
use super::door::{self, allowed};
use super::shape::{Hub, HubClients, HubRule, KickOrder};
use crate::hub::{Counted, Links};

/// The stream of who looks at topics.
pub(super) const LIVE: &str = "/api/hubs/live";
/// Clients on one page.
const PER_PAGE: usize = 50;
const PER_PAGE_MAX: usize = 1_000;
/// Topics that are told at once.
const TOPICS: usize = 50;
const TOPICS_MAX: usize = 1_000;

/// Somebody who looks at topics of a hub.
#[derive(Clone)]
pub(super) struct Viewer {
    conn: ConnId,
    hub: String,
    open: Vec<Box<str>>,
    filter: String,
}

/// What one of them sees.
pub(crate) struct Seen {
    viewer: ConnId,
    told: Told,
}

impl Seen {
    /// The worker that has his connection.
    pub(super) fn worker(&self) -> usize {
        self.viewer.worker()
    }
}

/// All hubs at one moment.
pub(super) fn all(hubs: &Links) -> Vec<Hub> {
    hubs.counted().into_iter().map(hub).collect()
}

fn hub(counted: Counted) -> Hub {
    let rule = |(name, counts): (String, crate::hub::rules::outlet::Counts)| HubRule {
        name,
        delivered: counts.delivered,
        dropped: [
            ("queue_full", counts.queue_full),
            ("too_long", counts.too_long),
            ("failed", counts.failed),
            ("refused", counts.refused),
        ]
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(why, n)| (why.into(), n))
        .collect(),
        retries: counts.retries,
        waiting: counts.waiting,
    };
    Hub {
        name: counted.name,
        counters: counted.stats.entries().map(|(name, n)| (name.into(), n)).collect(),
        rules: counted.rules.into_iter().map(rule).collect(),
    }
}

pub(super) fn routes(pages: Http<Admin>) -> Http<Admin> {
    let asked = |question: fn(&Request<'_>) -> Option<Question>| {
        move |admin: &mut Admin, request: &Request<'_>, reply: Reply<'_, '_>| {
            allowed(admin, request, reply, |admin, _, reply| match question(request) {
                Some(question) => put(admin, request.param("hub"), question, reply),
                None => reply.status(Status::BAD_REQUEST).text(USAGE),
            })
        }
    };
    pages
        .get("/api/hubs", |admin, request, reply| {
            allowed(admin, request, reply, |admin, _, reply| reply.json(&all(&admin.hubs)))
        })
        .get("/api/hubs/clients", asked(clients))
        .get("/api/hubs/client", asked(client))
        .get("/api/hubs/topics", asked(topics))
        .get("/api/hubs/levels", asked(|request| Some(Question::Levels(open(request)?))))
        .post("/api/hubs/kick", |admin, request, reply| {
            allowed(admin, request, reply, |admin, _, reply| kick(admin, request, reply))
        })
        .events_if(LIVE, |admin, request| door::admit(admin, request).map(drop))
}

const USAGE: &str = "sort is one of queued, in_flight, received, sent, age, subscriptions and name, of topics \
                     one of rate, messages, bytes and name; page, per_page and count are numbers; open is a \
                     list of texts as JSON\n";

fn number(request: &Request<'_>, name: &str, default: usize) -> Option<usize> {
    request.param(name).map_or(Some(default), |text| text.parse().ok())
}

/// `GET /api/hubs/clients?sort=..&filter=..&offline=true&page=..&per_page=..`
fn clients(request: &Request<'_>) -> Option<Question> {
    let sort = match request.param("sort").as_deref() {
        None | Some("queued") => ClientSort::Queued,
        Some("in_flight") => ClientSort::InFlight,
        Some("received") => ClientSort::Received,
        Some("sent") => ClientSort::Sent,
        Some("age") => ClientSort::Age,
        Some("subscriptions") => ClientSort::Subscriptions,
        Some("name") => ClientSort::Name,
        Some(_) => return None,
    };
    let page = number(request, "page", 1)?.max(1);
    let count = number(request, "per_page", PER_PAGE)?.clamp(1, PER_PAGE_MAX);
    let offset = (page - 1).saturating_mul(count);
    let filter = request.param("filter").unwrap_or_default();
    let offline = matches!(request.param("offline").as_deref(), Some("true" | "1"));
    Some(Question::Clients(ClientQuery { sort, filter, offline, offset, count }))
}

/// `GET /api/hubs/client?id=..`
fn client(request: &Request<'_>) -> Option<Question> {
    Some(Question::Client(request.param("id")?.into()))
}

/// `GET /api/hubs/topics?sort=..&filter=..&count=..`
fn topics(request: &Request<'_>) -> Option<Question> {
    let sort = match request.param("sort").as_deref() {
        None | Some("rate") => TopicSort::Rate,
        Some("messages") => TopicSort::Messages,
        Some("bytes") => TopicSort::Bytes,
        Some("name") => TopicSort::Name,
        Some(_) => return None,
    };
    let count = number(request, "count", TOPICS)?.clamp(1, TOPICS_MAX);
    Some(Question::Topics(TopicQuery { sort, filter: request.param("filter").unwrap_or_default(), count }))
}

/// The parameter `open`: levels as a list of texts.
fn open(request: &Request<'_>) -> Option<Vec<Box<str>>> {
    let Some(text) = request.param("open") else { return Some(Vec::new()) };
    let mut open: Vec<Box<str>> = serde_json::from_str(&text).ok()?;
    open.truncate(OPEN_MAX);
    Some(open)
}

/// `POST /api/hubs/kick`
fn kick(admin: &Admin, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    let KickOrder { hub, client, end_session } = match request.json::<KickOrder>() {
        Ok(order) => order,
        Err(refusal) => return reply.refuse(refusal),
    };
    tracing::info!(hub, client, end_session, "the operator ends a client's connection");
    put(admin, hub, Question::Kick { client: client.into(), end_session }, reply)
}

/// Asks a hub: the only one, if no name is said.
fn put(admin: &Admin, hub: Option<String>, question: Question, reply: Reply<'_, '_>) -> Replied {
    let Some(mailbox) = admin.hubs.mailbox(hub.as_deref()) else {
        return reply.status(Status::NOT_FOUND).text("there is no such hub\n");
    };
    let page = match &question {
        Question::Clients(query) if query.offset.saturating_add(query.count) > REACH_MAX => {
            let why = "only the first 10,000 are told: use a filter\n";
            return reply.status(Status::BAD_REQUEST).text(why);
        }
        Question::Clients(query) => (query.offset / query.count + 1, query.count),
        _ => (1, 0),
    };
    let (replied, later) = reply.later();
    let back = admin.mailbox.clone();
    // Of its copies the first one to be answered counts.
    let asked =
        Ask::send(&mailbox, question, move |told| ask::tell(&back, later, What::OfHub(Ok(told), page)));
    if let Err(why) = asked {
        ask::tell(&admin.mailbox, later, What::OfHub(Err(why), page));
    }
    replied
}

/// Answers a request that waited.
pub(super) fn answer(
    reply: Reply<'_, '_>,
    told: Result<Told, AskError>,
    (page, per_page): (usize, usize),
) -> Replied {
    match told {
        Ok(Told::Clients(found)) => reply.json(&HubClients { page, per_page, found }),
        Ok(Told::Client(Some(detail))) => reply.json(&*detail),
        Ok(Told::Topics(page)) => reply.json(&page),
        Ok(Told::Levels(levels)) => reply.json(&levels),
        Ok(Told::Kicked(true)) => reply.text("disconnected\n"),
        Ok(Told::Client(None) | Told::Kicked(false)) => {
            reply.status(Status::NOT_FOUND).text("there is no such client\n")
        }
        Err(AskError::Busy) => {
            reply.status(Status::SERVICE_UNAVAILABLE).header("retry-after", "1").text("busy: ask again\n")
        }
        _ => reply.refuse(Refusal(Status::NOT_FOUND)),
    }
}

impl Admin {
    /// Somebody begins to look: what he sees first comes as soon as it is known.
    pub(super) fn begin_to_look(&mut self, request: &Request<'_>) {
        let viewer = Viewer {
            conn: request.conn,
            hub: request.param("hub").unwrap_or_default(),
            open: open(request).unwrap_or_default(),
            filter: request.param("filter").unwrap_or_default(),
        };
        self.ask_for(&viewer);
        self.viewers.push(viewer);
    }

    /// Asks once more for all who look on this worker.
    pub(super) fn look_again(&mut self, push: &Push<'_, '_, Admin>) {
        self.viewers.retain(|viewer| push.is_subscriber(LIVE, viewer.conn));
        self.viewers.iter().for_each(|viewer| self.ask_for(viewer));
    }

    fn ask_for(&self, viewer: &Viewer) {
        let hub = Some(&*viewer.hub).filter(|name| !name.is_empty());
        let Some(mailbox) = self.hubs.mailbox(hub) else { return };
        let topics = TopicQuery { filter: viewer.filter.clone(), count: TOPICS, ..TopicQuery::default() };
        for question in [Question::Levels(viewer.open.clone()), Question::Topics(topics)] {
            let (back, viewer) = (self.mailbox.clone(), viewer.conn);
            // What is not told now is told a second later.
            let _ = Ask::send(&mailbox, question, move |told| {
                ask::show(&back, Seen { viewer, told });
            });
        }
    }
}

/// Tells one who looks what he sees.
pub(super) fn show(push: &mut Push<'_, '_, Admin>, seen: Seen) {
    let event = match &seen.told {
        Told::Levels(levels) => event("levels", levels),
        Told::Topics(topics) => event("topics", topics),
        _ => None,
    };
    if let Some(event) = event {
        push.event_to(LIVE, seen.viewer, &event);
    }
}

fn event(name: &str, of: &impl serde::Serialize) -> Option<Event> {
    Some(Event::new(serde_json::to_string(of).ok()?).name(name))
}
