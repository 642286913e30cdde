//! `cargo run -p xtask -- size [--abort] [--build] [FEATURES..]`: how large `windlass-mini` is, as a file and in memory.
//!
//! It is built as the book says for the smallest files, for x86-64 and musl: `std` with it, from source, for size. Each
//! set of features (`echo`, `hub` and `hub,tls` if none is named) is started with nobody connected, and a table is
//! printed. One that is larger than [`BARS`] allows is an error, so that nothing grows unseen: who makes it larger on
//! purpose raises its bar, and says so in the book. With `--build` it is only built, and said where it is.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TARGET: &str = "x86_64-unknown-linux-musl";

/// What an edition may take.
struct Bar {
    features: &'static str,
    /// Whether a panic ends the process without a word.
    abort: bool,
    /// Bytes of the file, a little more than it has.
    file: u64,
    /// Resident, in KiB. What is in memory of a file depends on the system too: there is some room.
    resident: u64,
}

const BARS: &[Bar] = &[
    Bar { features: "echo", abort: false, file: 260_000, resident: 450 },
    Bar { features: "hub", abort: false, file: 485_000, resident: 700 },
    Bar { features: "hub,tls", abort: false, file: 1_060_000, resident: 900 },
    Bar { features: "tiny", abort: true, file: 153_000, resident: 350 },
    Bar { features: "echo", abort: true, file: 211_000, resident: 400 },
    Bar { features: "hub", abort: true, file: 426_000, resident: 620 },
    Bar { features: "hub,tls", abort: true, file: 932_000, resident: 850 },
];

/// How long a program that has said where it listens is left alone before it is looked at.
const AT_REST: Duration = Duration::from_secs(1);

/// Builds and measures the editions with these features, or the usual ones.
pub(crate) fn run(root: &Path, args: &[&str]) -> io::Result<()> {
    let abort = args.contains(&"--abort");
    let known = ["--abort", "--build"];
    if let Some(unknown) = args.iter().find(|arg| arg.starts_with("--") && !known.contains(arg)) {
        return Err(io::Error::other(format!("there is no flag {unknown}")));
    }
    let named: Vec<&str> = args.iter().copied().filter(|arg| !arg.starts_with("--")).collect();
    let usual = BARS.iter().filter(|bar| bar.abort == abort).map(|bar| bar.features);
    let all: Vec<&str> = if named.is_empty() { usual.collect() } else { named };
    let panics = if abort { "immediate abort" } else { "said" };
    let mut table = String::from(
        "| features | panics | file, bytes | resident, KiB | written to, KiB |\n| --- | --- | --- | --- | --- |\n",
    );
    let mut over = Vec::new();
    for features in all {
        println!("size: {features}, panics: {panics}");
        let program = build(root, features, abort)?;
        if args.contains(&"--build") {
            println!("{}", program.display());
            continue;
        }
        let file = fs::metadata(&program)?.len();
        let memory = at_rest(&program, features)?;
        table +=
            &format!("| `{features}` | {panics} | {file} | {} | {} |\n", memory.resident, memory.written);
        over.extend(too_much(features, abort, file, memory.resident));
    }
    if !args.contains(&"--build") {
        print!("{table}");
    }
    if over.is_empty() { Ok(()) } else { Err(io::Error::other(over.join("; "))) }
}

/// What is over its bar, in words.
fn too_much(features: &str, abort: bool, file: u64, resident: u64) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(bar) = BARS.iter().find(|bar| bar.features == features && bar.abort == abort) {
        if file > bar.file {
            said.push(format!("{features} has {file} bytes, and {} are its bar", bar.file));
        }
        if resident > bar.resident {
            said.push(format!("{features} has {resident} KiB in memory, and {} are its bar", bar.resident));
        }
    }
    said
}

/// The flags of the book, with the paths of this machine taken out of the texts of panics.
fn flags(root: &Path, abort: bool) -> io::Result<String> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(root).output()?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"))
        .map_err(io::Error::other)?;
    let mut flags = vec![
        "-Cforce-unwind-tables=no".to_owned(),
        "-Clinker=rust-lld".into(),
        "-Clinker-flavor=ld.lld".into(),
        "-Clink-arg=--icf=all".into(),
        "-Clink-arg=--pack-dyn-relocs=relr".into(),
        format!("-Clink-arg={}/crates/windlass-mini/small.ld", root.display()),
        format!("--remap-path-prefix={sysroot}/lib/rustlib/src/rust/library=std"),
        format!("--remap-path-prefix={home}/registry/src=crates"),
    ];
    if abort {
        flags.extend(["-Zunstable-options", "-Cpanic=immediate-abort", "-Zfmt-debug=none"].map(Into::into));
    }
    // A path may have blanks.
    Ok(flags.join("\x1f"))
}

/// The program that is built with them: `tiny` is another one.
fn name(features: &str) -> &'static str {
    if features == "tiny" { "windlass-echo" } else { "windlass-mini" }
}

fn build(root: &Path, features: &str, abort: bool) -> io::Result<PathBuf> {
    let folder = root.join(if abort { "target/size/abort" } else { "target/size/said" });
    let mut cargo = Command::new("cargo");
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", flags(root, abort)?);
    // Whatever else is built here.
    cargo.env("CARGO_PROFILE_MINI_CODEGEN_UNITS", "1");
    if features.split(',').any(|feature| feature.starts_with("tls")) {
        // Of what has C in it, with small tables, as `small.ld` says.
        cargo.env("CC_x86_64_unknown_linux_musl", "musl-gcc");
        cargo.env("CFLAGS_x86_64_unknown_linux_musl", "-DOPENSSL_SMALL");
    }
    cargo.args(["build", "--locked", "-q", "-p", "windlass-mini", "--profile", "mini", "--target", TARGET]);
    cargo.args(["--bin", name(features)]);
    cargo.args(["--no-default-features", "--features", &format!("libc,{features}")]);
    cargo.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
    cargo.arg("--target-dir").arg(&folder).current_dir(root).stdin(Stdio::null());
    let status = cargo.status()?;
    if !status.success() {
        return Err(io::Error::other(format!("cargo failed: {status}")));
    }
    // One that is written back: else its pages count as changed by whoever maps them.
    let program = folder.join(format!("windlass-mini-{}", features.replace(',', "-")));
    fs::copy(folder.join(TARGET).join("mini").join(name(features)), &program)?;
    fs::File::open(&program)?.sync_all()?;
    Ok(program)
}

/// What a program takes, in KiB.
#[derive(PartialEq, Eq, Debug)]
struct Memory {
    /// All that is in memory of it, its file too.
    resident: u64,
    /// Of that, pages that it alone has, because it has written to them.
    written: u64,
}

/// Starts it with one service that nobody uses, and looks at its memory.
fn at_rest(program: &Path, features: &str) -> io::Result<Memory> {
    let mut command = Command::new(program);
    let file = program.with_extension("toml");
    if features == "tiny" {
        command.arg("127.0.0.1:0");
    } else {
        let service = features.split(',').next().unwrap_or_default();
        let mut config = format!("[[{service}]]\nlisten = [\"127.0.0.1:0\"]\n");
        if service == "hub" {
            config += "[hub.identity]\nanonymous = \"everybody\"\n";
        }
        fs::write(&file, config)?;
        command.args(["run", "-c"]).arg(&file);
    }
    let mut running = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    let stdout = running.0.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if !line.starts_with("Listening on ") {
        return Err(io::Error::other(format!("{} said {line:?}", program.display())));
    }
    std::thread::sleep(AT_REST);
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", running.0.id()))?;
    memory(&text).ok_or_else(|| io::Error::other("smaps_rollup says nothing"))
}

/// Out of the text of `smaps_rollup`, proc_pid_smaps(5).
fn memory(text: &str) -> Option<Memory> {
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(Memory { resident: number("Rss")?, written: number("Private_Dirty")? })
}

/// A program, which does not outlive us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_larger_than_its_bar_is_said() {
        let bar = &BARS[0];
        assert!(too_much(bar.features, bar.abort, bar.file, bar.resident).is_empty());
        let said = too_much(bar.features, bar.abort, bar.file + 1, bar.resident + 1).join("; ");
        assert!(said.contains(&format!("{} bytes", bar.file + 1)), "{said}");
        assert!(said.contains(&format!("{} KiB", bar.resident + 1)), "{said}");
        // What has no bar is only measured.
        assert!(too_much("relay", false, u64::MAX, u64::MAX).is_empty());
    }

    #[test]
    fn memory_as_the_kernel_says_it() {
        let text = "5597c000-7ffe0000 ---p 00000000 00:00 0    [rollup]\nRss:                 516 kB\n\
                    Pss:                 300 kB\nPss_Dirty: 1 kB\nPrivate_Dirty:       180 kB\n";
        assert_eq!(memory(text), Some(Memory { resident: 516, written: 180 }));
        assert_eq!(memory("Rss: 1 kB\n"), None);
    }
}
