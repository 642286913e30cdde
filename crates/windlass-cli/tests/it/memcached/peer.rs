//! memcached itself, on a Unix socket, and what is said to it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use windlass::proto::testing::Rng;

use crate::server::{LONG, SocketPath, is_root};

/// The version whose replies ours are.
const VERSION: &str = "memcached 1.6.18";

/// A running memcached.
pub(super) struct Memcached {
    child: Child,
    pub(super) path: PathBuf,
    _gone_when_dropped: SocketPath,
}

impl Memcached {
    /// `None`, and loudly, where there is none, or another version.
    pub(super) fn start() -> Option<Memcached> {
        let version = match Command::new("memcached").arg("-V").output() {
            Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!("SKIPPED: memcached is not installed");
                return None;
            }
            Err(error) => panic!("memcached: {error}"),
        };
        if version != VERSION {
            println!("SKIPPED: {version:?} is installed, and the replies are compared with {VERSION}");
            return None;
        }
        let path = SocketPath::new("memcached-judge");
        let mut command = Command::new("memcached");
        // Without threads in the background, which hold items for a moment: whether a number is written in
        // place depends on who holds it.
        command.arg("-s").arg(&path.0).args(["-t", "1", "-o", "no_lru_maintainer,no_lru_crawler"]);
        if is_root() {
            command.args(["-u", "root"]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Some(Memcached { child, path: path.0.clone(), _gone_when_dropped: path })
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to either.
pub(super) struct Talk(UnixStream);

impl Talk {
    pub(super) fn connect(path: &Path) -> Talk {
        let deadline = Instant::now() + LONG;
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(LONG)).unwrap();
                    return Talk(stream);
                }
                Err(error) => assert!(Instant::now() < deadline, "{}: {error}", path.display()),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a request, and reads all that is answered: what is asked behind it ends it.
    pub(super) fn ask(&mut self, request: &[u8], binary: bool) -> Vec<u8> {
        let noop = head(0x0a, 0, 0, 0);
        let (question, end): (&[u8], &[u8]) =
            if binary { (&noop, &[0x81, 0x0a, 0, 0]) } else { (b"mn\r\n", b"MN\r\n") };
        self.0.write_all(&[request, question].concat()).unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let n = self.0.read(&mut piece).unwrap();
            assert!(n > 0, "ended after {:?}", request.escape_ascii().to_string());
            answer.extend_from_slice(&piece[..n]);
            let tail = if binary { answer.len().saturating_sub(24) } else { answer.len().saturating_sub(4) };
            if answer[tail..].starts_with(end) {
                answer.truncate(tail);
                return answer;
            }
        }
    }
}

fn pick<'a, T: ?Sized>(rng: &mut Rng, from: &[&'a T]) -> &'a T {
    from[rng.below(from.len() as u64) as usize]
}

const KEYS: &[&str] = &["a", "b", "number", "n2", "key-with-some-length", "\u{7f}\t"];
const VALUES: &[&str] =
    &["", "x", "12", "0", "99", "18446744073709551615", "abc", "12 ", " 7", "1x", "a longer value"];

/// One text command or two, mostly good ones.
pub(super) fn text(rng: &mut Rng) -> Vec<u8> {
    let (key, value) = (pick(rng, KEYS), pick(rng, VALUES));
    let number = pick(rng, &["0", "1", "5", "100", "18446744073709551615", "-1", "x", ""]);
    // None that passes while the test runs.
    let exptime = pick(rng, &["0", "0", "0", "1000", "-1", "x", "2592000", "2147483000"]);
    let noreply = if rng.chance(1, 6) { " noreply" } else { "" };
    let flags = pick(rng, &["0", "1", "4294967295", "x"]);
    let long = "k".repeat(251);
    match rng.below(27) {
        0..=4 => {
            let keys = (0..1 + rng.below(4)).map(|_| pick(rng, KEYS)).collect::<Vec<_>>().join(" ");
            let verb = pick(rng, &["get", "gets", "get ", "gat 0", "gats 100", "gat 1000"]);
            format!("{verb} {keys}\r\n")
        }
        5..=10 => {
            let verb = pick(rng, &["set", "set", "add", "replace", "append", "prepend"]);
            format!("{verb} {key} {flags} {exptime} {}{noreply}\r\n{value}\r\n", value.len())
        }
        11 => format!("cas {key} {flags} 0 {} {}{noreply}\r\n{value}\r\n", value.len(), rng.below(60)),
        12..=14 => format!("{} {key} {number}{noreply}\r\n", pick(rng, &["incr", "decr"])),
        15 | 16 => format!("delete {key}{}{noreply}\r\n", pick(rng, &["", "", " 0", " 1"])),
        17 => format!("touch {key} {exptime}{noreply}\r\n"),
        18 if rng.chance(1, 4) => format!("flush_all{}{noreply}\r\n", pick(rng, &["", " 0", " x", " -1"])),
        19 => format!("verbosity {}{noreply}\r\n", pick(rng, &["", "0", "1", "x"])),
        20 => pick(
            rng,
            &["\r\n", "nonsense\r\n", "get\r\n", "gat\r\n", "gat x a\r\n", "GET a\r\n", "set a\r\n"],
        )
        .into(),
        21 => format!("{} {long}{}\r\n", pick(rng, &["get", "delete", "incr"]), pick(rng, &["", " 1"])),
        // A value that is longer than it was said to be. (One that is shorter takes what we ask behind it.)
        22 if value.len() > 1 => {
            format!("set {key} 0 0 {}\r\n{value}\r\n", 1 + rng.below(value.len() as u64 - 1))
        }
        22 => format!("set {key} 0 0 {}\r\n{value}\r\n", pick(rng, &["-1", "x", ""])),
        23..=25 => meta(rng, key, value),
        _ => format!("set {key} 0 0 1\r\n5\r\nget {key}\r\nincr {key} 5\r\n"),
    }
    .into_bytes()
}

/// A meta command, with flags that say nothing of time.
fn meta(rng: &mut Rng, key: &str, value: &str) -> String {
    let mut flags = String::new();
    let (verb, len, offered): (_, _, &[&str]) = match rng.below(4) {
        0 => ("mg", String::new(), &["v", "k", "s", "f", "c", "O1", "q", "T100", "?"]),
        1 => (
            "ms",
            format!(" {}", value.len()),
            &["k", "c", "O22", "q", "F5", "T100", "C3", "MA", "ME", "MP", "MR", "MX", "MS"],
        ),
        2 => ("md", String::new(), &["k", "O3", "q", "C9", "?"]),
        _ => (
            "ma",
            String::new(),
            &["k", "v", "c", "O4", "q", "D5", "MD", "MI", "M-", "N100", "J7", "C11", "Dx"],
        ),
    };
    for _ in 0..rng.below(5) {
        let flag = pick(rng, offered);
        // Said twice, one flag is as wrong as another; which is told differs.
        // memcached passes over the number in all modes of `ms` but one, and over a wish to hear nothing of a
        // number that was made.
        let passed_over = verb == "ms" && matches!(&flag[..1], "M" | "C") && flags.contains(['M', 'C'])
            || verb == "ma" && matches!(&flag[..1], "q" | "N") && flags.contains(['q', 'N']);
        if !flags.contains(&flag[..1]) && !passed_over {
            flags += " ";
            flags += flag;
        }
    }
    let data = if verb == "ms" { format!("{value}\r\n") } else { String::new() };
    format!("{verb} {key}{len}{flags}\r\n{data}")
}

fn head(opcode: u8, key: usize, extras: usize, body: usize) -> [u8; 24] {
    let mut head = [0; 24];
    (head[0], head[1], head[3], head[4]) = (0x80, opcode, key as u8, extras as u8);
    head[8..12].copy_from_slice(&(body as u32).to_be_bytes());
    head[12..16].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    head
}

/// One binary request that does not end the connection.
pub(super) fn binary(rng: &mut Rng) -> Vec<u8> {
    let (key, value) = (pick(rng, KEYS), pick(rng, VALUES));
    let exptime: u32 = [0, 0, 1000, 4_000_000_000][rng.below(4) as usize];
    let flags = (rng.below(1 << 32) as u32).to_be_bytes();
    let stores: [u8; 6] = [0x01, 0x02, 0x03, 0x11, 0x12, 0x13];
    let (opcode, extras, value): (u8, Vec<u8>, &str) = match rng.below(10) {
        0..=2 => ([0x00, 0x09, 0x0c, 0x0d][rng.below(4) as usize], Vec::new(), ""),
        3 | 4 => (stores[rng.below(6) as usize], [flags, exptime.to_be_bytes()].concat(), value),
        5 => ([0x0e, 0x0f, 0x19, 0x1a][rng.below(4) as usize], Vec::new(), value),
        6 => ([0x04, 0x14][rng.below(2) as usize], Vec::new(), ""),
        7 | 8 => {
            let numbers = [rng.below(200), rng.below(200)].map(u64::to_be_bytes).concat();
            let exptime: u32 = [0, 1000, u32::MAX][rng.below(3) as usize];
            (
                [0x05, 0x06, 0x15, 0x16][rng.below(4) as usize],
                [&numbers[..], &exptime.to_be_bytes()].concat(),
                "",
            )
        }
        _ => ([0x1c, 0x1d, 0x1e, 0x23, 0x24][rng.below(5) as usize], exptime.to_be_bytes().to_vec(), ""),
    };
    let mut request = head(opcode, key.len(), extras.len(), extras.len() + key.len() + value.len());
    // Only if the value has this number: now and then it does.
    if rng.chance(1, 8) && !matches!(opcode, 0x1c..) {
        request[16..24].copy_from_slice(&(1 + rng.below(60)).to_be_bytes());
    }
    [&request[..], &extras, key.as_bytes(), value.as_bytes()].concat()
}
