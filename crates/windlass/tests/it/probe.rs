//! A service that does what a test tells it to, and tells the test what happens to it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use windlass::{Close, Conn, ConnId, Input, Service, Time};

use crate::harness::LONG;

/// What happened.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Event {
    Open(ConnId),
    /// That many bytes were offered.
    Input(usize),
    Eof(usize),
    Drained,
    Timeout(Time),
    Draining,
    Closed(&'static str),
}

type Act = Arc<dyn Fn(&mut Conn<'_>) -> Result<(), Close> + Send + Sync>;
type Take = Arc<dyn Fn(&mut Conn<'_>, &mut Input<'_>) -> Result<(), Close> + Send + Sync>;

/// Without instructions it takes all its input and does nothing, keeps its half open after the
/// peer's FIN, goes on after `timeout`, and ends when the server drains.
#[derive(Clone)]
pub(crate) struct Probe {
    events: Sender<Event>,
    open: Option<Act>,
    take: Option<Take>,
    eof: Option<Act>,
    drained: Option<Act>,
    timeout: Option<Act>,
    draining: Option<Act>,
}

impl Probe {
    pub(crate) fn new() -> (Probe, Receiver<Event>) {
        let (events, receiver) = channel();
        let probe =
            Probe { events, open: None, take: None, eof: None, drained: None, timeout: None, draining: None };
        (probe, receiver)
    }

    pub(crate) fn open(
        mut self,
        act: impl Fn(&mut Conn<'_>) -> Result<(), Close> + Send + Sync + 'static,
    ) -> Probe {
        self.open = Some(Arc::new(act));
        self
    }

    pub(crate) fn input(
        mut self,
        take: impl Fn(&mut Conn<'_>, &mut Input<'_>) -> Result<(), Close> + Send + Sync + 'static,
    ) -> Probe {
        self.take = Some(Arc::new(take));
        self
    }

    pub(crate) fn eof(
        mut self,
        act: impl Fn(&mut Conn<'_>) -> Result<(), Close> + Send + Sync + 'static,
    ) -> Probe {
        self.eof = Some(Arc::new(act));
        self
    }

    pub(crate) fn drained(
        mut self,
        act: impl Fn(&mut Conn<'_>) -> Result<(), Close> + Send + Sync + 'static,
    ) -> Probe {
        self.drained = Some(Arc::new(act));
        self
    }

    pub(crate) fn timeout(
        mut self,
        act: impl Fn(&mut Conn<'_>) -> Result<(), Close> + Send + Sync + 'static,
    ) -> Probe {
        self.timeout = Some(Arc::new(act));
        self
    }

    pub(crate) fn draining(
        mut self,
        act: impl Fn(&mut Conn<'_>) -> Result<(), Close> + Send + Sync + 'static,
    ) -> Probe {
        self.draining = Some(Arc::new(act));
        self
    }

    fn tell(&self, event: Event) {
        // A test that has seen enough no longer listens.
        let _ = self.events.send(event);
    }

    fn act(act: &Option<Act>, conn: &mut Conn<'_>, default: Result<(), Close>) -> Result<(), Close> {
        act.as_ref().map_or(default, |act| act(conn))
    }
}

impl Service for Probe {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        self.tell(Event::Open(conn.id()));
        Self::act(&self.open, conn, Ok(()))
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        self.tell(Event::Input(input.len()));
        match &self.take {
            Some(take) => take(conn, input),
            None => {
                input.take_all();
                Ok(())
            }
        }
    }

    fn eof(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        self.tell(Event::Eof(input.len()));
        Self::act(&self.eof, conn, Ok(()))
    }

    fn drained(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        self.tell(Event::Drained);
        Self::act(&self.drained, conn, Ok(()))
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        self.tell(Event::Timeout(conn.now()));
        Self::act(&self.timeout, conn, Ok(()))
    }

    fn draining(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        self.tell(Event::Draining);
        Self::act(&self.draining, conn, Err(Close::Shutdown))
    }

    fn closed(&mut self, _: &mut Conn<'_>, _: (), why: Close) {
        self.tell(Event::Closed(why.label()));
    }
}

/// The next event that `wanted` says yes to; the others are passed over.
pub(crate) fn wait(events: &Receiver<Event>, mut wanted: impl FnMut(&Event) -> bool) -> Event {
    loop {
        let event = events.recv_timeout(LONG).expect("the event comes");
        if wanted(&event) {
            return event;
        }
    }
}

/// The reason of the next end.
pub(crate) fn wait_closed(events: &Receiver<Event>) -> &'static str {
    match wait(events, |event| matches!(event, Event::Closed(_))) {
        Event::Closed(label) => label,
        _ => unreachable!("only an end was waited for"),
    }
}
