//! `cargo run -p xtask -- dist [TARGET]`: what is handed to those who do not build: a folder, a tarball of it,
//! and its checksum, below `target/dist`.
//!
//! The tarball is the same for the same files: sorted, of one time, of nobody. `SOURCE_DATE_EPOCH` is that time,
//! or else the last commit's. Pages and completions are printed by the very binary that is packed, so it is
//! built for a target that runs here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the binary needs nothing of the system but its kernel.
const STATIC: &str = "x86_64-unknown-linux-musl";

/// The configuration that packages install: reachable from this machine only. The unit is the sandbox there:
/// one of our own would keep SIGUSR2 from starting a successor.
const CONFIG: &[&str] = &[
    "init",
    "echo",
    "--set",
    "server.control=/run/windlass/control",
    "--set",
    "admin.listen=127.0.0.1:9900",
];

/// What is copied as it is: below the root here, and in the folder.
const COPIED: &[(&str, &str)] = &[
    ("packaging/systemd/windlass.service", "lib/systemd/system/windlass.service"),
    ("packaging/systemd/examples/windlass.socket", "share/doc/windlass/examples/windlass.socket"),
    ("packaging/systemd/examples/low-ports.conf", "share/doc/windlass/examples/low-ports.conf"),
    ("packaging/prometheus/windlass.rules.yml", "share/doc/windlass/examples/windlass.rules.yml"),
    ("packaging/grafana/windlass.json", "share/doc/windlass/examples/windlass-grafana.json"),
    ("README.md", "share/doc/windlass/README.md"),
    ("CHANGELOG.md", "share/doc/windlass/CHANGELOG.md"),
    ("LICENSE-MIT", "share/doc/windlass/LICENSE-MIT"),
    ("LICENSE-APACHE", "share/doc/windlass/LICENSE-APACHE"),
];

/// Makes all of it, and tells where the tarball is.
pub(crate) fn run(root: &Path, target: Option<&str>) -> io::Result<PathBuf> {
    let target = target.map_or_else(|| choose(root), |target| Ok(target.to_owned()))?;
    let binary = build(root, &target)?;
    let dist = root.join("target/dist");
    let name = format!("windlass-{}-{target}", env!("CARGO_PKG_VERSION"));
    let folder = dist.join(&name);
    stage(root, &binary, &folder)?;
    let tarball = pack(root, &dist, &name)?;
    sums(&dist)?;
    Ok(tarball)
}

/// The binary's pages, completions and configuration, and what is copied, in `folder`.
pub(crate) fn stage(root: &Path, binary: &Path, folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    put(binary, &folder.join("bin/windlass"))?;
    for (from, to) in COPIED {
        put(&root.join(from), &folder.join(to))?;
    }
    let (first, fifth) = (folder.join("share/man/man1"), folder.join("share/man/man5"));
    says(binary, &["man", "-o", &first.display().to_string()])?;
    fs::create_dir_all(&fifth)?;
    fs::rename(first.join("windlass.toml.5"), fifth.join("windlass.toml.5"))?;
    for (shell, path) in [
        ("bash", "share/bash-completion/completions/windlass"),
        ("zsh", "share/zsh/vendor-completions/_windlass"),
        ("fish", "share/fish/vendor_completions.d/windlass.fish"),
    ] {
        write(&folder.join(path), &says(binary, &["completions", shell])?)?;
    }
    let config = folder.join("etc/windlass/windlass.toml");
    write(&config, &says(binary, CONFIG)?)?;
    says(binary, &["check", "--no-environment", "-c", &config.display().to_string()])?;
    Ok(())
}

/// The static target if it can be built for, or else this machine's.
fn choose(root: &Path) -> io::Result<String> {
    let here = run_in(root, Command::new("rustc").arg("-vV"))?;
    let here = String::from_utf8_lossy(&here);
    let here = here.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
    let sysroot = run_in(root, Command::new("rustc").args(["--print", "sysroot"]))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot).trim());
    let has_target = sysroot.join("lib/rustlib").join(STATIC).join("lib").is_dir();
    let has_compiler = Command::new("musl-gcc").arg("--version").stdout(Stdio::null()).status().is_ok();
    if has_target && has_compiler && here.starts_with("x86_64-unknown-linux") {
        return Ok(STATIC.into());
    }
    eprintln!("dist: no target {STATIC} or no musl-gcc here: built for {here}, which needs its C library");
    Ok(here)
}

fn build(root: &Path, target: &str) -> io::Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--locked", "-p", "windlass-cli", "--target", target]);
    // No path of the machine that built it, and no lines that only its sources explain.
    let cargo = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"));
    let cargo = cargo.unwrap_or_else(|_| "/nowhere".into());
    let flags = format!(
        "--remap-path-prefix={}=/windlass --remap-path-prefix={cargo}=/cargo",
        root.canonicalize()?.display()
    );
    let upper = target.replace('-', "_").to_uppercase();
    command.env(format!("CARGO_TARGET_{upper}_RUSTFLAGS"), flags);
    command.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    if target.ends_with("-musl") && std::env::var_os(format!("CC_{}", target.replace('-', "_"))).is_none() {
        command.env(format!("CC_{}", target.replace('-', "_")), "musl-gcc");
    }
    run_in(root, command.stdout(Stdio::inherit()))?;
    Ok(root.join("target").join(target).join("release/windlass"))
}

fn pack(root: &Path, dist: &Path, name: &str) -> io::Result<PathBuf> {
    let time = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(time) => time,
        // A tree without its history has no time of its own.
        Err(_) => run_in(root, Command::new("git").args(["log", "-1", "--format=%ct"]))
            .map_or_else(|_| "0".into(), |time| String::from_utf8_lossy(&time).trim().into()),
    };
    let tarball = dist.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]);
    tar.args(["--mode=u+rwX,go+rX,go-w", "--use-compress-program=gzip -9n"]);
    tar.arg(format!("--mtime=@{time}")).arg("-cf").arg(&tarball).arg("-C").arg(dist).arg(name);
    run_in(root, &mut tar)?;
    Ok(tarball)
}

/// Of every tarball, and of a package that has been put beside them.
fn sums(dist: &Path) -> io::Result<()> {
    let mut names: Vec<String> = fs::read_dir(dist)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".tar.gz") || name.ends_with(".deb"))
        .collect();
    names.sort();
    let sums = run_in(dist, Command::new("sha256sum").args(&names))?;
    write(&dist.join("SHA256SUMS"), &sums)
}

fn put(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(Path::new(".")))?;
    fs::copy(from, to)
        .map(drop)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", from.display())))
}

fn write(to: &Path, text: &[u8]) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(Path::new(".")))?;
    fs::write(to, text)
}

/// What the binary prints, without what the environment would set.
fn says(binary: &Path, args: &[&str]) -> io::Result<Vec<u8>> {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WINDLASS_")) {
        command.env_remove(name);
    }
    run_in(Path::new("."), command.args(args))
}

fn run_in(folder: &Path, command: &mut Command) -> io::Result<Vec<u8>> {
    let output = command.current_dir(folder).stderr(Stdio::inherit()).stdin(Stdio::null()).output();
    let program = command.get_program().to_string_lossy().into_owned();
    let output = output.map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{program} failed: {}", output.status)));
    }
    Ok(output.stdout)
}
