//! Publishing by a request of HTTP, for devices that speak nothing else: `POST /publish/TOPIC`, the body is the payload.
//!
//! Who sends it is asked before any of its body is taken, as what it may do; the users, tokens, rules and limits are
//! those of MQTT. What was published with QoS 1 or 2, or is retained, is answered when it is committed. Read
//! [`Hub::requests`] first; `request` is what a head says.

mod request;

use windlass::{Close, Conn, Input, JobError};
use windlass_proto::Decode;
use windlass_proto::http::{Limits, RequestPart, ServerConn, Status};
use windlass_proto::mqtt::{PropertiesBuf, Property, QoS, Reason, Topic};

use super::publish::may_be_published;
use super::{Client, Stage, Wire};
use crate::durable::Done;
use crate::identity::{Checked, Judged, Presented, Refusal, Standing, Who};
use crate::memory::{Charge, Memory};
use crate::service::Hub;
use crate::session::message::Publication;
use request::{Credentials, Wanted};

/// The requests of one connection, one after the other.
#[derive(Debug)]
pub(crate) struct Requests {
    http: ServerConn,
    at: At,
    body: Vec<u8>,
    /// What the body is counted with.
    charge: Charge,
}

/// How far the request under way is.
#[derive(Debug)]
enum At {
    /// Its head is still to come, or it has been answered.
    Head,
    /// It is being found out who it is from. The connection is paused.
    Judging(Box<Wanted>),
    /// Its body comes.
    Body(Box<(Wanted, Author)>),
    /// Its answer waits for a commit. The connection is paused.
    Held,
}

/// Who a request is from.
#[derive(Debug)]
struct Author {
    who: Who,
    /// An id that nobody can have asked for, if it has none: rules about `%c` are for sessions.
    id: Box<str>,
    /// Which identity it was last held to.
    revision: u32,
}

/// An answer that is no success: its status, and why in words for people.
type Refused = (Status, &'static str);

impl Requests {
    pub(super) fn new(body_max: usize, memory: &Memory) -> Requests {
        let limits = Limits { body_max: body_max as u64, drain_max: 64 << 10, ..Limits::default() };
        Requests { http: ServerConn::new(limits), at: At::Head, body: Vec::new(), charge: memory.charge(0) }
    }

    /// Whether the request under way waits for the pool, or its answer for a commit: who tells of that goes on with it.
    pub(super) fn is_answer_pending(&self) -> bool {
        matches!(self.at, At::Judging(_) | At::Held)
    }
}

impl Hub {
    /// Input of a connection that sends requests.
    pub(super) fn requests(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        client.stage = Stage::Http;
        // It was paused until the answer had left.
        if let Wire::Http(requests) = &mut client.wire
            && matches!(requests.at, At::Held)
        {
            requests.at = At::Head;
        }
        loop {
            let Wire::Http(requests) = &mut client.wire else { return Ok(()) };
            if requests.is_answer_pending() {
                return Ok(());
            }
            // As packets do: until the answers are taken, and until the other workers have caught up.
            if conn.is_congested() || self.must_wait(conn) {
                break;
            }
            let Wire::Http(requests) = &mut client.wire else { return Ok(()) };
            match requests.http.decode(input) {
                Ok(None) => break,
                Ok(Some(RequestPart::Head(head))) => {
                    conn.wake_at(self.now + self.config.connect_timeout);
                    let said = Wanted::of(&head).and_then(|wanted| Ok((wanted, Credentials::of(&head)?)));
                    match said {
                        Ok((wanted, credentials)) => self.judge(conn, client, wanted, &credentials),
                        Err(why) => self.answer_request(conn, client, Err(why), false),
                    }
                }
                Ok(Some(RequestPart::Body(piece))) => {
                    // What is not wanted any more is read over.
                    if matches!(requests.at, At::Body(_)) {
                        if self.memory.lacks(piece.len()) {
                            (requests.at, requests.body) = (At::Head, Vec::new());
                            requests.charge.set(0);
                            self.stats.memory_requests_refused += 1;
                            self.answer_request(conn, client, Err(NO_MEMORY), false);
                            continue;
                        }
                        requests.body.extend_from_slice(piece);
                        requests.charge.set(requests.body.capacity());
                    }
                }
                Ok(Some(RequestPart::End)) => {
                    if let At::Body(asked) = std::mem::replace(&mut requests.at, At::Head) {
                        let body = std::mem::take(&mut requests.body);
                        let (wanted, author) = *asked;
                        let outcome = self.publish_request(conn, client, (&wanted, &author), &body);
                        let durable = outcome.is_ok() && (wanted.qos > QoS::AtMostOnce || wanted.retain);
                        self.answer_request(conn, client, outcome, durable);
                        if let Wire::Http(requests) = &mut client.wire {
                            requests.charge.set(0);
                        }
                    }
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    let mut out = Vec::new();
                    requests.http.refuse(&mut out, error);
                    conn.write(&out);
                    self.stats.http_refused += 1;
                    return Err(Close::Protocol(Box::new(error)));
                }
            }
        }
        match &client.wire {
            Wire::Http(requests) if requests.http.is_over() => Err(Close::Done),
            _ => Ok(()),
        }
    }

    /// Finds out who a request is from.
    fn judge(&mut self, conn: &mut Conn<'_>, client: &mut Client, wanted: Wanted, credentials: &Credentials) {
        let judged = {
            #[cfg(feature = "tls")]
            let tls = conn.tls();
            let presented = Presented {
                user: credentials.user.as_deref(),
                password: credentials.password.as_ref().map(|password| password.as_slice()),
                client_id: None,
                #[cfg(feature = "tls")]
                certificate: tls.and_then(|tls| tls.peer_certificates().next()),
                #[cfg(not(feature = "tls"))]
                certificate: None,
                is_local: client.is_local(conn.peer()),
            };
            self.config.identity.judge(&presented, &self.access.recent, self.durable.unix_ms(self.now))
        };
        // A page of whatever site may have a browser here send such a request; one that shows something has asked.
        if wanted.is_from_page && credentials.is_nothing() {
            let why = "a page has to say who it is from: send `Authorization`\n";
            return self.answer_request(conn, client, Err((Status::FORBIDDEN, why)), false);
        }
        let verdict = match judged {
            Judged::Accepted(who) => Ok(who),
            Judged::Refused(why) => Err(why),
            Judged::Check(check) => match self.access.pool.clone() {
                None => {
                    let mut checked = check.run();
                    self.access.recent.note(&mut checked);
                    checked.verdict
                }
                Some(pool) => {
                    if pool.submit(conn, move || Done::Checked(Box::new(check.run()))).is_err() {
                        return self.answer_request(conn, client, Err(BUSY), false);
                    }
                    if let Wire::Http(requests) = &mut client.wire {
                        requests.at = At::Judging(Box::new(wanted));
                    }
                    return conn.pause();
                }
            },
        };
        self.judged(conn, client, wanted, verdict);
    }

    /// A hash was computed, or a signature checked.
    pub(crate) fn request_checked(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        result: Result<Done, JobError>,
    ) {
        let Wire::Http(requests) = &mut client.wire else { return };
        let At::Judging(wanted) = std::mem::replace(&mut requests.at, At::Head) else { return };
        conn.resume();
        match result {
            Ok(Done::Checked(mut checked)) => {
                self.access.recent.note(&mut checked);
                let Checked { verdict, .. } = *checked;
                self.judged(conn, client, *wanted, verdict);
            }
            // It took too long: others wait too.
            _ => self.answer_request(conn, client, Err(BUSY), false),
        }
        // Its body may be empty, or nobody's concern: then nothing comes any more that would go on with it.
        if self.requests(conn, client, &mut Input::new(&mut [])).is_err() {
            conn.close();
        }
    }

    fn judged(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        wanted: Wanted,
        verdict: Result<Who, Refusal>,
    ) {
        let outcome = match verdict {
            Ok(who) => self.may_publish(conn, client, &wanted, who),
            Err(why) => {
                self.count_refusal(why);
                Err(match why {
                    Refusal::ClientId => (Status::FORBIDDEN, "such a client cannot publish by HTTP\n"),
                    _ => UNKNOWN,
                })
            }
        };
        let author = match outcome {
            Ok(author) => author,
            Err(why) => return self.answer_request(conn, client, Err(why), false),
        };
        let Wire::Http(requests) = &mut client.wire else { return };
        requests.at = At::Body(Box::new((wanted, author)));
        if requests.http.is_continue_awaited() {
            let mut out = Vec::new();
            if requests.http.send_continue(&mut out).is_ok() {
                conn.write(&out);
            }
        }
    }

    /// Whether somebody may publish what it wants to, as far as the head tells.
    fn may_publish(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        wanted: &Wanted,
        who: Who,
    ) -> Result<Author, Refused> {
        if wanted.length.is_some_and(|length| length > self.config.packet_max as u64) {
            return Err((Status::CONTENT_TOO_LARGE, "longer than `packet_max`\n"));
        }
        if wanted.qos > self.config.qos_max {
            return Err((Status::BAD_REQUEST, "a higher QoS than is taken here\n"));
        }
        if wanted.retain && !self.config.retain {
            return Err((Status::BAD_REQUEST, "nothing is retained here\n"));
        }
        let topic = Topic::new(&wanted.topic).map_err(|_| BAD_TOPIC)?;
        if topic.levels().count() > self.config.topic_levels_max {
            return Err(BAD_TOPIC);
        }
        let limits = self.config.identity.limits(who.user.as_deref());
        // A connection is one of its user's, and of nobody else's.
        let name = who.user.as_deref().unwrap_or_default();
        if client.counted().is_none_or(|load| *load.name != *name) {
            if let Some(before) = client.take_counted() {
                before.leave();
            }
            match self.watch.totals().users.enter(who.user.as_deref(), limits, 0, self.now) {
                Ok(counted) => client.set_counted(counted),
                Err(_) => {
                    self.stats.over_quota += 1;
                    return Err((Status::TOO_MANY_REQUESTS, "the user has too many connections\n"));
                }
            }
        }
        let id = match &who.client_id {
            Some(id) => (**id).into(),
            None => format!("http-{:016x}{:016x}", conn.random(), conn.random()).into(),
        };
        let author = Author { who, id, revision: self.access.revision() };
        self.may_author(conn, client, topic, &author)?;
        self.may_keep(wanted)?;
        Ok(author)
    }

    /// Whether somebody is let in, and may publish to a topic, by the identity of now: it was judged earlier, by that of
    /// then.
    fn may_author(
        &mut self,
        conn: &Conn<'_>,
        client: &Client,
        topic: Topic<'_>,
        author: &Author,
    ) -> Result<(), Refused> {
        let Author { who, id, .. } = author;
        let is_local = client.is_local(conn.peer());
        let is_over = who.expires_at_unix_ms.is_some_and(|end| end <= self.durable.unix_ms(self.now));
        if is_over || self.config.identity.standing(who, id, is_local) == Standing::Revoked {
            self.stats.revoked += 1;
            return Err(UNKNOWN);
        }
        let rights = self.config.identity.rights(who, id);
        if !may_be_published(topic.as_str()) || !rights.may_write(topic) {
            self.stats.denied_publish += 1;
            return Err((Status::FORBIDDEN, "not allowed to publish there\n"));
        }
        Ok(())
    }

    fn may_keep(&mut self, wanted: &Wanted) -> Result<(), Refused> {
        let keeps = wanted.qos > QoS::AtMostOnce || wanted.retain;
        if keeps && self.durable.admit().is_err() {
            return Err((
                Status::SERVICE_UNAVAILABLE,
                "nothing can be kept now: the disk does not take it\n",
            ));
        }
        Ok(())
    }

    /// Publishes the body of a request.
    fn publish_request(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        (wanted, author): (&Wanted, &Author),
        body: &[u8],
    ) -> Result<(), Refused> {
        if let Some(load) = client.counted() {
            let user = Some(&*load.name).filter(|name| !name.is_empty());
            let limits = self.config.identity.limits(user);
            if load.published(limits, body.len(), self.now) {
                self.stats.over_quota += 1;
                return Err((Status::TOO_MANY_REQUESTS, "the user publishes too much\n"));
            }
        }
        self.may_keep(wanted)?;
        let topic = Topic::new(&wanted.topic).map_err(|_| BAD_TOPIC)?;
        // Its body may have been long in coming.
        if author.revision != self.access.revision() || author.who.expires_at_unix_ms.is_some() {
            self.may_author(conn, client, topic, author)?;
        }
        let mut properties = PropertiesBuf::new();
        let expiry = wanted.expiry_seconds.map(Property::MessageExpiry);
        let content_type = wanted.content_type.as_deref().map(Property::ContentType);
        for property in expiry.into_iter().chain(content_type) {
            properties.push(property).map_err(|_| (Status::BAD_REQUEST, "no such content type\n"))?;
        }
        let Wanted { qos, retain, .. } = *wanted;
        let mut publication = Publication::new(topic, properties.properties(), body, qos, retain, self.now);
        if retain && self.retain(&mut publication) != Reason::Success {
            return Err((Status::SERVICE_UNAVAILABLE, "no room to retain more\n"));
        }
        self.stats.packets_received += 1;
        self.stats.received(qos, body.len());
        self.stats.http_published += 1;
        self.publish(conn, None, &mut publication);
        Ok(())
    }

    /// Answers the request under way. `durable`: when all is committed that has been recorded.
    fn answer_request(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        outcome: Result<(), Refused>,
        durable: bool,
    ) {
        let Wire::Http(requests) = &mut client.wire else { return };
        let mut out = Vec::new();
        let written = match outcome {
            Ok(()) => requests.http.respond(&mut out, Status::NO_CONTENT).empty(),
            Err((status, why)) => {
                self.stats.http_refused += 1;
                let response = requests.http.respond(&mut out, status);
                let response = match status {
                    Status::UNAUTHORIZED => response
                        .header("www-authenticate", "Basic realm=\"hub\", charset=\"UTF-8\"")
                        .header("www-authenticate", "Bearer realm=\"hub\""),
                    Status::TOO_MANY_REQUESTS | Status::SERVICE_UNAVAILABLE => {
                        response.header("retry-after", "1")
                    }
                    Status::METHOD_NOT_ALLOWED => response.header("allow", "POST, PUT"),
                    _ => response,
                };
                response.header("content-type", "text/plain; charset=utf-8").body(why.as_bytes())
            }
        };
        if written.is_err() {
            return conn.abort();
        }
        conn.wake_at(self.now + self.config.connect_timeout);
        if durable && self.durable.hold_answer(conn.id(), &out, requests.http.is_over(), &self.memory) {
            requests.at = At::Held;
            return conn.pause();
        }
        conn.write(&out);
    }
}

const UNKNOWN: Refused = (Status::UNAUTHORIZED, "the user or the password is wrong, or missing\n");
const BUSY: Refused = (Status::SERVICE_UNAVAILABLE, "too many are being looked at: try again\n");
const NO_MEMORY: Refused = (Status::SERVICE_UNAVAILABLE, "no memory for more: try again\n");
const BAD_TOPIC: Refused = (Status::BAD_REQUEST, "no topic that can be published to\n");
