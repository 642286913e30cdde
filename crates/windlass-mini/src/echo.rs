//! `[[echo]]`: what arrives is sent back.

use windlass::{Close, Conn, Input, Service};
#[cfg(feature = "udp")]
use windlass::{Datagram, DatagramService, Socket};

/// Below are the ports of a system's own servers, other echoes among them (RFC 6335, section 6).
#[cfg(feature = "udp")]
const SYSTEM_PORTS: u16 = 1024;

/// Sends back what arrives.
pub(crate) struct Echo;

impl Service for Echo {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

/// Two echoes that have each other's address never stop, and one datagram with a forged sender introduces them. So
/// nobody is answered who speaks from where a server would, as `windlass echo` has it.
#[cfg(feature = "udp")]
impl DatagramService for Echo {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        let from = datagram.from.port();
        if from >= SYSTEM_PORTS && from != socket.local_addr().port() {
            socket.reply(&datagram, datagram.bytes);
        }
    }
}
