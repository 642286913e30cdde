//! Counts the primes up to a number, which takes long for a large one, and keeps nobody else waiting.

use windlass::proto::{Decode, Lines};
use windlass::{Answer, Close, Conn, Input, Offload, OffloadConfig, Scope, Service, Sessions, Work, serve};

// ANCHOR: service
struct Primes {
    pool: Offload<usize>,
}

impl Service for Primes {
    type Session = Lines;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Lines, Close> {
        Ok(Lines::max(20))
    }

    fn data(&mut self, conn: &mut Conn<'_>, lines: &mut Lines, input: &mut Input<'_>) -> Result<(), Close> {
        if let Some(line) = lines.decode(input)? {
            let up_to = std::str::from_utf8(line)?.parse()?;
            if self.pool.submit(conn, move || primes(up_to)).is_err() {
                conn.write(b"busy\n");
                return Err(Close::Done);
            }
            // One question at a time: the next is taken when this one is answered.
            conn.pause();
        }
        Ok(())
    }
}
// ANCHOR_END: service

// ANCHOR: answer
impl Work for Primes {
    type Answer = usize;

    fn answer(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Lines>, answer: Answer<usize>) {
        let Some(mut conn) = answer.conn.and_then(|id| scope.conn(id)) else { return };
        match answer.result {
            Ok(count) => conn.write(format!("{count}\n").as_bytes()),
            Err(why) => conn.write(format!("{why}\n").as_bytes()),
        }
        conn.resume();
    }
}

fn primes(up_to: u32) -> usize {
    (2..=up_to).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let pool = Offload::new(OffloadConfig { threads: 2, jobs_max: 16, ..OffloadConfig::default() });
    let in_service = pool.clone();
    let bound =
        serve(move || Primes { pool: in_service.clone() }).offload(&pool).workers(1).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
// ANCHOR_END: answer
