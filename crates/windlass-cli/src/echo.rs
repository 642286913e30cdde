//! `windlass echo`: 15 lines of service.

use anyhow::Result;
use windlass::{Close, Conn, Datagram, DatagramService, Input, Limits, Service, Socket, serve};

use crate::args::EchoArgs;
use crate::serving::{Serving, Tally, Watched};

/// Serves until told to stop.
pub(crate) fn run(args: &EchoArgs) -> Result<()> {
    let serving = Serving {
        listen: &args.listen,
        workers: args.workers,
        control: args.control.as_deref(),
        limits: Limits::default(),
        args: &args.serving,
    };
    serving.run(|told| serve(move || Watched::new(Echo::default(), &told)).name("echo").datagrams())
}

/// Below are the ports of a system's own servers, other echoes among them (RFC 6335, section 6).
const SYSTEM_PORTS: u16 = 1024;

/// Sends back what arrives, and counts the pieces it comes in.
#[derive(Default)]
struct Echo {
    messages: u64,
}

impl Service for Echo {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        self.messages += 1;
        Ok(())
    }
}

/// Two echoes that have each other's address never stop, and one datagram with a forged sender introduces
/// them. So nobody is answered who speaks from where a server would, as in inetd's echo of old.
impl DatagramService for Echo {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        let from = datagram.from.port();
        if from < SYSTEM_PORTS || from == socket.local_addr().port() {
            tracing::debug!(peer = %datagram.from, "a datagram from where servers are: not answered");
            return;
        }
        socket.reply(&datagram, datagram.bytes);
        self.messages += 1;
    }
}

impl Tally for Echo {
    fn messages(&self) -> u64 {
        self.messages
    }
}
