//! `windlass-mini`, built as the book says (`book/src/operating/mini.md`), with what each service alone takes.
//! `xtask size` knows how.

use std::path::PathBuf;

use anyhow::Result;

use super::super::peers::Layout;

/// One way to build it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edition {
    /// What the program is called in the table.
    pub(super) name: &'static str,
    pub(super) features: &'static str,
    /// Whether a panic says nothing.
    pub(super) aborts: bool,
}

const fn edition(name: &'static str, features: &'static str, aborts: bool) -> Edition {
    Edition { name, features, aborts }
}

pub(super) const ECHO: Edition = edition("mini-echo", "echo", false);
pub(super) const RELAY: Edition = edition("mini-relay", "relay", false);
pub(super) const HUB: Edition = edition("mini-hub", "hub", false);
pub(super) const HUB_TLS: Edition = edition("mini-hub-tls", "hub,tls", false);
pub(super) const TINY_ABORTS: Edition = edition("tiny-echo-abort", "tiny", true);
pub(super) const ECHO_ABORTS: Edition = edition("mini-echo-abort", "echo", true);
pub(super) const HUB_ABORTS: Edition = edition("mini-hub-abort", "hub", true);
pub(super) const HUB_TLS_ABORTS: Edition = edition("mini-hub-tls-abort", "hub,tls", true);

/// All of them, in the order of the table.
pub(super) const ALL: [Edition; 8] =
    [ECHO, RELAY, HUB, HUB_TLS, TINY_ABORTS, ECHO_ABORTS, HUB_ABORTS, HUB_TLS_ABORTS];

impl Edition {
    /// What it is, for the legend.
    pub(super) fn about(&self) -> String {
        let program = if *self == TINY_ABORTS { "windlass-echo" } else { "windlass-mini" };
        let abort = if self.aborts { ", and a panic ends it at once" } else { "" };
        format!("`{program}` with `--features libc,{}`{abort}", self.features)
    }

    /// Where its program is, built or not.
    pub(super) fn program(&self, layout: &Layout) -> PathBuf {
        let folder = layout.root.join("target/size").join(if self.aborts { "abort" } else { "said" });
        folder.join(format!("windlass-mini-{}", self.features.replace(',', "-")))
    }

    /// Builds it, its std too.
    pub(super) fn build(&self, layout: &Layout) -> Result<()> {
        layout.cargo_with(|cargo| _ = cargo.args(self.args()))
    }

    fn args(&self) -> Vec<&'static str> {
        let mut args = vec!["run", "--locked", "-q", "-p", "xtask", "--", "size", "--build"];
        args.extend(self.aborts.then_some("--abort"));
        args.push(self.features);
        args
    }

    /// The same as it would be typed.
    pub(super) fn command(&self) -> String {
        format!("cargo {}", self.args().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edition_is_built_where_it_is_looked_for() {
        let layout = Layout::find().unwrap();
        assert_eq!(
            HUB_TLS_ABORTS.program(&layout),
            layout.root.join("target/size/abort/windlass-mini-hub-tls")
        );
        assert_eq!(
            HUB_TLS_ABORTS.command(),
            "cargo run --locked -q -p xtask -- size --build --abort hub,tls"
        );
        assert!(!ECHO.command().contains("abort"));
    }
}
