//! Counts, as fast as whoever listens can read, and no faster.

use windlass::{Close, Conn, Input, Service, serve};

// ANCHOR: service
const PER_TURN: u32 = 10_000;

struct Numbers;

fn count(conn: &mut Conn<'_>, next: &mut u64) {
    for _ in 0..PER_TURN {
        if conn.is_congested() {
            return;
        }
        conn.write(format!("{next}\n").as_bytes());
        *next += 1;
    }
    // The peer keeps up. The others want their turn too; then it goes on.
    conn.wake_at(conn.now());
}

impl Service for Numbers {
    type Session = u64;

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<u64, Close> {
        let mut next = 1;
        count(conn, &mut next);
        Ok(next)
    }

    fn drained(&mut self, conn: &mut Conn<'_>, next: &mut u64) -> Result<(), Close> {
        count(conn, next);
        Ok(())
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, next: &mut u64) -> Result<(), Close> {
        count(conn, next);
        Ok(())
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut u64, input: &mut Input<'_>) -> Result<(), Close> {
        input.take_all();
        Ok(())
    }
}
// ANCHOR_END: service

fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let bound = serve(|| Numbers).workers(1).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
