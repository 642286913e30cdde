//! The echo server behind TLS: `cargo run --example tls_echo -- chain.pem key.pem`, then
//! `openssl s_client -connect 127.0.0.1:7443`.

use windlass::{Close, Conn, Input, Service, TlsIdentity, TlsServer, serve};

struct Echo;

impl Service for Echo {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        if let Some(tls) = conn.tls() {
            println!("{} speaks {} with {}", conn.peer(), tls.version(), tls.cipher_suite());
        }
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

fn main() -> windlass::Result<()> {
    let mut files = std::env::args().skip(1);
    let (chain, key) = (files.next().unwrap_or_default(), files.next().unwrap_or_default());
    let tls = TlsServer::new(TlsIdentity::from_files(chain, key)?).build()?;
    serve(|| Echo).tls("127.0.0.1:7443", &tls).run().map(drop)
}
