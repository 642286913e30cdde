//! `proxy-sozu tcp|http LISTEN UPSTREAM [--told]`: one worker of Sozu in front of one server.
//!
//! It is the worker that Sozu's own program starts in a process of its own, without the process that gives it
//! orders: those are given here, once. Nothing is logged.

use std::net::SocketAddr;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use sozu_command_lib::channel::Channel;
use sozu_command_lib::config::{ForwardedHeadersMode, ListenerBuilder};
use sozu_command_lib::proto::command::request::RequestType;
use sozu_command_lib::proto::command::{
    AddBackend, Cluster, LoadBalancingParams, PathRule, RequestHttpFrontend, RequestTcpFrontend,
    ResponseStatus, RulePosition, TcpListenerConfig, WorkerRequest, WorkerResponse,
};

/// Two for each connection of a client, of which 7,000 are to fit.
const BUFFERS_MAX: usize = 14_000;
/// What its manual says, and what others here have by themselves.
const BUFFER_SIZE: usize = 16_393;
const CLUSTER: &str = "all";
/// What requests are for: it has to be told.
const HOST: &str = "localhost";

/// What gives orders, and what takes them.
type Orders = Channel<WorkerRequest, WorkerResponse>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let (mode, listen, upstream, is_told) = match words.as_slice() {
        [mode, listen, upstream] => (*mode, *listen, *upstream, false),
        [mode, listen, upstream, "--told"] => (*mode, *listen, *upstream, true),
        _ => bail!("usage: proxy-sozu tcp|http LISTEN UPSTREAM [--told]"),
    };
    let listen: SocketAddr = listen.parse().context("LISTEN is no address")?;
    let upstream: SocketAddr = upstream.parse().context("UPSTREAM is no address")?;
    let (mut orders, worker) = Channel::generate(1_000, 100_000).context("no channel")?;
    let frontend = match mode {
        "tcp" => RequestType::AddTcpFrontend(RequestTcpFrontend {
            cluster_id: CLUSTER.into(),
            address: listen.into(),
            ..RequestTcpFrontend::default()
        }),
        "http" => RequestType::AddHttpFrontend(RequestHttpFrontend {
            cluster_id: Some(CLUSTER.into()),
            address: listen.into(),
            hostname: HOST.into(),
            path: PathRule::prefix("/"),
            position: RulePosition::Pre.into(),
            ..RequestHttpFrontend::default()
        }),
        _ => bail!("`{mode}` is neither `tcp` nor `http`"),
    };
    thread::spawn(move || match configure(&mut orders, frontend, upstream) {
        // The channel stays open for as long as the worker is to run.
        Ok(()) => {
            println!("Listening on {listen}");
            loop {
                thread::park();
            }
        }
        Err(error) => {
            eprintln!("{error:#}");
            std::process::exit(1);
        }
    });
    if mode == "tcp" {
        let listener = TcpListenerConfig {
            address: listen.into(),
            front_timeout: 120,
            back_timeout: 120,
            ..TcpListenerConfig::default()
        };
        return sozu_lib::tcp::testing::start_tcp_worker(listener, BUFFERS_MAX, BUFFER_SIZE, worker);
    }
    let mut listener = ListenerBuilder::new_http(listen.into());
    // There are clients that take their time.
    listener.with_request_timeout(Some(120)).with_front_timeout(Some(120));
    listener.with_forwarded_headers(if is_told {
        ForwardedHeadersMode::XForwarded
    } else {
        ForwardedHeadersMode::None
    });
    let listener = listener.to_http(None)?;
    sozu_lib::http::testing::start_http_worker(listener, worker, BUFFERS_MAX, BUFFER_SIZE)
}

/// Tells the worker where to, and hears that it has understood.
fn configure(orders: &mut Orders, frontend: RequestType, upstream: SocketAddr) -> Result<()> {
    let all = [
        RequestType::AddCluster(Cluster { cluster_id: CLUSTER.into(), ..Cluster::default() }),
        frontend,
        RequestType::AddBackend(AddBackend {
            cluster_id: CLUSTER.into(),
            backend_id: "upstream".into(),
            address: upstream.into(),
            load_balancing_parameters: Some(LoadBalancingParams::default()),
            ..AddBackend::default()
        }),
    ];
    for (n, content) in all.into_iter().enumerate() {
        orders.write_message(&WorkerRequest { id: n.to_string(), content: content.into() })?;
        let answer = orders.read_message()?;
        ensure!(answer.status == ResponseStatus::Ok as i32, "Sozu refuses order {n}: {}", answer.message);
    }
    Ok(())
}
