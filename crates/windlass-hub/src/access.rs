//! Who may do what: asked wherever a message passes, at its publisher and at each of its receivers.
//!
//! Read [`Hub::identify`] for how a client becomes somebody, then [`Hub::rights`] for how what it may do follows an
//! identity that has changed meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use windlass::{Answer, Close, Conn, ConnId, Offload, Peer, Scope, Sessions as Clients, Time};
use windlass_proto::mqtt::{Filter, Reason, Topic};

use crate::client::{Asking, Client, Stage};
use crate::durable::Done;
use crate::identity::{Checked, Identity, Judged, Presented, Recent, Refusal, Rights, Standing, Who};
use crate::parts;
use crate::reach::Reach;
use crate::route::elsewhere::Reader;
use crate::service::Hub;
use crate::session::{Key, Session, flag};
use crate::timers::Deadline;

/// Sessions that are looked at in one tick, after the identity has changed.
const SWEEP: usize = 1_000;

/// What a worker keeps of who its clients are.
pub(crate) struct Access {
    /// Counts the identities: rights of an earlier one are found anew.
    revision: u32,
    pub(crate) recent: Recent,
    /// Who all are that say no name, once one has come.
    nobody: Option<Arc<Who>>,
    /// Where hashes are computed and signatures checked; without one it is done on the loop.
    pub(crate) pool: Option<Offload<Done>>,
    /// The next session to be looked at, while some were let in by an earlier identity.
    sweep: Option<Key>,
    /// When tokens end: the last one of each session, with which of those that were at its place it is.
    ends: BTreeMap<(Time, Key), u32>,
    /// How many were refused, and why.
    pub(crate) refusals: Vec<(&'static str, u64)>,
}

impl Access {
    pub(crate) fn new(identity: &Identity) -> Access {
        Access {
            revision: 0,
            recent: Recent::new(identity.config().recent_max),
            nobody: None,
            pool: None,
            sweep: None,
            ends: BTreeMap::new(),
            refusals: Vec::new(),
        }
    }

    pub(crate) fn revision(&self) -> u32 {
        self.revision
    }

    /// Somebody who is there now: those who say no name share what is known of them.
    fn shared(&mut self, who: Arc<Who>) -> Arc<Who> {
        if who.is_nobody() { self.nobody.get_or_insert(who).clone() } else { who }
    }
}

/// What a session knows of who it belongs to.
#[derive(Debug)]
pub(crate) struct Belonging {
    /// Who was let in last; nobody knows of a session that was found at the start.
    pub(crate) who: Option<Arc<Who>>,
    rights: Rights,
    revision: u32,
    /// When its token ends, as [`Access::ends`] has it.
    ends: Deadline,
}

impl Belonging {
    /// As of the last time that somebody asked for its rights.
    #[inline]
    pub(crate) fn may_read(&self, topic: Topic<'_>) -> bool {
        self.rights.may_read(topic)
    }
}

impl Default for Belonging {
    fn default() -> Belonging {
        // Of no identity: it is asked for at the first use.
        Belonging { who: None, rights: Rights::EVERYTHING, revision: u32::MAX, ends: Deadline::default() }
    }
}

impl Hub {
    /// Has passwords hashed and tokens checked by this pool, of some threads; serve the hub with it too. Without one,
    /// each hash holds a worker for milliseconds.
    #[must_use]
    pub fn checks(mut self, pool: &Offload<Done>) -> Hub {
        self.access.pool = Some(pool.clone());
        self
    }

    /// How many clients were refused since nobody knew them, by why.
    pub fn refusals(&self) -> &[(&'static str, u64)] {
        &self.access.refusals
    }

    /// Finds out who a client is that has said this.
    pub(crate) fn identify(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        mut asking: Box<Asking>,
        password: Option<&[u8]>,
    ) -> Result<(), Close> {
        let judged = {
            #[cfg(feature = "tls")]
            let tls = conn.tls();
            let presented = Presented {
                user: asking.user.as_deref(),
                password,
                client_id: (!asking.is_assigned).then_some(&*asking.client_id),
                #[cfg(feature = "tls")]
                certificate: tls.and_then(|tls| tls.peer_certificates().next()),
                #[cfg(not(feature = "tls"))]
                certificate: None,
                is_local: client.is_local(conn.peer()),
            };
            self.config.identity.judge(&presented, &self.access.recent, self.durable.unix_ms(self.now))
        };
        let check = match judged {
            Judged::Accepted(who) => return self.recognized(conn, client, asking, who),
            Judged::Refused(why) => return Err(self.unknown(client, why)),
            Judged::Check(check) => check,
        };
        let pool = if parts::CHECKS { self.access.pool.clone() } else { None };
        let Some(pool) = pool else {
            let checked = check.run();
            return self.checked(conn, client, asking, checked);
        };
        if pool.submit(conn, move || Done::Checked(Box::new(check.run()))).is_err() {
            return Err(self.refuse(client, Reason::ServerBusy));
        }
        asking.waits = true;
        client.stage = Stage::Asking(asking);
        // What it says meanwhile waits in its socket.
        conn.pause();
        Ok(())
    }

    /// An answer about a connection.
    pub(crate) fn answered_about(
        &mut self,
        scope: &mut Scope<'_>,
        clients: &mut Clients<Client>,
        id: ConnId,
        answer: Answer<Done>,
    ) {
        let Some((mut conn, client)) = clients.get(scope, id) else { return };
        if parts::HTTP && matches!(client.stage, Stage::Http) {
            self.request_checked(&mut conn, client, answer.result);
            return self.see_to();
        }
        let Stage::Asking(mut asking) = std::mem::replace(&mut client.stage, Stage::Over) else { return };
        asking.waits = false;
        let outcome = match answer.result {
            Ok(Done::Checked(checked)) => self.checked(&mut conn, client, asking, *checked),
            // It took too long: others wait too.
            _ => Err(self.refuse(client, Reason::ServerBusy)),
        };
        self.flush(&mut conn, client);
        match outcome.and_then(|()| self.unheld(&mut conn, client)) {
            Ok(()) => conn.resume(),
            Err(_) => conn.close(),
        }
        self.see_to();
    }

    fn checked(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        asking: Box<Asking>,
        mut checked: Checked,
    ) -> Result<(), Close> {
        self.access.recent.note(&mut checked);
        match checked.verdict {
            Ok(who) => self.recognized(conn, client, asking, who),
            Err(why) => Err(self.unknown(client, why)),
        }
    }

    fn unknown(&mut self, client: &mut Client, why: Refusal) -> Close {
        self.count_refusal(why);
        self.refuse(client, why.reason())
    }

    pub(crate) fn count_refusal(&mut self, why: Refusal) {
        let label = why.label();
        match self.access.refusals.iter_mut().find(|(known, _)| *known == label) {
            Some((_, count)) => *count += 1,
            None => self.access.refusals.push((label, 1)),
        }
    }

    fn recognized(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        mut asking: Box<Asking>,
        who: Who,
    ) -> Result<(), Close> {
        asking.user = who.user.as_deref().map(Into::into);
        if let Some(id) = &who.client_id {
            asking.client_id = (**id).into();
        }
        asking.belonging.who = Some(Arc::new(who));
        self.send_home(conn, client, asking)
    }

    /// It is known who a client is, and this is where its session is.
    pub(crate) fn come_home(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        mut asking: Asking,
    ) -> Result<(), Close> {
        let Some(who) = asking.belonging.who.take() else { return Err(Close::Done) };
        // It was judged earlier, on another worker perhaps, and by the identity of then.
        let is_local = client.is_local(conn.peer());
        if self.config.identity.standing(&who, &asking.client_id, is_local) == Standing::Revoked {
            return Err(self.refuse(client, Reason::NotAuthorized));
        }
        let rights = self.config.identity.rights(&who, &asking.client_id);
        // A will is a publish, by somebody who is here now.
        let will = asking.will.as_ref().map(|will| &*will.topic);
        if will.is_some_and(|topic| Topic::new(topic).is_ok_and(|topic| !rights.may_write(topic))) {
            self.stats.denied_publish += 1;
            return Err(self.refuse(client, Reason::NotAuthorized));
        }
        let limits = self.config.identity.limits(who.user.as_deref());
        // A takeover ends one of its own.
        let found = self.sessions.find(&asking.client_id).and_then(|key| self.sessions.get(key));
        let replaced = found.is_some_and(|it| it.is_connected() && it.user.as_deref() == who.user.as_deref());
        match self.watch.totals().users.enter(who.user.as_deref(), limits, replaced.into(), self.now) {
            Ok(counted) => client.set_counted(counted),
            Err(reason) => {
                self.stats.over_quota += 1;
                return Err(self.refuse(client, reason));
            }
        }
        let who = self.access.shared(who);
        asking.belonging =
            Belonging { who: Some(who), rights, revision: self.access.revision, ends: Deadline::default() };
        self.admit(conn, client, asking)
    }

    /// Somebody of whom an authentication of the hub's owner has told the name.
    pub(crate) fn vouched(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        asking: Box<Asking>,
    ) -> Result<(), Close> {
        let id = (!asking.is_assigned).then_some(&*asking.client_id);
        match self.config.identity.vouched(asking.user.as_deref(), id) {
            Ok(who) => self.recognized(conn, client, asking, who),
            Err(why) => Err(self.unknown(client, why)),
        }
    }

    /// Whether whoever asks may have the session of this place.
    pub(crate) fn may_have(&self, key: Key, asking: &Asking) -> bool {
        let Some(session) = self.sessions.get(key) else { return true };
        match &asking.belonging.who {
            Some(who) => self.config.identity.may_take_over(who, session.user.as_deref()),
            None => session.user.as_deref() == asking.user.as_deref(),
        }
    }

    /// The session is somebody's from now on, until a token ends.
    pub(crate) fn belongs(&mut self, key: Key, belonging: Belonging) {
        let generation = self.sessions.generation(key);
        let unix_ms = self.durable.unix_ms(self.now);
        self.no_end(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.belonging = belonging;
        let end = session.belonging.who.as_ref().and_then(|who| who.expires_at_unix_ms);
        if let Some(end) = end {
            // Longer than any connection is never.
            let left = Duration::from_millis(end.saturating_sub(unix_ms).min(100 * 365 * 86_400_000));
            let at = self.now + left;
            session.belonging.ends.set(at);
            self.access.ends.insert((at, key), generation);
        }
    }

    /// The end of the token that a session was last somebody's by is of no account any more.
    pub(crate) fn no_end(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(at) = session.belonging.ends.take() {
            self.access.ends.remove(&(at, key));
        }
    }

    /// Disconnects those whose tokens have ended, and some of those who would not be let in any more.
    pub(crate) fn hold_to_account(&mut self, reach: &mut dyn Reach) {
        while let Some((&(at, key), &generation)) = self.access.ends.first_key_value() {
            if at > self.now {
                break;
            }
            self.access.ends.pop_first();
            let unix_ms = self.durable.unix_ms(self.now);
            let session = self.sessions.get(key).filter(|_| self.sessions.generation(key) == generation);
            let who = session.and_then(|session| session.belonging.who.as_ref());
            // It may have come back with another token.
            if who.and_then(|who| who.expires_at_unix_ms).is_some_and(|end| end <= unix_ms) {
                self.stats.revoked += 1;
                self.disconnect(reach, key, Reason::NotAuthorized);
            }
        }
        let Some(from) = self.access.sweep.take() else { return };
        let end = from.saturating_add(SWEEP as Key);
        for key in from..end.min(self.sessions.end()) {
            self.rights(key);
            self.hold_to_identity(reach, key);
        }
        self.access.sweep = (end < self.sessions.end()).then_some(end);
    }

    /// Disconnects the client of a session if it would not be let in any more.
    fn hold_to_identity(&mut self, reach: &mut dyn Reach, key: Key) {
        let Some(session) = self.sessions.get(key) else { return };
        let (Some(who), Some(link)) = (&session.belonging.who, &session.link) else { return };
        if self.config.identity.standing(who, &session.client_id, link.is(flag::LOCAL)) == Standing::Revoked {
            self.stats.revoked += 1;
            self.disconnect(reach, key, Reason::NotAuthorized);
        }
    }

    /// There is another identity: rights are found anew when they are asked for next, and clients are held to it one
    /// after the other.
    pub(crate) fn identity_changed(&mut self) {
        self.access.revision = self.access.revision.wrapping_add(1) & (u32::MAX >> 1);
        self.access.sweep = Some(0);
        let users_max = self.config.identity.config().recent_max;
        self.access.recent.set_max(users_max);
    }

    /// What the client of a session may do, as of now.
    #[inline]
    pub(crate) fn rights(&mut self, key: Key) -> Option<&Rights> {
        let session = self.sessions.get_mut(key)?;
        if session.belonging.revision != self.access.revision {
            refresh(session, &self.config.identity, self.access.revision);
        }
        Some(&session.belonging.rights)
    }

    /// Whether the client of a session may publish to a topic; its will likewise.
    #[inline]
    pub(crate) fn may_write(&mut self, key: Key, topic: &str) -> bool {
        self.rights(key).is_some_and(|rights| {
            rights.is_everything() || Topic::new(topic).is_ok_and(|topic| rights.may_write(topic))
        })
    }

    /// Whether it may get messages of a topic, however they come to it: as they are published, from its queue, or
    /// retained.
    #[inline]
    pub(crate) fn may_read(&mut self, key: Key, topic: &str) -> bool {
        self.rights(key).is_some_and(|rights| {
            rights.is_everything() || Topic::new(topic).is_ok_and(|topic| rights.may_read(topic))
        })
    }

    /// Whether it may subscribe to a filter.
    pub(crate) fn may_subscribe(&mut self, key: Key, filter: Filter<'_>) -> bool {
        self.rights(key).is_some_and(|rights| rights.may_subscribe(filter))
    }
}

/// Who of some sessions may read a topic.
#[derive(Clone, Copy)]
pub(crate) struct Readers<'h> {
    pub(crate) identity: &'h Identity,
    pub(crate) revision: u32,
    pub(crate) topic: Topic<'h>,
}

impl Readers<'_> {
    /// What a session of another worker may do.
    #[cold]
    pub(crate) fn rights_of(self, reader: &Reader) -> Rights {
        match &reader.who {
            Some(who) => self.identity.rights(who, &reader.client_id),
            None => self.identity.rights_of_user(reader.user.as_deref(), &reader.client_id),
        }
    }

    #[inline]
    pub(crate) fn has(self, session: &Session) -> bool {
        let belonging = &session.belonging;
        if belonging.revision == self.revision {
            return belonging.rights.may_read(self.topic);
        }
        rights_of(session, self.identity).may_read(self.topic)
    }
}

#[cold]
fn refresh(session: &mut Session, identity: &Identity, revision: u32) {
    session.belonging.rights = rights_of(session, identity);
    session.belonging.revision = revision;
}

fn rights_of(session: &Session, identity: &Identity) -> Rights {
    match &session.belonging.who {
        Some(who) => identity.rights(who, &session.client_id),
        // Found at the start: what is queued for it is held against its client's rights when that comes.
        None => identity.rights_of_user(session.user.as_deref(), &session.client_id),
    }
}

impl Client {
    /// Whether it is on this machine: by what a PROXY header says, if it came with one.
    pub(crate) fn is_local(&self, peer: Peer) -> bool {
        // Of whom a proxy does not say where it is, nothing is known: not that it is here.
        if self.is_introduced {
            return self.source().is_some_and(|ip| ip.to_canonical().is_loopback());
        }
        peer.addr().is_none_or(|addr| addr.ip().to_canonical().is_loopback())
    }
}

#[cfg(test)]
mod tests;
