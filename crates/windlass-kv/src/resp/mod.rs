//! RESP: sessions and commands.

use windlass::proto::{Decode, Lines};
use windlass::{Close, Conn, Input};

use crate::store::Store;

/// What all connections that speak RESP share.
#[derive(Default)]
pub(crate) struct Resp {
    commands: u64,
}

/// The state of one connection.
pub(crate) struct Session {
    lines: Lines,
}

impl Resp {
    pub(crate) fn commands(&self) -> u64 {
        self.commands
    }

    pub(crate) fn open(&mut self, _: &mut Conn<'_>) -> Session {
        Session { lines: Lines::default() }
    }

    pub(crate) fn data(
        &mut self,
        _: &mut Store,
        conn: &mut Conn<'_>,
        session: &mut Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        while let Some(line) = session.lines.decode(input)? {
            self.commands += 1;
            if line.eq_ignore_ascii_case(b"PING") {
                conn.write(b"+PONG\r\n");
            } else {
                conn.write(b"-ERR unknown command\r\n");
            }
        }
        Ok(())
    }
}
