//! A hub on one port: `cargo run -p windlass-hub --example hub -- 127.0.0.1:1883`.

use windlass::Mailbox;
use windlass_hub::{Hub, HubConfig, HubWatch};

fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1883".into());
    let (mailbox, watch) = (Mailbox::new(), HubWatch::new(1));
    println!("Serving MQTT on {address}");
    windlass::serve(move || Hub::new(HubConfig::default(), &watch))
        .mailbox(&mailbox)
        .tick(Hub::TICK)
        .input_max(2 << 20)
        .workers(1)
        .tcp(address)
        .run()?;
    Ok(())
}
