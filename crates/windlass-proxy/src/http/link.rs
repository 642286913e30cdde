//! A backend's end: its responses, read and passed on.

use std::sync::atomic::Ordering::Relaxed;

use windlass::{Close, Conn, Input};
use windlass_proto::Decode;
use windlass_proto::http::{Framing, HttpError, ResponseHead, ResponsePart, Status};

use crate::http::client::pass_trailers;
use crate::http::exchange::Exchange;
use crate::http::log::Ending;
use crate::http::service::{HttpProxy, Link, Phase, Side, is_current};
use crate::http::stats::one;
use crate::upstream::Failure;

impl HttpProxy {
    pub(super) fn link_said(
        &mut self,
        conn: &mut Conn<'_>,
        key: u32,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        let is_unasked = self.is_unasked(conn, key);
        if let Some(link) = self.links.get(key) {
            link.is_paused = false;
            link.passed.1 += input.len().saturating_sub(link.untaken) as u64;
            if is_unasked && !input.is_empty() {
                // The request goes elsewhere, and must not be sent here too.
                return Err(Close::Aborted);
            }
            link.has_heard |= !input.is_empty();
        }
        let heard = self.hear_link(conn, key, input);
        if let Some(link) = self.links.get(key) {
            link.untaken = input.len();
        }
        heard
    }

    /// Whether what it says now can be no answer to the request that it was given, since nothing of that has left:
    /// it was idle, and said it then.
    fn is_unasked(&self, conn: &Conn<'_>, key: u32) -> bool {
        let Some(link) = self.links.look(key).filter(|link| link.reused && !link.has_heard) else {
            return false;
        };
        let client = link.client.and_then(|client| self.clients.look(client));
        let exchange = client.and_then(|client| client.exchange.as_ref());
        exchange.is_some_and(|exchange| is_unsent(conn, link, exchange))
    }

    fn hear_link(&mut self, conn: &mut Conn<'_>, key: u32, input: &mut Input<'_>) -> Result<(), Close> {
        loop {
            let Some(link) = self.links.get(key) else { return Ok(()) };
            let Some(client) = link.client else {
                // Said to nobody: what it is an answer to, nobody can know.
                return if input.is_empty() { Ok(()) } else { Err(HttpError::Unexpected.into()) };
            };
            let part = match link.http.decode(input) {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(error) => {
                    link.error = Some(error);
                    return Err(error.into());
                }
            };
            match part {
                ResponsePart::Interim(head) => self.pass_interim(conn, client, &head),
                ResponsePart::Head(head) => {
                    self.answered(conn, key, client, &head)?;
                    if head.status == Status::SWITCHING_PROTOCOLS {
                        // What is left in the input is the first of what passes, and counted as that.
                        if let Some(link) = self.links.get(key) {
                            link.passed.1 = link.passed.1.saturating_sub(input.len() as u64);
                        }
                        return Ok(());
                    }
                }
                ResponsePart::Body(piece) => self.pass_response(conn, client, piece),
                ResponsePart::Trailers(trailers) => {
                    let (policy, asker) = (&self.fleet.plan.policy, self.clients.look(client));
                    let forward = asker.and_then(|client| client.exchange.as_ref()?.forward);
                    let mut lines = pass_trailers(&trailers);
                    lines.retain(|(name, _)| {
                        forward.is_none_or(|forward| policy.passes_response_trailer(&forward, name))
                    });
                    self.end_response(conn, client, &lines);
                }
                ResponsePart::End => {
                    self.end_response(conn, client, &[]);
                    return self.link_is_done(conn, key, client, input.is_empty());
                }
                _ => {}
            }
        }
        self.link_rests(conn, key);
        Ok(())
    }

    /// Whoever passes on more than its client takes, waits.
    fn link_rests(&mut self, conn: &mut Conn<'_>, key: u32) {
        let Some(link) = self.links.get(key) else { return };
        let client = link.client.and_then(|client| self.clients.look(client)).map(|client| client.conn);
        if client.and_then(|client| conn.other(client)).is_some_and(|client| client.is_congested()) {
            conn.pause();
            link.is_paused = true;
        }
    }

    /// An interim response; one that the client cannot take is passed over.
    fn pass_interim(&mut self, conn: &mut Conn<'_>, client: u32, head: &ResponseHead<'_>) {
        let Some(client) = self.clients.get(client) else { return };
        self.out.clear();
        if head.status == Status::CONTINUE {
            if client.http.is_continue_awaited() {
                let told = client.http.send_continue(&mut self.out);
                debug_assert!(told.is_ok());
            }
        } else if let Ok(interim) = client.http.interim(&mut self.out, head.status) {
            self.lines.clear();
            if let Some(forward) = client.exchange.as_ref().and_then(|exchange| exchange.forward) {
                self.fleet.plan.policy.response_lines(&forward, 0, head, &mut self.lines);
            }
            let written = interim.lines(&self.lines).end();
            debug_assert!(written.is_ok(), "{written:?}");
        }
        conn.write_to(client.conn, &self.out);
    }

    /// The head of a response has come.
    fn answered(
        &mut self,
        conn: &mut Conn<'_>,
        key: u32,
        client_key: u32,
        head: &ResponseHead<'_>,
    ) -> Result<(), Close> {
        let now = conn.now();
        let Some(client) = self.clients.get(client_key) else { return Ok(()) };
        self.out.clear();
        self.lines.clear();
        let served = self.links.look(key).map_or(0, |link| link.lease.upstream().id());
        if let Some(forward) = client.exchange.as_ref().and_then(|exchange| exchange.forward) {
            self.fleet.plan.policy.response_lines(&forward, served, head, &mut self.lines);
        }
        let response = client.http.respond(&mut self.out, head.status).lines(&self.lines);
        let protocol = head.upgrade.and_then(|protocol| std::str::from_utf8(protocol).ok());
        let written = match (head.status, protocol) {
            (Status::SWITCHING_PROTOCOLS, Some(protocol)) => response.upgrade(protocol),
            // It has to say what is to be asked for (RFC 9110 section 15.5.22).
            (Status::UPGRADE_REQUIRED, _) => match protocols(head).as_str() {
                "" => response.framed_like(head),
                protocols => response.upgrade_hint(protocols).framed_like(head),
            },
            _ => response.framed_like(head),
        };
        if written.is_err() {
            // It says what no response to this request may say.
            if let Some(link) = self.links.get(key) {
                link.error = Some(HttpError::Unexpected);
            }
            return Err(HttpError::Unexpected.into());
        }
        if let Some(exchange) = &mut client.exchange {
            (exchange.status, exchange.answered) = (Some(head.status), now);
        }
        conn.write_to(client.conn, &self.out);
        self.fleet.shared.http.of(self.fleet.worker).responded(head.status.code());
        if head.status == Status::SWITCHING_PROTOCOLS {
            return self.switch(conn, key, client_key);
        }
        Ok(())
    }

    /// Both have agreed on another protocol: from now on bytes pass as they are.
    fn switch(&mut self, conn: &mut Conn<'_>, key: u32, client_key: u32) -> Result<(), Close> {
        one(&self.cells().upgrades);
        let Some(client) = self.clients.get(client_key) else { return Ok(()) };
        // A client that is leaving is not coupled any more.
        if !conn.relay(client.conn) {
            return Err(Close::Done);
        }
        client.phase = Phase::Tunnel(key);
        let id = client.conn;
        if let Some(mut client) = conn.other(id) {
            self.tunnel_waits(&mut client, client_key);
        }
        Ok(())
    }

    /// A piece of a response's body, for the client.
    fn pass_response(&mut self, conn: &mut Conn<'_>, client: u32, piece: &[u8]) {
        let Some(client) = self.clients.get(client) else { return };
        if let Some(exchange) = &mut client.exchange {
            exchange.response_bytes += piece.len() as u64;
        }
        self.out.clear();
        if client.http.begin_piece(&mut self.out, piece.len()) != Ok(true) {
            return;
        }
        // One that is ending takes no more, and is told so in this turn.
        if let Some(mut conn) = conn.other(client.conn) {
            conn.write(&self.out);
            conn.write(piece);
            self.out.clear();
            client.http.end_piece(&mut self.out);
            conn.write(&self.out);
        }
    }

    fn end_response(&mut self, conn: &mut Conn<'_>, client: u32, trailers: &[(&str, &[u8])]) {
        let Some(client) = self.clients.get(client) else { return };
        self.out.clear();
        // Behind trailers it is over already.
        if client.http.finish_with_trailers(&mut self.out, trailers).is_ok() {
            conn.write_to(client.conn, &self.out);
        }
    }

    /// The response is complete: what becomes of the connection, and of its client.
    fn link_is_done(
        &mut self,
        conn: &mut Conn<'_>,
        key: u32,
        client: u32,
        nothing_left: bool,
    ) -> Result<(), Close> {
        let Some(link) = self.links.get(key) else { return Ok(()) };
        link.client = None;
        link.count(self.fleet.shared.http.of(self.fleet.worker));
        self.fleet.praise(&mut link.lease.permit, conn.now());
        let counts = &link.lease.upstream().counts;
        counts.busy.fetch_sub(1, Relaxed);
        counts.served();
        let unsent = link.http.is_sending();
        let kept = nothing_left && self.keep(conn, key);
        self.completed(conn, client, Ending::Complete);
        if kept {
            self.room(conn);
            return Ok(());
        }
        // What it has not read of the request it need not.
        Err(if unsent { Close::Aborted } else { Close::Done })
    }

    /// Keeps a connection that is idle for the next request. False: it cannot be, or there are enough.
    pub(super) fn keep(&mut self, conn: &mut Conn<'_>, key: u32) -> bool {
        let most = self.fleet.plan.config.http.pool_max;
        let Some(link) = self.links.get(key) else { return false };
        let keeps = link.http.is_reusable()
            && !link.is_private
            && !conn.is_draining()
            && conn.output_len() == 0
            && is_current(&self.fleet.plan, link);
        if !keeps || !self.pool.put(link.lease.upstream().id(), key, conn.now(), most) {
            return false;
        }
        link.version = self.fleet.plan.version;
        link.reused = true;
        true
    }

    pub(super) fn link_ended(
        &mut self,
        conn: &mut Conn<'_>,
        key: u32,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        let Some(link) = self.links.get(key) else { return Ok(()) };
        let Some(client) = link.client else { return Err(Close::Eof) };
        link.ended[1] = Some(conn.now());
        match link.http.end(input) {
            // Where the end of the stream is the end of the message, somebody in between could have made it.
            Ok(Some(_)) if !conn.is_truncated() => {
                self.end_response(conn, client, &[]);
                self.link_is_done(conn, key, client, false)
            }
            // What has not left must not: it may go to another one.
            _ if conn.output_len() > 0 => Err(Close::Aborted),
            _ => Err(Close::Truncated),
        }
    }

    /// Its output has gone out: its client's request goes on.
    pub(super) fn link_drained(&mut self, conn: &mut Conn<'_>, key: u32) {
        let Some(client) = self.links.look(key).and_then(|link| link.client) else { return };
        if self.clients.look(client).is_some_and(|client| client.is_paused) {
            self.wake_client(conn, client);
        }
    }

    pub(super) fn link_closed(&mut self, conn: &mut Conn<'_>, key: u32, why: &Close) {
        let Some(client) = self.links.look(key).map(|link| link.client) else { return };
        if let Some(client) = client
            && self.clients.look(client).is_some_and(|client| client.phase == Phase::Tunnel(key))
        {
            self.tunnel_ended(conn, client, key, Side::Link(key));
        }
        let Some(mut link) = self.links.remove(key) else { return };
        if !is_encrypted(&link) {
            // What has not left never will.
            link.passed.0 = link.passed.0.saturating_sub(conn.output_len() as u64);
        }
        link.count(self.fleet.shared.http.of(self.fleet.worker));
        let upstream = link.lease.upstream().clone();
        self.pool.remove(upstream.id(), key);
        match link.client {
            Some(client) => {
                upstream.counts.busy.fetch_sub(1, Relaxed);
                self.link_lost(conn, link, client, why);
            }
            None => drop(link),
        }
        if upstream.config.connections_max > 0 {
            self.room(conn);
        }
    }

    /// A connection has ended that served a request.
    fn link_lost(&mut self, conn: &mut Conn<'_>, mut link: Link, key: u32, why: &Close) {
        let retries_max = self.fleet.plan.config.retries_max;
        let Some(client) = self.clients.get(key) else { return };
        let Some(exchange) = &mut client.exchange else { return };
        client.phase = Phase::Idle;
        let nothing_sent = !link.has_heard && is_unsent(conn, &link, exchange);
        let may_repeat = !link.has_heard && link.error.is_none() && exchange.can_be_repeated(nothing_sent);
        // It had been closed meanwhile, which tells nothing of the backend: a fresh one, once, is no retry.
        let is_stale = may_repeat && link.reused && !exchange.wants_new;
        let repeats = may_repeat && (is_stale || exchange.failures < retries_max);
        let (begun, has_heard, reused) = (exchange.status.is_some(), link.has_heard, link.reused);
        let is_bad = link.error.is_some();
        exchange.why = link.error.map(|error| error.label());
        let upstream = link.lease.upstream().clone();
        let by_us = match why {
            Close::Shutdown | Close::Requested => true,
            Close::Aborted => link.ended[1].is_none(),
            _ => false,
        };
        if !has_heard && !reused && !by_us {
            self.fleet.failed(&mut link.lease, Failure::Broken, conn.now());
        }
        // Its place is free before another is looked for.
        drop(link);
        if reused && !has_heard {
            // Nothing to blame anybody for, and others may have been closed too.
            exchange.wants_new = true;
        } else {
            exchange.tried.push(upstream.id());
        }
        exchange.failures += u32::from(repeats && !is_stale);
        if !is_stale {
            self.owes_room |= exchange.retry.take().is_some();
        }
        if begun {
            return self.cut_short(conn, key);
        }
        if repeats {
            match is_stale {
                true => one(&self.cells().stale),
                false => {
                    self.fleet.shared.retries.fetch_add(1, Relaxed);
                    one(&self.cells().retries);
                }
            }
            if let Err(refusal) = self.place(conn, key) {
                self.refuse(conn, key, refusal);
            }
            return;
        }
        if is_bad {
            one(&self.cells().bad_responses);
        }
        self.answer(conn, key, Status::BAD_GATEWAY, Ending::Broken);
    }
}

/// The protocols that a response names, in one line.
fn protocols(head: &ResponseHead<'_>) -> String {
    let lines = head.headers.all("upgrade").filter_map(|line| std::str::from_utf8(line).ok());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Whether nothing of a request has left, as far as that is known: it waits whole in the output. Behind the head
/// nothing may wait for that to tell: a body, or the end of an empty one, with trailers perhaps.
fn is_unsent(conn: &Conn<'_>, link: &Link, exchange: &Exchange) -> bool {
    let is_alone = exchange.body_bytes == 0 && (!exchange.is_sent || exchange.framing == Framing::Empty);
    is_alone && !is_encrypted(link) && conn.output_len() >= exchange.head.len()
}

/// How much of what is encrypted has been sent says nothing about what was.
fn is_encrypted(link: &Link) -> bool {
    #[cfg(feature = "tls")]
    let is_encrypted = link.lease.upstream().config.tls.is_some();
    #[cfg(not(feature = "tls"))]
    let (is_encrypted, _) = (false, link);
    is_encrypted
}
