//! Whether a `windlass-mini` works: started, spoken to by programs of others, and ended.
//!
//! The echo gets 10 MB and has to give back the same; the hub is published and subscribed to by mosquitto's clients,
//! one message that was kept and one that passes by; openssl shakes hands in TLS 1.3. SIGTERM ends it, with status 0.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long one answer may take, under an emulator and on a busy machine.
const LONG: Duration = Duration::from_secs(120);
const ECHOED: usize = 10_000_000;

/// What was tried, in words for a table.
pub(super) struct Outcome {
    pub(super) echo: String,
    pub(super) hub: &'static str,
    pub(super) tls: &'static str,
}

/// Tries all of it. `tls`: whether the program has that.
pub(super) fn run(emulator: Option<&str>, program: &Path, tls: bool) -> io::Result<Outcome> {
    let folder = std::env::temp_dir().join(format!("windlass-cross-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let outcome = tried(emulator, program, tls, &folder);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn tried(emulator: Option<&str>, program: &Path, tls: bool, folder: &Path) -> io::Result<Outcome> {
    let mut config = String::from(
        "[[echo]]\nlisten = [\"127.0.0.1:0\"]\n\n[[hub]]\nlisten = [\"127.0.0.1:0\"]\n\
         [hub.identity]\nanonymous = \"everybody\"\n",
    );
    if tls {
        certificate(folder)?;
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let (cert, key) = (cert.display(), key.display());
        config += "\n[[echo]]\nname = \"tls\"\nlisten = [\"127.0.0.1:0\"]\n";
        config += &format!("tls = {{ cert = \"{cert}\", key = \"{key}\" }}\n");
    }
    let file = folder.join("windlass.toml");
    fs::write(&file, config)?;
    let mut command = emulator.map_or_else(|| Command::new(program), Command::new);
    if emulator.is_some() {
        command.arg(program);
    }
    let child = command.args(["run", "-c"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let child = child.map_err(|error| io::Error::new(error.kind(), format!("{command:?}: {error}")))?;
    let mut running = Running(child);
    // In the order of the services: echoes first, then hubs.
    let stdout = running.0.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
    let addresses = addresses(stdout, 2 + usize::from(tls))?;
    let hub = addresses.last().ok_or_else(|| io::Error::other("nothing listens"))?;
    let outcome = Outcome {
        echo: format!("same, {:.1} s", echo(&addresses[0])?.as_secs_f64()),
        hub: publish_and_subscribe(hub)?,
        tls: if tls { handshake(&addresses[1], folder)? } else { "-" },
    };
    running.end()?;
    Ok(outcome)
}

/// A server, which does not outlive us.
struct Running(Child);

impl Running {
    fn end(&mut self) -> io::Result<()> {
        let told = Command::new("kill").args(["-s", "TERM", &self.0.id().to_string()]).status()?;
        let deadline = Instant::now() + LONG;
        while told.success() && Instant::now() < deadline {
            match self.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(io::Error::other(format!("it ended with {status}"))),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        Err(io::Error::other("it does not end"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// What it says it listens on; it is heard to its end, so that it never waits for us.
fn addresses(stdout: ChildStdout, count: usize) -> io::Result<Vec<String>> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("Listening on ") {
                _ = tell.send(address.to_owned());
            }
        }
    });
    let all: Result<_, _> = (0..count).map(|_| told.recv_timeout(LONG)).collect();
    all.map_err(|_| io::Error::other("it does not say that it listens"))
}

/// 10 MB there and back, and how long that took.
fn echo(address: &str) -> io::Result<Duration> {
    let mut reader = TcpStream::connect(address)?;
    reader.set_read_timeout(Some(LONG))?;
    let mut writer = reader.try_clone()?;
    let began = Instant::now();
    let sent = noise();
    let expected = sent.clone();
    let writing = std::thread::spawn(move || writer.write_all(&sent));
    let mut back = vec![0; ECHOED];
    reader.read_exact(&mut back)?;
    writing.join().map_err(|_| io::Error::other("nobody wrote"))??;
    let took = began.elapsed();
    if back == expected { Ok(took) } else { Err(io::Error::other("the echo gave back something else")) }
}

/// Bytes that do not repeat: a xorshift generator.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(ECHOED + 8);
    while bytes.len() < ECHOED {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(ECHOED);
    bytes
}

/// One message is kept and found by whoever comes later; the next one passes by.
fn publish_and_subscribe(address: &str) -> io::Result<&'static str> {
    let (host, port) = address.rsplit_once(':').ok_or_else(|| io::Error::other("no port"))?;
    let to = ["-V", "5", "-h", host, "-p", port, "-t", "garden/7/soil", "-q", "1"];
    let publish = |message: &str, kept: bool| {
        let mut command = Command::new("mosquitto_pub");
        command.args(to).args(["-m", message]).args(kept.then_some("-r"));
        said(&mut command).map(drop)
    };
    publish("31 %", true)?;
    let mut subscriber = Command::new("mosquitto_sub");
    let subscriber = subscriber.args(to).args(["-C", "2", "-W", "60"]).stdout(Stdio::piped()).spawn()?;
    let mut subscriber = Running(subscriber);
    let stdout = subscriber.0.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
    let mut lines = BufReader::new(stdout).lines();
    let first = lines.next().transpose()?;
    publish("32 %", false)?;
    let second = lines.next().transpose()?;
    let status = subscriber.0.wait()?;
    match (first.as_deref(), second.as_deref(), status.success()) {
        (Some("31 %"), Some("32 %"), true) => Ok("both messages"),
        _ => Err(io::Error::other(format!("{first:?} and {second:?} were heard, {status}"))),
    }
}

/// A certificate of its own, for two days.
fn certificate(folder: &Path) -> io::Result<()> {
    let name = |name| -> PathBuf { folder.join(name) };
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    command.arg("-out").arg(name("cert.pem")).arg("-keyout").arg(name("key.pem"));
    said(&mut command).map(drop)
}

/// A client that knows the certificate and speaks nothing but TLS 1.3; its line comes back.
fn handshake(address: &str, folder: &Path) -> io::Result<&'static str> {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-tls1_3", "-quiet", "-verify_return_error", "-servername", "localhost"]);
    client.arg("-CAfile").arg(folder.join("cert.pem")).args(["-connect", address]);
    let client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut client = Running(client);
    let (stdin, stdout) = (client.0.stdin.take(), client.0.stdout.take());
    let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else { return Err(io::Error::other("no pipes")) };
    stdin.write_all(b"a line\n")?;
    let line = first_line(stdout, LONG)?;
    if line == "a line\n" { Ok("openssl") } else { Err(io::Error::other(format!("openssl heard {line:?}"))) }
}

/// What is said first, up to the end of the line, if it is said in time.
fn first_line(stdout: ChildStdout, long: Duration) -> io::Result<String> {
    let (tell, told) = std::sync::mpsc::channel();
    // It ends with the program, at the latest when that is killed.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        tell.send(read.map(|_| line))
    });
    told.recv_timeout(long).map_err(|_| io::Error::other("nothing is said"))?
}

/// What a program that ends says, if it ends well.
fn said(command: &mut Command) -> io::Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    let why = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(io::Error::other(format!("{program}: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(program: &str, arg: &str) -> (Running, ChildStdout) {
        let child = Command::new(program).arg(arg).stdout(Stdio::piped()).spawn();
        let mut running = Running(child.unwrap());
        let stdout = running.0.stdout.take().unwrap();
        (running, stdout)
    }

    #[test]
    fn who_says_nothing_is_not_waited_for_without_end() {
        let (_running, stdout) = started("sleep", "60");
        let began = Instant::now();
        first_line(stdout, Duration::from_millis(50)).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(30));
        let (_running, stdout) = started("echo", "a line");
        assert_eq!(first_line(stdout, LONG).unwrap(), "a line\n");
    }
}
