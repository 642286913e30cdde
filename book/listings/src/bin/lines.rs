//! An echo server of lines that waits for nobody for long: each line has two seconds to come, from the end
//! of the one before it to its own.

use std::time::Duration;

use windlass::proto::{Decode, Lines};
use windlass::{Close, Conn, Input, Limits, Service, serve};

// ANCHOR: service
const LINE_TIMEOUT: Duration = Duration::from_secs(2);

struct Echo;

impl Service for Echo {
    type Session = Lines;

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Lines, Close> {
        conn.wake_at(conn.now() + LINE_TIMEOUT);
        Ok(Lines::max(1024))
    }

    fn data(&mut self, conn: &mut Conn<'_>, lines: &mut Lines, input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(line) = lines.decode(input)? {
            conn.write(line);
            conn.write(b"\n");
            conn.wake_at(conn.now() + LINE_TIMEOUT);
        }
        Ok(())
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, _: &mut Lines) -> Result<(), Close> {
        conn.write(b"too slow\n");
        Err(Close::Timeout)
    }
}
// ANCHOR_END: service

// ANCHOR: main
fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let limits = Limits { idle_timeout: Duration::from_secs(60), ..Limits::default() };
    let bound = serve(|| Echo).workers(1).limits(limits).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
// ANCHOR_END: main
