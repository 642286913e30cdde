//! How a request ends: our own answers, what is told of it, and what its client does next.

use windlass::Conn;
use windlass_proto::http::{HttpError, Status};
use windlass_proto::proxy_protocol::Addresses;

use crate::http::exchange::Exchange;
use crate::http::log::{Ending, Exchanged};
use crate::http::service::{Client, HttpProxy, Phase, SPARE_MAX};
use crate::http::stats::one;
use crate::reach::Reach;
use crate::refusal::Refusal;

impl HttpProxy {
    /// Answers a request that no backend takes.
    pub(super) fn refuse(&mut self, reach: &mut impl Reach, key: u32, refusal: Refusal) {
        self.fleet.shared.refusals.count(&refusal);
        let (status, ending) = match refusal {
            Refusal::NoRoute => (Status::NOT_FOUND, Ending::Refused),
            Refusal::RequestRate => (Status::TOO_MANY_REQUESTS, Ending::Refused),
            _ => (Status::SERVICE_UNAVAILABLE, Ending::Unavailable),
        };
        if let Some(exchange) = self.clients.get(key).and_then(|client| client.exchange.as_mut()) {
            exchange.why = Some(refusal.label());
        }
        self.answer(reach, key, status, ending);
    }

    /// Answers a request ourselves, whose response has not begun.
    pub(super) fn answer(&mut self, reach: &mut impl Reach, key: u32, status: Status, ending: Ending) {
        let Some(client) = self.clients.get(key) else { return };
        let page = self.fleet.plan.policy.page(status);
        self.out.clear();
        let answered = client.http.respond(&mut self.out, status).lines(page.lines).body(page.body);
        debug_assert!(answered.is_ok(), "a response is due: {answered:?}");
        let length = page.body.len() as u64;
        self.give(reach, key, status, length, ending);
    }

    /// Sends an answer of ours that was written.
    pub(super) fn give(
        &mut self,
        reach: &mut impl Reach,
        key: u32,
        status: Status,
        length: u64,
        ending: Ending,
    ) {
        let Some(client) = self.clients.get(key) else { return };
        if let Some(exchange) = &mut client.exchange {
            exchange.status = Some(status);
            exchange.answered = reach.now();
            exchange.response_bytes = if exchange.is_head { 0 } else { length };
        }
        if let Some(mut conn) = reach.conn(client.conn) {
            conn.write(&self.out);
        }
        let cells = self.fleet.shared.http.of(self.fleet.worker);
        cells.responded(status.code());
        one(&cells.answered);
        self.completed(reach, key, ending);
    }

    /// The last answer to a client that has broken the protocol, or was too slow with its request.
    pub(super) fn refuse_client(&mut self, conn: &mut Conn<'_>, key: u32, error: HttpError) {
        let Some(client) = self.clients.get(key) else { return };
        self.out.clear();
        let page = self.fleet.plan.policy.page(error.status());
        client.http.refuse_with(&mut self.out, error, page.lines, page.body);
        conn.write(&self.out);
        let cells = self.fleet.shared.http.of(self.fleet.worker);
        let ending = if error == HttpError::Timeout { Ending::Slow } else { Ending::Refused };
        if !self.out.is_empty() {
            cells.responded(error.status().code());
            one(&cells.answered);
            let now = conn.now();
            let began = client.head_since.unwrap_or(now);
            let exchange = client.exchange.get_or_insert_with(|| Exchange::unread(began));
            if exchange.status.is_none() {
                exchange.status = Some(error.status());
                exchange.why = Some(error.label());
            }
        }
        self.over(conn, key, ending);
    }

    /// A response is complete: the client's next request.
    pub(super) fn completed(&mut self, reach: &mut impl Reach, key: u32, ending: Ending) {
        self.over(reach, key, ending);
        let keep_alive = self.fleet.plan.config.http.keep_alive_timeout;
        let now = reach.now();
        let Some(client) = self.clients.get(key) else { return };
        client.phase = Phase::Idle;
        let Some(mut conn) = reach.conn(client.conn) else { return };
        if client.http.is_over() || (client.has_ended && !client.has_more && client.http.is_idle()) {
            client.phase = Phase::Over;
            if client.http.has_heard_all() {
                conn.expect_silence();
            }
            conn.close();
            return;
        }
        match keep_alive.is_zero() {
            true => conn.cancel_wake(),
            false => conn.wake_at(now + keep_alive),
        }
        self.wake_client(reach, key);
    }

    /// A response broke off: the client gets what has come of it, and must not take it for a whole one. It does not
    /// where the framing tells; where the end of the connection is the end of the response, a reset does.
    pub(super) fn cut_short(&mut self, reach: &mut impl Reach, key: u32) {
        one(&self.cells().cut_short);
        self.over(reach, key, Ending::CutShort);
        let Some(client) = self.clients.get(key) else { return };
        client.phase = Phase::Over;
        if let Some(mut conn) = reach.conn(client.conn) {
            match client.http.ends_with_connection() {
                true => conn.abort(),
                false => conn.close(),
            }
        }
    }

    /// Tells that a request is over, and keeps its memory.
    pub(super) fn over(&mut self, reach: &mut impl Reach, key: u32, ending: Ending) {
        let Some(client) = self.clients.get(key) else { return };
        let Some(mut exchange) = client.exchange.take() else { return };
        // Not from here: whoever is served in its place may be refused, and so on.
        self.owes_room |= exchange.retry.take().is_some();
        exchange.underway = None;
        if let Some(hear) = &mut self.hear {
            let group = self.fleet.plan.groups.get(exchange.group).map_or("", |group| &*group.name);
            hear(&told(client, &exchange, group, ending, reach.now()));
        }
        if self.spare.len() < SPARE_MAX && exchange.head.capacity() <= 16 * 1024 {
            self.spare.push(exchange);
        }
    }

    /// Has the client's input offered again, or read on.
    pub(super) fn wake_client(&mut self, reach: &mut impl Reach, key: u32) {
        let Some(client) = self.clients.get(key) else { return };
        if !client.is_paused && !client.has_more {
            return;
        }
        if let Some(mut conn) = reach.conn(client.conn) {
            (client.is_paused, client.has_more) = (false, false);
            conn.pause();
            conn.resume();
        }
    }
}

fn told<'a>(
    client: &Client,
    exchange: &'a Exchange,
    group: &'a str,
    ending: Ending,
    now: windlass::Time,
) -> Exchanged<'a> {
    let [method, target, host, user_agent, referer] = exchange.said();
    let [queued, connecting, responding] = exchange.times();
    Exchanged {
        method,
        target,
        host,
        version: exchange.version,
        user_agent,
        referer,
        status: exchange.status,
        request_bytes: exchange.body_bytes,
        response_bytes: exchange.response_bytes,
        backend: exchange.upstream.as_ref().map(|upstream| &*upstream.config.name),
        group,
        reused: exchange.reused,
        retries: exchange.failures,
        queued,
        connecting,
        responding,
        total: now.since(exchange.begun),
        ending,
        why: exchange.why,
        peer: client.peer,
        source: match client.addresses {
            Addresses::Inet { source, .. } => Some(source),
            _ => None,
        },
        conn: client.conn,
        listener: client.listener,
    }
}
