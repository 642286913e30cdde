//! The echo server behind TLS, with a certificate from `cert.pem` and its key from `key.pem`.

use windlass::{Close, Conn, Input, Service, TlsIdentity, TlsServer, serve};

struct Echo;

impl Service for Echo {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let tls = conn.tls().ok_or(Close::Refused)?;
        println!("{} with {}", tls.version(), tls.cipher_suite());
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

// ANCHOR: main
fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let identity = TlsIdentity::from_files("cert.pem", "key.pem")?;
    let tls = TlsServer::new(identity).build()?;
    let bound = serve(|| Echo).workers(1).tls(address, &tls).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
// ANCHOR_END: main
