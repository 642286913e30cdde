//! The servers that are compared: where they come from, how they are built and started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// The name of the server that all ratios refer to.
pub(crate) const REFERENCE: &str = "epoll";

/// The peers that live in `benches/peers`: name, binary, further arguments, and what it is.
const PEERS: [(&str, &str, &[&str], &str); 9] = [
    (REFERENCE, "peer-epoll", &["--buffer", "65536"], "hand-tuned epoll, one shared 64 KiB buffer"),
    ("epoll-512K", "peer-epoll", &["--buffer", "524288"], "the same with 512 KiB"),
    ("mio", "peer-mio", &["--buffer", "65536"], "the same as epoll, on plain mio"),
    ("tutorial", "peer-tutorial", &["-q"], "mio's tutorial: one 4 KiB read per event, `write_all`"),
    ("tokio-16K", "peer-tokio", &["--buffer", "16384"], "tokio, current thread, 16 KiB per connection"),
    ("tokio-64K", "peer-tokio", &["--buffer", "65536"], "tokio, current thread, 64 KiB per connection"),
    ("monoio-uring", "peer-monoio", &["--driver", "uring"], "monoio on io_uring, 16 KiB per connection"),
    ("monoio-legacy", "peer-monoio", &["--driver", "legacy"], "monoio on epoll, 16 KiB per connection"),
    ("message-io", "peer-message-io", &[], "message-io's TCP transport"),
];

/// The name of our own server.
pub(crate) const WINDLASS: &str = "windlass";

/// One server of the comparison.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// What it is, for the legend.
    pub(crate) about: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
}

/// Where the sources are and where the binaries go.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
    target: PathBuf,
}

impl Layout {
    /// Finds the workspace that contains the current directory.
    pub(crate) fn find() -> Result<Layout> {
        let here = std::env::current_dir().context("there is no current directory")?;
        let root = here
            .ancestors()
            .find(|folder| folder.join("benches/peers/Cargo.toml").is_file())
            .context("run this inside the windlass workspace: there is no benches/peers here")?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
        // A relative target directory means: relative to the root.
        Ok(Layout { root: root.to_owned(), target: root.join(target) })
    }

    fn peers_target(&self) -> PathBuf {
        self.target.join("peers")
    }

    /// Builds the peers, each in release mode.
    pub(crate) fn build_peers(&self) -> Result<()> {
        let manifest = self.root.join("benches/peers/Cargo.toml");
        self.cargo(&[
            "build".as_ref(),
            "--release".as_ref(),
            "--locked".as_ref(),
            "--manifest-path".as_ref(),
            &manifest,
            "--target-dir".as_ref(),
            &self.peers_target(),
        ])
    }

    fn proxies_target(&self) -> PathBuf {
        self.target.join("proxies")
    }

    /// Builds one of the packages of `benches/proxies` in release mode.
    pub(crate) fn build_proxy(&self, package: &str) -> Result<()> {
        let manifest = self.root.join("benches/proxies/Cargo.toml");
        self.cargo(&[
            "build".as_ref(),
            "--release".as_ref(),
            "--locked".as_ref(),
            "--manifest-path".as_ref(),
            &manifest,
            "--package".as_ref(),
            package.as_ref(),
            "--target-dir".as_ref(),
            &self.proxies_target(),
        ])
    }

    /// One of `benches/proxies`, if it was built.
    pub(crate) fn proxy(&self, package: &str) -> Option<PathBuf> {
        Some(self.proxies_target().join("release").join(package)).filter(|program| program.is_file())
    }

    /// The version of a crate that `benches/proxies` is locked to.
    pub(crate) fn locked(&self, name: &str) -> Option<String> {
        let lock = std::fs::read_to_string(self.root.join("benches/proxies/Cargo.lock")).ok()?;
        let after = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
        Some(after.split('"').next()?.to_owned())
    }

    /// Builds the MQTT brokers among them, which are a package of their own. One may fail without the other.
    pub(crate) fn build_brokers(&self) -> Result<()> {
        let manifest = self.root.join("benches/peers/brokers/Cargo.toml");
        self.cargo(&[
            "build".as_ref(),
            "--release".as_ref(),
            "--locked".as_ref(),
            "--keep-going".as_ref(),
            "--manifest-path".as_ref(),
            &manifest,
            "--target-dir".as_ref(),
            &self.peers_target(),
        ])
    }

    /// An MQTT broker, built or not.
    pub(crate) fn broker(&self, binary: &str) -> PathBuf {
        self.peers_target().join("release").join(binary)
    }

    /// Builds our own server.
    pub(crate) fn build_windlass(&self) -> Result<()> {
        self.cargo(&["build", "--release", "-p", "windlass-cli"].map(Path::new))
    }

    /// Builds one of a package's examples.
    pub(crate) fn build_example(&self, package: &str, name: &str) -> Result<()> {
        self.cargo(&["build", "--release", "-p", package, "--example", name].map(Path::new))
    }

    /// An example that was built.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.target.join("release/examples").join(name)
    }

    /// Our own echo server.
    pub(crate) fn windlass(&self) -> Peer {
        windlass_peer(WINDLASS, &self.target.join("release/windlass"))
    }

    fn cargo(&self, args: &[&Path]) -> Result<()> {
        self.cargo_with(|cargo| _ = cargo.args(args))
    }

    /// Runs cargo, told what to do.
    pub(crate) fn cargo_with(&self, tell: impl FnOnce(&mut Command)) -> Result<()> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        tell(cargo.current_dir(&self.root));
        let status = cargo.status().context("cannot start cargo")?;
        ensure!(status.success(), "the build failed");
        Ok(())
    }

    /// The servers named in `wanted`, or all; the reference always, and first. `windlass` gives
    /// our own server's binaries as `[NAME=]PATH`; without one it is the workspace's.
    pub(crate) fn peers(&self, wanted: &[String], windlass: &[String]) -> Result<Vec<Peer>> {
        let folder = self.peers_target().join("release");
        let mut all: Vec<Peer> = PEERS
            .iter()
            .map(|(name, binary, args, about)| Peer {
                name: (*name).into(),
                about: (*about).into(),
                program: folder.join(binary),
                args: [&["127.0.0.1:0"], *args].concat().iter().map(|arg| (*arg).to_owned()).collect(),
            })
            .collect();
        let own = [self.target.join("release/windlass").display().to_string()];
        for given in if windlass.is_empty() { &own } else { windlass } {
            let (name, path) = given.split_once('=').unwrap_or((WINDLASS, given));
            all.push(windlass_peer(name, Path::new(path)));
        }
        for name in wanted {
            if !all.iter().any(|peer| peer.name == *name) && name != WINDLASS {
                let names: Vec<&str> = all.iter().map(|peer| peer.name.as_str()).collect();
                bail!("there is no peer `{name}`; there are {}", names.join(", "));
            }
        }
        all.retain(|peer| {
            let ours = peer.is_windlass() && wanted.iter().any(|name| name == WINDLASS);
            wanted.is_empty() || peer.name == REFERENCE || ours || wanted.contains(&peer.name)
        });
        Ok(all)
    }
}

impl Layout {
    /// The UDP servers, the reference first.
    pub(crate) fn udp_peers(&self) -> Vec<Peer> {
        let folder = self.peers_target().join("release");
        let peer = |name: &str, about: &str, program: PathBuf, args: &[&str]| Peer {
            name: name.into(),
            about: about.into(),
            program,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        };
        let own = ["echo", "udp:127.0.0.1:0", "-q", "--workers", "1"];
        vec![
            peer("mio", "plain mio, one datagram a call", folder.join("peer-mio-udp"), &["127.0.0.1:0"]),
            peer("tokio", "tokio's UdpSocket", folder.join("peer-tokio-udp"), &["127.0.0.1:0"]),
            peer(WINDLASS, "`windlass echo`, one worker", self.target.join("release/windlass"), &own),
        ]
    }
}

fn windlass_peer(name: &str, program: &Path) -> Peer {
    let args = ["echo", "127.0.0.1:0", "-q", "--workers", "1"].map(str::to_owned).to_vec();
    Peer { name: name.into(), about: "`windlass echo`, one worker".into(), program: program.into(), args }
}

impl Peer {
    pub(crate) fn is_windlass(&self) -> bool {
        self.args.first().is_some_and(|arg| arg == "echo")
    }

    /// Whether it can be told to use cubic.
    pub(crate) fn takes_cubic(&self) -> bool {
        self.is_windlass()
            || self.program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("peer-"))
    }

    /// The same server with another number of workers; only ours has any.
    pub(crate) fn with_workers(&self, workers: usize) -> Peer {
        let mut peer = self.clone();
        if let Some(last) = peer.args.last_mut() {
            *last = workers.to_string();
        }
        peer.name = format!("{} --workers {workers}", self.name);
        peer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &[&str], windlass: &[&str]) -> Result<Vec<String>> {
        let layout = Layout { root: "/".into(), target: "/target".into() };
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let peers = layout.peers(&owned(wanted), &owned(windlass))?;
        Ok(peers.into_iter().map(|peer| peer.name).collect())
    }

    #[test]
    fn the_reference_is_always_there_and_first() {
        assert_eq!(names(&["windlass", "mio"], &[]).unwrap(), ["epoll", "mio", "windlass"]);
        assert_eq!(names(&[], &[]).unwrap().len(), 10);
    }

    #[test]
    fn several_builds_of_our_own() {
        let found = names(&["windlass"], &["old=/a/windlass", "new=/b/windlass"]).unwrap();
        assert_eq!(found, ["epoll", "old", "new"]);
        assert_eq!(names(&["new"], &["old=/a", "new=/b"]).unwrap(), ["epoll", "new"]);
    }

    #[test]
    fn unknown_peers_are_named() {
        assert!(names(&["nginx"], &[]).unwrap_err().to_string().contains("`nginx`"));
    }
}
