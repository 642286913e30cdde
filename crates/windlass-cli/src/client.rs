//! The admin listener, asked over one connection that is kept.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use windlass::proto::http::{ClientConn, Limits, ResponsePart};
use windlass::proto::{Decode, Input};

use crate::args::AccessArgs;
use crate::config;

/// Where the admin listener is, when nobody says otherwise.
const USUAL: &str = "127.0.0.1:9900";
/// How long it may take to connect, and each piece of an answer to come.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest answer.
const BODY_MAX: u64 = 16 << 20;

/// Where an admin listener is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// HOST:PORT.
    Tcp(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("`unix:` needs a path".into())
            } else {
                Ok(Place::Unix(path.into()))
            };
        }
        // As it stands in a browser.
        let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let wrong = || format!("`{text}` is neither HOST:PORT nor unix:PATH");
        let (host, port) = bare.rsplit_once(':').ok_or_else(wrong)?;
        if !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err(wrong());
        }
        // What is listened on everywhere is reached here.
        let host = match host {
            "" | "0.0.0.0" => "127.0.0.1",
            "[::]" => "[::1]",
            host => host,
        };
        Ok(Place::Tcp(format!("{host}:{port}")))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => f.write_str(address),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// It is not there, or was gone before it answered.
    Gone(String),
    /// It wants a token, or another one.
    Token,
    /// It answered something else.
    Odd(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Gone(why) => f.write_str(why),
            Trouble::Token => f.write_str("it wants a token: give --token-file, or set WINDLASS_TOKEN"),
            Trouble::Odd(what) => f.write_str(what),
        }
    }
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// The one who asks.
pub(crate) struct Client {
    pub(crate) place: Place,
    token: Option<String>,
    open: Option<(Box<dyn Stream>, ClientConn)>,
}

impl Client {
    pub(crate) fn new(place: Place, token: Option<String>) -> Client {
        Client { place, token, open: None }
    }

    /// Asks for a page: its body.
    pub(crate) fn get(&mut self, target: &str) -> Result<Vec<u8>, Trouble> {
        let (status, body) = self.ask("GET", target, None)?;
        answered(status, target, body)
    }

    /// Gives an order: the status of the answer, and its body.
    #[cfg(feature = "proxy")]
    pub(crate) fn post(&mut self, target: &str, body: &[u8]) -> Result<(u16, Vec<u8>), Trouble> {
        self.ask("POST", target, Some(body))
    }

    /// Gives an order. False: there was nothing to do it to.
    #[cfg(feature = "top")]
    pub(crate) fn order(&mut self, target: &str, body: &[u8]) -> Result<bool, Trouble> {
        match self.ask("POST", target, Some(body))? {
            (404, _) => Ok(false),
            (status, body) => answered(status, target, body).map(|_| true),
        }
    }

    fn ask(&mut self, method: &str, target: &str, body: Option<&[u8]>) -> Result<(u16, Vec<u8>), Trouble> {
        let kept = self.open.is_some();
        match self.exchange(method, target, body) {
            // A connection that was idle may have been closed meanwhile: that says nothing yet.
            Err(Trouble::Gone(_)) if kept => self.exchange(method, target, body),
            other => other,
        }
    }

    fn exchange(
        &mut self,
        method: &str,
        target: &str,
        body: Option<&[u8]>,
    ) -> Result<(u16, Vec<u8>), Trouble> {
        let gone = |error: io::Error| Trouble::Gone(plainly(&error));
        let (mut stream, mut conn) = match self.open.take() {
            Some(open) => open,
            None => {
                let limits = Limits { body_max: BODY_MAX, ..Limits::default() };
                (connect(&self.place).map_err(gone)?, ClientConn::new(limits))
            }
        };
        let host = match &self.place {
            Place::Tcp(address) => address.as_str(),
            Place::Unix(_) => "localhost",
        };
        let mut out = Vec::new();
        let mut request = conn.request(&mut out, method, target, host);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let asked = match body {
            None => request.empty(),
            Some(body) => request.header("content-type", "application/json").body(body),
        };
        asked.map_err(|error| Trouble::Odd(format!("cannot ask for {target}: {error}")))?;
        stream.write_all(&out).map_err(gone)?;

        let (mut left, mut status, mut answer) = (Vec::new(), 0, Vec::new());
        let mut buf = [0; 16 * 1024];
        loop {
            let read = match stream.read(&mut buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) => return Err(Trouble::Gone("it closed the connection".into())),
                Err(error) => return Err(gone(error)),
                Ok(read) => read,
            };
            left.extend_from_slice(&buf[..read]);
            let mut input = Input::new(&mut left);
            while let Some(part) = conn.decode(&mut input).map_err(|error| Trouble::Odd(error.to_string()))? {
                match part {
                    ResponsePart::Head(head) => status = head.status.code(),
                    ResponsePart::Body(bytes) => answer.extend_from_slice(bytes),
                    ResponsePart::End => {
                        if conn.is_reusable() {
                            self.open = Some((stream, conn));
                        }
                        return Ok((status, answer));
                    }
                    _ => {}
                }
            }
            let rest = input.len();
            left.drain(..left.len() - rest);
        }
    }
}

/// Asks the admin listener at `admin`, or the one that `access` means.
pub(crate) fn of(admin: Option<&Place>, access: &AccessArgs) -> Result<Client> {
    let (place, token) = whom(admin, access)?;
    Ok(Client::new(place, token))
}

/// Where the admin listener is, and what token it wants.
fn whom(admin: Option<&Place>, args: &AccessArgs) -> Result<(Place, Option<String>)> {
    let mut token = match &args.token_file {
        Some(path) => Some(first_line(path)?),
        None => std::env::var("WINDLASS_TOKEN").ok().filter(|token| !token.is_empty()),
    };
    if let Some(place) = admin {
        return Ok((place.clone(), token));
    }
    let usual: Place = USUAL.parse().map_err(|why: String| anyhow!(why))?;
    // Without the usual file there is the usual address; one that was named must be there.
    let named = args.config != Path::new("windlass.toml");
    if !named && !args.config.exists() {
        return Ok((usual, token));
    }
    let loaded = config::load(&args.config, &|name| std::env::var(name).ok())
        .map_err(|_| anyhow!("{} is wrong: `windlass check -c` tells how", args.config.display()))?;
    let admin = loaded.file.admin;
    token = token.or_else(|| admin.token.map(|token| token.0));
    let Some(listen) = admin.listen.first() else {
        return if named {
            Err(anyhow!("{} has no admin listener: set `listen` in [admin]", args.config.display()))
        } else {
            Ok((usual, token))
        };
    };
    let place = listen.0.to_string().parse().map_err(|why: String| anyhow!(why))?;
    Ok((place, token))
}

fn first_line(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    anyhow::ensure!(!line.is_empty(), "the first line of {} is empty", path.display());
    Ok(line.to_owned())
}

fn answered(status: u16, target: &str, body: Vec<u8>) -> Result<Vec<u8>, Trouble> {
    match status {
        200..=299 => Ok(body),
        401 => Err(Trouble::Token),
        404 => Err(Trouble::Odd(format!("it knows no {target}: is it the admin listener of a windlass?"))),
        status => {
            let text = String::from_utf8_lossy(&body);
            Err(Trouble::Odd(format!("it answers {status}: {}", text.lines().next().unwrap_or_default())))
        }
    }
}

fn plainly(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::NotFound => "there is no such socket".into(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => format!("no answer within {PATIENCE:?}"),
        _ => error.to_string(),
    }
}

fn connect(place: &Place) -> io::Result<Box<dyn Stream>> {
    match place {
        Place::Tcp(address) => {
            let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for address in address.to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, PATIENCE) {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        stream.set_read_timeout(Some(PATIENCE))?;
                        stream.set_write_timeout(Some(PATIENCE))?;
                        return Ok(Box::new(stream));
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        #[cfg(unix)]
        Place::Unix(path) => {
            let stream = std::os::unix::net::UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Box::new(stream))
        }
        #[cfg(not(unix))]
        Place::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(test)]
#[path = "tests/client.rs"]
mod tests;
