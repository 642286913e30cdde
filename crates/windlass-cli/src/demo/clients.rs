//! Clients for a demonstration: each says something a few times a second, and reads what comes back.

use std::net::SocketAddr;
use std::time::Duration;

use windlass::{Close, Conn, ConnId, Connect, ConnectError, Input, Scope, Service, Sessions};

/// What a client says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Say {
    /// Lines of some length.
    Lines,
    /// Commands to a key-value server of Redis' kind.
    #[cfg(feature = "kv")]
    Resp,
    /// Commands to a memcached.
    #[cfg(feature = "kv")]
    Memcached,
}

/// The pause between two messages of a client: at least this, and as much again by chance.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause before a lost connection is made again, at most.
const RECONNECT: Duration = Duration::from_secs(1);
/// The longest line.
const LINE_MAX: u64 = 2_000;

/// The clients of one worker.
pub(super) struct Clients {
    targets: Vec<(SocketAddr, Say)>,
    /// Of all workers together.
    count: usize,
    line: Vec<u8>,
}

impl Clients {
    pub(super) fn new(targets: Vec<(SocketAddr, Say)>, count: usize) -> Clients {
        Clients { targets, count, line: Vec::new() }
    }

    fn connect(&self, number: u64, pause: Duration) -> Connect {
        let (target, _) = self.targets[number as usize % self.targets.len()];
        Connect::to(target).tag(number).after(pause)
    }

    /// One message, different each time.
    fn say(&mut self, conn: &mut Conn<'_>, number: u64) {
        let random = conn.random();
        let (_, say) = self.targets[number as usize % self.targets.len()];
        self.line.clear();
        match say {
            Say::Lines => {
                self.line.resize((random % LINE_MAX) as usize, b'.');
                self.line.push(b'\n');
            }
            #[cfg(feature = "kv")]
            Say::Resp => {
                let key = random % 100;
                let command = match random >> 32 & 3 {
                    0 => format!("SET demo:{key} {random}\r\n"),
                    1 => "INCR demo:visits\r\n".into(),
                    _ => format!("GET demo:{key}\r\n"),
                };
                self.line.extend_from_slice(command.as_bytes());
            }
            #[cfg(feature = "kv")]
            Say::Memcached => {
                let key = random % 100;
                let command = match random >> 32 & 1 {
                    0 => format!("set page:{key} 0 60 8\r\n{:08}\r\n", random % 100_000_000),
                    _ => format!("get page:{key}\r\n"),
                };
                self.line.extend_from_slice(command.as_bytes());
            }
        }
        conn.write(&self.line);
        conn.wake_at(conn.now() + pause(random, PAUSE));
    }
}

/// From `least` to twice that.
fn pause(random: u64, least: Duration) -> Duration {
    least + least.mul_f64((random >> 40) as f64 / (1u64 << 24) as f64)
}

impl Service for Clients {
    /// The number of the client.
    type Session = u64;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<u64>) {
        // They are few: one worker makes them all, and they come in at all of them.
        if scope.worker() != 0 || self.targets.is_empty() {
            return;
        }
        for number in 0..self.count as u64 {
            let pause = pause(scope.random(), PAUSE);
            // Refused only by a limit that somebody has set very low: then there are fewer.
            let _ = scope.connect(self.connect(number, pause));
        }
    }

    fn open(&mut self, _: &mut Conn<'_>) -> Result<u64, Close> {
        // Nothing listens for this service.
        Err(Close::Done)
    }

    fn connected(&mut self, conn: &mut Conn<'_>, number: u64) -> Result<u64, Close> {
        self.say(conn, number);
        Ok(number)
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<u64>,
        _: ConnId,
        number: u64,
        _: ConnectError,
    ) {
        // Refused once the server drains.
        let _ = scope.connect(self.connect(number, RECONNECT));
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut u64, input: &mut Input<'_>) -> Result<(), Close> {
        input.take_all();
        Ok(())
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, number: &mut u64) -> Result<(), Close> {
        self.say(conn, *number);
        Ok(())
    }

    fn closed(&mut self, conn: &mut Conn<'_>, number: u64, _: Close) {
        let pause = pause(conn.random(), RECONNECT / 2);
        let _ = conn.connect(self.connect(number, pause));
    }
}
