//! A load balancer for HTTP: `cargo run --release --example http -- 127.0.0.1:8080 127.0.0.1:8081 127.0.0.1:8082`
//! listens on the first address and passes requests on to the others.

use windlass_proxy::{Backend, Front, ProxyConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut addresses = std::env::args().skip(1);
    let listen = addresses.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let mut config = ProxyConfig::default();
    for backend in addresses {
        config = config.backend(Backend::at(backend.parse()?));
    }
    Front::new(config)?.serve_http().workers(1).tcp(&*listen).run()?;
    Ok(())
}
