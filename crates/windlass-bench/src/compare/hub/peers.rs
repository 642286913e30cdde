//! The brokers: how each is told to do the same as the others.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::super::foreign::{Files, foreign, free_port, is_there, version};
use super::super::peers::{Layout, Peer};

/// mosquitto, which keeps nothing; the first, that ratios are to.
pub(super) const MOSQUITTO: &str = "mosquitto";
/// mosquitto, which writes what it has to disk when it ends.
pub(super) const KEEPS: &str = "mosquitto-saves";
/// Ours, in memory.
pub(super) const OURS: &str = "windlass";
/// Ours, which acknowledges what is on disk.
pub(super) const COMMITS: &str = "windlass-commits";

/// Those of crates.io.
pub(super) const FOREIGN: [&str; 2] = ["rmqtt", "rumqttd"];

/// All of them, in the order of the tables.
pub(super) fn all(layout: &Layout, files: &Files, windlass: Option<&Path>) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    if is_there(MOSQUITTO) {
        peers.push(mosquitto(MOSQUITTO, "which keeps nothing on disk", "persistence false", files)?);
        let folder = files.folder(KEEPS)?;
        // It would become a user who must write there.
        let keep =
            format!("persistence true\npersistence_location {}/\nautosave_interval 0", folder.display());
        peers.push(mosquitto(
            KEEPS,
            "the same, which writes what it has to disk when it ends",
            &keep,
            files,
        )?);
    } else {
        eprintln!("LEFT OUT: there is no mosquitto on PATH (Debian: apt-get install mosquitto)");
    }
    for (name, about) in [
        ("rmqtt", "rmqtt as a library, on one thread of tokio"),
        ("rumqttd", "rumqttd as a library, with its threads (a router, and a runtime for its listener)"),
    ] {
        let program = layout.broker(&format!("peer-{name}"));
        if program.is_file() {
            let port = free_port()?;
            peers.push(foreign(name, about.into(), port, &format!("{} {port}", program.display())));
        } else {
            eprintln!("LEFT OUT: {name} was not built: see benches/peers/brokers");
        }
    }
    let own = layout.windlass().program;
    let program = windlass.unwrap_or(&own);
    let help = Command::new(program).args(["hub", "--help"]).output();
    let help = help.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if help.is_empty() {
        eprintln!("LEFT OUT: {} has no command `hub`", program.display());
        return Ok(peers);
    }
    let peer = |name: &str, about: &str, more: &[&str]| {
        let mut args = vec!["hub", "127.0.0.1:0", "-q", "--queue-max", "100k"];
        args.extend(if help.contains("--workers") { &["--workers", "1"][..] } else { &[] });
        args.extend(more);
        let args = args.into_iter().map(str::to_owned).collect();
        Peer { name: name.into(), about: about.into(), program: program.into(), args }
    };
    peers.push(peer(OURS, "`windlass hub`, one worker, in memory", &[]));
    if help.contains("--data ") {
        let folder = files.folder(COMMITS)?.display().to_string();
        peers.push(peer(COMMITS, "the same, which acknowledges what is on disk", &["--data", &folder]));
    } else {
        eprintln!("LEFT OUT: this `windlass hub` has no --data, so nothing of it is on disk");
    }
    Ok(peers)
}

/// The same with another number of workers.
pub(super) fn with_workers(peer: &Peer, workers: usize) -> Peer {
    let mut args = peer.args.clone();
    match args.iter().position(|arg| arg == "--workers") {
        Some(at) => args[at + 1] = workers.to_string(),
        None => args.extend(["--workers".into(), workers.to_string()]),
    }
    Peer { name: format!("{} --workers {workers}", peer.name), args, ..peer.clone() }
}

fn mosquitto(name: &str, about: &str, keep: &str, files: &Files) -> Result<Peer> {
    let port = free_port()?;
    let user = if rustix::process::geteuid().is_root() { "user root\n" } else { "" };
    let text = format!(
        "{user}listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n\
         sys_interval 0\nlog_dest none\n{keep}\n"
    );
    let file = files.write(&format!("{name}.conf"), &text)?;
    let about = format!("Debian's {}, {about}", version(MOSQUITTO, "-h"));
    Ok(foreign(name, about, port, &format!("mosquitto -c {}", file.display())))
}
