//! The dashboard, in a browser, of a real server with traffic on it. Pictures for people are left in
//! `target/screenshots`. Read `browser` for how the browser is driven.

pub(crate) mod browser;
#[cfg(all(target_os = "linux", feature = "realtime"))]
mod games;
#[cfg(feature = "hub")]
mod hub;
mod look;
mod orders;
#[cfg(feature = "proxy")]
mod proxies;
mod turn;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::served::free_port;
use crate::server::*;
use browser::Browser;

/// A server with an echo service and an admin address, from a file in a folder of its own.
struct Observed {
    server: Server,
    folder: PathBuf,
    admin: String,
}

impl Drop for Observed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Observed {
    /// `more` goes behind the address in `[admin]`.
    fn start(name: &str, more: &str) -> Observed {
        let folder = std::env::temp_dir().join(format!("windlass-observed-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // A port that stays the same over a restart.
        let port = free_port();
        let text = format!(
            "[server]\nworkers = 2\ncontrol = \"{}\"\n[admin]\nlisten = \"127.0.0.1:{port}\"\n{more}\n\
             [[echo]]\nname = \"greeter\"\nlisten = [\"127.0.0.1:0\", \"unix:{}\"]\n",
            folder.join("control").display(),
            folder.join("echo.sock").display()
        );
        fs::write(folder.join("windlass.toml"), text).unwrap();
        let admin = format!("http://127.0.0.1:{port}");
        Observed { server: serve(&folder), folder, admin }
    }

    /// Starts another, at the same address: a successor, if the one before is still there. That is returned.
    fn again(&mut self) -> Server {
        let server = serve(&self.folder);
        std::mem::replace(&mut self.server, server)
    }

    fn url(&self) -> String {
        format!("{}/", self.admin)
    }
}

fn serve(folder: &std::path::Path) -> Server {
    Server::command(&["run", "-c", folder.join("windlass.toml").to_str().unwrap()])
}

/// Clients that say something and hear it back, until they are dropped.
struct Traffic {
    over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Traffic {
    fn start(address: &str, clients: usize) -> Traffic {
        let over = Arc::new(AtomicBool::new(false));
        let address: SocketAddr = address.parse().unwrap();
        let client = |n: usize| {
            let over = over.clone();
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(LONG)).unwrap();
                let message = vec![b'x'; 100 << (n % 8)];
                let mut back = vec![0; message.len()];
                // The server may go away: then so does the client.
                while !over.load(Ordering::Relaxed)
                    && stream.write_all(&message).and_then(|()| stream.read_exact(&mut back)).is_ok()
                {
                    thread::sleep(Duration::from_millis(3 + 2 * n as u64));
                }
            })
        };
        let threads = (0..clients).map(client).collect();
        Traffic { over, threads }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A browser that looks at a server.
fn watch(name: &str, more: &str) -> Option<(Observed, Browser)> {
    let mut browser = Browser::start(name)?;
    let observed = Observed::start(name, more);
    browser.look(1280, 900, "light");
    browser.open(&observed.url());
    Some((observed, browser))
}

const LIVE: &str = "document.body.dataset.live === 'live'";
