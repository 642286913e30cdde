//! The proxies: how each is told to do the same as the others.

use anyhow::Result;

use super::super::foreign::{Files, foreign, free_port, is_there, stream_module, version};
use super::super::peers::{Layout, Peer};
use super::super::server::Server;
use super::Passes;
use crate::args::Target;

/// The name of our proxy.
pub(super) const OURS: &str = "windlass";
/// Of ours for HTTP, if backends are not told who asks.
pub(super) const OURS_PLAIN: &str = "windlass-plain";

/// The servers behind the proxies.
pub(super) struct Upstream {
    tcp: Server,
    http: Server,
    udp: Server,
}

impl Upstream {
    pub(super) fn start(layout: &Layout, core: Option<usize>) -> Result<Upstream> {
        let ours = layout.windlass().program;
        let peer = |name: &str, program: &std::path::Path, args: &[&str]| Peer {
            name: name.into(),
            about: String::new(),
            program: program.into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        };
        // Never so late that it refuses anybody: whoever did would be taken for the proxy.
        let more = ["-q", "--workers", "1", "--limit", "overload_lag_max=0"];
        let echo = [&["echo", "127.0.0.1:0"], &more[..]].concat();
        let datagrams = [&["echo", "udp:127.0.0.1:0"], &more[..]].concat();
        let bench = std::env::current_exe()?;
        Ok(Upstream {
            tcp: Server::start(&peer("echo server", &ours, &echo), core, false, &[])?,
            http: Server::start(&peer("origin", &bench, &["origin"]), core, false, &[])?,
            udp: Server::start(&peer("echo server", &ours, &datagrams), core, false, &[])?,
        })
    }

    fn address(&self, passes: Passes) -> String {
        let server = match passes {
            Passes::Tcp => &self.tcp,
            Passes::Http => &self.http,
            Passes::Udp => &self.udp,
        };
        match &server.target {
            Target::Tcp(addr) | Target::Udp(addr) => addr.to_string(),
            Target::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

/// The proxies that pass this on, in the order of the tables: the first is what ratios refer to. `windlass` is
/// binaries of ours as `[NAME=]PATH`, if not the workspace's.
pub(super) fn all(
    passes: Passes,
    layout: &Layout,
    files: &Files,
    upstream: &Upstream,
    windlass: &[String],
) -> Result<Vec<Peer>> {
    let to = upstream.address(passes);
    let mut peers = Vec::new();
    if !is_there("haproxy") {
        eprintln!("LEFT OUT: there is no haproxy on PATH (Debian: apt-get install haproxy)");
    } else if passes != Passes::Udp {
        peers.extend(haproxy(passes, files, &to)?);
    }
    if is_there("nginx") {
        peers.extend(nginx(passes, files, &to)?);
    } else {
        eprintln!("LEFT OUT: there is no nginx on PATH (Debian: apt-get install nginx libnginx-mod-stream)");
    }
    if passes != Passes::Udp {
        peers.extend(built(passes, layout, &to)?);
    }
    let own = [layout.windlass().program.display().to_string()];
    for given in if windlass.is_empty() { &own } else { windlass } {
        let (name, program) = given.split_once('=').unwrap_or((OURS, given));
        let (mode, listen) = match passes {
            Passes::Tcp => (None, "127.0.0.1:0"),
            Passes::Http => (Some("http"), "127.0.0.1:0"),
            Passes::Udp => (Some("udp"), "127.0.0.1:0"),
        };
        let mut args = vec!["proxy", "--listen", listen, "--to", &to, "--workers", "1", "-q"];
        args.extend(mode.into_iter().flat_map(|mode| ["--mode", mode]));
        let about = mode.map_or("`windlass proxy`".into(), |mode| format!("`windlass proxy --mode {mode}`"));
        let tells = if passes == Passes::Http { ", which tells `X-Forwarded-*`" } else { "" };
        peers.push(Peer {
            name: name.into(),
            about: format!("{about}, one worker, as it is{tells}"),
            program: program.into(),
            args: args.into_iter().map(str::to_owned).collect(),
        });
        if passes == Passes::Http {
            peers.push(untold(name, program, files, &to)?);
        }
    }
    Ok(peers)
}

/// Ours for HTTP, if backends are not told who asks.
fn untold(name: &str, program: &str, files: &Files, to: &str) -> Result<Peer> {
    let text = format!(
        "[server]\nworkers = 1\n[[proxy]]\nmode = \"http\"\nlisten = \"127.0.0.1:0\"\nto = \"{to}\"\n\
         [proxy.http]\nforwarded = \"off\"\nrequest_timeout = \"2m\"\n"
    );
    let file = files.write(&format!("{name}-plain.toml"), &text)?;
    Ok(Peer {
        name: format!("{name}-plain"),
        about: "the same with `forwarded = \"off\"`".into(),
        program: program.into(),
        args: ["run", "-q", "-c", &file.display().to_string()].map(str::to_owned).into(),
    })
}

/// Those of `benches/proxies` that were built: Pingora and Sozu, which are libraries.
fn built(passes: Passes, layout: &Layout, to: &str) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for (name, package, version_of, about) in [
        ("pingora", PINGORA, "pingora-core", "Pingora, one thread"),
        ("sozu", SOZU, "sozu-lib", "Sozu, one worker"),
    ] {
        let Some(program) = layout.proxy(package) else {
            eprintln!("LEFT OUT: {name} was not built: --build-proxies builds it, which takes some minutes");
            continue;
        };
        let version = layout.locked(version_of).unwrap_or_default();
        let more = match (passes, name) {
            (Passes::Http, _) => "",
            (_, "pingora") => ", tokio's `copy_bidirectional` between its streams, 64 KiB each way",
            _ => ", buffers of 16 KiB, with its feature `splice`",
        };
        let mode = if passes == Passes::Http { "http" } else { "tcp" };
        let mut add = |name: String, about: String, told: &[&str]| -> Result<()> {
            let listen = format!("127.0.0.1:{}", free_port()?);
            let args = [&[mode, &listen, to], told].concat();
            let args = args.into_iter().map(str::to_owned).collect();
            peers.push(Peer { name, about, program: program.clone(), args });
            Ok(())
        };
        add(name.into(), format!("{about}, {version}{more}"), &[])?;
        if passes == Passes::Http {
            add(format!("{name}-told"), "the same, which tells `X-Forwarded-*`".into(), &["--told"])?;
        }
    }
    Ok(peers)
}

/// The packages of `benches/proxies`.
const PINGORA: &str = "proxy-pingora";
const SOZU: &str = "proxy-sozu";
pub(super) const BUILT: [&str; 2] = [PINGORA, SOZU];

/// Who is tried beside slow clients: each in one way, and such that it waits for a head for two minutes.
pub(super) fn beside_slow_ones(passes: Passes) -> [&'static str; 5] {
    match passes {
        Passes::Http => ["haproxy", "nginx", "pingora", "sozu", OURS_PLAIN],
        _ => ["haproxy-16K", "nginx", "pingora", "sozu", OURS],
    }
}

/// For TCP with buffers of 256 KiB, with those it has by itself, and with splice. For HTTP without and with telling
/// the backend what windlass tells it unless it is told otherwise; larger buffers make that dearer.
fn haproxy(passes: Passes, files: &Files, to: &str) -> Result<Vec<Peer>> {
    let ways = match passes {
        Passes::Http => vec![
            ("haproxy", 16_384, SHARED, "`http-reuse always`".to_owned()),
            ("haproxy-told", 16_384, TOLD_BY_HAPROXY, "the same, which tells `X-Forwarded-*`".to_owned()),
        ],
        _ => vec![
            ("haproxy-256K", 262_144, "", "`tune.bufsize 262144`".to_owned()),
            ("haproxy-16K", 16_384, "", "its default buffers of 16 KiB".to_owned()),
            ("haproxy-splice", 16_384, "option splice-auto", "`option splice-auto`".to_owned()),
        ],
    };
    let mode = if passes == Passes::Http { "http" } else { "tcp" };
    let mut peers = Vec::new();
    for (name, bufsize, more, about) in ways {
        let port = free_port()?;
        let text = format!(
            "global\n nbthread 1\n maxconn 7000\n tune.bufsize {bufsize}\ndefaults\n mode {mode}\n \
             timeout connect 5s\n timeout client 120s\n timeout server 120s\nlisten all\n {more}\n \
             bind 127.0.0.1:{port} backlog 4096\n server upstream {to}\n"
        );
        let file = files.write(&format!("{name}-{mode}.cfg"), &text)?;
        let about = format!("{}, `mode {mode}`, one thread, {about}", version("haproxy", "-v"));
        peers.push(foreign(name, about, port, &format!("haproxy -f {}", file.display())));
    }
    Ok(peers)
}

/// Connections to the server are shared by all clients, as windlass' are.
const SHARED: &str = "http-reuse always";
/// The same, and the server is told who asks, in the same four headers as by windlass.
const TOLD_BY_HAPROXY: &str = "http-reuse always\n option forwardfor\n \
    http-request set-header X-Forwarded-Proto http\n http-request set-header X-Forwarded-Host %[req.hdr(host)]\n \
    http-request set-header X-Forwarded-Port %[dst_port]";
const TOLD_BY_NGINX: &str = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; \
    proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host; \
    proxy_set_header X-Forwarded-Port $server_port;";

/// For HTTP without and with telling the backend who asks, as HAProxy.
fn nginx(passes: Passes, files: &Files, to: &str) -> Result<Vec<Peer>> {
    let mut peers = vec![one_nginx("nginx", passes, files, to, "")?];
    if passes == Passes::Http {
        let told = one_nginx("nginx-told", passes, files, to, TOLD_BY_NGINX)?;
        peers.push(Peer { about: "the same, which tells `X-Forwarded-*`".into(), ..told });
    }
    Ok(peers)
}

fn one_nginx(name: &str, passes: Passes, files: &Files, to: &str, more: &str) -> Result<Peer> {
    let port = free_port()?;
    let (begin, block, about) = match passes {
        Passes::Tcp => (
            stream_module(),
            format!(
                "stream {{ server {{ listen 127.0.0.1:{port} backlog=4096; proxy_pass {to}; proxy_timeout 120s; }} }}"
            ),
            "stream module, its default buffers of 16 KiB",
        ),
        // What is asked whether it listens is a TCP port, which has to be one of its own.
        Passes::Udp => (
            stream_module(),
            format!(
                "stream {{ server {{ listen 127.0.0.1:{port} udp; proxy_pass {to}; proxy_timeout 120s; }} \
                 server {{ listen 127.0.0.1:{port}; return \"\"; }} }}"
            ),
            "stream module",
        ),
        Passes::Http => (
            String::new(),
            format!(
                "http {{ access_log off; client_header_timeout 120s; upstream all {{ server {to}; keepalive 64; keepalive_requests 100000000; }} \
                 server {{ listen 127.0.0.1:{port} backlog=4096; keepalive_requests 100000000; \
                 proxy_max_temp_file_size 0; \
                 location / {{ proxy_pass http://all; proxy_http_version 1.1; proxy_set_header Connection \"\"; {more} }} }} }}"
            ),
            "`proxy_http_version 1.1`, `keepalive 64`, no access log, no temporary files",
        ),
    };
    let as_file = format!("{name}-{}", passes.title());
    let text = format!(
        "{begin}worker_processes 1;\ndaemon off;\nmaster_process off;\npid {pid};\nerror_log stderr crit;\n\
         events {{ worker_connections 18000; }}\n{block}\n",
        pid = files.path(&format!("{as_file}.pid")).display()
    );
    let file = files.write(&format!("{as_file}.conf"), &text)?;
    let about = format!("{}, one process, {about}", version("nginx", "-v"));
    Ok(foreign(name, about, port, &format!("nginx -c {}", file.display())))
}
