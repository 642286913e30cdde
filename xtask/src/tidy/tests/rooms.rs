//! Samples that break the table of rooms.

use super::{broken, broken_in};

#[test]
fn edges() {
    let check = |name: &str, dependencies: &str| {
        broken("edges", &format!("crates/{name}/Cargo.toml"), &format!("[dependencies]\n{dependencies}"))
    };
    assert_eq!(
        check("windlass-cli", "windlass.workspace = true\nwindlass-kv = { path = \"x\" }\nanyhow = \"1\""),
        []
    );
    assert_eq!(check("windlass-kv", "windlass.workspace = true\nwindlass-proto.workspace = true"), []);
    assert_eq!(check("windlass", "windlass-proto.workspace = true\nmio = \"1\""), []);

    assert_eq!(check("windlass-proto", "memchr = \"2\"\nwindlass.workspace = true"), [3]);
    assert_eq!(check("windlass", "windlass-kv.workspace = true"), [2]);
    assert_eq!(check("windlass-hub", "windlass-kv.workspace = true"), [2]);
    assert_eq!(check("windlass-bench", "windlass-cli.workspace = true"), [2]);
    assert_eq!(check("windlass", "anyhow = \"1\""), [2]);
    for below in ["mio", "socket2", "rustix", "libc", "quinn-udp", "rustls"] {
        for service in
            ["windlass-kv", "windlass-proxy", "windlass-hub", "windlass-realtime", "windlass-proto"]
        {
            assert_eq!(check(service, &format!("x = {{ package = \"{below}\", version = \"1\" }}")), [2]);
            assert_eq!(check(service, &format!("[dev-dependencies]\n{below} = \"1\"")), []);
        }
    }
    assert_eq!(check("windlass-kv", "[dev-dependencies]\nwindlass-hub.workspace = true"), [3]);
    assert_eq!(check("windlass-new", ""), [1]);
}

#[test]
fn book() {
    let check = |file: &str, text: &str| broken("book", &format!("book/listings/src/bin/{file}"), text);
    assert_eq!(check("plain_echo.rs", "use mio::Poll;\nuse windlass::serve;\n"), []);
    assert_eq!(check("plain_echo.rs", "use socket2::Socket;\n"), [1]);
    assert_eq!(check("echo.rs", "use windlass::serve;\nuse mio::Poll;\n"), [2]);
    let manifest = |text: &str| broken("edges", "book/listings/Cargo.toml", text);
    assert_eq!(manifest("[dependencies]\nwindlass.workspace = true\nmio.workspace = true"), []);
    assert_eq!(manifest("[dependencies]\nwindlass-cli.workspace = true"), [2]);
}

#[test]
fn no_std() {
    let lib = "crates/windlass-proto/src/lib.rs";
    assert_eq!(broken("no-std", lib, "#![no_std]\n#![forbid(unsafe_code)]\n"), []);
    assert_eq!(broken("no-std", lib, "// #![no_std]\n#![forbid(unsafe_code)]\n"), [1]);
    assert_eq!(broken("no-std", lib, "#![no_std]\n#![deny(unsafe_code)]\n"), [1]);
    assert_eq!(broken("no-std", "crates/windlass-proto/src/a.rs", "\nextern crate std;"), [2]);
    assert_eq!(broken("no-std", "crates/windlass/src/lib.rs", ""), []);
}

#[test]
fn sys_only() {
    let check = |path: &str, text: &str| broken("sys-only", path, text);
    let engine = "crates/windlass/src/conn.rs";
    assert_eq!(check(engine, "//! mio\n// mio::Poll\nfn mio() {}\n"), []);
    assert_eq!(check(engine, "use mio::Poll;\nuse {socket2::Socket};\nfn f() { rustix::x(); }\n"), [1, 2, 3]);
    assert_eq!(check(engine, "use mio;\npub use rustls::ServerConfig;\nextern crate libc;\n"), [1, 2, 3]);
    assert_eq!(check(engine, "use crate::sys::mio_sys;\nlet rustls = 1;\n"), []);
    assert_eq!(check("crates/windlass/src/sys/mod.rs", "use mio::Poll;"), []);
    assert_eq!(check("crates/windlass/tests/echo.rs", "use socket2::Socket;"), []);
    assert_eq!(check("crates/windlass/src/tls/config.rs", "use rustls::ServerConfig;\nuse mio::Poll;"), [2]);
    assert_eq!(check("crates/windlass/src/tlsx.rs", "use rustls::ServerConfig;"), [1]);
}

#[test]
fn no_unsafe() {
    let check = |path: &str| broken("unsafe", path, "//! unsafe\n#![forbid(unsafe_code)]\nunsafe { x() }\n");
    for path in ["crates/windlass/src/conn.rs", "crates/windlass-cli/src/main.rs", "xtask/src/main.rs"] {
        assert_eq!(check(path), [3], "{path}");
    }
    assert_eq!(check("crates/windlass/tests/echo.rs"), [3]);
    assert_eq!(check("crates/windlass/src/sys/epoll.rs"), []);
    assert_eq!(check("benches/peers/src/main.rs"), []);
}

#[test]
fn clocks_and_threads() {
    let check = |path: &str, text: &str| broken("clocks-and-threads", path, text);
    let code = "let t = Instant::now();\nlet s = std::time::SystemTime::now();\nuse std::{io, thread};\n";
    for path in [
        "crates/windlass/src/worker.rs",
        "crates/windlass-kv/src/lib.rs",
        "crates/windlass-proto/src/time.rs",
    ] {
        assert_eq!(check(path, code), [1, 2, 3], "{path}");
        assert_eq!(check(path, &format!("#[cfg(test)]\nmod tests {{ {code} }}")), [], "{path}");
    }
    let other_tests =
        ["crates/windlass/src/sys/clock.rs", "crates/windlass-kv/tests/it/main.rs", "xtask/src/main.rs"];
    for path in other_tests {
        assert_eq!(check(path, code), [], "{path}");
    }
    assert_eq!(check("crates/windlass-hub/src/lib.rs", "use std::time::{Duration, Instant as Clock};"), [1]);
    assert_eq!(check("crates/windlass/src/metrics.rs", "fn f(at: Instant) {}"), []);
    assert_eq!(check("crates/windlass/src/server.rs", "use std::thread;\nInstant::now();"), [2]);
    assert_eq!(check("crates/windlass/src/conn.rs", "// std::thread\nlet x = \"Instant::now\";"), []);
}

#[test]
fn printing() {
    let code = "println!(\"x\");\neprintln!();\nuse std::env;\nlet y = std::env::var(\"X\");\nenv!(\"Y\");\n";
    let check = |path: &str| broken("printing", path, code);
    for path in
        ["crates/windlass/src/lib.rs", "crates/windlass/src/sys/mod.rs", "crates/windlass-proxy/src/lib.rs"]
    {
        assert_eq!(check(path), [1, 2, 3, 4], "{path}");
    }
    let may_print = [
        "crates/windlass-cli/src/main.rs",
        "crates/windlass-bench/src/lib.rs",
        "xtask/src/main.rs",
        "crates/windlass/examples/echo.rs",
        "crates/windlass/tests/echo.rs",
        "crates/windlass/src/conn/tests.rs",
        "benches/peers/src/main.rs",
        ".ci/client/src/main.rs",
    ];
    for path in may_print {
        assert_eq!(check(path), [], "{path}");
    }
}

#[test]
fn service_clippy() {
    let manifest = ("crates/windlass-kv/Cargo.toml", "");
    assert_eq!(broken_in("service-clippy", &[manifest]), [1, 1]);
    let clippy = ("crates/windlass-kv/clippy.toml", "disallowed-methods = []\n# disallowed-types = []\n");
    assert_eq!(broken_in("service-clippy", &[manifest, clippy]), [1]);
    let clippy = ("crates/windlass-kv/clippy.toml", "disallowed-methods = []\ndisallowed-types = []\n");
    assert_eq!(broken_in("service-clippy", &[manifest, clippy]), []);
    assert_eq!(broken_in("service-clippy", &[("crates/windlass-cli/Cargo.toml", "")]), []);
}
