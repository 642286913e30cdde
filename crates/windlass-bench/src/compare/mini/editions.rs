//! `windlass-mini`, built as the book says (`book/src/operating/mini.md`), with what each service alone takes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::super::peers::Layout;

/// What all editions are built for.
const TARGET: &str = "x86_64-unknown-linux-musl";
/// What rustc is told, for size.
const FLAGS: &str = "-Cforce-unwind-tables=no -Clinker=rust-lld -Clinker-flavor=ld.lld -Clink-arg=--icf=all";
/// And besides, where a panic ends the process and says nothing.
const ABORT: &str = "-Zunstable-options -Cpanic=immediate-abort";

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

pub(super) const ECHO: Edition = edition("mini-echo", "libc,echo", false);
pub(super) const RELAY: Edition = edition("mini-relay", "libc,relay", false);
pub(super) const HUB: Edition = edition("mini-hub", "libc,hub", false);
pub(super) const HUB_TLS: Edition = edition("mini-hub-tls", "libc,hub,tls", false);
pub(super) const ECHO_ABORTS: Edition = edition("mini-echo-abort", "libc,echo", true);
pub(super) const HUB_ABORTS: Edition = edition("mini-hub-abort", "libc,hub", true);

/// All of them, in the order of the table.
pub(super) const ALL: [Edition; 6] = [ECHO, RELAY, HUB, HUB_TLS, ECHO_ABORTS, HUB_ABORTS];

impl Edition {
    /// What it is, for the legend.
    pub(super) fn about(&self) -> String {
        let abort = if self.aborts { ", and a panic ends it at once" } else { "" };
        format!("`windlass-mini` with `--features {}`{abort}", self.features)
    }

    /// Where its program is, built or not.
    pub(super) fn program(&self, layout: &Layout) -> PathBuf {
        layout.target("mini").join(self.name)
    }

    fn flags(&self) -> String {
        if self.aborts { format!("{FLAGS} {ABORT}") } else { FLAGS.into() }
    }

    /// Builds it, its std too.
    pub(super) fn build(&self, layout: &Layout) -> Result<()> {
        // What is told otherwise builds everything anew.
        let folder = layout.target("mini").join(if self.aborts { "abort" } else { "panic" });
        layout.cargo_with(|cargo| _ = self.told(cargo).arg("--target-dir").arg(&folder))?;
        let built = folder.join(TARGET).join("mini/windlass-mini");
        // The next edition takes its place.
        fs::copy(&built, self.program(layout))
            .with_context(|| format!("cannot take {} away", built.display()))?;
        Ok(())
    }

    fn told<'c>(&self, cargo: &'c mut Command) -> &'c mut Command {
        cargo.args(["build", "--locked", "-p", "windlass-mini", "--profile", "mini", "--target", TARGET]);
        cargo.args(["--no-default-features", "--features", self.features]);
        cargo.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
        // The stable compiler does it if it is asked to be unstable.
        cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", self.flags());
        // TLS has C in it.
        cargo.env("CC_x86_64_unknown_linux_musl", "musl-gcc")
    }

    /// The same as it would be typed.
    pub(super) fn command(&self) -> String {
        let mut cargo = Command::new("cargo");
        self.told(&mut cargo);
        let envs = cargo.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
        let envs = envs.map(|(name, value)| {
            if value.contains(' ') { format!("{name}=\"{value}\"") } else { format!("{name}={value}") }
        });
        let args = cargo.get_args().map(|arg| arg.to_string_lossy().into_owned());
        envs.chain(["cargo".into()]).chain(args).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the book tells to type is what is measured.
    #[test]
    fn the_flags_are_those_of_the_book() {
        let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../../book/src/operating/mini.md");
        let book = fs::read_to_string(book).unwrap();
        for told in [
            format!("export RUSTFLAGS=\"{FLAGS}\""),
            format!("`{ABORT}`"),
            format!("--profile mini --target {TARGET}"),
            "-Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size".into(),
        ] {
            assert!(book.contains(&told), "{told}");
        }
    }

    #[test]
    fn a_command_as_it_would_be_typed() {
        let command = HUB_ABORTS.command();
        assert!(
            command.contains(" RUSTC_BOOTSTRAP=1 ") || command.starts_with("RUSTC_BOOTSTRAP=1 "),
            "{command}"
        );
        assert!(command.contains("-Cpanic=immediate-abort\" ") && command.contains("--features libc,hub "));
        assert!(!ECHO.command().contains("immediate-abort"));
    }
}
