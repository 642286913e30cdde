//! A server of your own that `redis-cli` can talk to: GET, SET and PING over a map, in 40 lines of service.
//!
//! `cargo run --example resp`, then `redis-cli -p 7006`. The whole of it, with limits, is `windlass resp`.

use std::collections::HashMap;

use windlass::proto::Decode;
use windlass::proto::resp::{Commands, Encoder, RespLimits, Version};
use windlass::{Close, Conn, Input, Service, serve};

#[derive(Default)]
struct Store {
    map: HashMap<Vec<u8>, Vec<u8>>,
    out: Vec<u8>,
}

impl Service for Store {
    type Session = Commands;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Commands, Close> {
        Ok(Commands::new(RespLimits { bulk_max: 64 * 1024, ..RespLimits::default() }))
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        commands: &mut Commands,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        let ends = loop {
            let mut reply = Encoder::new(&mut self.out, Version::Resp2);
            let command = match commands.decode(input) {
                Ok(Some(command)) => command,
                Ok(None) => break Ok(()),
                Err(error) => {
                    reply.error(&format!("ERR {error}"));
                    break Err(error.into());
                }
            };
            let mut args = command.args().skip(1);
            let (key, value) = (args.next(), args.next());
            match (command.name().to_ascii_uppercase().as_slice(), key, value) {
                (b"PING", ..) => reply.simple("PONG"),
                (b"GET", Some(key), None) => match self.map.get(key) {
                    Some(value) => reply.bulk(value),
                    None => reply.null(),
                },
                (b"SET", Some(key), Some(value)) => {
                    self.map.insert(key.into(), value.into());
                    reply.simple("OK");
                }
                _ => reply.error("ERR this server knows PING, GET and SET"),
            }
        };
        conn.write(&self.out);
        self.out.clear();
        ends
    }
}

fn main() -> windlass::Result<()> {
    // One map for all: one worker.
    serve(Store::default).workers(1).tcp("127.0.0.1:7006").run()?;
    Ok(())
}
