//! What the other workers are told of sessions: which filters they have, and how the members of groups are.

use std::sync::Arc;

use windlass_proto::mqtt::{Filter, QoS};

use super::parcel::Parcel;
use crate::route::Entry;
use crate::route::elsewhere::{Joined, Reader};
use crate::service::Hub;
use crate::session::{Key, Session};

/// Whether messages for a subscription of this QoS are written down.
fn is_durable(session: &Session, qos: QoS) -> bool {
    session.number != 0 && qos > QoS::AtMostOnce
}

fn reader(session: &Session) -> Arc<Reader> {
    Arc::new(Reader {
        client_id: (*session.client_id).into(),
        user: session.user.clone(),
        who: session.belonging.who.clone(),
    })
}

impl Hub {
    /// A session has a subscription; `before`: of which QoS it was, if it was there.
    pub(crate) fn tell_added(&mut self, key: Key, filter: Filter<'_>, entry: Entry, before: Option<QoS>) {
        if !self.siblings.are_there() {
            return;
        }
        let Some(session) = self.sessions.get(key) else { return };
        let text: Arc<str> = filter.as_str().into();
        if filter.group().is_some() {
            if session.standing.is_none() {
                self.tell_met(key);
            }
            let joined = Joined { entry, filter: text };
            return self.siblings.tell_all(|| Parcel::Joined(key, Box::new(joined.clone())));
        }
        let durable = is_durable(session, entry.options.qos);
        let before = before.map(|qos| is_durable(session, qos));
        if before == Some(durable) {
            return;
        }
        // The new one first, so that no message goes by between them.
        self.siblings.tell_all(|| Parcel::Added { filter: text.clone(), durable });
        if let Some(durable) = before {
            self.siblings.tell_all(|| Parcel::Removed { filter: text.clone(), durable });
        }
    }

    /// A session that is there has a subscription of this QoS no longer.
    pub(crate) fn tell_removed(&mut self, key: Key, filter: Filter<'_>, qos: QoS) {
        if !self.siblings.are_there() {
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        let text: Arc<str> = filter.as_str().into();
        if filter.group().is_none() {
            let durable = is_durable(session, qos);
            return self.siblings.tell_all(|| Parcel::Removed { filter: text.clone(), durable });
        }
        self.siblings.tell_all(|| Parcel::Left(key, text.clone()));
        if !session.subscriptions.iter().any(|it| it.filter.starts_with("$share/")) {
            session.standing = None;
            self.siblings.tell_all(|| Parcel::Parted(key));
        }
    }

    /// The client of a session has come: who it is may be another matter than before.
    pub(crate) fn tell_who(&mut self, key: Key) {
        if self.sessions.get(key).is_some_and(|session| session.standing.is_some()) {
            self.tell_met(key);
        }
    }

    fn tell_met(&mut self, key: Key) {
        let generation = self.sessions.generation(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (state, reader, is_durable) = (session.state(), reader(session), session.number != 0);
        session.standing = Some(state);
        self.siblings.tell_all(|| Parcel::Met { key, generation, is_durable, state, reader: reader.clone() });
    }

    /// A member of a group may be otherwise than others know it.
    #[cold]
    pub(crate) fn tell_state(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let state = session.state();
        if session.standing.is_some_and(|standing| standing != state) {
            session.standing = Some(state);
            self.siblings.tell_all(|| Parcel::Is(key, state));
        }
    }
}
