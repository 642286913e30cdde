//! What becomes of a batch that another worker has sent.

use windlass::{Scope, Sessions as Clients};
use windlass_proto::mqtt::{Filter, Reason, Topic};

use super::Batch;
use super::parcel::{Change, Parcel};
use crate::client::Client;
use crate::reach::Reach;
use crate::service::Hub;

impl Hub {
    /// A batch came.
    pub(crate) fn take(&mut self, scope: &mut Scope<'_>, clients: &mut Clients<Client>, batch: Batch) {
        let Batch { from, parcels, taken, answered, kept } = batch;
        self.siblings.heard(from, taken, answered, kept);
        let mut posted = 0;
        for parcel in parcels {
            if let Parcel::Message(passed) = &parcel {
                posted = posted.max(passed.number);
            }
            let weight = parcel.weight();
            self.take_one(scope, from, parcel);
            self.siblings.took(from, weight);
        }
        if posted > 0 {
            // In one batch with what it has come to.
            let record = self.durable.taken(from, self.worker, posted);
            self.siblings.kept(from, posted, record);
        }
        self.settle(scope, clients);
        self.answer_asked(scope, clients);
        for id in self.siblings.relieved() {
            let Some((mut conn, client)) = clients.get(scope, id) else { continue };
            // What it has said meanwhile was not read.
            client.heard = self.now;
            match self.unheld(&mut conn, client) {
                Ok(()) if client.awaits_answer() => {}
                Ok(()) => conn.resume(),
                Err(_) => conn.close(),
            }
        }
    }

    fn take_one(&mut self, reach: &mut dyn Reach, from: usize, parcel: Parcel) {
        let of = from as u16;
        let totals = self.watch.totals();
        let are_held = self.routes.are_held();
        let Some(elsewhere) = self.routes.elsewhere.as_deref_mut() else { return };
        match parcel {
            Parcel::Message(passed) => self.passed_on(reach, passed),
            Parcel::Changed(Change::Retained(message)) => {
                self.stats.retained_refused += u64::from(self.kept.take(message, totals).is_err());
            }
            Parcel::Changed(Change::Gone(topic, version)) => {
                if let Ok(topic) = Topic::new(&topic) {
                    self.kept.remove(topic, version, totals, self.now);
                }
            }
            Parcel::Added { filter, durable } => {
                let added = Filter::new(&filter).is_ok_and(|it| {
                    let lacks = are_held && elsewhere.lacks_for(it, Err(of), &self.memory);
                    self.stats.memory_subscriptions_refused += u64::from(lacks);
                    !lacks && elsewhere.add(it, of, durable).is_ok()
                });
                if !added {
                    self.siblings.tell(from, Parcel::Refused(filter));
                }
            }
            Parcel::Removed { filter, durable } => {
                if let Ok(filter) = Filter::new(&filter) {
                    elsewhere.remove(filter, of, durable);
                }
            }
            Parcel::Met { key, generation, is_durable, state, reader } => {
                elsewhere.meet((of, key), generation, is_durable, state, reader);
            }
            Parcel::Joined(key, joined) => {
                let filter = joined.filter.clone();
                let is_in = Filter::new(&filter).is_ok_and(|it| {
                    let lacks = are_held && elsewhere.lacks_for(it, Ok((of, key)), &self.memory);
                    self.stats.memory_subscriptions_refused += u64::from(lacks);
                    !lacks && elsewhere.join(it, (of, key), *joined).is_ok()
                });
                if !is_in {
                    self.siblings.tell(from, Parcel::Refused(filter));
                }
            }
            Parcel::Left(key, filter) => {
                if let Ok(filter) = Filter::new(&filter) {
                    elsewhere.leave(filter, (of, key));
                }
            }
            Parcel::Is(key, state) => elsewhere.set_state((of, key), state),
            Parcel::Parted(key) => elsewhere.part((of, key)),
            Parcel::Question(question) => self.siblings.questioned(from, question),
            Parcel::Refused(filter) => self.refused_elsewhere(&filter),
            Parcel::Kick(client_id) => self.kick(reach, &client_id),
        }
    }

    /// Ends the connection of a client, wherever it is.
    pub(crate) fn kick(&mut self, reach: &mut dyn Reach, client_id: &str) {
        if let Some(key) = self.sessions.find(client_id) {
            return self.disconnect(reach, key, Reason::AdministrativeAction);
        }
        let home = super::home(client_id, self.siblings.workers());
        if home != self.worker {
            self.siblings.tell(home, Parcel::Kick(client_id.into()));
        }
    }
}
