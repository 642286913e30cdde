//! rmqtt as a library on one thread: `peer-rmqtt PORT` serves MQTT there, on loopback. It says nothing.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use anyhow::{Context as _, Result, anyhow};
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::server::MqttServer;

fn main() -> Result<()> {
    let port: u16 = std::env::args().nth(1).context("which port?")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(port)).map_err(|error| anyhow!("{error}"))
}

async fn serve(port: u16) -> rmqtt::Result<()> {
    let context = ServerContext::new().build().await;
    let listener = Builder::new()
        .name("tcp")
        .laddr(SocketAddr::from(([127, 0, 0, 1], port)))
        .allow_anonymous(true)
        .nodelay(true)
        .backlog(1024)
        .max_connections(20_000)
        .max_handshaking_limit(20_000)
        .max_inflight(NonZeroU16::MAX)
        .max_mqueue_len(10_000)
        .bind()?
        .tcp()?;
    MqttServer::new(context).listener(listener).build().run().await
}
