//! Tells everybody the time since the start, once a second, and asks those who were silent for long whether
//! they are still there.

use std::time::Duration;

use windlass::{Close, Conn, Input, Scope, Service, Sessions, Tick, serve};

// ANCHOR: deadline
const SILENCE: Duration = Duration::from_secs(20);

struct Clock;

struct Listener {
    asked: bool,
}

impl Service for Clock {
    type Session = Listener;

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Listener, Close> {
        conn.wake_at(conn.now() + SILENCE);
        Ok(Listener { asked: false })
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        listener: &mut Listener,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        input.take_all();
        listener.asked = false;
        conn.wake_at(conn.now() + SILENCE);
        Ok(())
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, listener: &mut Listener) -> Result<(), Close> {
        if listener.asked {
            return Err(Close::Timeout);
        }
        listener.asked = true;
        conn.write(b"still there?\n");
        conn.wake_at(conn.now() + SILENCE);
        Ok(())
    }
    // ANCHOR_END: deadline

    // ANCHOR: tick
    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Listener>, tick: Tick) {
        scope.broadcast(format!("{}\n", tick.number).as_bytes());
    }
    // ANCHOR_END: tick
}

// ANCHOR: main
fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let bound = serve(|| Clock).tick(Duration::from_secs(1)).workers(1).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
// ANCHOR_END: main

#[cfg(test)]
mod tests {
    use super::*;
    use windlass::testing::Harness;

    // ANCHOR: test
    #[test]
    fn who_is_silent_is_asked_once() {
        let mut harness = Harness::new(serve(|| Clock));
        let (quiet, polite) = (harness.connect(), harness.connect());

        harness.advance(SILENCE + Duration::from_millis(1));
        assert_eq!(harness.receive(quiet), b"still there?\n");
        assert_eq!(harness.receive(polite), b"still there?\n");
        harness.send(polite, b"yes");

        harness.advance(SILENCE);
        assert_eq!(harness.why(quiet), Some("timeout"));
        assert_eq!(harness.why(polite), None);
    }
    // ANCHOR_END: test
}
