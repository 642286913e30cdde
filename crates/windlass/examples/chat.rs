//! A line chat in 40 lines: `cargo run --example chat`, then `nc 127.0.0.1 7001` more than once.

use windlass::proto::{Decode, Lines};
use windlass::{Close, Conn, Input, Service, serve};

struct Chat;
struct Member {
    lines: Lines,
    name: Option<String>,
}

impl Service for Chat {
    type Session = Member;
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Member, Close> {
        conn.write(b"Your name? ");
        Ok(Member { lines: Lines::max(1024), name: None })
    }
    fn data(&mut self, conn: &mut Conn<'_>, member: &mut Member, input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(line) = member.lines.decode(input)? {
            let line = String::from_utf8_lossy(line);
            match &member.name {
                Some(_) if line == "/quit" => return Err(Close::Done),
                Some(name) => conn.broadcast(format!("{name}: {line}\n").as_bytes()),
                None => {
                    conn.broadcast(format!("* {line} joined\n").as_bytes());
                    member.name = Some(line.into_owned());
                }
            }
        }
        Ok(())
    }
    fn closed(&mut self, conn: &mut Conn<'_>, member: Member, _: Close) {
        if let Some(name) = member.name {
            conn.broadcast(format!("* {name} left\n").as_bytes());
        }
    }
}

fn main() -> windlass::Result<()> {
    // One worker, since a broadcast reaches the members of one worker.
    serve(|| Chat).workers(1).tcp("127.0.0.1:7001").run().map(drop)
}
