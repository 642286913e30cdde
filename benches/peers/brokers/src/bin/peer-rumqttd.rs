//! rumqttd as a library: `peer-rumqttd PORT` serves MQTT 3.1.1 there, on loopback. It says nothing.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

fn main() -> Result<()> {
    let port: u16 = std::env::args().nth(1).context("which port?")?.parse()?;
    let connections = ConnectionSettings {
        connection_timeout_ms: 60_000,
        max_payload_size: 1 << 20,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let settings = ServerSettings {
        name: "v4".into(),
        listen: SocketAddr::from(([127, 0, 0, 1], port)),
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    // As in the file that it comes with, but for as many clients as are measured.
    let router = RouterConfig {
        max_connections: 20_000,
        max_outgoing_packet_count: 200,
        max_segment_size: 104_857_600,
        max_segment_count: 10,
        ..RouterConfig::default()
    };
    let config =
        Config { router, v4: Some(HashMap::from([("1".to_owned(), settings)])), ..Config::default() };
    Broker::new(config).start().context("rumqttd does not start")
}
