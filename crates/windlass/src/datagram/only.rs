//! A service that has no streams.

use crate::close::Close;
use crate::conn::Conn;
use crate::scope::{Scope, Sessions};
use crate::serve::{Serve, serve};
use crate::service::{Receive, Service, Tick};

use super::{Datagram, DatagramService, Socket};
use windlass_proto::{Input, Time};

/// Starts the description of a server with one service of datagrams, as [`serve`] does
/// for streams. `make` makes the service's value for each worker, on that worker's thread.
///
/// ```
/// use windlass::{Datagram, DatagramService, Socket, datagrams};
///
/// struct Clock;
/// impl DatagramService for Clock {
///     fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
///         let now = socket.now().as_nanos();
///         socket.reply(&datagram, &now.to_be_bytes());
///     }
/// }
/// let bound = datagrams(|| Clock).udp("127.0.0.1:0").workers(1).bind()?;
/// assert!(bound.addresses()[0].udp().is_some());
/// # Ok::<(), windlass::Error>(())
/// ```
pub fn datagrams<D, F>(make: F) -> Serve<Only<D>>
where
    D: DatagramService,
    F: Fn() -> D + Send + Sync + 'static,
{
    serve(move || Only(make())).datagrams().without_streams(std::any::type_name::<D>())
}

/// A service of datagrams as a [`Service`] without streams. From [`datagrams`].
pub struct Only<D>(D);

/// A service of datagrams with a [`Mailbox`](crate::Mailbox): messages from other threads.
pub trait DatagramReceive: DatagramService {
    /// What is sent to it.
    type Message: Send + 'static;

    /// A message arrived.
    fn receive(&mut self, scope: &mut Scope<'_>, message: Self::Message);
}

impl<D: DatagramService> Service for Only<D> {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Err(Close::Refused)
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Err(Close::Refused)
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, tick: Tick) {
        self.0.tick(scope, tick);
    }

    fn deadline(&mut self) -> Option<Time> {
        self.0.deadline()
    }

    fn due(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        self.0.due(scope);
    }

    fn shutdown(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        self.0.shutdown(scope);
    }
}

impl<D: DatagramReceive> Receive for Only<D> {
    type Message = D::Message;

    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, message: D::Message) {
        self.0.receive(scope, message);
    }
}

impl<D: DatagramService> DatagramService for Only<D> {
    #[inline]
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        self.0.datagram(socket, datagram);
    }

    fn drained(&mut self, socket: &mut Socket<'_>) {
        self.0.drained(socket);
    }

    fn error(&mut self, socket: &mut Socket<'_>, error: std::io::Error) {
        self.0.error(socket, error);
    }

    fn timeout(&mut self, socket: &mut Socket<'_>) {
        self.0.timeout(socket);
    }

    fn draining(&mut self, socket: &mut Socket<'_>) {
        self.0.draining(socket);
    }
}
