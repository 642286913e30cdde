//! A client of the tally server: `ask ADDRESS NAME TIMES` counts a name up so many times, one request after
//! the other, through any number of lost connections.

use std::sync::{Arc, OnceLock};

use windlass::proto::Decode;
use windlass::proto::framing::LengthField;
use windlass::{Close, Conn, ConnId, Connect, ConnectError, Handle, Input, Reconnect};
use windlass::{Remote, Scope, Service, Sessions, serve};

// ANCHOR: client
struct Ask {
    server: Remote,
    reconnect: Reconnect,
    request: Vec<u8>,
    left: u32,
    stop: Arc<OnceLock<Handle>>,
}

impl Service for Ask {
    type Session = LengthField;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<LengthField>) {
        scope.connect(Connect::to(self.server.clone())).expect("one connection is within every limit");
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<LengthField, Close> {
        self.reconnect.connected(conn.now());
        conn.write(&self.request);
        Ok(LengthField::be(2).max(10))
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        frames: &mut LengthField,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        while let Some(reply) = frames.decode(input)? {
            println!("{}", u64::from_be_bytes((&*reply).try_into()?));
            self.left -= 1;
            if self.left == 0 {
                return Err(Close::Done);
            }
            conn.write(&self.request);
        }
        Ok(())
    }
    // ANCHOR_END: client

    // ANCHOR: again
    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<LengthField>,
        _: ConnId,
        _: u64,
        why: ConnectError,
    ) {
        eprintln!("{why}");
        let pause = self.reconnect.failed(scope.now(), scope.random());
        // Refused only once the client is stopping.
        let _ = scope.connect(Connect::to(self.server.clone()).after(pause));
    }

    fn closed(&mut self, conn: &mut Conn<'_>, _: LengthField, why: Close) {
        if let Close::Done = why {
            self.stop.get().expect("set before it runs").shutdown();
            return;
        }
        eprintln!("{why}");
        let pause = self.reconnect.failed(conn.now(), conn.random());
        let _ = conn.connect(Connect::to(self.server.clone()).after(pause));
    }
}
// ANCHOR_END: again

// ANCHOR: main
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, name, times] = &words[..] else { return Err("ask ADDRESS NAME TIMES".into()) };
    let server = Remote::Tcp(address.parse()?);
    let request = [&(name.len() as u16 + 1).to_be_bytes(), &b"+"[..], name.as_bytes()].concat();
    let left = times.parse()?;

    let stop = Arc::new(OnceLock::new());
    let in_service = stop.clone();
    let make = move || Ask {
        server: server.clone(),
        reconnect: Reconnect::default(),
        request: request.clone(),
        left,
        stop: in_service.clone(),
    };
    let bound = serve(make).workers(1).bind()?;
    let _ = stop.set(bound.handle());
    bound.run()?;
    Ok(())
}
// ANCHOR_END: main
