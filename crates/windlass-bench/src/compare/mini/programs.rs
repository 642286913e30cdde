//! The programs: where they come from, how each is started, and what its clients say.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::super::foreign::{Files, free_port, is_there, version};
use super::super::peers::Layout;
use super::editions::{self, Edition};
use super::idle::Hello;

/// How long a program may take until it listens.
const STARTUP: Duration = Duration::from_secs(10);
/// How often that is looked for.
const LOOK: Duration = Duration::from_millis(2);
/// Clients of a server that begins a process for each.
const FORKED: usize = 50;
/// Clients that have not logged in, of one address, that dropbear takes.
const UNKNOWN: usize = 5;

/// A program, and how it is told to listen on one port.
pub(super) struct Program {
    pub(super) name: &'static str,
    /// What it is, for the legend.
    pub(super) about: String,
    pub(super) file: PathBuf,
    args: Vec<String>,
    pub(super) port: u16,
    /// How many clients may be idle at once, and what they say when they come; none if it takes but one.
    pub(super) holds: Option<(Hello, usize)>,
}

/// One that runs. Dropping it ends it.
pub(super) struct Running(Child);

impl Program {
    fn new(name: &'static str, about: String, file: PathBuf, port: u16, args: &[&str]) -> Program {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Program { name, about, file, args, port, holds: None }
    }

    /// One that nobody starts.
    #[cfg(test)]
    pub(super) fn stand_in(name: &'static str) -> Program {
        Program::new(name, String::new(), PathBuf::new(), 0, &[])
    }

    fn holds(self, hello: Hello, n: usize) -> Program {
        Program { holds: Some((hello, n)), ..self }
    }

    /// Starts it and waits until it listens. Nothing stands in front of it that would use CPU for it.
    pub(super) fn start(&self) -> Result<Running> {
        let mut command = Command::new(&self.file);
        command.args(&self.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {}", self.file.display()))?;
        let mut running = Running(child);
        let deadline = Instant::now() + STARTUP;
        while !crate::proc::is_listening(self.port)? {
            ensure!(running.0.try_wait()?.is_none(), "it ends before it listens");
            ensure!(Instant::now() < deadline, "it does not listen");
            std::thread::sleep(LOOK);
        }
        Ok(running)
    }
}

impl Running {
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where all of them are, and what they need.
pub(super) struct Place<'a> {
    pub(super) layout: &'a Layout,
    pub(super) files: &'a Files,
    /// Idle clients of those that take thousands.
    pub(super) n: usize,
}

impl Place<'_> {
    /// All of them, in the order of the table. Whatever is not there is left out, loudly.
    pub(super) fn programs(&self) -> Result<Vec<Program>> {
        let mut programs = self.of_mini()?;
        programs.extend(self.of_windlass()?);
        for other in
            [Place::busybox_nc, Place::busybox_httpd, Place::mosquitto, Place::lighttpd, Place::dropbear]
        {
            match other(self) {
                Ok(program) => programs.push(program),
                Err(why) => eprintln!("LEFT OUT: {why:#}"),
            }
        }
        Ok(programs)
    }

    fn of_mini(&self) -> Result<Vec<Program>> {
        let mut programs = Vec::new();
        for edition in editions::ALL {
            let file = edition.program(self.layout);
            if !file.is_file() {
                eprintln!("LEFT OUT: {} was not built", edition.name);
                continue;
            }
            programs.push(self.mini(edition, file)?);
        }
        Ok(programs)
    }

    fn mini(&self, edition: Edition, file: PathBuf) -> Result<Program> {
        let port = free_port()?;
        let listen = format!("127.0.0.1:{port}");
        let program = |about: &str, args: &[&str]| {
            Program::new(edition.name, format!("{}: {about}", edition.about()), file.clone(), port, args)
        };
        Ok(match edition {
            editions::ECHO | editions::ECHO_ABORTS => {
                program("`echo`", &["echo", "-q", "-l", &listen]).holds(Hello::Silent, self.n)
            }
            editions::TINY_ABORTS => {
                program("the echo, without a file", &[&listen]).holds(Hello::Silent, self.n)
            }
            editions::RELAY => {
                let to = silent_server()?.to_string();
                program(
                    "`proxy`, to a server that says nothing",
                    &["proxy", "-q", "-l", &listen, "--to", &to],
                )
                .holds(Hello::Silent, self.n)
            }
            editions::HUB_TLS | editions::HUB_TLS_ABORTS => {
                let certs = self.layout.root.join("crates/windlass/tests/certs");
                let file = |name: &str| certs.join(name).display().to_string();
                let text = format!(
                    "[[hub]]\nlisten = [\"{listen}\"]\ntls = {{ cert = \"{}\", key = \"{}\" }}\n",
                    file("server.pem"),
                    file("server.key")
                );
                let config =
                    self.files.write(&format!("{}.toml", edition.name), &text)?.display().to_string();
                program("`[[hub]]` with `tls`", &["run", "-q", "-c", &config])
            }
            _ => program("`hub`", &["hub", "-q", "-l", &listen]).holds(Hello::Mqtt, self.n),
        })
    }

    /// The full program, without what a debugger would want of it, as it is packaged.
    fn of_windlass(&self) -> Result<Vec<Program>> {
        let built = self.layout.windlass().program;
        let file = self.files.path("windlass");
        let stripped = Command::new("strip").arg("-o").arg(&file).arg(&built).status();
        if !stripped.is_ok_and(|status| status.success()) {
            eprintln!(
                "LEFT OUT: windlass was not built, or there is no strip (Debian: apt-get install binutils)"
            );
            return Ok(Vec::new());
        }
        let mut programs = Vec::new();
        for (name, service, hello) in
            [("windlass-echo", "echo", Hello::Silent), ("windlass-hub", "hub", Hello::Mqtt)]
        {
            let port = free_port()?;
            let args = [service, &format!("127.0.0.1:{port}"), "-q", "--workers", "1"];
            let about = format!("`windlass {service}`, all of its features, one worker, stripped");
            programs.push(Program::new(name, about, file.clone(), port, &args).holds(hello, self.n));
        }
        Ok(programs)
    }

    fn busybox_nc(&self) -> Result<Program> {
        let (file, about) = found("busybox", "busybox-static", None)?;
        let port = free_port()?;
        let args = ["nc", "-l", "-p", &port.to_string()];
        Ok(Program::new("busybox-nc", format!("{about}: `nc -l -p`"), file, port, &args))
    }

    fn busybox_httpd(&self) -> Result<Program> {
        let (file, about) = found("busybox", "busybox-static", None)?;
        let port = free_port()?;
        let folder = self.files.folder("httpd")?.display().to_string();
        let args = ["httpd", "-f", "-p", &format!("127.0.0.1:{port}"), "-h", &folder];
        let program = Program::new("busybox-httpd", format!("{about}: `httpd -f`"), file, port, &args);
        Ok(program.holds(Hello::Silent, self.n.min(FORKED)))
    }

    fn mosquitto(&self) -> Result<Program> {
        let (file, about) = found("mosquitto", "mosquitto", Some("-h"))?;
        let port = free_port()?;
        // It would become a user who cannot read its files.
        let user = if rustix::process::geteuid().is_root() { "user root\n" } else { "" };
        let text = format!(
            "{user}listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nsys_interval 0\nlog_dest none\n"
        );
        let config = self.files.write("mosquitto.conf", &text)?.display().to_string();
        let about = format!("{about}, which keeps nothing on disk");
        Ok(Program::new("mosquitto", about, file, port, &["-c", &config]).holds(Hello::Mqtt, self.n))
    }

    fn lighttpd(&self) -> Result<Program> {
        let (file, about) = found("lighttpd", "lighttpd", Some("-v"))?;
        let port = free_port()?;
        let text = format!(
            "server.document-root = \"{}\"\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\nserver.modules = ()\n\
             server.compat-module-load = \"disable\"\nserver.max-fds = {}\nserver.max-connections = {}\n",
            self.files.folder("lighttpd")?.display(),
            2 * self.n + 64,
            self.n + 32
        );
        let config = self.files.write("lighttpd.conf", &text)?.display().to_string();
        let about = format!("{about}, without modules");
        let program = Program::new("lighttpd", about, file, port, &["-D", "-f", &config]);
        Ok(program.holds(Hello::Silent, self.n))
    }

    fn dropbear(&self) -> Result<Program> {
        let (file, about) = found("dropbear", "dropbear-bin", Some("-V"))?;
        let key = self.files.path("dropbear.key").display().to_string();
        let made = Command::new("dropbearkey").args(["-t", "ed25519", "-f", &key]).output();
        ensure!(made.is_ok_and(|it| it.status.success()), "dropbear: dropbearkey makes no key");
        let port = free_port()?;
        let args = ["-F", "-E", "-r", &key, "-p", &format!("127.0.0.1:{port}")];
        let about = format!("{about}, with a key for this run, and nobody logs in");
        let program = Program::new("dropbear", about, file, port, &args);
        Ok(program.holds(Hello::Silent, self.n.min(UNKNOWN)))
    }
}

/// A program of the system's packages, and what it says of itself.
fn found(name: &str, package: &str, option: Option<&str>) -> Result<(PathBuf, String)> {
    ensure!(is_there(name), "there is no {name} on PATH (Debian: apt-get install {package})");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let file = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    let file = file.with_context(|| format!("there is no {name}"))?;
    let said = match option {
        Some(option) => version(name, option).trim_end_matches([' ', '-']).to_owned(),
        // Without one it tells first which it is.
        None => version(name, "--help").split('(').next().unwrap_or(name).trim().to_owned(),
    };
    Ok((file, format!("Debian's {said}")))
}

/// A server that takes everybody and says nothing, as long as this process lives.
fn silent_server() -> Result<std::net::SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let mut clients = Vec::new();
        for client in listener.incoming().flatten() {
            clients.push(client);
        }
    });
    Ok(address)
}
