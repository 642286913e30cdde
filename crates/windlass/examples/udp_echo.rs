//! An echo server for datagrams: `cargo run -p windlass --example udp_echo`, then `nc -u 127.0.0.1 9000`.

use windlass::{Datagram, DatagramService, Socket, datagrams};

/// Sends everything back.
struct Echo;

impl DatagramService for Echo {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        socket.reply(&datagram, datagram.bytes);
    }
}

fn main() -> windlass::Result<()> {
    datagrams(|| Echo).udp("127.0.0.1:9000").run()?;
    Ok(())
}
