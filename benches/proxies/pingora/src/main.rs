//! `proxy-pingora tcp|http LISTEN UPSTREAM [--told]`: Pingora with one thread in front of one server.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::connectors::TransportConnector;
use pingora_core::listeners::Listeners;
use pingora_core::protocols::Stream;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{Server, ShutdownWatch};
use pingora_core::services::listening::Service;
use pingora_core::upstreams::peer::{BasicPeer, HttpPeer};
use pingora_http::RequestHeader;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};
use tokio::io::copy_bidirectional_with_sizes;

/// Bytes for each direction, as tokio's echo server of the other comparison has them.
const BUFFER: usize = 64 * 1024;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let (mode, listen, upstream, is_told) = match words.as_slice() {
        [mode, listen, upstream] => (*mode, *listen, *upstream, false),
        [mode, listen, upstream, "--told"] => (*mode, *listen, *upstream, true),
        _ => bail!("usage: proxy-pingora tcp|http LISTEN UPSTREAM [--told]"),
    };
    let address: SocketAddr = listen.parse().context("LISTEN is no address")?;
    let upstream: SocketAddr = upstream.parse().context("UPSTREAM is no address")?;
    // One thread for each service is what it has by itself; said, because that is what is compared.
    let config = ServerConf { threads: 1, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, config);
    server.bootstrap();
    match mode {
        "tcp" => {
            let upstream = BasicPeer::new(&upstream.to_string());
            let relay = Relay { connector: TransportConnector::new(None), upstream };
            server.add_service(Service::with_listeners("relay".into(), Listeners::tcp(listen), relay));
        }
        "http" => {
            let requests = Requests { upstream, port: address.port().to_string(), is_told };
            let mut service = http_proxy_service(&server.configuration, requests);
            service.add_tcp(listen);
            server.add_service(service);
        }
        _ => bail!("`{mode}` is neither `tcp` nor `http`"),
    }
    // It does not tell when it listens.
    thread::spawn(move || {
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        println!("Listening on {address}");
    });
    server.run_forever()
}

/// Passes on bytes.
struct Relay {
    connector: TransportConnector,
    upstream: BasicPeer,
}

#[async_trait]
impl ServerApp for Relay {
    async fn process_new(self: &Arc<Self>, mut client: Stream, _: &ShutdownWatch) -> Option<Stream> {
        let mut upstream = self.connector.new_stream(&self.upstream).await.ok()?;
        // Whoever goes in the middle of it is gone; there is nobody to tell.
        let _ = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER).await;
        None
    }
}

/// Passes on requests.
struct Requests {
    upstream: SocketAddr,
    /// Where it listens.
    port: String,
    /// Whether the server behind is told who asks, in the same four headers as by windlass.
    is_told: bool,
}

#[async_trait]
impl ProxyHttp for Requests {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora_core::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> pingora_core::Result<()> {
        if !self.is_told {
            return Ok(());
        }
        let from = session.client_addr().and_then(|from| from.as_inet()).map(|from| from.ip().to_string());
        request.append_header("X-Forwarded-For", from.unwrap_or_default())?;
        request.insert_header("X-Forwarded-Proto", "http")?;
        if let Some(host) = request.headers.get("host").cloned() {
            request.insert_header("X-Forwarded-Host", host)?;
        }
        request.insert_header("X-Forwarded-Port", self.port.as_str())
    }
}
