//! A terminal with one process in it: the test is its keyboard and its screen.
//!
//! Not `script` of util-linux: that has `$SHELL` or, without one, `/bin/sh` run the command, and where that shell
//! does not `exec` the last command of its line (dash), ^C ends the shell too. Then the status is its own.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::server::*;

/// The process is killed when it is dropped.
pub(crate) struct Terminal {
    child: Child,
    /// Keyboard and screen.
    device: File,
    /// All bytes that were shown, in the order in which they came.
    bytes: Vec<u8>,
    /// The same, as text.
    pub(crate) shown: String,
}

impl Terminal {
    /// A server in it, or none where nothing gives a process a terminal.
    pub(crate) fn start(args: &[&str]) -> Option<Terminal> {
        if Command::new("setsid")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_err()
        {
            eprintln!("SKIPPED: there is no setsid to make it the terminal of a process");
            return None;
        }
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).expect("there is a terminal left");
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap();
        let ours = File::from(ours);
        let theirs = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let theirs = File::from(theirs.unwrap());
        tcsetwinsize(&theirs, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();

        // It becomes what it starts, so that the child is the server itself.
        let mut command = Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_windlass")]).args(args);
        for (name, value) in windlass(&[]).get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("TERM", "xterm").env("NO_COLOR", "1").env_remove("JOURNAL_STREAM");
        command.stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap()).stderr(theirs);
        let child = command.spawn().unwrap();
        drop(command);
        Some(Terminal { child, device: ours, bytes: Vec::new(), shown: String::new() })
    }

    /// Waits until this has been shown.
    #[track_caller]
    pub(crate) fn until(&mut self, words: &str) {
        self.until_some(words, |shown| shown.contains(words).then_some(()));
    }

    /// Waits for a line that begins so, and is what it goes on with.
    #[track_caller]
    pub(crate) fn line(&mut self, begins: &str) -> String {
        self.until_some(begins, |shown| {
            let whole = &shown[..shown.rfind('\n')?];
            whole.lines().find_map(|line| line.trim_end().strip_prefix(begins)).map(str::to_owned)
        })
    }

    #[track_caller]
    fn until_some<T>(&mut self, wanted: &str, find: impl Fn(&str) -> Option<T>) -> T {
        loop {
            if let Some(found) = find(&self.shown) {
                return found;
            }
            if !self.read() {
                let status = self.child.wait();
                panic!("it ended with {status:?} and did not show {wanted:?}, but:\n{}", self.shown);
            }
        }
    }

    pub(crate) fn press(&mut self, keys: &[u8]) {
        self.device.write_all(keys).unwrap();
    }

    /// Waits until the process has ended and all that it wrote has been shown.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        while self.read() {}
        self.child.wait().unwrap()
    }

    /// Reads what comes next. Nothing does when the process has closed its side.
    #[track_caller]
    fn read(&mut self) -> bool {
        let mut ready = [PollFd::new(&self.device, PollFlags::IN)];
        let wait = Timespec { tv_sec: LONG.as_secs() as i64, tv_nsec: 0 };
        let is_ready = poll(&mut ready, Some(&wait)).unwrap();
        assert!(is_ready > 0, "nothing comes for {LONG:?} after:\n{}", self.shown);
        let mut piece = [0; 4096];
        let length = match self.device.read(&mut piece) {
            Ok(length) => length,
            // So says Linux when the other side is closed; others say that this is the end.
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => 0,
            Err(error) => panic!("{error} after:\n{}", self.shown),
        };
        self.bytes.extend(&piece[..length]);
        self.shown = String::from_utf8_lossy(&self.bytes).into_owned();
        length > 0
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
