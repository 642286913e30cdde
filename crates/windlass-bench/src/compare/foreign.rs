//! Servers of others, from the system's packages: their configuration files, and how they are started.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};

use anyhow::{Context as _, Result, ensure};

use super::peers::Peer;

/// Where Debian puts nginx' stream module, if it is a file of its own.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
/// The line with which nginx loads its stream module; none if that is built in.
pub(super) fn stream_module() -> String {
    if Path::new(STREAM_MODULE).is_file() { format!("load_module {STREAM_MODULE};\n") } else { String::new() }
}

/// A server that does not say when it listens: the shell in front of it does, and then becomes it.
pub(super) fn foreign(name: &str, about: String, port: u16, command: &str) -> Peer {
    let script = format!(
        "( (for n in $(seq 2000); do (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && \
         echo Listening on 127.0.0.1:{port} && break; sleep 0.05; done) & ); exec {command}"
    );
    Peer { name: name.into(), about, program: "bash".into(), args: vec!["-c".into(), script] }
}

pub(super) fn is_there(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// The first words of what a program says of its version, on whichever output.
pub(super) fn version(program: &str, option: &str) -> String {
    let output = Command::new(program).arg(option).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let first = text.lines().next().unwrap_or(program).trim_start_matches("nginx version: ");
    first.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// A port that nobody had a moment ago, another one each time. It is below those that connections get for their own
/// end, of which thousands may be open when the server is started.
pub(super) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 8_000) as u16;
    loop {
        let port = first + NEXT.fetch_add(1, Relaxed);
        ensure!(port < 32_768, "no port is free");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
}

/// A folder for configuration files, gone when dropped.
pub(super) struct Files(PathBuf);

impl Files {
    pub(super) fn new() -> Result<Files> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("windlass-bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder)?;
        Ok(Files(folder))
    }

    /// A folder in it.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Files in the system's temporary folder do no harm if they stay.
        let _ = fs::remove_dir_all(&self.0);
    }
}
