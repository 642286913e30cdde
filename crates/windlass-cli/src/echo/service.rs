//! The service: 15 lines of echo, and what it tells about itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use windlass::{Close, Conn, Datagram, DatagramService, Fault, Input, Scope, Service, Sessions, Socket};

use crate::console::Teller;

/// Sends back what arrives.
pub(super) struct Echo {
    messages: u64,
    published: Arc<Count>,
    teller: Option<Teller>,
}

impl Echo {
    pub(super) fn new(messages: &Messages, teller: Option<Teller>) -> Echo {
        Echo { messages: 0, published: messages.count(), teller }
    }
}

impl Service for Echo {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        tracing::debug!(conn = %conn.id(), peer = %conn.peer(), "opened");
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        self.messages += 1;
        self.published.0.store(self.messages, Relaxed);
        Ok(())
    }

    fn closed(&mut self, conn: &mut Conn<'_>, _: (), why: Close) {
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(conn = %conn.id(), peer = %conn.peer(), reason = why.label(), "closed: {why}")
            };
        }
        match (&why, why.fault()) {
            (Close::MemoryFull | Close::Io(_), _) => log!(warn),
            (_, Fault::Peer) => log!(info),
            _ => log!(debug),
        }
    }

    fn shutdown(&mut self, _: &mut Scope<'_>, _: &mut Sessions<()>) {
        if let Some(teller) = &self.teller {
            teller.draining();
        }
    }
}

impl DatagramService for Echo {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        socket.reply(&datagram, datagram.bytes);
        self.messages += 1;
        self.published.0.store(self.messages, Relaxed);
    }

    fn error(&mut self, socket: &mut Socket<'_>, error: std::io::Error) {
        tracing::debug!(socket = %socket.local_addr(), "datagram: {error}");
    }
}

/// Counts the messages of all workers: each piece of input or datagram, as it arrived.
#[derive(Clone, Default)]
pub(crate) struct Messages {
    counts: Arc<Mutex<Vec<Arc<Count>>>>,
}

/// Written by one worker only; on a cache line of its own, or workers would slow each other down.
#[derive(Default)]
#[repr(align(128))]
struct Count(AtomicU64);

impl Messages {
    fn count(&self) -> Arc<Count> {
        let count = Arc::new(Count::default());
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).push(count.clone());
        count
    }

    pub(crate) fn total(&self) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|count| count.0.load(Relaxed)).sum()
    }
}
