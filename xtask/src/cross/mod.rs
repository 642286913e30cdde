//! `cargo run -p xtask -- cross [--plain] [TARGET..]`: `windlass-mini` for small machines, built and tried.
//!
//! Each target is built twice, without TLS and with it, and each program is started ([`smoke`]), under qemu's user mode
//! where it is not for this machine. `--plain` leaves out the edition with TLS. A table of sizes and results is printed.
//!
//! Nothing has to be installed but rustup, Python, qemu-user, the mosquitto clients and openssl. What is fetched: std of a
//! target, by rustup, or its source where there is none, which is then built too; and zig as a linker and C compiler,
//! with `cargo-zigbuild`, by pip, into `target/tools/zig`. Without TLS there is no C, and x86-64 and AArch64 are linked
//! by rustc's own `rust-lld`.

mod smoke;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::elf::{self, Kind};

/// A machine that is built for.
struct Target {
    /// As rustc calls it.
    name: &'static str,
    /// What runs its programs here; none if this machine does.
    emulator: Option<&'static str>,
    /// Whether `rust-lld` can link what has no C in it.
    lld: bool,
    /// Whether rustup has no std for it: it is built from source.
    from_source: bool,
    /// What rustc has to be told beside that.
    flags: &'static str,
    kind: Kind,
}

const fn kind(bits: u8, big_endian: bool, machine: u16) -> Kind {
    Kind { bits, big_endian, machine }
}

/// All of them, by what they are called here.
const TARGETS: &[Target] = &[
    Target {
        name: "x86_64-unknown-linux-musl",
        emulator: None,
        lld: true,
        from_source: false,
        flags: "",
        kind: kind(64, false, 62),
    },
    Target {
        name: "aarch64-unknown-linux-musl",
        emulator: Some("qemu-aarch64-static"),
        lld: true,
        from_source: false,
        flags: "",
        kind: kind(64, false, 183),
    },
    Target {
        name: "armv7-unknown-linux-musleabihf",
        emulator: Some("qemu-arm-static"),
        lld: false,
        from_source: false,
        flags: "",
        kind: kind(32, false, 40),
    },
    Target {
        name: "riscv64gc-unknown-linux-musl",
        emulator: Some("qemu-riscv64-static"),
        lld: false,
        from_source: false,
        flags: "",
        kind: kind(64, false, 243),
    },
    // Big-endian, 32 bits, and no atomic integers of 64.
    Target {
        name: "mips-unknown-linux-musl",
        emulator: Some("qemu-mips-static"),
        lld: false,
        from_source: true,
        // Whether libc has a function, std asks by a weak symbol; in a program that may be loaded anywhere the linker
        // gives one that is not there the address where the program begins, and std calls it.
        flags: "-Crelocation-model=static",
        kind: kind(32, true, 8),
    },
];

/// An edition of the program, and the features it has.
struct Edition {
    name: &'static str,
    features: &'static str,
    tls: bool,
}

const EDITIONS: [Edition; 2] = [
    Edition { name: "plain", features: "libc,echo,relay,hub,metrics", tls: false },
    Edition { name: "tls", features: "libc,echo,relay,hub,metrics,tls", tls: true },
];

/// Builds and tries those that are named, or all of them.
pub(crate) fn run(root: &Path, args: &[&str]) -> io::Result<()> {
    let plain = args.contains(&"--plain");
    let named: Vec<&str> = args.iter().copied().filter(|arg| !arg.starts_with("--")).collect();
    let unknown = named.iter().find(|name| TARGETS.iter().all(|target| !is(target, name)));
    if let Some(unknown) = unknown {
        let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        return Err(io::Error::other(format!(
            "no target is named {unknown}: there are {}",
            known.join(", ")
        )));
    }
    let mut table = String::from(
        "| target | edition | bytes | echo, 10 MB | hub | TLS 1.3 |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for target in
        TARGETS.iter().filter(|target| named.is_empty() || named.iter().any(|name| is(target, name)))
    {
        for edition in EDITIONS.iter().filter(|edition| !edition.tls || !plain) {
            println!("cross: {}, {}", target.name, edition.name);
            let program = build(root, target, edition)?;
            let bytes = examined(target, &program)?;
            let outcome = smoke::run(target.emulator, &program, edition.tls)?;
            table += &format!(
                "| `{}` | {} | {bytes} | {} | {} | {} |\n",
                target.name, edition.name, outcome.echo, outcome.hub, outcome.tls
            );
        }
    }
    print!("{table}");
    Ok(())
}

/// `aarch64` is enough.
fn is(target: &Target, name: &str) -> bool {
    target.name == name || target.name.split('-').next() == Some(name)
}

/// How many bytes it has, if it is for that machine and needs nothing but its kernel.
fn examined(target: &Target, program: &Path) -> io::Result<u64> {
    let elf = elf::read(program)?;
    if elf.kind != target.kind || elf.interpreted {
        let said = format!("{}: {:?}, interpreted: {}", program.display(), elf.kind, elf.interpreted);
        return Err(io::Error::other(said));
    }
    Ok(fs::metadata(program)?.len())
}

fn build(root: &Path, target: &Target, edition: &Edition) -> io::Result<PathBuf> {
    let source = target.from_source || !has_std(root, target)?;
    let mut cargo = Command::new("cargo");
    let upper = target.name.replace('-', "_").to_uppercase();
    // With C in it `cc` is needed, and musl's is installed for x86-64 where releases are made.
    let musl_gcc = target.emulator.is_none() && edition.tls && answers("musl-gcc");
    if musl_gcc {
        cargo.arg("build").env(format!("CC_{}", target.name.replace('-', "_")), "musl-gcc");
    } else if target.lld && !edition.tls && !source {
        cargo.arg("build").env(format!("CARGO_TARGET_{upper}_LINKER"), "rust-lld");
    } else {
        let tools = zig(root)?;
        let path = std::env::var("PATH").unwrap_or_default();
        cargo.arg("zigbuild").env("PATH", format!("{}:{path}", tools.display()));
    }
    if source {
        // What rustup does not have is built for this target alone; a compiler of the stable channel has to be told
        // that it may. zig brings the objects that a program begins and ends with.
        cargo.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        let flags = format!("-Clink-self-contained=no {}", target.flags);
        cargo.env(format!("CARGO_TARGET_{upper}_RUSTFLAGS"), flags);
    }
    cargo.args(["--locked", "-p", "windlass-mini", "--profile", "mini", "--target", target.name]);
    cargo.args(["--no-default-features", "--features", edition.features]);
    let folder = root.join("target/cross");
    cargo.arg("--target-dir").arg(&folder);
    say(cargo.current_dir(root))?;
    // The next edition takes its place.
    let program = folder.join(format!("windlass-mini-{}-{}", target.name, edition.name));
    fs::copy(folder.join(target.name).join("mini/windlass-mini"), &program)?;
    Ok(program)
}

/// Whether there is a std for it, asking rustup for one if need be.
fn has_std(root: &Path, target: &Target) -> io::Result<bool> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(root).output()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    let lib = sysroot.join("lib/rustlib").join(target.name).join("lib");
    if lib.is_dir() {
        return Ok(true);
    }
    let added = say(Command::new("rustup").args(["target", "add", target.name]).current_dir(root));
    Ok(added.is_ok() && lib.is_dir())
}

/// The folder of zig and `cargo-zigbuild`, which pip fetches once.
fn zig(root: &Path) -> io::Result<PathBuf> {
    let venv = root.join("target/tools/zig");
    let programs = venv.join("bin");
    if !programs.join("cargo-zigbuild").is_file() {
        say(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let packages = ["ziglang==0.17.1", "cargo-zigbuild==0.24.0"];
        say(Command::new(programs.join("pip")).args(["install", "-q"]).args(packages))?;
    }
    Ok(programs)
}

fn answers(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn say(command: &mut Command) -> io::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program} failed: {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_by_its_machine_alone() {
        let target = &TARGETS[1];
        assert!(is(target, "aarch64") && is(target, "aarch64-unknown-linux-musl") && !is(target, "aarch"));
        assert!(run(Path::new("/"), &["sparc"]).unwrap_err().to_string().contains("mips-unknown-linux-musl"));
    }

    #[test]
    fn a_program_for_another_machine_is_not_believed() {
        let here = std::env::current_exe().unwrap();
        assert!(examined(&TARGETS[4], &here).unwrap_err().to_string().contains("bits: 64"));
    }
}
