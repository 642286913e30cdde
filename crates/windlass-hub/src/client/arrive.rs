//! A connection on its way to the worker that has its client's session.
//!
//! Where a connection lands is chance, and who it is its CONNECT says. Once that is known, the connection moves to the
//! home of the client identifier with what it asks for; a session never moves. So whoever else comes with the same
//! identifier, from wherever, meets it there, one after the other.

use windlass::{Close, Conn, Move, MoveError};
use windlass_proto::mqtt::Reason;

use super::{Asking, Client, Stage};
use crate::parts;
use crate::service::Hub;
use crate::siblings::home;

impl Hub {
    /// It is known who a client is: it goes on where its session is.
    pub(crate) fn send_home(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        mut asking: Box<Asking>,
    ) -> Result<(), Close> {
        let home = home(&asking.client_id, self.siblings.workers());
        if home == self.worker {
            return self.come_home(conn, client, *asking);
        }
        if !parts::SPREAD {
            return Err(self.refuse(client, Reason::ServerUnavailable));
        }
        match conn.move_to(home) {
            Ok(()) => {
                asking.waits = true;
                client.stage = Stage::Asking(asking);
                Ok(())
            }
            Err(MoveError::Stopping | MoveError::Ending) => {
                Err(self.refuse(client, Reason::ServerShuttingDown))
            }
            // The hub was told that its connections can move, and they cannot.
            Err(_) => Err(self.refuse(client, Reason::ServerUnavailable)),
        }
    }
}

impl Hub {
    /// A client is where its session is.
    pub(crate) fn arrive(&mut self, conn: &mut Conn<'_>, client: &mut Client) -> Result<(), Close> {
        let Stage::Asking(mut asking) = std::mem::replace(&mut client.stage, Stage::Over) else {
            return Err(Close::Done);
        };
        // The worker it was on its way to has stopped, and the server with it.
        if home(&asking.client_id, self.siblings.workers()) != self.worker {
            return Err(Close::Shutdown);
        }
        asking.waits = false;
        let outcome = self.come_home(conn, client, *asking);
        self.flush(conn, client);
        outcome.and_then(|()| self.unheld(conn, client))
    }
}

impl Move for Hub {
    type Seed = Client;

    fn move_out(&mut self, _: &mut Conn<'_>, client: Client) -> Client {
        client
    }

    fn move_in(&mut self, conn: &mut Conn<'_>, mut client: Client) -> Result<Client, Close> {
        self.now = conn.now();
        if self.has_no_log() {
            // It goes on when the sessions are there.
            conn.pause();
            return Ok(client);
        }
        let outcome = match self.arrive(conn, &mut client) {
            Ok(()) => Ok(client),
            Err(close) => {
                self.gone(conn, &client);
                Err(close)
            }
        };
        self.see_to();
        outcome
    }
}
