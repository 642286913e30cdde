//! A chat on all cores. What somebody says goes to everybody else, on this worker and on the others.

use windlass::proto::{Decode, Lines};
use windlass::{Bytes, Close, Conn, Input, Mailbox, Receive, Scope, Service, Sessions, serve};

// ANCHOR: service
struct Chat {
    mailbox: Mailbox<Bytes>,
}

impl Service for Chat {
    type Session = Lines;

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Lines, Close> {
        conn.write(b"welcome\n");
        Ok(Lines::max(1024))
    }

    fn data(&mut self, conn: &mut Conn<'_>, lines: &mut Lines, input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(line) = lines.decode(input)? {
            let text = Bytes::from([&*line, b"\n"].concat());
            conn.broadcast_shared(text.clone());
            // A worker whose mailbox is full misses a line; nobody waits for it.
            let _ = self.mailbox.send_to_others(conn.id().worker(), text);
        }
        Ok(())
    }
}
// ANCHOR_END: service

// ANCHOR: receive
impl Receive for Chat {
    type Message = Bytes;

    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Lines>, text: Bytes) {
        scope.broadcast_shared(text);
    }
}

fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let mailbox = Mailbox::new();
    let in_service = mailbox.clone();
    let bound = serve(move || Chat { mailbox: in_service.clone() })
        .mailbox(&mailbox)
        .workers(2)
        .tcp(address)
        .bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
// ANCHOR_END: receive

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use windlass::sim;

    // ANCHOR: test
    #[test]
    fn everybody_hears_everybody_else_once() {
        sim::check("chat", 0..200, |sim| {
            let mailbox = Mailbox::new();
            let in_service = mailbox.clone();
            let room = sim::ChatRoom::new("welcome\n");
            sim.serve(serve(move || Chat { mailbox: in_service.clone() }).mailbox(&mailbox))
                .clients(8, move |rng| room.member(rng))
                .limits(|limits| {
                    // Nobody has to go for being silent, nor for being far away.
                    limits.idle_timeout = Duration::ZERO;
                    limits.output_max = limits.output_max.max(64 * 1024);
                });
        });
    }
    // ANCHOR_END: test
}
