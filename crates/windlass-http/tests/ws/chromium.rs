//! A page in a browser: chromium, headless, with and without compression.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, thread};

use windlass::{Close, Peer, serve};
use windlass_http::ws::{Accept, Message, Upgrade, Ws, WsConfig, WsServer, WsServerConfig, WsService};
use windlass_proto::http::Status;
use windlass_proto::ws::Compression;

/// Sends texts and bytes of many lengths, and tells what came back.
const PAGE: &str = r#"<!doctype html><title>test</title><script>
const lengths = [0, 1, 125, 126, 1000, 65535, 65536, 300000];
const socket = new WebSocket(`ws://${location.host}/`, ["other", "echo"]);
socket.binaryType = "arraybuffer";
const fail = (what) => { socket.send("RESULT " + what); socket.close(); };
let sent = 0;
const next = () => {
  if (sent === 2 * lengths.length) return fail(`good ${socket.protocol} ${socket.extensions}`);
  const length = lengths[sent >> 1];
  const text = "\u00e9\u20ac".repeat(length / 2);
  const bytes = new Uint8Array(length).map((_, n) => n * n);
  const message = sent++ % 2 ? bytes : text;
  socket.onmessage = ({ data }) => {
    if (message === text ? data !== text : new Uint8Array(data).join() !== bytes.join()) return fail(`bad ${sent}`);
    next();
  };
  socket.send(message);
};
socket.onopen = next;
</script>"#;

struct Echo {
    results: mpsc::Sender<String>,
}

impl WsService for Echo {
    type Session = ();
    fn accept(&mut self, _: &Upgrade<'_, '_>, _: Peer) -> Result<Accept<()>, Status> {
        Ok(Accept::new(()).protocol("echo"))
    }
    fn message(&mut self, ws: &mut Ws<'_, '_>, _: &mut (), message: Message<'_>) -> Result<(), Close> {
        match message {
            Message::Text(text) if text.starts_with("RESULT ") => {
                drop(self.results.send(text[7..].to_owned()))
            }
            message => _ = ws.send(message),
        }
        Ok(())
    }
}

/// The browser and its profile, gone with the test.
struct Browser {
    child: Child,
    home: PathBuf,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.is_file())
}

fn browse(program: &Path, name: &str, url: &str) -> Browser {
    let home = env::temp_dir().join(format!("windlass-{name}-{}", std::process::id()));
    fs::create_dir_all(&home).unwrap();
    let child = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"])
        .args(["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", home.join("profile").display()))
        .arg(url)
        .env("HOME", &home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Browser { child, home }
}

/// What the page says in the end.
fn run(name: &str, endpoint: WsConfig) -> Option<String> {
    let Some(program) = program() else {
        println!("SKIPPED: no chromium: no browser has talked to the server");
        return None;
    };
    let (results, result) = mpsc::channel();
    let config = WsServerConfig::default().endpoint(endpoint);
    let make = move || WsServer::new(Echo { results: results.clone() }, config.clone()).page(PAGE);
    let bound = serve(make).workers(1).tcp("127.0.0.1:0").bind().unwrap();
    let url = format!("http://{}/", bound.addresses()[0]);
    let handle = bound.handle();
    let server = thread::spawn(move || bound.run().map(drop).unwrap());
    let browser = browse(&program, name, &url);
    // Long enough for the slowest machine; usually it takes a second or two.
    let said = result.recv_timeout(Duration::from_secs(300));
    drop(browser);
    handle.shutdown();
    server.join().unwrap();
    Some(said.expect("the page has said something"))
}

#[test]
fn a_page_talks_to_the_server() {
    if let Some(said) = run("plain", WsConfig::default()) {
        assert_eq!(said, "good echo ");
    }
}

#[test]
fn a_page_talks_to_the_server_compressed() {
    let takeover =
        Compression { context_takeover: true, peer_context_takeover: true, ..Compression::default() };
    if let Some(said) = run("deflate", WsConfig::default().compression(takeover)) {
        assert_eq!(said, "good echo permessage-deflate");
    }
}
