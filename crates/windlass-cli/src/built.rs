//! What this program was built without. Each service, and some of what is around them, is a feature of the crate; who asks
//! for one that was left out is told so, and not that there is no such thing.

use clap::error::{ContextKind, ContextValue};

/// A feature that may be left out, and what goes with it.
struct Part {
    feature: &'static str,
    commands: &'static [&'static str],
    /// Keys at the top of a configuration.
    tables: &'static [&'static str],
    /// Keys of any table below.
    keys: &'static [&'static str],
    /// What its flags begin with.
    flags: &'static [&'static str],
    is_built: bool,
}

const NONE: Part = Part { feature: "", commands: &[], tables: &[], keys: &[], flags: &[], is_built: true };

const PARTS: &[Part] = &[
    Part { feature: "bench", commands: &["bench"], is_built: cfg!(feature = "bench"), ..NONE },
    Part { feature: "clients", commands: &["pub", "sub"], is_built: cfg!(feature = "clients"), ..NONE },
    Part { feature: "demo", commands: &["demo"], is_built: cfg!(feature = "demo"), ..NONE },
    Part {
        feature: "echo",
        commands: &["echo"],
        tables: &["echo"],
        is_built: cfg!(feature = "echo"),
        ..NONE
    },
    Part { feature: "hub", commands: &["hub"], tables: &["hub"], is_built: cfg!(feature = "hub"), ..NONE },
    Part {
        feature: "kv",
        commands: &["resp", "memcached"],
        tables: &["resp", "memcached", "store"],
        is_built: cfg!(feature = "kv"),
        ..NONE
    },
    Part {
        feature: "proxy",
        commands: &["proxy", "backends"],
        tables: &["proxy"],
        is_built: cfg!(feature = "proxy"),
        ..NONE
    },
    Part {
        feature: "realtime",
        commands: &["game"],
        tables: &["game"],
        is_built: cfg!(feature = "realtime"),
        ..NONE
    },
    Part {
        feature: "tls",
        keys: &["tls", "backend_tls"],
        flags: &["--tls", "--cafile", "--capath", "--cert", "--key"],
        is_built: cfg!(feature = "tls"),
        ..NONE
    },
    Part { feature: "top", commands: &["top"], is_built: cfg!(feature = "top"), ..NONE },
    Part {
        feature: "websocket",
        commands: &["websocket"],
        tables: &["websocket"],
        is_built: cfg!(feature = "websocket"),
        ..NONE
    },
];

/// Where something is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    Command,
    Table,
    Key,
    Flag,
}

/// What to say to who asks for something that was left out.
pub(crate) fn without(asked: Asked, name: &str) -> Option<String> {
    among(PARTS, asked, name)
}

fn among(parts: &[Part], asked: Asked, name: &str) -> Option<String> {
    let has = |part: &Part| match asked {
        Asked::Command => part.commands.contains(&name),
        Asked::Table => part.tables.contains(&name),
        Asked::Key => part.keys.contains(&name),
        // Of `--tls` there are many.
        Asked::Flag => {
            part.flags.iter().any(|flag| name == *flag || name.starts_with("--tls") && *flag == "--tls")
        }
    };
    let part = parts.iter().find(|part| !part.is_built && has(part))?;
    let so = if part.feature == name { String::new() } else { format!(", and so without `{name}`") };
    Some(format!("this windlass was built without `{}`{so}", part.feature))
}

/// The same of a command line that was not understood.
pub(crate) fn without_typed(error: &clap::Error) -> Option<String> {
    let typed = |kind| match error.get(kind) {
        // A flag is told with what it takes.
        Some(ContextValue::String(text)) => text.split([' ', '=']).next(),
        _ => None,
    };
    let command = typed(ContextKind::InvalidSubcommand).and_then(|name| without(Asked::Command, name));
    command.or_else(|| typed(ContextKind::InvalidArg).and_then(|name| without(Asked::Flag, name)))
}

/// A line for the help, if anything was left out.
pub(crate) fn in_help() -> String {
    told(PARTS)
}

fn told(parts: &[Part]) -> String {
    let names: Vec<&str> = parts.iter().filter(|part| !part.is_built).map(|part| part.feature).collect();
    if names.is_empty() { String::new() } else { format!("\n\nBuilt without: {}", names.join(", ")) }
}

#[cfg(test)]
#[path = "tests/built.rs"]
mod tests;
