//! What the dashboard is made of: all of it is in the binary, and none of it could do harm.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use windlass::serve;
use windlass::testing::Harness;

use super::*;

fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().map(|(name, bytes)| (*name, std::str::from_utf8(bytes).unwrap()))
}

#[test]
fn every_file_is_served_and_nothing_else_is_asked_for() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/page");
    let there: BTreeSet<String> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let named: BTreeSet<String> = FILES.iter().map(|(name, _)| String::from(*name)).collect();
    assert_eq!(there, named);
    let mut asked = 0;
    for (file, text) in texts() {
        for before in ["from \"./", "src=\"", "rel=\"stylesheet\" href=\"", "rel=\"icon\" href=\""] {
            for (at, _) in text.match_indices(before) {
                let name = text[at + before.len()..].split('"').next().unwrap();
                assert!(named.contains(name), "{file} asks for {name}");
                asked += 1;
            }
        }
    }
    assert!(asked > FILES.len(), "{asked}");
}

/// What comes from a server is written by strangers, and must stay text. Browsers refuse scripts and styles
/// inside the page, as every answer tells them to; so there should be none.
#[test]
fn nothing_in_it_makes_code_of_text() {
    for (file, text) in texts() {
        for bad in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "setHTML",
            "createContextualFragment",
            "document.write",
            "eval(",
            "new Function",
            "<style",
            " style=",
            "onclick=",
            "javascript:",
            "@import",
            "url(",
        ] {
            assert!(!text.contains(bad), "{file} holds {bad}");
        }
        for (at, _) in text.match_indices("://") {
            let address = &text[at - 4..];
            assert!(address.starts_with("http://www.w3.org/2000/svg"), "{file} names {:.40}", address);
        }
    }
}

/// A reason that the engine learns is explained here too.
#[test]
fn every_reason_of_a_close_is_told_in_words() {
    let (_, words) = texts().find(|(name, _)| *name == "words.js").unwrap();
    let counters = windlass::Counters::default();
    assert!(counters.closes().count() > 10);
    for (why, _) in counters.closes() {
        assert!(words.contains(&format!("\n  {why}: [\"")), "words.js does not explain `{why}`");
    }
}

#[test]
fn it_is_served_as_what_it_is() {
    let mut harness = Harness::new(serve(|| routes(Http::new(()))));
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let peer = harness.connect();
        harness.send(peer, format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"));
        let answer = String::from_utf8(harness.receive(peer)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer:.200}");
        assert!(answer.contains(&format!("content-type: {kind}\r\n")), "{path}: {answer:.400}");
        let policy =
            "content-security-policy: default-src 'self'; base-uri 'none'; frame-ancestors 'none'\r\n";
        assert!(answer.contains(policy), "{path}: {answer:.400}");
    }
}
