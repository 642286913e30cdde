//! An echo server in 15 lines: `cargo run --example echo`, then `nc 127.0.0.1 7000`.

use windlass::{Close, Conn, Input, Service, serve};

struct Echo;

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

fn main() -> windlass::Result<()> {
    serve(|| Echo).tcp("127.0.0.1:7000").run().map(drop)
}
