//! The echo server on windlass.

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
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let bound = serve(|| Echo).workers(1).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
