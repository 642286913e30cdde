//! `windlass echo`: 15 lines of service.

use anyhow::Result;
use windlass::{Close, Conn, Datagram, DatagramService, Input, Serve, Service, Socket, serve};

use crate::args::EchoArgs;
use crate::config::shape::EchoTable;
use crate::config::value::{Count, FilePath, Listen};
use crate::serving::{
    Ends, Tally, Told, Watched, access_from_flags, from_flags, listening, owner, run_flags, tls_from_flags,
};

/// Serves until told to stop.
pub(crate) fn run(args: &EchoArgs) -> Result<()> {
    let mut file = from_flags(&args.serving);
    file.server.workers = Count(args.workers);
    file.server.control = args.control.clone().map(FilePath);
    file.echo = vec![EchoTable {
        listen: args.listen.iter().cloned().map(Listen).collect(),
        tls: tls_from_flags(&args.serving),
        access_log: access_from_flags(&args.serving),
        ..EchoTable::default()
    }];
    run_flags(&file, &args.serving)
}

/// The service of one table.
pub(crate) fn service(table: &EchoTable, told: &Told) -> Result<Serve<Watched<Echo>>> {
    let ends = Ends::of(table.access_log.as_ref(), &table.name, told)?;
    let its = told.of(&table.name, "echo");
    let service =
        serve(move || Watched::new(Echo::default(), &its, ends.clone())).name(&table.name).datagrams();
    let owner = owner("echo", &table.name);
    listening(service, told, &owner, (&table.listen, table.tls.as_ref(), 0))
}

/// Below are the ports of a system's own servers, other echoes among them (RFC 6335, section 6).
const SYSTEM_PORTS: u16 = 1024;

/// Sends back what arrives, and counts the pieces it comes in.
#[derive(Default)]
pub(crate) struct Echo {
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
