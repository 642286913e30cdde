//! Paths and ports, by Landlock.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use windlass::Address;

use super::Enforced;
use crate::config::File;
use crate::config::value::FilePath;

/// The newest rules that are asked for. Later ones would cut the way to the supervisor's socket.
const NEWEST: ABI = ABI::V7;
/// What `strict` cannot do without: files and TCP ports (Linux 6.7).
const NEEDED: ABI = ABI::V4;

/// What the C library and the standard library read of the system: names of hosts and users, the time zone,
/// the number of processors, how much memory there is.
const SYSTEM: &[&str] = &[
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/passwd",
    "/etc/group",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/proc/self",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/sys/net",
    "/proc/sys/kernel",
    "/proc/sys/vm",
    "/proc/pressure",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/dev/urandom",
];

/// What stays allowed.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Read, with everything below.
    pub(crate) read: BTreeSet<PathBuf>,
    /// Written too.
    pub(crate) write: BTreeSet<PathBuf>,
    /// Folders in which sockets are made and removed.
    pub(crate) sockets: BTreeSet<PathBuf>,
    /// Folders in which logs are begun and added to.
    pub(crate) logs: BTreeSet<PathBuf>,
    /// TCP ports that may be listened on again, where others may not.
    pub(crate) ports: BTreeSet<u16>,
    /// Whether others may be called by TCP, on any port.
    pub(crate) calls: bool,
}

impl Kept {
    /// What a server of this configuration needs, to be reloaded too.
    pub(crate) fn of(file: &File) -> Kept {
        let mut kept = Kept::default();
        // Whoever renews a file often puts a new one in its place: it is the folder that is read.
        let mut folder_of = |path: &Path| {
            kept.read.insert(folder(path));
            // And behind a link, where it leads.
            kept.read.extend(path.canonicalize().ok().as_deref().map(folder));
        };
        file.read_from.0.iter().for_each(|path| folder_of(path));
        let services = crate::config::services(file);
        for table in services.iter().filter_map(|service| service.tls) {
            folder_of(&table.cert.0);
            folder_of(&table.key.0);
            table.client_ca.iter().for_each(|FilePath(path)| folder_of(path));
        }
        #[cfg(feature = "hub")]
        for FilePath(path) in file.hub.iter().flat_map(|hub| hub.identity.files()) {
            folder_of(path);
        }
        #[cfg(feature = "kv")]
        for FilePath(path) in file.resp.iter().filter_map(|resp| resp.password_file.as_ref()) {
            folder_of(path);
        }
        #[cfg(feature = "proxy")]
        for tls in file.proxy.iter().flat_map(|proxy| proxy.backend_tls()) {
            let more = [Some(&tls.authorities), tls.cert.as_ref(), tls.key.as_ref()];
            more.into_iter().flatten().for_each(|FilePath(path)| folder_of(path));
        }
        #[cfg(feature = "proxy")]
        for source in file.proxy.iter().flat_map(|proxy| proxy.sources()) {
            if let windlass_proxy::Source::File(path) = source {
                folder_of(path);
            }
        }
        #[cfg(feature = "proxy")]
        for (_, FilePath(path)) in file.proxy.iter().flat_map(|proxy| proxy.pages()) {
            folder_of(path);
        }
        #[cfg(feature = "hub")]
        kept.write
            .extend(file.hub.iter().filter_map(|hub| hub.data.as_ref().map(|FilePath(path)| path.clone())));
        #[cfg(feature = "realtime")]
        for game in &file.game {
            kept.read.extend(game.token_key_file.iter().map(|FilePath(path)| folder(path)));
            kept.write.extend(game.record.iter().map(|FilePath(path)| path.clone()));
        }
        kept.read.extend(SYSTEM.iter().map(PathBuf::from));
        // A panic tells where it was: the program's own symbols.
        kept.read.extend(std::env::current_exe().ok());
        let state = std::env::var("STATE_DIRECTORY").unwrap_or_default();
        kept.write.extend(state.split(':').filter(|path| !path.is_empty()).map(PathBuf::from));
        for path in crate::config::written(file) {
            // A file is made anew where it was renamed; what is no file stays as it is.
            let is_file = std::fs::metadata(path).is_ok_and(|it| it.is_file());
            kept.write.insert(if is_file { folder(path) } else { path.to_owned() });
        }
        let addresses = services.iter().flat_map(|service| service.listen.iter().copied());
        for address in addresses.chain(file.admin.listen.iter().map(|listen| &listen.0)) {
            match address {
                Address::Tcp(text) => {
                    kept.ports.extend(text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()));
                }
                Address::Unix(path) => drop(kept.sockets.insert(folder(path))),
                // Datagrams are beyond what Landlock knows of.
                _ => {}
            }
        }
        let logs = services.iter().filter_map(|service| service.access_log).chain(&file.admin.access_log);
        let logs = logs.map(|table| &table.path.0).filter(|path| *path != Path::new("-"));
        kept.logs
            .extend(logs.chain(file.log.path.as_ref().map(|FilePath(path)| path)).map(|path| folder(path)));
        // A proxy calls its backends, which may be others tomorrow.
        #[cfg(feature = "proxy")]
        {
            kept.calls = !file.proxy.is_empty();
        }
        kept.sockets.extend(file.server.control.as_ref().map(|FilePath(path)| folder(path)));
        kept
    }
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => ".".into(),
    }
}

/// What this kernel's Landlock can forbid, in words; empty if it has none.
pub(super) fn foreseen() -> Vec<&'static str> {
    let can = |ruleset: Result<Ruleset, landlock::RulesetError>| ruleset.and_then(Ruleset::create).is_ok();
    let hard = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let mut can_forbid = Vec::new();
    if can(hard().handle_access(AccessFs::Execute)) {
        can_forbid.push("files");
    }
    if can(hard().handle_access(AccessNet::BindTcp)) {
        can_forbid.push("TCP");
    }
    if can(hard().scope(Scope::Signal)) {
        can_forbid.push("signals to others");
    }
    can_forbid
}

/// Forbids all but what is kept.
pub(super) fn enforce(strict: bool, kept: &Kept, enforced: &mut Enforced) -> Result<()> {
    let can_forbid = foreseen();
    for needed in ["files", "TCP"].iter().filter(|needed| !can_forbid.contains(needed)) {
        ensure!(!strict, "`server.sandbox` is strict, and this kernel's Landlock cannot forbid {needed}");
        enforced.lacking.push(format!("this kernel's Landlock cannot forbid {needed}"));
    }
    if can_forbid.is_empty() {
        return Ok(());
    }
    let status = restrict(strict, kept).context("cannot set up Landlock")?;
    let abi = match status {
        LandlockStatus::Available { effective_abi, kernel_abi } => kernel_abi.unwrap_or(effective_abi as i32),
        _ => 0,
    };
    ensure!(abi > 0, "Landlock has vanished while it was set up");
    let words = can_forbid.iter().filter_map(|what| match *what {
        "TCP" => match (strict, kept.calls) {
            (true, true) => Some("other TCP ports"),
            (true, false) => Some("other TCP ports, calls by TCP"),
            (false, true) => None,
            (false, false) => Some("calls by TCP"),
        },
        "files" => Some("other files"),
        what => Some(what),
    });
    enforced.what.push(format!("{} (Landlock ABI {abi})", words.collect::<Vec<_>>().join(", ")));
    Ok(())
}

fn restrict(strict: bool, kept: &Kept) -> Result<LandlockStatus> {
    let level = if strict { CompatLevel::HardRequirement } else { CompatLevel::BestEffort };
    let mut ruleset =
        Ruleset::default().set_compatibility(level).handle_access(AccessFs::from_all(NEEDED))?;
    // Otherwise a reload may listen on more of them.
    if strict {
        ruleset = ruleset.handle_access(AccessNet::BindTcp)?;
    }
    // No rule allows one.
    if !kept.calls {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut ruleset = ruleset
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::Signal)?;
    // A supervisor may be told at an abstract socket, which is then outside.
    if !std::env::var("NOTIFY_SOCKET").is_ok_and(|path| path.starts_with('@')) {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    let mut rules = ruleset.create()?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::from_all(NEWEST) & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock);
    let sockets = AccessFs::ReadDir | AccessFs::MakeSock | AccessFs::RemoveFile;
    let logs = AccessFs::ReadDir | AccessFs::MakeReg | AccessFs::WriteFile;
    for (paths, access) in
        [(&kept.read, read), (&kept.write, write), (&kept.sockets, sockets), (&kept.logs, logs)]
    {
        for path in paths {
            // What is not there cannot be opened either.
            let Ok(fd) = PathFd::new(path) else { continue };
            let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
            rules = rules.add_rule(PathBeneath::new(fd, access))?;
        }
    }
    for port in kept.ports.iter().filter(|_| strict) {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    Ok(rules.restrict_self()?.landlock)
}
