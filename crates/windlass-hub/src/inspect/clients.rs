//! Clients: a page of them, all about one, and the end of one.

use std::cmp::Reverse;

use serde::Serialize;
use windlass::{Scope, Sessions as Clients};
use windlass_proto::mqtt::{Reason, RetainHandling, Version};

use super::{REACH_MAX, Shown, Step};
use crate::client::Client;
use crate::service::Hub;
use crate::session::{Key, Session, flag};

/// Sessions that are looked at before others have their turn.
const STEP: Key = 1_024;
/// Subscriptions, and messages that wait, that are told of one client.
const TOLD_MAX: usize = 1_000;
const QUEUED_TOLD_MAX: usize = 20;

/// What a list of clients is sorted by: the largest first, but names in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum ClientSort {
    /// Messages that wait in the queue.
    #[default]
    Queued,
    /// Messages in flight to the client.
    InFlight,
    /// Messages that came from it, on this connection.
    Received,
    /// Messages that went to it, on this connection.
    Sent,
    /// How long it has been connected, or without a connection.
    Age,
    /// Subscriptions.
    Subscriptions,
    /// The client identifier.
    Name,
}

/// Which clients, in what order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientQuery {
    /// The order.
    pub sort: ClientSort,
    /// Those only whose identifier, user or address has this in it.
    pub filter: String,
    /// Those too that have no connection.
    pub offline: bool,
    /// So many are left out at the beginning. With `count` no more than [`REACH_MAX`].
    pub offset: usize,
    /// So many are told.
    pub count: usize,
}

impl ClientQuery {
    fn reach(&self) -> usize {
        self.offset.saturating_add(self.count).min(REACH_MAX)
    }
}

/// A page of clients.
#[derive(Debug, Default, Serialize)]
pub struct ClientsPage {
    /// Clients that are connected; with [`ClientQuery::offline`] all sessions.
    pub total: usize,
    /// Those that fit the filter.
    pub matched: usize,
    /// The page.
    pub clients: Vec<ClientEntry>,
    /// What each is sorted by.
    #[serde(skip)]
    ranks: Vec<Rank>,
    /// None of a lower rank can be on the page.
    #[serde(skip)]
    least: Option<Rank>,
}

/// Larger is sooner; then names in their order.
type Rank = (u64, Reverse<Box<str>>);

/// A client in a list.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct ClientEntry {
    /// Its client identifier.
    pub id: String,
    /// Its user, unless it is anonymous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where it is; of one that came through a proxy, what that says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether it has a connection.
    pub connected: bool,
    /// The version of the protocol: `3.1.1` or `5.0`.
    pub version: &'static str,
    /// Whether its packets travel in a WebSocket.
    pub websocket: bool,
    /// Since when it is connected, or without a connection: seconds ago.
    pub since_seconds: f64,
    /// Seconds for which its session is kept without a connection; nothing: for ever.
    pub expiry_seconds: Option<u32>,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Messages that wait, and bytes of them.
    pub queued: usize,
    /// Bytes of them.
    pub queued_bytes: usize,
    /// Messages of QoS 1 and 2 that are on their way to it.
    pub in_flight: usize,
    /// The same from it.
    pub in_flight_in: usize,
    /// Messages that came from it on this connection.
    pub received: u64,
    /// Messages that went to it on this connection.
    pub sent: u64,
}

/// All about one client.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct ClientDetail {
    /// What a list tells.
    #[serde(flatten)]
    pub client: ClientEntry,
    /// Its subscriptions, in the order of their filters: 1,000 at most.
    pub filters: Vec<SubscriptionEntry>,
    /// What is published when it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub will: Option<WillEntry>,
    /// The first messages that wait: 20 at most.
    pub waiting: Vec<QueuedEntry>,
    /// Seconds of silence it promised to keep below; 0: it promised nothing.
    pub keep_alive_seconds: u32,
    /// Messages of QoS 1 and 2 that may be on their way to it.
    pub receive_max: u16,
    /// Bytes of the longest packet that it takes; nothing: any.
    pub packet_max: Option<usize>,
    /// Messages that may wait for it.
    pub queue_max: usize,
    /// Bytes of them.
    pub queue_bytes_max: usize,
    /// Subscriptions that it may have.
    pub subscriptions_max: usize,
    /// What was sent to it and not taken yet, in bytes.
    pub output_bytes: usize,
}

/// One subscription.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SubscriptionEntry {
    /// The filter, with `$share` and group if it is shared.
    pub filter: String,
    /// The highest QoS.
    pub qos: u8,
    /// The client's number for it; 0: none.
    pub id: u32,
    /// Not what the client publishes itself.
    pub no_local: bool,
    /// Messages keep their RETAIN flag.
    pub retain_as_published: bool,
    /// Which retained messages it began with: `send`, `send_if_new` or `none`.
    pub retain_handling: &'static str,
}

/// A will.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WillEntry {
    /// Its topic.
    pub topic: String,
    /// Its QoS.
    pub qos: u8,
    /// Whether it is retained.
    pub retain: bool,
    /// Seconds between the end of the connection and the message.
    pub delay_seconds: u32,
    /// Its payload.
    pub value: Shown,
}

/// A message that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct QueuedEntry {
    /// Its topic.
    pub topic: String,
    /// The QoS it is sent with.
    pub qos: u8,
    /// Bytes of its payload.
    pub bytes: usize,
    /// Seconds until it expires, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u32>,
}

impl Hub {
    /// Adds some of this worker's sessions to a page.
    pub(super) fn list_clients(
        &self,
        scope: &mut Scope<'_>,
        clients: &mut Clients<Client>,
        query: &ClientQuery,
        page: &mut ClientsPage,
        from: Key,
    ) -> Step {
        let to = self.sessions.end().min(from.saturating_add(STEP));
        for session in (from..to).filter_map(|key| self.sessions.get(key)) {
            if !session.is_connected() && !query.offline {
                continue;
            }
            page.total += 1;
            let fits = |text: &str| text.contains(&*query.filter);
            let by_name = query.filter.is_empty()
                || fits(&session.client_id)
                || session.user.as_deref().is_some_and(fits);
            // Most are not on the page: what takes longer is asked of those that may be.
            let quick = by_name && page.least.is_some();
            if quick && !matches!(query.sort, ClientSort::Received | ClientSort::Age) {
                let number = number(query.sort, session, 0, 0);
                if page.least.as_ref().is_some_and(|least| number < least.0) {
                    page.matched += 1;
                    continue;
                }
            }
            let entry = self.entry(scope, clients, session);
            if !by_name && !entry.address.as_deref().is_some_and(fits) {
                continue;
            }
            page.matched += 1;
            let age = (entry.since_seconds * 1e3) as u64;
            let number = number(query.sort, session, entry.received, age);
            page.add((number, Reverse((*session.client_id).into())), entry, query.reach());
        }
        if to < self.sessions.end() { Step::More(to) } else { Step::Over }
    }

    fn entry(&self, scope: &mut Scope<'_>, clients: &mut Clients<Client>, session: &Session) -> ClientEntry {
        let mut entry = ClientEntry {
            id: (*session.client_id).into(),
            user: session.user.as_deref().map(Into::into),
            version: if session.level == 5 { "5.0" } else { "3.1.1" },
            expiry_seconds: (session.expiry != u32::MAX).then_some(session.expiry),
            subscriptions: session.subscriptions.len(),
            queued: session.queue.len(),
            queued_bytes: session.queue.bytes(),
            in_flight: session.outgoing.as_ref().map_or(0, |it| it.len()),
            in_flight_in: session.incoming.as_ref().map_or(0, |it| it.len()),
            since_seconds: self.now.since(session.since).as_secs_f64(),
            ..ClientEntry::default()
        };
        let Some(link) = &session.link else { return entry };
        entry.connected = true;
        entry.websocket = link.is(flag::WEBSOCKET);
        entry.sent = link.sent;
        entry.version = if link.version == Version::V5 { "5.0" } else { "3.1.1" };
        if let Some((conn, client)) = clients.get(scope, link.conn) {
            entry.since_seconds = conn.age().as_secs_f64();
            entry.received = client.received.into();
            entry.address = Some(match client.source() {
                Some(ip) => ip.to_string(),
                None => conn.peer().to_string(),
            });
        }
        entry
    }

    /// All about one client.
    pub(super) fn describe_client(
        &self,
        scope: &mut Scope<'_>,
        clients: &mut Clients<Client>,
        id: &str,
    ) -> Option<ClientDetail> {
        let session = self.sessions.get(self.sessions.find(id)?)?;
        let client = self.entry(scope, clients, session);
        let mut filters: Vec<_> = session.subscriptions.iter().collect();
        filters.sort_unstable_by(|a, b| a.filter.cmp(&b.filter));
        filters.truncate(TOLD_MAX);
        let filters = filters.into_iter().map(|it| SubscriptionEntry {
            filter: (*it.filter).into(),
            qos: it.options.qos as u8,
            id: it.id,
            no_local: it.options.no_local,
            retain_as_published: it.options.retain_as_published,
            retain_handling: match it.options.retain_handling {
                RetainHandling::Send => "send",
                RetainHandling::SendIfNew => "send_if_new",
                RetainHandling::DoNotSend => "none",
            },
        });
        let waiting = session.queue.iter().take(QUEUED_TOLD_MAX).map(|queued| QueuedEntry {
            topic: queued.message.topic_str().into(),
            qos: queued.how.qos as u8,
            bytes: queued.message.payload.len(),
            expires_seconds: queued.message.seconds_left(self.now),
        });
        let of_user = self.config.identity.limits(session.user.as_deref()).subscriptions_max;
        let subscriptions_max = match of_user {
            0 => self.config.subscriptions_max,
            max => max.min(self.config.subscriptions_max),
        };
        let mut detail = ClientDetail {
            client,
            filters: filters.collect(),
            will: session.will.as_ref().map(|will| WillEntry {
                topic: (*will.topic).into(),
                qos: will.qos as u8,
                retain: will.retain,
                delay_seconds: will.delay,
                value: Shown::of(&will.payload, will.payload.len()),
            }),
            waiting: waiting.collect(),
            queue_max: self.config.queue_max,
            queue_bytes_max: self.config.queue_bytes_max,
            subscriptions_max,
            ..ClientDetail::default()
        };
        if let Some(link) = &session.link {
            detail.receive_max = link.receive_max;
            detail.packet_max = link.packet_max_said().map(|max| max as usize);
            if let Some((conn, client)) = clients.get(scope, link.conn) {
                detail.keep_alive_seconds = client.silence_max_ms / 1_500;
                detail.output_bytes = conn.output_len();
            }
        }
        Some(detail)
    }

    /// Ends the connection of a client, and its session if that is asked for.
    pub(super) fn kick_client(&mut self, scope: &mut Scope<'_>, id: &str, end_session: bool) -> bool {
        let Some(key) = self.sessions.find(id) else { return false };
        let is_connected = self.sessions.get(key).is_some_and(Session::is_connected);
        if is_connected {
            self.disconnect(scope, key, Reason::AdministrativeAction);
            self.detach(scope, key);
        }
        // It may have ended with its connection.
        if end_session && let Some(key) = self.sessions.find(id) {
            self.end_session(scope, key);
        }
        is_connected || end_session
    }
}

fn number(sort: ClientSort, session: &Session, received: u64, age_ms: u64) -> u64 {
    match sort {
        ClientSort::Queued => session.queue.len() as u64,
        ClientSort::InFlight => session.outgoing.as_ref().map_or(0, |it| it.len() as u64),
        ClientSort::Subscriptions => session.subscriptions.len() as u64,
        ClientSort::Sent => session.link.as_ref().map_or(0, |link| link.sent),
        ClientSort::Received => received,
        ClientSort::Age => age_ms,
        ClientSort::Name => 0,
    }
}

impl ClientsPage {
    /// Adds a client, if it may be on the page: twice as many are kept as it reaches, and then the lower half goes.
    fn add(&mut self, rank: Rank, entry: ClientEntry, reach: usize) {
        if self.least.as_ref().is_some_and(|least| rank < *least) {
            return;
        }
        self.ranks.push(rank);
        self.clients.push(entry);
        if self.clients.len() >= reach.saturating_mul(2).max(64) {
            self.sort(reach);
            self.least = self.ranks.last().cloned();
        }
    }

    fn sort(&mut self, reach: usize) {
        let mut all: Vec<_> = self.ranks.drain(..).zip(self.clients.drain(..)).collect();
        all.sort_by(|(a, _), (b, _)| b.cmp(a));
        all.truncate(reach.max(1));
        (self.ranks, self.clients) = all.into_iter().unzip();
    }

    pub(super) fn finish(&mut self, query: &ClientQuery) {
        let reach = query.reach();
        self.sort(reach);
        self.clients.truncate(reach);
        self.clients.drain(..query.offset.min(self.clients.len()));
    }
}
