//! A hub on one port: `cargo run -p windlass-hub --example hub -- 127.0.0.1:1883`. With a folder behind it, what was
//! acknowledged outlives the process: `.. --example hub -- 127.0.0.1:1883 data`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the whole program: it has a clock and a lock"
)]

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use windlass::{Mailbox, Offload, OffloadConfig};
use windlass_hub::journal::{Folder, Log, LogConfig};
use windlass_hub::{Hub, HubConfig, HubWatch};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:1883".into());
    let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let log = match args.next() {
        Some(folder) => Some(Log::open(Folder::open(folder)?, LogConfig::default(), unix_ms)?),
        None => None,
    };
    // One worker takes it all.
    let log = Mutex::new(log);
    let (mailbox, watch) = (Mailbox::new(), HubWatch::new(1));
    let pool = Offload::new(OffloadConfig { threads: 1, name: "journal".into(), ..OffloadConfig::default() });
    let (in_hub, commits) = (mailbox.clone(), pool.clone());
    println!("Serving MQTT on {address}");
    windlass::serve(move || {
        let hub = Hub::new(HubConfig::default().unix_ms(unix_ms), &watch);
        match log.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((log, recovered)) => hub.journal(log.journal(0), Some(recovered), &in_hub, &commits),
            None => hub,
        }
    })
    .mailbox(&mailbox)
    .offload(&pool)
    .tick(Hub::TICK)
    .input_max(2 << 20)
    .workers(1)
    .tcp(address)
    .run()?;
    Ok(())
}
