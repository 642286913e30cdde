//! Connections: each is coupled with one of our own, and the engine moves the bytes.

use std::time::Duration;

use windlass::{Close, Conn, ConnId, Connect, ConnectError, Input, Remote, Scope, Service, Sessions};

/// How long a device may still answer a client that has ended its stream: it has no end of its own, and others wait.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Passes connections on to one place.
pub(crate) struct Relay {
    to: Remote,
    timeout: Duration,
    /// Clients whose connection there is being made, each with its tag.
    waiting: Vec<(u64, ConnId)>,
    tags: u64,
    /// The client that has the device, where there is one: bytes of several would be one stream.
    owner: Option<ConnId>,
}

impl Relay {
    pub(crate) fn new(to: Remote, timeout: Duration) -> Relay {
        Relay { to, timeout, waiting: Vec::new(), tags: 0, owner: None }
    }

    /// Who waits for the connection with this tag.
    fn take(&mut self, tag: u64) -> Option<ConnId> {
        let at = self.waiting.iter().position(|(its, _)| *its == tag)?;
        Some(self.waiting.swap_remove(at).1)
    }
}

impl Service for Relay {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let is_one = matches!(self.to, Remote::Piped(_));
        if is_one && self.owner.is_some() {
            return Err(Close::Refused);
        }
        // What the client sends before there is anybody waits in its socket.
        conn.pause();
        self.tags += 1;
        conn.connect(Connect::to(self.to.clone()).timeout(self.timeout).tag(self.tags).while_draining())?;
        self.waiting.push((self.tags, conn.id()));
        if is_one {
            self.owner = Some(conn.id());
        }
        Ok(())
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<(), Close> {
        match self.take(tag) {
            Some(client) if conn.relay(client) => Ok(()),
            // It has gone.
            _ => Err(Close::Done),
        }
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<()>,
        _: ConnId,
        tag: u64,
        _: ConnectError,
    ) {
        if let Some(mut client) = self.take(tag).and_then(|id| scope.conn(id)) {
            client.abort();
        }
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        // Paused at first, then coupled: never called.
        Ok(())
    }

    fn relay_ended(&mut self, conn: &mut Conn<'_>, (): &mut ()) -> Result<(), Close> {
        if matches!(self.to, Remote::Piped(_)) {
            conn.wake_at(conn.now() + LAST_WORDS);
        }
        Ok(())
    }

    fn timeout(&mut self, _: &mut Conn<'_>, (): &mut ()) -> Result<(), Close> {
        Err(Close::Done)
    }

    fn closed(&mut self, conn: &mut Conn<'_>, (): (), _: Close) {
        if self.owner == Some(conn.id()) {
            self.owner = None;
        }
    }

    fn draining(&mut self, _: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        // Until both ends have ended, or the drain's deadline.
        Ok(())
    }
}
