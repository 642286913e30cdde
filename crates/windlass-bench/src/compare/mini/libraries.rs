//! What a program is on disk: its own file, and the shared libraries that it cannot begin without.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// Bytes of a program's file, and of that with all that `ldd` names.
pub(super) fn sizes(program: &Path) -> Result<(u64, u64)> {
    let len = |path: &Path| {
        fs::metadata(path).map(|it| it.len()).with_context(|| format!("cannot look at {}", path.display()))
    };
    let own = len(program)?;
    // It fails, with words, for a program that is static.
    let output = Command::new("ldd").arg(program).env("LC_ALL", "C").output().context("there is no ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut files = BTreeSet::new();
    for path in parse(&text) {
        // Two names of one file are one file.
        let path = fs::canonicalize(&path).with_context(|| format!("there is no {}", path.display()))?;
        files.insert(path);
    }
    let mut all = own;
    for path in &files {
        all += len(path)?;
    }
    Ok((own, all))
}

/// The files that `ldd` names.
fn parse(text: &str) -> Vec<PathBuf> {
    let file = |line: &str| {
        let named = line.split_once("=>").map_or(line, |(_, path)| path);
        // The kernel's own library is in no file, and has no path.
        named.split_whitespace().next().filter(|path| path.starts_with('/')).map(PathBuf::from)
    };
    text.lines().filter_map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ldd_says() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd8a5f2000)\n\
                    \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f0e5c000000)\n\
                    \tlibgone.so.1 => not found\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f0e5c2f1000)\n";
        let files = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(parse(text), files.map(PathBuf::from));
        for of_a_static_one in ["\tstatically linked\n", "\tnot a dynamic executable\n", ""] {
            assert!(parse(of_a_static_one).is_empty());
        }
    }

    #[test]
    fn this_very_program_needs_the_c_library() {
        let own = std::env::current_exe().unwrap();
        let (file, all) = sizes(&own).unwrap();
        assert_eq!(file, fs::metadata(&own).unwrap().len());
        assert!(all > file + 1_000_000, "{file} {all}");
        assert!(sizes(Path::new("/nowhere/program")).is_err());
    }
}
