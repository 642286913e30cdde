//! What you write: state that the routes share, and what a connection can become.

use windlass::{
    Bytes, Close, Conn, ConnId, Datagram, Input, Peer, Placement, Scope, Sessions, Socket, Tick, Time,
};

use crate::event::{Event, publish, send};
use crate::reply::{Later, Replied, Reply, Shared};
use crate::request::Request;
use crate::session::{Kind, Session};
use crate::stats::HttpStats;

/// The state behind the routes: one value on each worker, never shared, so never locked.
///
/// ```
/// use windlass::Tick;
/// use windlass_http::{App, Event, Http, Never, Push};
///
/// struct Clock;
///
/// impl App for Clock {
///     type Upgraded = Never;
///
///     fn tick(&mut self, push: &mut Push<'_, '_, Self>, tick: Tick) {
///         push.event("/clock", &Event::new(tick.number.to_string()));
///     }
/// }
///
/// let clock = Http::new(Clock).events("/clock");
/// ```
#[allow(unused_variables, reason = "the defaults do nothing with theirs")]
pub trait App: Sized + 'static {
    /// What a connection becomes by an upgrade, WebSocket say; [`Never`] if there is none. For more than one
    /// kind it is an enum.
    type Upgraded: Upgraded<Self>;

    /// Which worker a newcomer is to live on: see [`Service::place`](windlass::Service::place).
    fn place(&mut self, peer: Peer, listener: usize) -> Placement {
        Placement::Balanced
    }

    /// Somebody subscribes to the events at the request's path: what it is sent first, the present state
    /// say. Its `last-event-id` header is the last event it saw, if it comes back.
    fn subscribe(&mut self, request: &Request<'_>) -> Vec<Event> {
        Vec::new()
    }

    /// A tick of the period given with [`Serve::tick`](windlass::Serve::tick).
    fn tick(&mut self, push: &mut Push<'_, '_, Self>, tick: Tick) {}

    /// When [`due`](App::due) is to be called; `None`, the default: not at all. The engine asks when callbacks have run, up
    /// to twice in a turn, so the answer should be at hand: see [`Service::deadline`](windlass::Service::deadline).
    fn deadline(&mut self) -> Option<Time> {
        None
    }

    /// The [`deadline`](App::deadline) has come, and `push.scope().now()` is not before it. Called once in a turn, and in the
    /// next one again where the deadline has passed all the same: see [`Service::due`](windlass::Service::due).
    fn due(&mut self, push: &mut Push<'_, '_, Self>) {}

    /// The server has begun a graceful shutdown, before [`Upgraded::draining`] is called for each connection that was
    /// upgraded.
    fn shutdown(&mut self, push: &mut Push<'_, '_, Self>) {}
}

/// An app with a [`Mailbox`](windlass::Mailbox): messages from other threads and workers.
pub trait ReceiveApp: App {
    /// What is sent to it.
    type Message: Send + 'static;

    /// A message arrived.
    fn receive(&mut self, push: &mut Push<'_, '_, Self>, message: Self::Message);
}

/// An app that takes datagrams too, where [`Serve::udp`](windlass::Serve::udp) or
/// [`Serve::udp_on`](windlass::Serve::udp_on) says: its [`Http`](crate::Http) is a
/// [`DatagramService`](windlass::DatagramService), whose callbacks these are.
#[allow(unused_variables, reason = "the defaults do nothing with theirs")]
pub trait DatagramApp: App {
    /// A datagram arrived: see [`DatagramService::datagram`](windlass::DatagramService::datagram).
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>);

    /// Everything queued has been sent, after the system had no room for it.
    fn datagrams_drained(&mut self, socket: &mut Socket<'_>) {}

    /// The system reports an error: see [`DatagramService::error`](windlass::DatagramService::error).
    fn datagrams_failed(&mut self, socket: &mut Socket<'_>, error: std::io::Error) {}

    /// The deadline set with [`Socket::wake_at`] has passed.
    fn datagrams_timeout(&mut self, socket: &mut Socket<'_>) {}

    /// The server has begun a graceful shutdown, behind [`App::shutdown`]. The default closes the socket, and what it
    /// still has to send leaves before.
    fn datagrams_draining(&mut self, socket: &mut Socket<'_>) {
        socket.close();
    }
}

/// No state.
impl App for () {
    type Upgraded = Never;
}

/// What a connection is after an upgrade: a session of another protocol, with the callbacks of
/// [`Service`](windlass::Service) and their meaning. It has the connection to itself: nothing of HTTP is left,
/// no deadline either.
#[allow(unused_variables, reason = "the defaults do nothing with theirs")]
pub trait Upgraded<A>: Sized + 'static {
    /// The response that agrees to it is written; what is written now comes behind it.
    fn open(&mut self, app: &mut A, conn: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    /// Bytes arrived, beginning with those that came behind the request.
    fn data(&mut self, app: &mut A, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close>;

    /// The peer ended its stream.
    fn eof(&mut self, app: &mut A, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        Err(if input.is_empty() { Close::Eof } else { Close::Truncated })
    }

    /// Output fell below its low-water mark after having passed the high one.
    fn drained(&mut self, app: &mut A, conn: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    /// The deadline set with [`Conn::wake_at`] has passed.
    fn timeout(&mut self, app: &mut A, conn: &mut Conn<'_>) -> Result<(), Close> {
        Err(Close::Timeout)
    }

    /// The server has begun a graceful shutdown.
    fn draining(&mut self, app: &mut A, conn: &mut Conn<'_>) -> Result<(), Close> {
        Err(Close::Shutdown)
    }

    /// A successor has taken the server's listeners over, and this connection stays.
    fn superseded(&mut self, app: &mut A, conn: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    /// The last call for a connection.
    fn closed(self, app: &mut A, conn: &mut Conn<'_>, why: Close) {}
}

/// No protocol to go on with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Never {}

impl<A> Upgraded<A> for Never {
    fn data(&mut self, _: &mut A, _: &mut Conn<'_>, _: &mut Input<'_>) -> Result<(), Close> {
        match *self {}
    }
}

/// All connections of one worker, lent to an app's tick, deadline or message.
pub struct Push<'p, 's, A: App> {
    pub(crate) scope: &'p mut Scope<'s>,
    pub(crate) sessions: &'p mut Sessions<Session<A>>,
    pub(crate) shared: &'p mut Shared,
}

impl<'s, A: App> Push<'_, 's, A> {
    /// Sends an event to all subscribers of the stream at `path` on this worker; false if there is no such
    /// stream.
    pub fn event(&mut self, path: &str, event: &Event) -> bool {
        let Shared { channels, config, stats, .. } = &mut *self.shared;
        let Some(channel) = channels.iter().find(|channel| channel.path == path) else { return false };
        publish(channel, config, stats, event, |id, write| {
            if let Some(mut conn) = self.scope.conn(id) {
                write(&mut conn);
            }
        });
        true
    }

    /// Sends an event to one subscriber of the stream at `path` on this worker; false if it is none any more.
    pub fn event_to(&mut self, path: &str, subscriber: ConnId, event: &Event) -> bool {
        let Shared { channels, config, stats, .. } = &mut *self.shared;
        let channel = channels.iter().find(|channel| channel.path == path);
        if !channel.is_some_and(|channel| channel.subscribers.contains(&subscriber)) {
            return false;
        }
        let Some(mut conn) = self.scope.conn(subscriber) else { return false };
        stats.events += 1;
        send(config, stats, &mut conn, &Bytes::from(event.to_string()));
        true
    }

    /// Whether this connection subscribes to the stream at `path`, on this worker.
    pub fn is_subscriber(&self, path: &str, conn: ConnId) -> bool {
        let channel = self.shared.channels.iter().find(|channel| channel.path == path);
        channel.is_some_and(|channel| channel.subscribers.contains(&conn))
    }

    /// Answers a request that was put off with [`Reply::later`]. False, and nothing is called, if it is not
    /// owed any more: its connection has ended, or it was answered with 504.
    pub fn answer<F>(&mut self, later: Later, answer: F) -> bool
    where
        F: FnOnce(Reply<'_, '_>) -> Replied,
    {
        let Some((mut conn, session)) = self.sessions.get(self.scope, later.conn) else { return false };
        let Kind::Requests(requests) = &mut session.kind else { return false };
        let is_owed = requests.later.as_ref().is_some_and(|pending| pending.number == later.number);
        if is_owed {
            requests.answer(&mut conn, self.shared, answer);
        }
        is_owed
    }

    /// How many subscribe to the stream at `path`, on this worker.
    pub fn subscribers(&self, path: &str) -> usize {
        let channel = self.shared.channels.iter().find(|channel| channel.path == path);
        channel.map_or(0, |channel| channel.subscribers.len())
    }

    /// A connection that was upgraded, if it is still open.
    pub fn upgraded(&mut self, id: ConnId) -> Option<(Conn<'_>, &mut A::Upgraded)> {
        let (conn, session) = self.sessions.get(self.scope, id)?;
        match &mut session.kind {
            Kind::Upgraded(upgraded) => Some((conn, upgraded)),
            _ => None,
        }
    }

    /// Visits every open connection that was upgraded.
    pub fn each_upgraded(&mut self, mut visit: impl FnMut(&mut Conn<'_>, &mut A::Upgraded)) {
        self.sessions.each(self.scope, |conn, session| {
            if let Kind::Upgraded(upgraded) = &mut session.kind {
                visit(conn, upgraded);
            }
        });
    }

    /// The engine's scope: the time, the worker, connections by their id.
    pub fn scope(&mut self) -> &mut Scope<'s> {
        self.scope
    }

    /// What was counted on this worker so far.
    pub fn stats(&self) -> &HttpStats {
        &self.shared.stats
    }
}
