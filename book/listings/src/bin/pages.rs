//! The server of pages on windlass: each byte asks for one page. Ctrl-C drains it.

use windlass::{Bytes, Close, Conn, Input, Service, serve};

const PAGE: usize = 16 * 1024 * 1024;

// ANCHOR: service
struct Pages {
    page: Bytes,
}

impl Service for Pages {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        while !conn.is_congested() && input.skip(1) == 1 {
            conn.write_shared(self.page.clone());
        }
        Ok(())
    }
}
// ANCHOR_END: service

// ANCHOR: main
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let page = Bytes::from(vec![b'.'; PAGE]);
    let bound = serve(move || Pages { page: page.clone() }).workers(1).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);

    // A signal writes a byte into `there`; the first worker reads it and drains the server.
    let (here, there) = std::os::unix::net::UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, there.try_clone()?)?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGTERM, there)?;
    bound.stop_pipe(here).run()?;
    Ok(())
}
// ANCHOR_END: main
