//! A part of a test that needs a process of its own: this test binary again, running one ignored test
//! by name. The two talk in lines over the child's pipes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use windlass::Handle;

/// Set in a child, so that the parts do nothing when somebody runs all ignored tests.
const MARK: &str = "WINDLASS_IT_CHILD";
/// What a child says starts with this, in a line of its own amid what the test harness prints.
const SAYS: &str = "child says: ";

pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Runs the ignored test `part` in a child, with `arg`.
    pub(crate) fn start(part: &str, arg: &str) -> Process {
        Process::wrapped(&[], part, arg)
    }

    /// As `start`, as the user with that number.
    pub(crate) fn start_as(uid: u32, part: &str, arg: &str) -> Process {
        Process::spawn(&[], Some(uid), part, arg)
    }

    /// As `start`, under another program (`strace -c ..`).
    pub(crate) fn wrapped(under: &[&str], part: &str, arg: &str) -> Process {
        Process::spawn(under, None, part, arg)
    }

    fn spawn(under: &[&str], uid: Option<u32>, part: &str, arg: &str) -> Process {
        use std::os::unix::process::CommandExt;
        let this = std::env::current_exe().unwrap();
        let mut words = under.iter().map(std::ffi::OsStr::new).chain([this.as_os_str()]);
        let mut command = Command::new(words.next().unwrap());
        if let Some(uid) = uid {
            command.uid(uid);
        }
        let mut child = command
            .args(words)
            .args(["--exact", part, "--ignored", "--nocapture", "--test-threads=1"])
            .env(MARK, arg)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Process { child, stdin, stdout }
    }

    /// The next line it says.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "the child ended without a word");
            // The harness prints "test NAME ... " without an end of line before it.
            if let Some(at) = line.find(SAYS) {
                return line[at + SAYS.len()..].trim_end().to_string();
            }
        }
    }

    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("not finished");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("the child listens");
    }

    /// The last word of the parent; the child may still say something.
    pub(crate) fn end_of_words(&mut self) {
        drop(self.stdin.take());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn finish(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success(), "the child failed");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child: its argument. `None`: not started as one.
pub(crate) fn arg() -> Option<String> {
    std::env::var(MARK).ok()
}

pub(crate) fn say(text: impl std::fmt::Display) {
    println!("\n{SAYS}{text}");
}

/// The next line the parent tells; `None` once it has finished.
pub(crate) fn listen() -> Option<String> {
    let mut line = String::new();
    let n = std::io::stdin().read_line(&mut line).unwrap();
    (n > 0).then(|| line.trim().to_string())
}

/// In a child with a server: answers "counters" with all of them, until the parent finishes.
pub(crate) fn answer(handle: &Handle) {
    while let Some(question) = listen() {
        assert_eq!(question, "counters");
        let counters = handle.stats().counters;
        let text: Vec<_> = counters.entries().map(|(name, n)| format!("{name}={n}")).collect();
        say(text.join(" "));
    }
}

/// The counters of a child's server.
pub(crate) fn ask(child: &mut Process) -> std::collections::HashMap<String, u64> {
    child.tell("counters");
    let pair = |word: &str| {
        let (name, n) = word.split_once('=').expect("NAME=NUMBER");
        (name.to_string(), n.parse().expect("a number"))
    };
    child.hear().split(' ').map(pair).collect()
}
