//! ENet's datagrams in a second of CPU, beside rusty_enet: a benchmark of its own, for it takes what others wrote.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::GameArgs;
use super::bars::{Bar, Is};
use crate::compare::peers::Layout;

pub(super) fn section(args: &GameArgs, layout: &Layout) -> Result<(String, Vec<Bar>)> {
    eprintln!("building and running the benchmark of ENet");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["bench", "-q", "--locked", "-p", "windlass-bench", "--bench", "enet"])
        .current_dir(&layout.root);
    if args.quick {
        command.env("WINDLASS_ENET_TURNS", "3");
    }
    let output = command.stderr(std::process::Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the benchmark failed");
    let table = String::from_utf8(output.stdout)?;
    let bars: Vec<Bar> = table.lines().filter_map(bar).collect();
    ensure!(!bars.is_empty(), "it says nothing of rusty_enet");
    let text = format!(
        "\n## ENet: datagrams in a second of CPU\n\nSee [ENET.md](ENET.md), which says how it is counted (`cargo bench -p \
         windlass-bench --bench enet`).\n\n{}\n",
        table.trim()
    );
    Ok((text, bars))
}

/// A row: peers, ours, theirs with the ratio in parentheses, system calls alone.
fn bar(line: &str) -> Option<Bar> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let &[_, peers, _, theirs, _, _] = cells.as_slice() else { return None };
    let ratio = theirs.split_once('(')?.1.strip_suffix(')')?.parse().ok()?;
    let what = format!("times rusty_enet's datagrams in a second of CPU; peers, at a time: {peers}");
    Some(Bar::new(what, ratio, Is::AtLeast(1.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_benchmark_are_read() {
        assert!(
            bar("| peers, of whom so many at a time | windlass | rusty_enet (ours to it) | alone |")
                .is_none()
        );
        assert!(bar("| ---: | ---: | ---: | ---: |").is_none());
        let found = bar("| 1000, 40 | 481675 | 427481 (1.13) | 554212 |").unwrap();
        assert!((found.ours - 1.13).abs() < 1e-9 && found.what.ends_with("1000, 40"));
    }
}
