//! The program, started with a configuration and stopped at the end of a test.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A folder that goes with its test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("windlass-mini-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a file there.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program, with what it listens on.
pub(crate) struct Mini {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// In the order of the configuration.
    pub(crate) addresses: Vec<String>,
    _folder: Folder,
}

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_windlass-mini"))
}

/// Runs it to its end.
pub(crate) fn output(args: &[&str]) -> Output {
    program().args(args).stdin(Stdio::null()).output().unwrap()
}

/// Starts it with this configuration, which listens on so many addresses.
pub(crate) fn mini(text: &str, listens: usize) -> Mini {
    let folder = Folder::new();
    let path = folder.file("windlass.toml", text);
    let mut command = program();
    command.args(["run", "-c"]).arg(path);
    started(command, folder, listens)
}

/// The same with a command that becomes it.
pub(crate) fn started(mut command: Command, folder: Folder, listens: usize) -> Mini {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    // It ends with this, also if it does not say what it should.
    let mut mini = Mini { child, stdout, addresses: Vec::new(), _folder: folder };
    for _ in 0..listens {
        let mut line = String::new();
        mini.stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("Listening on ").unwrap_or_else(|| panic!("{line:?}"));
        mini.addresses.push(address.trim_start_matches("udp:").to_owned());
    }
    mini
}

impl Mini {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().count()
    }

    /// Whether it waits for something to happen, and not for a processor.
    #[cfg(any(feature = "echo", feature = "relay"))]
    pub(crate) fn is_asleep(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit(')').next().unwrap().starts_with(" S")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// How it ended, and what it said in the end.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < LONG, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        (status, said)
    }
}

impl Drop for Mini {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a program is here; says so loudly if it is not.
pub(crate) fn has(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        eprintln!("SKIPPED: there is no {program} here, and what needs it was not tried");
    }
    found
}
