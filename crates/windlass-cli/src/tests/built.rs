//! What is said of parts that were left out, whichever this build has.

use clap::{CommandFactory, Parser};

use super::*;
use crate::args::Cli;

/// As if none of them had been built.
fn left_out() -> Vec<Part> {
    PARTS.iter().map(|part| Part { is_built: false, ..*part }).collect()
}

#[test]
fn who_asks_for_what_was_left_out_is_told_so() {
    for (asked, name, said) in [
        (Asked::Command, "hub", Some("this windlass was built without `hub`")),
        (
            Asked::Command,
            "backends",
            Some("this windlass was built without `proxy`, and so without `backends`"),
        ),
        (Asked::Command, "demo", Some("this windlass was built without `demo`")),
        (Asked::Command, "echo", Some("this windlass was built without `echo`")),
        (Asked::Command, "pub", Some("this windlass was built without `clients`, and so without `pub`")),
        (Asked::Command, "sub", Some("this windlass was built without `clients`, and so without `sub`")),
        (Asked::Table, "echo", Some("this windlass was built without `echo`")),
        (Asked::Table, "websocket", Some("this windlass was built without `websocket`")),
        (Asked::Table, "store", Some("this windlass was built without `kv`, and so without `store`")),
        (Asked::Key, "tls", Some("this windlass was built without `tls`")),
        (
            Asked::Flag,
            "--tls-cert",
            Some("this windlass was built without `tls`, and so without `--tls-cert`"),
        ),
        (Asked::Command, "hubb", None),
        (Asked::Table, "tls", None),
        (Asked::Flag, "--tl", None),
        (Asked::Flag, "--keys", None),
    ] {
        assert_eq!(among(&left_out(), asked, name).as_deref(), said, "{name}");
    }
    assert_eq!(
        told(&left_out()),
        "\n\nBuilt without: bench, clients, demo, echo, hub, kv, proxy, realtime, tls, top, websocket"
    );
    assert_eq!((told(&[]), told(&[NONE])), (String::new(), String::new()));
}

/// A part that is built has all that is said to go with it, and of one that is not there is nothing left.
#[test]
fn what_goes_with_a_part_is_there_with_it() {
    let cli = Cli::command();
    let schema = crate::config::schema();
    for part in PARTS {
        // There is none where `/proc` is another.
        let is_built = part.is_built && (part.feature != "bench" || cfg!(target_os = "linux"));
        for name in part.commands {
            assert_eq!(cli.find_subcommand(name).is_some(), is_built, "{name}");
        }
        for name in part.tables {
            assert_eq!(schema["properties"].get(name).is_some(), is_built, "{name}");
        }
    }
}

#[test]
fn a_command_line_with_what_was_left_out_is_told_from_a_wrong_one() {
    let typed = |args: &[&str]| {
        let error = Cli::try_parse_from([&["windlass"], args].concat()).err().expect("it is wrong");
        without_typed(&error)
    };
    assert_eq!((typed(&["healht"]), typed(&["health", "--colour"])), (None, None));
    for (args, is_built, feature) in [
        (&["hub"][..], cfg!(feature = "hub"), "hub"),
        (&["help", "hub"], cfg!(feature = "hub"), "hub"),
        (&["demo", "-q"], cfg!(feature = "demo"), "demo"),
        (&["echo", "--tls-cert", "a.pem"], cfg!(feature = "echo"), "echo"),
        (&["websocket"], cfg!(feature = "websocket"), "websocket"),
        (&["pub", "-t", "a"], cfg!(feature = "clients"), "clients"),
        (&["sub", "-t", "a"], cfg!(feature = "clients"), "clients"),
        (&["resp", "127.0.0.1:0"], cfg!(feature = "kv"), "kv"),
        (&["echo", "--tls-cert", "a.pem"], cfg!(any(feature = "tls", not(feature = "echo"))), "tls"),
        (&["echo", "--tls-cert=a.pem"], cfg!(any(feature = "tls", not(feature = "echo"))), "tls"),
    ] {
        if !is_built {
            let said = typed(args).unwrap_or_else(|| panic!("{args:?}"));
            assert!(said.starts_with(&format!("this windlass was built without `{feature}`")), "{said}");
        }
    }
}
