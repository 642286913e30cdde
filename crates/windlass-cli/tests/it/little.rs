//! A machine with little memory, as far as a group of processes is one, and what its clients do. `windlass-mini` has this
//! file too.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How much that is.
const LITTLE: usize = 16 << 20;

/// Set where such groups can be made: then nothing is left out because one could not.
const MUST: &str = "WINDLASS_CGROUP";

/// A group of processes with so little memory.
pub(crate) struct Little(PathBuf);

impl Little {
    /// `None`, and said so, where this process may not make one.
    pub(crate) fn new(name: &str) -> Option<Little> {
        let name = format!("windlass-{}-{name}", std::process::id());
        for (at, limit, swap, swapped) in [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", LITTLE),
            ("/sys/fs/cgroup", "memory.max", "memory.swap.max", 0),
        ] {
            let folder = PathBuf::from(at).join(&name);
            // One of a process of the same number that was killed: it has none of its own any more.
            let _ = std::fs::remove_dir(&folder);
            if std::fs::create_dir(&folder).is_err() {
                continue;
            }
            if tell(&folder.join(limit), LITTLE) {
                // Where swapping is not counted there is none, or it does no more than keep the group alive for longer.
                let _ = tell(&folder.join(swap), swapped);
                return Some(Little(folder));
            }
            let _ = std::fs::remove_dir(&folder);
        }
        assert!(std::env::var_os(MUST).is_none(), "{MUST} is set, and no group of processes can be made");
        // Not by `eprintln`, which nobody sees of a test that passes.
        let _ = std::io::stderr().write_all(
            b"SKIPPED: no group of processes with little memory can be made here, so the rest is not tested in one\n",
        );
        None
    }

    /// What a shell does to be in it.
    pub(crate) fn enter(little: Option<&Little>) -> String {
        little.map_or("true".into(), |it| format!("echo $$ > {}/cgroup.procs", it.0.display()))
    }

    /// How often the kernel had to end something in it.
    pub(crate) fn killed(&self) -> u64 {
        let events = ["memory.oom_control", "memory.events"];
        let told = events.iter().filter_map(|file| std::fs::read_to_string(self.0.join(file)).ok());
        let told: String = told.collect();
        let killed = told.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.expect("it is counted").trim().parse().unwrap()
    }
}

/// Writes a number to a file of the kernel's, if it is there: in a folder that is no group of processes there is none.
fn tell(file: &Path, number: usize) -> bool {
    let opened = std::fs::OpenOptions::new().write(true).open(file);
    opened.is_ok_and(|mut file| file.write_all(number.to_string().as_bytes()).is_ok())
}

impl Drop for Little {
    fn drop(&mut self) {
        // Empty once the server is gone.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Writes until nobody takes any more, or it is ended; whether it was.
pub(crate) fn stuff(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.set_nonblocking(true).unwrap();
    for _ in 0..64 {
        match stream.write(bytes) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
    false
}

/// Tries until it succeeds.
pub(crate) fn eventually<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(done) = f() {
            return done;
        }
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}
