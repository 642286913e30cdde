//! `check` finds whatever would keep `run` from serving, but for what the system says to an address.

use crate::harness::{Folder, output};

/// What is said of a configuration by `check` and `run`, which is the same.
fn said(text: &str) -> String {
    let folder = Folder::new();
    let path = folder.file("a.toml", text);
    let path = path.to_str().unwrap();
    let [check, run] = ["check", "run"].map(|command| output(&[command, "-c", path]));
    assert_eq!((check.status.code(), run.status.code()), (Some(78), Some(78)), "{text}: {check:?} {run:?}");
    assert_eq!(check.stderr, run.stderr, "{text}");
    assert!(check.stdout.is_empty() && run.stdout.is_empty(), "{text}");
    String::from_utf8(check.stderr).unwrap().replace(path, "FILE")
}

#[cfg(feature = "echo")]
#[test]
fn an_address_that_is_none() {
    for (listen, what) in [
        ("nonsense", "FILE:2: cannot listen: `nonsense` has no port"),
        ("127.0.0.1:70000", "`70000` is no port"),
        ("unix:", "needs a path"),
        ("somewhere:80", "`somewhere:80` is no address with a port, and names are for `windlass`"),
    ] {
        let said = said(&format!("\n[[echo]]\nlisten = [\"{listen}\"]\n"));
        assert!(said.contains(what), "{said}");
    }
}

#[cfg(feature = "relay")]
#[test]
fn a_name_to_pass_on_to() {
    for mode in ["tcp", "udp"] {
        let text = "[[proxy]]\nlisten = [\"127.0.0.1:0\"]\nto = [\"backend:80\"]\n";
        let said = said(&format!("{text}mode = \"{mode}\"\n"));
        assert!(said.contains("FILE:1: `backend:80` is no address"), "{said}");
    }
}

#[cfg(feature = "hub")]
#[test]
fn a_list_that_cannot_be_read() {
    let said = said("[[hub]]\nlisten = [\"127.0.0.1:0\"]\n[hub.identity]\nacl_file = \"/nowhere/acl\"\n");
    assert!(said.contains("FILE:1: cannot read /nowhere/acl: no such file"), "{said}");
}

#[cfg(all(feature = "echo", feature = "tls"))]
#[test]
fn a_certificate_that_cannot_be_read() {
    let said = said(
        "[[echo]]\nlisten = [\"127.0.0.1:0\"]\ntls = { cert = \"/nowhere/cert.pem\", key = \"/nowhere/key.pem\" }\n",
    );
    assert!(said.contains("FILE:1: ") && said.contains("/nowhere/cert.pem"), "{said}");
}

/// Who serves connections alone is not asked for datagrams.
#[cfg(feature = "hub")]
#[test]
fn datagrams_for_who_has_none() {
    let said = said("[[hub]]\nlisten = [\"udp:127.0.0.1:0\"]\n");
    assert!(said.contains("FILE:1: ") && said.contains("`udp:` is for datagrams"), "{said}");
}

/// The plan is told by `check`, and the same one at the start; what cannot be divided is said before that.
#[cfg(feature = "hub")]
#[test]
fn memory_that_is_divided_is_told() {
    let text = |memory| format!("[server]\nmemory = \"{memory}\"\n[[hub]]\nlisten = [\"127.0.0.1:0\"]\n");
    let folder = Folder::new();
    let path = folder.file("a.toml", &text("16MiB"));
    let check = output(&["check", "-c", path.to_str().unwrap()]);
    let told = String::from_utf8(check.stdout).unwrap();
    let (_, plan) = told.split_once("Memory\n").unwrap_or_else(|| panic!("{told}"));
    let of = |line: &str| line.split_whitespace().last().unwrap_or_default().to_owned();
    let kept = plan.lines().find(|line| line.starts_with("kept by hub")).map(of);
    assert_eq!(
        (kept.as_deref(), plan.lines().last().map(of).as_deref()),
        (Some("8,388,608"), Some("16,777,216"))
    );
    let mini = crate::harness::mini(&text("16MiB"), 1);
    mini.signal("TERM");
    let (status, said) = mini.ended();
    assert!(status.success());
    assert_eq!(said, format!("Memory\n{plan}Stopped\n"));
    let little = self::said(&text("64KiB"));
    assert!(
        little.contains("`server.memory` (65536 bytes) is too little: hubs keep 32768 bytes"),
        "{little}"
    );
}
