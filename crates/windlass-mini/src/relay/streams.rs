//! Connections: each is coupled with one of our own, and the engine moves the bytes.

use std::time::Duration;

use windlass::{Close, Conn, ConnId, Connect, ConnectError, Input, Remote, Scope, Service, Sessions};

/// How long a device may say nothing and take nothing until a client is ended that has ended its stream: a device has
/// no end of its own, and others wait.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Passes connections on to one place.
pub(crate) struct Relay {
    to: Remote,
    timeout: Duration,
    /// Clients whose connection there is being made, each with its tag.
    waiting: Vec<(u64, ConnId)>,
    tags: u64,
    /// The connection with the device, where there is one: bytes of several clients would be one stream.
    device: Option<ConnId>,
    /// Bytes that were left for the device, left for the client, and passed to that, when its time was last measured.
    left: Left,
}

type Left = (usize, usize, u64);

impl Relay {
    pub(crate) fn new(to: Remote, timeout: Duration) -> Relay {
        Relay { to, timeout, waiting: Vec::new(), tags: 0, device: None, left: Left::default() }
    }

    /// What is left to be sent, with how much has passed: if that stays the same, nothing moves.
    fn left(&self, client: &mut Conn<'_>) -> Left {
        let (here, sent) = (client.output_len(), client.relayed().map_or(0, |it| it.sent));
        let device = self.device.and_then(|id| client.other(id));
        (device.map_or(0, |device| device.output_len()), here, sent)
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
        // Until the last byte of the one before is with it, or given up.
        if self.device.is_some_and(|device| !conn.is_over(device)) {
            return Err(Close::Refused);
        }
        // What the client sends before there is anybody waits in its socket.
        conn.pause();
        self.tags += 1;
        let connect = Connect::to(self.to.clone()).timeout(self.timeout).tag(self.tags).while_draining();
        let there = conn.connect(connect)?;
        self.waiting.push((self.tags, conn.id()));
        if matches!(self.to, Remote::Piped(_)) {
            self.device = Some(there);
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
        // A device that has ended has said all: its client may go on.
        if self.device.is_some() && !conn.is_outbound() {
            self.left = self.left(conn);
            conn.wake_at(conn.now() + LAST_WORDS);
        }
        Ok(())
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, (): &mut ()) -> Result<(), Close> {
        let left = self.left(conn);
        if left != self.left {
            self.left = left;
            conn.wake_at(conn.now() + LAST_WORDS);
            return Ok(());
        }
        if left.0 == 0 && left.1 == 0 {
            return Err(Close::Done);
        }
        // It does not look whole, and the device is given up with what it did not take.
        if let Some(mut device) = self.device.and_then(|id| conn.other(id)) {
            device.abort();
        }
        Err(Close::Aborted)
    }

    fn draining(&mut self, _: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        // Until both ends have ended, or the drain's deadline.
        Ok(())
    }
}
