//! The server: figures, settings, and what commands there are.

use std::fmt::Write as _;

use windlass::proto::resp::Encoder;

use super::super::fail::{Done, Fail, SYNTAX, unknown_subcommand};
use super::super::table::{FLAGS, Spec};
use super::super::{Run, glob, upper};
use super::connection::REDIS_VERSION;

pub(crate) fn dbsize(run: &mut Run<'_, '_, '_>) -> Done {
    let len = run.store.len();
    run.integer(len)
}

pub(crate) fn flush(run: &mut Run<'_, '_, '_>) -> Done {
    if let Some(option) = run.args.next()
        && (run.args.len() > 0 || !matches!(upper(option, &mut [0; 16]), b"ASYNC" | b"SYNC"))
    {
        return Err(SYNTAX);
    }
    run.store.clear();
    run.ok()
}

pub(crate) fn time(run: &mut Run<'_, '_, '_>) -> Done {
    let now = run.store.now() as i64;
    let mut reply = run.reply();
    reply.array(2);
    reply.bulk_integer(now / 1000);
    reply.bulk_integer(now % 1000 * 1000);
    Ok(())
}

pub(crate) fn memory(run: &mut Run<'_, '_, '_>) -> Done {
    let (what, key) = (run.arg(), run.args.next());
    match (upper(what, &mut [0; 16]), key) {
        (b"USAGE", Some(key)) => match run.store.peek(key).map(|entry| entry.weight(key.len())) {
            Some(weight) => run.integer(weight),
            None => {
                run.reply().null();
                Ok(())
            }
        },
        _ => Err(unknown_subcommand("memory", what)),
    }
}

/// A section of `INFO`, and what writes it.
type Section = (&'static str, fn(&mut Run<'_, '_, '_>, &mut String));

macro_rules! figures {
    ($text:ident: $($name:literal $value:expr;)*) => {
        $(let _ = write!($text, concat!($name, ":{}\r\n"), $value);)*
    };
}

const SECTIONS: [Section; 7] = [
    ("Server", |run, text| {
        let up = run.store.now().saturating_sub(run.shared.counts.began) / 1000;
        figures! { text:
            "redis_version" REDIS_VERSION;
            "windlass_version" env!("CARGO_PKG_VERSION");
            "redis_mode" "standalone";
            "arch_bits" usize::BITS;
            "uptime_in_seconds" up;
            "uptime_in_days" up / 86_400;
        }
    }),
    ("Clients", |run, text| {
        figures! { text: "connected_clients" run.shared.clients.len(); }
    }),
    ("Memory", |run, text| {
        figures! { text:
            "used_memory" run.store.used_bytes();
            "used_memory_peak" run.store.used_peak_bytes();
            "maxmemory" run.store.config().memory_max;
            "maxmemory_policy" run.store.config().eviction.name();
        }
    }),
    ("Stats", |run, text| {
        let stats = run.store.stats();
        let counts = &run.shared.counts;
        figures! { text:
            "total_connections_received" counts.connections;
            "total_commands_processed" counts.commands;
            "expired_keys" stats.expired;
            "evicted_keys" stats.evicted;
            "refused_writes" stats.refused;
            "keyspace_hits" stats.hits;
            "keyspace_misses" stats.misses;
            "pubsub_channels" run.shared.pubsub.channels_len();
            "pubsub_patterns" run.shared.pubsub.patterns();
            "total_error_replies" counts.errors.iter().map(|(_, n)| n).sum::<u64>();
        }
        for (label, n) in &counts.violations {
            let _ = write!(text, "protocol_error_{label}:{n}\r\n");
        }
    }),
    ("Replication", |_, text| {
        figures! { text: "role" "master"; "connected_slaves" 0; }
    }),
    ("Errorstats", |run, text| {
        for (code, n) in &run.shared.counts.errors {
            let _ = write!(text, "errorstat_{code}:count={n}\r\n");
        }
    }),
    ("Keyspace", |run, text| {
        if !run.store.is_empty() {
            let (keys, expires) = (run.store.len(), run.store.volatile_len());
            let _ = write!(text, "db0:keys={keys},expires={expires},avg_ttl=0\r\n");
        }
    }),
];

pub(crate) fn info(run: &mut Run<'_, '_, '_>) -> Done {
    let mut wanted: Vec<String> = Vec::new();
    for section in run.args.by_ref() {
        wanted.push(String::from_utf8_lossy(section).to_lowercase());
    }
    let all =
        wanted.is_empty() || wanted.iter().any(|it| matches!(&it[..], "all" | "default" | "everything"));
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if all || wanted.contains(&name.to_lowercase()) {
            let gap = if text.is_empty() { "" } else { "\r\n" };
            let _ = write!(text, "{gap}# {name}\r\n");
            write(run, &mut text);
        }
    }
    run.reply().verbatim(text.as_bytes());
    Ok(())
}

pub(crate) fn config(run: &mut Run<'_, '_, '_>) -> Done {
    let what = run.arg();
    match upper(what, &mut [0; 16]) {
        b"GET" if run.args.len() > 0 => {}
        b"RESETSTAT" => {
            run.store.reset_stats();
            run.shared.counts.errors.clear();
            return run.ok();
        }
        b"SET" => {
            return Err(Fail::Text(
                "ERR settings are given when the server is started: windlass resp --help",
            ));
        }
        _ => return Err(unknown_subcommand("config", what)),
    }
    let config = &run.shared.config;
    let settings = [
        ("maxmemory", config.store.memory_max.to_string()),
        ("maxmemory-policy", config.store.eviction.name().to_owned()),
        ("proto-max-bulk-len", config.store.value_max.to_string()),
        // There is no password to be read here, whether one is set or not.
        ("requirepass", String::new()),
        ("databases", "1".to_owned()),
        // Nothing is written to disk.
        ("save", String::new()),
        ("appendonly", "no".to_owned()),
    ];
    let patterns: Vec<Vec<u8>> = run.args.clone().map(<[u8]>::to_ascii_lowercase).collect();
    let wanted = |name: &str| patterns.iter().any(|pattern| glob::matches(pattern, name.as_bytes()));
    let found: Vec<_> = settings.iter().filter(|(name, _)| wanted(name)).collect();
    let mut reply = run.reply();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Ok(())
}

pub(crate) fn command(run: &mut Run<'_, '_, '_>) -> Done {
    let all = run.table.all();
    let Some(what) = run.args.next() else {
        let mut reply = run.reply();
        reply.array(all.len());
        all.iter().for_each(|spec| about(&mut reply, spec));
        return Ok(());
    };
    let named = |run: &Run<'_, '_, '_>| -> Vec<Option<&'static Spec>> {
        if run.args.len() == 0 {
            return all.iter().map(Some).collect();
        }
        run.args.clone().map(|name| run.table.find(name)).collect()
    };
    match upper(what, &mut [0; 16]) {
        b"COUNT" => run.integer(all.len()),
        b"LIST" => {
            let mut reply = run.reply();
            reply.array(all.len());
            all.iter().for_each(|spec| reply.bulk(spec.name.as_bytes()));
            Ok(())
        }
        b"INFO" => {
            let named = named(run);
            let mut reply = run.reply();
            reply.array(named.len());
            for spec in named {
                match spec {
                    Some(spec) => about(&mut reply, spec),
                    None => reply.null_array(),
                }
            }
            Ok(())
        }
        b"DOCS" => {
            let named: Vec<&Spec> = named(run).into_iter().flatten().collect();
            let mut reply = run.reply();
            reply.map(named.len());
            for spec in named {
                reply.bulk(spec.name.as_bytes());
                reply.map(3);
                for (key, value) in [("summary", spec.summary), ("since", spec.since), ("group", spec.group)]
                {
                    reply.bulk(key.as_bytes());
                    reply.bulk(value.as_bytes());
                }
            }
            Ok(())
        }
        _ => Err(unknown_subcommand("command", what)),
    }
}

/// One command as `COMMAND INFO` tells of it: ten elements since Redis 7.
fn about(reply: &mut Encoder<'_>, spec: &Spec) {
    reply.array(10);
    reply.bulk(spec.name.as_bytes());
    reply.integer(spec.arity.into());
    let flags: Vec<&str> = FLAGS.iter().filter(|(flag, _)| spec.has(*flag)).map(|(_, name)| *name).collect();
    reply.set(flags.len());
    flags.into_iter().for_each(|name| reply.simple(name));
    for key in [spec.keys.0, spec.keys.1, spec.keys.2] {
        reply.integer(key.into());
    }
    // Access categories, tips, key specifications, subcommands.
    reply.set(0);
    (0..3).for_each(|_| reply.array(0));
}
