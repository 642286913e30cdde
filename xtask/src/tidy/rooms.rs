//! What a crate may depend on, and what its code may name: the table of rooms, executed.

use super::allowed::is_allowed;
use super::manifest;
use super::source;
use super::{Places, Rule, SourceFile, Tree};

const SERVICES: [&str; 5] =
    ["windlass-http", "windlass-kv", "windlass-proxy", "windlass-hub", "windlass-realtime"];
// The tutorial's programs. Those named `plain_` are wrong on purpose: they stand on mio, as everybody's first
// server does, so that the book can show what the engine is for. All others use what a reader has: windlass.
const BOOK: &str = "book/listings/";
const SYS: &str = "crates/windlass/src/sys/";

// What talks to the operating system below the engine.
const BELOW: [&str; 6] = ["mio", "socket2", "rustix", "libc", "quinn_udp", "rustls"];

pub(crate) fn rules() -> Vec<Rule> {
    vec![
        Rule {
            name: "edges",
            text: "dependencies point one way: cli -> {kv, proxy, hub, realtime} -> http -> windlass -> proto (mini, like cli, is a \
                   program), and \
                   only the engine reaches below itself (mio, socket2, rustix, ..)",
            check: edges,
        },
        Rule {
            name: "no-std",
            text: "windlass-proto is `#![no_std]` with `forbid(unsafe_code)`: it cannot reach a socket, a \
                   clock or a thread",
            check: no_std,
        },
        Rule {
            name: "sys-only",
            text: "in the engine, only `sys/` names mio, rustls or what talks to the operating system",
            check: sys_only,
        },
        Rule {
            name: "unsafe",
            text: "`unsafe` stands in `crates/windlass/src/sys/` only, each block with its reason",
            check: no_unsafe,
        },
        Rule {
            name: "clocks-and-threads",
            text: "time is an argument, and workers are the engine's: no clock is read and no thread is \
                   started in proto, in a service, or in the engine outside `sys/`",
            check: clocks_and_threads,
        },
        Rule {
            name: "printing",
            text: "only cli, mini, bench, xtask, examples, the book's programs and tests print or read the environment",
            check: printing,
        },
        Rule {
            name: "book",
            text: "the book's programs stand on windlass, as its readers' will; only the plain servers \
                   (`plain_*.rs`), which show what it is for, name mio",
            check: book,
        },
        Rule {
            name: "service-clippy",
            text: "a service crate has a clippy.toml with `disallowed-methods` and `disallowed-types`: copy \
                   the one in CONTRIBUTING.md",
            check: service_clippy,
        },
    ]
}

// The workspace's crates that a crate may depend on; `None` for a crate without a place in the table.
fn may_use(name: &str) -> Option<&'static [&'static str]> {
    const BELOW_HTTP: &[&str] = &["windlass", "windlass-proto"];
    // Pages and WebSocket on their own ports: what several services share stands below them.
    const BELOW_SERVICES: &[&str] = &["windlass", "windlass-proto", "windlass-http"];
    const BELOW_BENCH: &[&str] = &[
        "windlass",
        "windlass-proto",
        "windlass-http",
        "windlass-kv",
        "windlass-proxy",
        "windlass-hub",
        "windlass-realtime",
    ];
    const BELOW_CLI: &[&str] = &[
        "windlass",
        "windlass-proto",
        "windlass-http",
        "windlass-kv",
        "windlass-proxy",
        "windlass-hub",
        "windlass-realtime",
        "windlass-bench",
    ];
    match name {
        "windlass-proto" | "xtask" => Some(&[]),
        "windlass" => Some(&["windlass-proto"]),
        "windlass-book" => Some(BELOW_SERVICES),
        "windlass-http" => Some(BELOW_HTTP),
        "windlass-bench" => Some(BELOW_BENCH),
        "windlass-cli" => Some(BELOW_CLI),
        // The same services in a file for small machines.
        "windlass-mini" => Some(&["windlass", "windlass-proto", "windlass-hub"]),
        name if SERVICES.contains(&name) => Some(BELOW_SERVICES),
        _ => None,
    }
}

fn edges(tree: &Tree, places: &mut Places) {
    for (path, text) in tree.texts() {
        let of_book = (path == format!("{BOOK}Cargo.toml")).then_some("windlass-book");
        let in_crates = crate_of(path).filter(|name| *path == format!("crates/{name}/Cargo.toml"));
        let Some(name) = of_book.or(in_crates) else { continue };
        let Some(may_use) = may_use(name) else {
            places.push((path.to_owned(), 1, format!("`{name}` has no place in the table: give it one")));
            continue;
        };
        let sans_io = name == "windlass-proto" || SERVICES.contains(&name);
        for dependency in manifest::dependencies(text) {
            let package = dependency.package.as_str();
            let ours = package == "windlass" || package.starts_with("windlass-") || package == "xtask";
            let below = BELOW.contains(&package.replace('-', "_").as_str());
            // Tests may use whatever they like from outside.
            let wrong = (ours && !may_use.contains(&package))
                || (sans_io && below && !dependency.dev)
                || (package == "anyhow"
                    && !dependency.dev
                    && !matches!(name, "windlass-cli" | "windlass-bench"));
            if wrong {
                places.push((path.to_owned(), dependency.line, format!("`{name}` depends on `{package}`")));
            }
        }
    }
}

fn no_std(tree: &Tree, places: &mut Places) {
    for source in tree.sources().filter(|source| source.path.starts_with("crates/windlass-proto/src/")) {
        if source.path == "crates/windlass-proto/src/lib.rs" {
            let words: Vec<_> = source.tokens.iter().map(|token| token.text.as_str()).collect();
            for wanted in [&["#", "!", "[", "no_std", "]"][..], &["forbid", "(", "unsafe_code", ")"]] {
                if !words.windows(wanted.len()).any(|window| window == wanted) {
                    places.push((source.path.clone(), 1, format!("`{}` is missing", wanted.concat())));
                }
            }
        }
        for words in source.tokens.windows(3) {
            if words[0].text == "extern" && words[1].text == "crate" && words[2].text == "std" {
                places.push((source.path.clone(), words[0].line, "brings std back".to_owned()));
            }
        }
    }
}

fn sys_only(tree: &Tree, places: &mut Places) {
    for source in tree.sources().filter(|source| engine_outside_sys(&source.path)) {
        for (line, path) in source::paths(&source.tokens) {
            let name = path[0];
            // A lone word may be a variable or a module of ours; a path that starts so is the crate.
            let names = BELOW.contains(&name) && (path.len() > 1 || is_import(source, line));
            if names && !is_allowed(&source.path, name) {
                places.push((source.path.clone(), line, format!("names `{}`", path.join("::"))));
            }
        }
    }
}

fn no_unsafe(tree: &Tree, places: &mut Places) {
    let elsewhere = |path: &str| !path.starts_with(SYS) && !path.starts_with("benches/");
    for source in tree.sources().filter(|source| elsewhere(&source.path)) {
        for token in source.tokens.iter().filter(|token| token.text == "unsafe") {
            if !is_allowed(&source.path, "unsafe") {
                places.push((source.path.clone(), token.line, "`unsafe`".to_owned()));
            }
        }
    }
}

fn clocks_and_threads(tree: &Tree, places: &mut Places) {
    for source in tree.sources() {
        let engine = engine_outside_sys(&source.path);
        let sans_io =
            crate_of(&source.path).is_some_and(|name| name == "windlass-proto" || SERVICES.contains(&name));
        if !engine && !sans_io {
            continue;
        }
        for (line, path) in source::paths(&source.shipped) {
            let has = |wanted: &[&str]| path.windows(wanted.len()).any(|window| window == wanted);
            let clock = path.contains(&"Instant") || path.contains(&"SystemTime");
            let what = if has(&["Instant", "now"]) || (sans_io && path.contains(&"Instant")) {
                "Instant"
            } else if has(&["SystemTime", "now"]) || (sans_io && clock) {
                "SystemTime"
            } else if has(&["std", "thread"]) {
                "std::thread"
            } else {
                continue;
            };
            if !is_allowed(&source.path, what) {
                places.push((source.path.clone(), line, format!("names `{}`", path.join("::"))));
            }
        }
    }
}

fn printing(tree: &Tree, places: &mut Places) {
    for source in tree.sources() {
        let may_print =
            ["crates/windlass-cli/", "crates/windlass-mini/", "crates/windlass-bench/", "xtask/", BOOK];
        if may_print.iter().any(|room| source.path.starts_with(room)) {
            continue;
        }
        for pair in source.shipped.windows(2) {
            let macros = ["println", "eprintln", "print", "eprint"];
            if macros.contains(&pair[0].text.as_str()) && pair[1].text == "!" {
                let what = format!("{}!", pair[0].text);
                if !is_allowed(&source.path, &what) {
                    places.push((source.path.clone(), pair[0].line, format!("`{what}`")));
                }
            }
        }
        for (line, path) in source::paths(&source.shipped) {
            if path.starts_with(&["std", "env"]) && !is_allowed(&source.path, "std::env") {
                places.push((source.path.clone(), line, format!("names `{}`", path.join("::"))));
            }
        }
    }
}

fn book(tree: &Tree, places: &mut Places) {
    for source in tree.sources().filter(|source| source.path.starts_with(&format!("{BOOK}src/"))) {
        let file = source.path.rsplit('/').next().unwrap_or_default();
        for (line, path) in source::paths(&source.shipped) {
            // A lone word may be a variable; a path that starts so is the crate.
            let below = BELOW.contains(&path[0]) && path.len() > 1;
            if below && !(path[0] == "mio" && file.starts_with("plain_")) {
                places.push((source.path.clone(), line, format!("names `{}`", path.join("::"))));
            }
        }
    }
}

fn service_clippy(tree: &Tree, places: &mut Places) {
    for name in SERVICES {
        if !tree.has(&format!("crates/{name}/Cargo.toml")) {
            continue;
        }
        let path = format!("crates/{name}/clippy.toml");
        let text = tree.text(&path).unwrap_or_default();
        for key in ["disallowed-methods", "disallowed-types"] {
            if !text.lines().any(|line| line.starts_with(key)) {
                places.push((path.clone(), 1, format!("`{key}` is missing")));
            }
        }
    }
}

fn crate_of(path: &str) -> Option<&str> {
    path.strip_prefix("crates/")?.split('/').next()
}

fn engine_outside_sys(path: &str) -> bool {
    path.starts_with("crates/windlass/src/") && !path.starts_with(SYS) && path != "crates/windlass/src/sys.rs"
}

fn is_import(source: &SourceFile, line: usize) -> bool {
    source.tokens.windows(2).any(|pair| {
        pair[1].line == line
            && (pair[0].text == "use" || pair[0].text == "crate")
            && BELOW.contains(&pair[1].text.as_str())
    })
}
