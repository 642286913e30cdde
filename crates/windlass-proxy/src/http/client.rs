//! A client's end: its requests, read and passed on.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use windlass::{Close, Conn, Input, Peer, Time};
use windlass_proto::Decode;
use windlass_proto::http::{
    Framing, HeaderLines, Headers, HttpError, RequestHead, RequestPart, ServerConn, Status,
};
use windlass_proto::proxy_protocol::ProxyProtocol;

use crate::door::{Newcomer, destination};
use crate::fleet::Fleet;
use crate::guard::Held;
use crate::http::log::Ending;
use crate::http::policy::{self, Answer, Decision, Denied};
use crate::http::service::{Client, HttpProxy, Phase, Side};
use crate::http::stats::one;
use crate::pair::Greeting;
use crate::refusal::Refusal;
use crate::service::begins_with_header;
use crate::upstream::Failure;

/// Queued by one callback, this is enough: what else the client has asked for waits until it is sent.
const OUTPUT_ENOUGH: usize = 64 * 1024;

impl HttpProxy {
    pub(super) fn open_client(&mut self, conn: &mut Conn<'_>) -> Result<u32, Close> {
        self.fleet.shared.opened.fetch_add(1, Relaxed);
        let peer = conn.peer();
        let plan = &self.fleet.plan;
        let met = self.fleet.meet(conn, None, plan.tells || plan.policy.wants_local());
        let Newcomer { greeting, addresses, local, admitted } = met.map_err(|refusal| {
            self.fleet.shared.refusals.count(&refusal);
            refusal.close()
        })?;
        let (held, refused) = match admitted {
            Ok(held) => (held, None),
            Err(refusal) => (Some(self.draw_out(conn, refusal)?), Some(refusal)),
        };
        let limit = match greeting {
            Some(_) => plan.config.timeouts.greeting,
            None => plan.config.http.request_timeout,
        };
        if refused.is_none() && !limit.is_zero() {
            conn.wake_at(conn.now() + limit);
        }
        let phase = match refused {
            Some(refusal) => Phase::Refused(refusal),
            None => greeting.map_or(Phase::Idle, Phase::Greeting),
        };
        let client = Client {
            conn: conn.id(),
            peer,
            listener: conn.listener(),
            http: ServerConn::new(plan.config.http.limits),
            addresses,
            local,
            phase,
            held,
            exchange: None,
            head_since: None,
            has_more: false,
            is_paused: false,
            has_ended: false,
        };
        self.fleet.shared.client_came();
        Ok(self.clients.add(client))
    }

    /// A client that is not let in: closed at once, or kept for a while without a word.
    fn draw_out(&self, conn: &mut Conn<'_>, refusal: Refusal) -> Result<Held, Close> {
        let plan = &self.fleet.plan;
        self.fleet.shared.refusals.count(&refusal);
        let stay = self.fleet.tarpit(refusal).ok_or_else(|| refusal.close())?;
        conn.pause();
        conn.wake_at(conn.now() + plan.config.guard.tarpit);
        Ok(stay)
    }

    pub(super) fn client_said(
        &mut self,
        conn: &mut Conn<'_>,
        key: u32,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        self.catch_up(conn);
        let Some(client) = self.clients.get(key) else { return Ok(()) };
        (client.has_more, client.is_paused) = (false, false);
        if let Phase::Greeting(greeting) = client.phase {
            match greet(&self.fleet, conn, client, greeting, input) {
                Ok(true) => client.phase = Phase::Idle,
                Ok(false) => return Ok(()),
                Err(refusal) => {
                    let stay = self.draw_out(conn, refusal)?;
                    if let Some(client) = self.clients.get(key) {
                        (client.held, client.phase) = (Some(stay), Phase::Refused(refusal));
                    }
                    return Ok(());
                }
            }
            let limit = self.fleet.plan.config.http.request_timeout;
            set_deadline(conn, limit);
        }
        // What waited before this callback does not count, or the resume below would come back at once.
        let enough = conn.output_len().saturating_add(OUTPUT_ENOUGH);
        loop {
            let Some(client) = self.clients.get(key) else { return Ok(()) };
            match client.phase {
                Phase::Idle
                    if client.http.is_idle()
                        && !input.is_empty()
                        && (conn.is_congested() || conn.output_len() >= enough) =>
                {
                    // What we answer ourselves waits too, until what went before is sent. So long the engine
                    // counts, and not the time for a head.
                    (client.has_more, client.is_paused) = (true, true);
                    conn.cancel_wake();
                    conn.pause();
                    conn.resume();
                    return Ok(());
                }
                Phase::Idle => {}
                // One that is ending is told so in this turn. What is not taken can be sent elsewhere.
                Phase::Linked(link)
                    if self.links.look(link).is_some_and(|link| conn.other(link.conn).is_some()) => {}
                _ => break,
            }
            let part = match client.http.decode(input) {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(error) => return self.client_wrong(conn, key, error),
            };
            match part {
                RequestPart::Head(head) => self.asked(conn, key, &head),
                // What has come already is passed on: reading stops, not this.
                RequestPart::Body(piece) => self.pass_body(conn, key, piece),
                RequestPart::Trailers(trailers) => self.request_is_whole(conn, key, Some(trailers)),
                RequestPart::End => self.request_is_whole(conn, key, None),
                _ => {}
            }
        }
        self.client_rests(conn, key, input)
    }

    /// All that could be done with the input is done.
    fn client_rests(&mut self, conn: &mut Conn<'_>, key: u32, input: &Input<'_>) -> Result<(), Close> {
        let Some(client) = self.clients.get(key) else { return Ok(()) };
        client.has_more = !input.is_empty();
        let Some(exchange) = &client.exchange else {
            if client.has_ended && client.http.is_idle() {
                return Err(if input.is_empty() { Close::Eof } else { Close::Truncated });
            }
            // What was left of a body that nobody wanted came to a bad end, or to one with nothing behind it.
            if client.phase == Phase::Idle && client.http.is_over() {
                return Err(Close::Done);
            }
            if client.phase == Phase::Idle && client.has_more && client.head_since.is_none() {
                client.head_since = Some(conn.now());
                if client.http.requests() > 0 {
                    set_deadline(conn, self.fleet.plan.config.http.request_timeout);
                }
            }
            return Ok(());
        };
        let waits = match client.phase {
            Phase::Linked(link) => {
                let link = self.links.look(link).and_then(|link| conn.other(link.conn));
                !exchange.is_sent && link.is_some_and(|link| link.is_congested())
            }
            // Its body stays with the client until there is somebody to hear it.
            _ => exchange.framing != Framing::Empty,
        };
        // Whoever sends the next request already waits with more of that.
        if waits || (exchange.is_sent && client.has_more) {
            conn.pause();
            client.is_paused = true;
        }
        Ok(())
    }

    /// A request has come.
    fn asked(&mut self, conn: &mut Conn<'_>, key: u32, head: &RequestHead<'_>) {
        one(&self.cells().requests);
        self.requests += 1;
        let mut exchange = self.spare.pop().unwrap_or_default();
        exchange.begin(head, conn.now(), self.hear.is_some());
        let plan = &self.fleet.plan;
        let (config, policy) = (&plan.config.http, &plan.policy);
        let Some(client) = self.clients.get(key) else { return };
        client.head_since = None;
        if let Peer::Tcp(source) = client.source()
            && !plan.guard.admit_request(&plan.config.guard, source.ip(), conn.now())
        {
            client.exchange = Some(exchange);
            return self.refuse(conn, key, Refusal::RequestRate);
        }
        if config.requests_max > 0 && client.http.requests() >= config.requests_max.into() {
            client.http.close_after_response();
        }
        let asks = policy::Client {
            source: client.source(),
            local: client.local,
            tls: is_encrypted(conn),
            id: if policy.wants_id() {
                u128::from(conn.random()) << 64 | u128::from(conn.random())
            } else {
                0
            },
        };
        self.lines.clear();
        if conn.is_overloaded() {
            exchange.why = Some("overload");
            client.exchange = Some(exchange);
            return self.answer(conn, key, Status::SERVICE_UNAVAILABLE, Ending::Unavailable);
        }
        match policy.decide(head, &asks) {
            Decision::Forward(forward) => {
                exchange.group = forward.group;
                exchange.forward = Some(forward);
                exchange.underway = plan.groups.get(forward.group).map(|group| group.budget.enter());
                policy.request_lines(&forward, head, &asks, &mut self.lines);
                let target = policy.target(&forward, head, &mut self.target);
                let host = policy.host(&forward, head);
                exchange.own_host = host.is_none();
                let written = exchange.write_head(head, target, host.unwrap_or(""), &self.lines);
                client.exchange = Some(exchange);
                if written.is_err() {
                    return self.answer(conn, key, Status::BAD_REQUEST, Ending::Refused);
                }
                if let Err(refusal) = self.place(conn, key) {
                    self.refuse(conn, key, refusal);
                }
            }
            Decision::Answer(answer) => {
                policy.answer_lines(&answer, head, &asks, &mut self.lines);
                exchange.why = answer.denied.map(Denied::label);
                exchange.group = answer.group().unwrap_or(0);
                client.exchange = Some(exchange);
                let (status, denied) = (answer.status, answer.denied);
                let length = write_answer(client, &mut self.out, &answer, &self.lines);
                if denied == Some(Denied::NoRoute) {
                    self.fleet.shared.refusals.count(&Refusal::NoRoute);
                }
                let ending = if denied.is_some() { Ending::Refused } else { Ending::Complete };
                self.give(conn, key, status, length, ending);
            }
        }
    }

    /// A piece of a request's body, for the backend.
    fn pass_body(&mut self, conn: &mut Conn<'_>, key: u32, piece: &[u8]) {
        let Some(client) = self.clients.get(key) else { return };
        let (Phase::Linked(link), Some(exchange)) = (client.phase, &mut client.exchange) else { return };
        exchange.body_bytes += piece.len() as u64;
        let Some(link) = self.links.get(link) else { return };
        let Some(mut backend) = conn.other(link.conn) else { return };
        self.out.clear();
        if link.http.begin_piece(&mut self.out, piece.len()) == Ok(true) {
            backend.write(&self.out);
            backend.write(piece);
            let framing = self.out.len();
            self.out.clear();
            link.http.end_piece(&mut self.out);
            backend.write(&self.out);
            link.passed.0 += (framing + piece.len() + self.out.len()) as u64;
        }
    }

    /// The body of a request has come to its end.
    fn request_is_whole(&mut self, conn: &mut Conn<'_>, key: u32, trailers: Option<Headers<'_>>) {
        let Some(client) = self.clients.get(key) else { return };
        let (Phase::Linked(link), Some(exchange)) = (client.phase, &mut client.exchange) else { return };
        if exchange.is_sent {
            return;
        }
        (exchange.is_sent, exchange.sent_at) = (true, conn.now());
        let Some(link) = self.links.get(link) else { return };
        self.out.clear();
        let finished = match trailers {
            Some(trailers) => {
                let (policy, forward) = (&self.fleet.plan.policy, exchange.forward);
                let passes = |name| forward.is_none_or(|forward| policy.passes_trailer(&forward, name));
                let mut lines = pass_trailers(&trailers);
                lines.retain(|(name, _)| passes(name));
                exchange.has_trailers = !lines.is_empty();
                link.http.finish_with_trailers(&mut self.out, &lines)
            }
            None => link.http.finish(&mut self.out),
        };
        debug_assert!(finished.is_ok(), "as long as it was said to be: {finished:?}");
        conn.write_to(link.conn, &self.out);
        link.passed.0 += self.out.len() as u64;
        // From now on the backend has its time.
        set_deadline(conn, self.watch());
    }

    /// How often is looked whether somebody has been silent for too long while a request is under way: whose turn
    /// it is to speak changes meanwhile, and with that the limit. Zero: all of them are off.
    pub(super) fn watch(&self) -> Duration {
        let config = &self.fleet.plan.config;
        let limits = [config.http.response_timeout, config.timeouts.client, config.timeouts.server];
        limits.into_iter().filter(|limit| !limit.is_zero()).min().unwrap_or_default()
    }

    /// It has sent what is no request.
    fn client_wrong(&mut self, conn: &mut Conn<'_>, key: u32, error: HttpError) -> Result<(), Close> {
        let begun = self.clients.look(key).and_then(|client| client.exchange.as_ref()?.status).is_some();
        self.drop_link(conn, key);
        if begun {
            // Its response cannot be gone on with, and must not look whole.
            self.cut_short(conn, key);
            return Err(Close::Aborted);
        }
        self.refuse_client(conn, key, error);
        Err(error.into())
    }

    /// Ends the connection to the backend that serves this client's request.
    fn drop_link(&mut self, conn: &mut Conn<'_>, key: u32) {
        let Some(client) = self.clients.get(key) else { return };
        let Phase::Linked(link) = client.phase else { return };
        client.phase = Phase::Idle;
        if let Some(link) = self.links.get(link) {
            link.client = None;
            link.lease.upstream().counts.busy.fetch_sub(1, Relaxed);
            if let Some(mut backend) = conn.other(link.conn) {
                // What it has to say is for nobody.
                backend.abort();
            }
        }
    }

    pub(super) fn client_ended(&mut self, key: u32, input: &mut Input<'_>) -> Result<(), Close> {
        let Some(client) = self.clients.get(key) else { return Ok(()) };
        client.has_ended = true;
        if matches!(client.phase, Phase::Greeting(_)) {
            return Err(if input.is_empty() { Close::Eof } else { Close::Truncated });
        }
        if client.is_paused && client.exchange.is_none() {
            // Requests are left, which wait for their answers to be sent: they are offered again.
            return Ok(());
        }
        let aborts = self.fleet.plan.config.http.abort_on_close;
        match (client.http.end(input), &mut client.exchange) {
            // Its request is whole, or this was no good end: nobody waits for a response that has not begun.
            (Ok(_), Some(exchange)) if aborts && exchange.status.is_none() => {
                exchange.why = Some("half_closed");
                Err(Close::Eof)
            }
            (Ok(_), Some(_)) => Ok(()),
            (Ok(_), None) => Err(if input.is_empty() { Close::Eof } else { Close::Truncated }),
            (Err(_), _) => Err(Close::Truncated),
        }
    }

    /// Its output has gone out: its backend goes on.
    pub(super) fn client_drained(&mut self, conn: &mut Conn<'_>, key: u32) {
        let Some(Phase::Linked(link)) = self.clients.look(key).map(|client| client.phase) else { return };
        if let Some(link) = self.links.get(link)
            && link.is_paused
            && let Some(mut backend) = conn.other(link.conn)
        {
            link.is_paused = false;
            backend.resume();
        }
    }

    /// Its deadline has passed.
    pub(super) fn client_late(&mut self, conn: &mut Conn<'_>, key: u32) -> Result<(), Close> {
        let Some(client) = self.clients.get(key) else { return Ok(()) };
        match client.phase {
            Phase::Greeting(_) => {
                self.fleet.shared.refusals.count(&Refusal::Silent);
                Err(Close::Timeout)
            }
            Phase::Idle => {
                if client.head_since.is_some() {
                    self.refuse_client(conn, key, HttpError::Timeout);
                }
                Err(Close::Timeout)
            }
            Phase::Queued(number) => {
                let group = client.exchange.as_ref().map_or(usize::MAX, |exchange| exchange.group);
                client.phase = Phase::Idle;
                self.leave_queue(group, number);
                self.refuse(conn, key, Refusal::QueueTimeout);
                Ok(())
            }
            Phase::Linked(_) => self.exchange_late(conn, key),
            Phase::Tunnel(_) => match self.patience(conn, key) {
                Some(Duration::ZERO) => Err(Close::Timeout),
                _ => {
                    self.tunnel_waits(conn, key);
                    Ok(())
                }
            },
            // Counted already.
            Phase::Refused(refusal) => Err(refusal.close()),
            Phase::Calling(_) | Phase::Over => Ok(()),
        }
    }

    /// Somebody may have been silent for too long.
    fn exchange_late(&mut self, conn: &mut Conn<'_>, key: u32) -> Result<(), Close> {
        let (watch, config) = (self.watch(), &self.fleet.plan.config);
        let Some(client) = self.clients.get(key) else { return Ok(()) };
        let (Phase::Linked(link), Some(exchange)) = (client.phase, &mut client.exchange) else {
            return Ok(());
        };
        let Some(link) = self.links.get(link) else { return Ok(()) };
        let is_paused = link.is_paused;
        let (now, client_idle) = (conn.now(), conn.idle());
        let Some(server_idle) = conn.other(link.conn).map(|backend| backend.idle()) else { return Ok(()) };
        let (limit, silent) = match exchange.status {
            // Once there is output that it does not take, the engine counts.
            Some(_) if is_paused => (config.timeouts.server, Duration::ZERO),
            Some(_) => (config.timeouts.server, server_idle),
            None if exchange.is_sent => {
                (config.http.response_timeout, now.since(exchange.sent_at).min(server_idle))
            }
            // It holds its body back until the backend says that it may come.
            None if client.http.is_continue_awaited() => {
                (config.http.response_timeout, now.since(exchange.linked).min(server_idle))
            }
            // The body is slow, and whose fault is that?
            None if client.is_paused => (config.timeouts.server, server_idle),
            None => {
                let (limit, least) = (config.timeouts.client, config.http.body_progress_min);
                (limit, client_idle.max(exchange.body_idle(now, limit, least)))
            }
        };
        if limit.is_zero() || silent < limit {
            let left = if limit.is_zero() { watch } else { watch.min(limit - silent) };
            set_deadline(conn, left.max(Duration::from_millis(u64::from(!watch.is_zero()))));
            return Ok(());
        }
        let begun = exchange.status.is_some();
        let whole = exchange.is_sent || client.is_paused || client.http.is_continue_awaited();
        if whole && !link.has_heard {
            // Who takes requests and says nothing is as good as one that is not there.
            self.fleet.failed(&mut link.lease, Failure::Broken, now);
        }
        self.drop_link(conn, key);
        match (begun, whole) {
            (true, _) => {
                self.cut_short(conn, key);
                Ok(())
            }
            (false, true) => {
                self.answer(conn, key, Status::GATEWAY_TIMEOUT, Ending::Timeout);
                Ok(())
            }
            (false, false) => {
                self.refuse_client(conn, key, HttpError::Timeout);
                Err(Close::Timeout)
            }
        }
    }

    pub(super) fn client_closed(&mut self, conn: &mut Conn<'_>, key: u32) {
        self.fleet.shared.clients.fetch_sub(1, Relaxed);
        let Some(client) = self.clients.get(key) else { return };
        match client.phase {
            Phase::Queued(number) => {
                let group = client.exchange.as_ref().map_or(usize::MAX, |exchange| exchange.group);
                client.phase = Phase::Over;
                self.leave_queue(group, number);
            }
            Phase::Calling(call) => {
                // `connect_failed` is still to come, and is the end of it.
                if let Some(call) = self.calls.get(call) {
                    call.client = None;
                    if let Some(id) = call.id {
                        conn.cancel_connect(id);
                    }
                }
            }
            Phase::Linked(_) => self.drop_link(conn, key),
            // Its other end is told by the engine, and tells of both.
            Phase::Tunnel(link) => self.tunnel_ended(conn, key, link, Side::Client(key)),
            Phase::Greeting(_) | Phase::Refused(_) | Phase::Idle | Phase::Over => {}
        }
        if self.clients.look(key).is_some_and(|client| client.exchange.is_some()) {
            one(&self.cells().clients_gone);
            self.over(conn, key, Ending::ClientGone);
        }
        drop(self.clients.remove(key));
    }

    // --- Tunnels.

    /// How long a tunnel's deadline may wait, by how long both ends have been silent; zero: it is over.
    fn patience(&mut self, client: &mut Conn<'_>, key: u32) -> Option<Duration> {
        let timeouts = self.fleet.plan.config.timeouts;
        let Phase::Tunnel(link) = self.clients.look(key)?.phase else { return None };
        let link = self.links.look(link)?;
        let (now, client_idle) = (client.now(), client.idle());
        let server_idle = client.other(link.conn)?.idle();
        let since = |at: Option<Time>| at.map(|at| now.since(at));
        let limits = match link.ended.map(since) {
            [Some(since), _] if !timeouts.server_fin.is_zero() => {
                [(timeouts.server_fin, server_idle.min(since)), (Duration::ZERO, since)]
            }
            [_, Some(since)] if !timeouts.client_fin.is_zero() => {
                [(timeouts.client_fin, client_idle.min(since)), (Duration::ZERO, since)]
            }
            _ if !timeouts.tunnel.is_zero() => {
                [(timeouts.tunnel, client_idle.min(server_idle)), (Duration::ZERO, server_idle)]
            }
            _ => [(timeouts.client, client_idle), (timeouts.server, server_idle)],
        };
        let set = limits.into_iter().filter(|(limit, _)| !limit.is_zero());
        set.map(|(limit, idle)| limit.saturating_sub(idle)).min()
    }

    /// Sets the deadline of a tunnel, which is its client's.
    pub(super) fn tunnel_waits(&mut self, client: &mut Conn<'_>, key: u32) {
        match self.patience(client, key) {
            Some(left) => client.wake_at(client.now() + left.max(Duration::from_millis(1))),
            None => client.cancel_wake(),
        }
    }

    /// One end of a tunnel has ended its stream.
    pub(super) fn tunnel_half_ended(&mut self, conn: &mut Conn<'_>, side: Side) {
        let now = conn.now();
        match side {
            Side::Client(key) => {
                let Some(Phase::Tunnel(link)) = self.clients.look(key).map(|client| client.phase) else {
                    return;
                };
                if let Some(link) = self.links.get(link) {
                    link.ended[0] = Some(now);
                }
                self.tunnel_waits(conn, key);
            }
            Side::Link(link) => {
                let Some(link) = self.links.get(link) else { return };
                link.ended[1] = Some(now);
                let Some(key) = link.client else { return };
                let client = self.clients.look(key).map(|client| client.conn);
                if let Some(mut client) = client.and_then(|client| conn.other(client)) {
                    self.tunnel_waits(&mut client, key);
                }
            }
            Side::Check(_) => {}
        }
    }

    /// One end of a tunnel is gone, and with it the tunnel.
    pub(super) fn tunnel_ended(&mut self, conn: &mut Conn<'_>, key: u32, link: u32, side: Side) {
        let relayed = conn.relayed().unwrap_or_default();
        let (up, down) = match side {
            Side::Client(_) => (relayed.received, relayed.sent),
            Side::Link(_) | Side::Check(_) => (relayed.sent, relayed.received),
        };
        if let Some(link) = self.links.get(link)
            && link.client.take().is_some()
        {
            link.lease.upstream().counts.busy.fetch_sub(1, Relaxed);
            link.note_tunnel(up, down);
            link.count(self.fleet.shared.http.of(self.fleet.worker));
        }
        if let Some(client) = self.clients.get(key) {
            client.phase = Phase::Over;
            if let Some(exchange) = &mut client.exchange {
                (exchange.body_bytes, exchange.response_bytes) = (up, down);
            }
        }
        self.over(conn, key, Ending::Tunnel);
    }
}

/// Zero is none.
pub(super) fn set_deadline(conn: &mut Conn<'_>, timeout: Duration) {
    match timeout.is_zero() {
        true => conn.cancel_wake(),
        false => conn.wake_at(conn.now() + timeout),
    }
}

/// What a client has to say before its first request. True: it has said it.
fn greet(
    fleet: &Fleet,
    conn: &Conn<'_>,
    client: &mut Client,
    greeting: Greeting,
    input: &mut Input<'_>,
) -> Result<bool, Refusal> {
    match greeting {
        Greeting::Header => {
            let decoded = ProxyProtocol::default().decode(input).map_err(Refusal::Header)?;
            let Some(header) = decoded else { return Ok(false) };
            let (addresses, held) = fleet.introduce(conn.peer(), header.addresses, conn.now());
            client.held = held?;
            if let Some(addresses) = addresses {
                client.addresses = addresses;
                client.local = destination(addresses);
            }
            Ok(true)
        }
        Greeting::NoHeader => match begins_with_header(input.peek()) {
            Some(true) => Err(Refusal::Spoofed),
            Some(false) => Ok(true),
            None => Ok(false),
        },
        Greeting::Hello => Ok(true),
    }
}

/// The trailers of a message, to be passed on.
pub(super) fn pass_trailers<'b>(trailers: &Headers<'b>) -> Vec<(&'b str, &'b [u8])> {
    trailers.end_to_end().map(|header| (header.name, header.value)).collect()
}

/// Writes an answer that the policy gives. Returns how long its body is.
fn write_answer(client: &mut Client, out: &mut Vec<u8>, answer: &Answer<'_>, lines: &HeaderLines) -> u64 {
    out.clear();
    let answered = client.http.respond(out, answer.status).lines(lines).body(answer.body);
    if answered.is_ok() {
        return answer.body.len() as u64;
    }
    // No body may stand with this status.
    out.clear();
    let answered = client.http.respond(out, answer.status).lines(lines).empty();
    debug_assert!(answered.is_ok(), "a response is due: {answered:?}");
    0
}

/// Whether TLS ends here.
fn is_encrypted(conn: &Conn<'_>) -> bool {
    #[cfg(feature = "tls")]
    let is_encrypted = conn.tls().is_some();
    #[cfg(not(feature = "tls"))]
    let is_encrypted = false;
    #[cfg(not(feature = "tls"))]
    let _ = conn;
    is_encrypted
}
