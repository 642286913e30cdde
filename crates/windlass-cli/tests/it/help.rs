//! What `--help` says, compared with `tests/help/*.txt`. Run with `WINDLASS_TEST_BLESS=1` to write those
//! anew, and read the difference.

use crate::server::*;

fn same(name: &str, args: &[&str]) {
    let output = run(args);
    assert!(output.status.success(), "{args:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    // Trailing spaces are clap's, and nobody sees them.
    let said: String = said.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    assert!(said.lines().all(|line| line.chars().count() <= 80), "80 columns: {said}");
    let path = format!("{}/tests/help/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("WINDLASS_TEST_BLESS").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(said, wanted, "the help has changed: see {path}");
}

#[test]
fn help_is_what_it_was() {
    same("windlass", &["--help"]);
    same("echo", &["echo", "--help"]);
    same("echo-short", &["echo", "-h"]);
    #[cfg(feature = "kv")]
    same("resp", &["resp", "--help"]);
    for command in
        ["run", "upgrade", "check", "init", "config", "demo", "websocket", "health", "man", "pub", "sub"]
    {
        same(command, &[command, "--help"]);
    }
    #[cfg(feature = "kv")]
    same("memcached", &["memcached", "--help"]);
    #[cfg(feature = "hub")]
    {
        same("hub", &["hub", "--help"]);
        same("hub-passwd", &["hub", "passwd", "--help"]);
        same("hub-import", &["hub", "import", "--help"]);
    }
    #[cfg(feature = "realtime")]
    {
        same("game", &["game", "--help"]);
        same("game-bots", &["game", "bots", "--help"]);
        same("game-replay", &["game", "replay", "--help"]);
    }
    #[cfg(feature = "proxy")]
    for command in ["proxy", "backends"] {
        same(command, &[command, "--help"]);
    }
    #[cfg(all(target_os = "linux", feature = "bench", feature = "tls"))]
    for command in ["echo", "udp", "ws", "http", "resp", "memcached", "mqtt"] {
        same(&format!("bench-{command}"), &["bench", command, "--help"]);
    }
    #[cfg(feature = "top")]
    same("top", &["top", "--help"]);
    #[cfg(all(target_os = "linux", feature = "bench"))]
    same("bench", &["bench", "--help"]);
    same("limits", &["echo", "--limits"]);
}

#[test]
fn help_and_version_in_their_other_spellings() {
    assert_eq!(run(&["help", "echo"]).stdout, run(&["echo", "--help"]).stdout);
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert_eq!(version, format!("windlass {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(run(&[]).status.code(), Some(2), "no command is a mistake");
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("workers"), "{shell}");
    }
}
