//! What `stats` tells. It is asked rarely, so it allocates.

use super::{Memcached, VERSION};
use crate::store::{Eviction, Store};

/// Which statistics.
#[derive(Clone, Copy)]
pub(super) enum Stats {
    General,
    Settings,
    Items,
    Slabs,
    Sizes,
}

impl Stats {
    pub(super) fn find(name: &[u8]) -> Option<Stats> {
        match name {
            b"" => Some(Stats::General),
            b"settings" => Some(Stats::Settings),
            b"items" => Some(Stats::Items),
            b"slabs" => Some(Stats::Slabs),
            b"sizes" => Some(Stats::Sizes),
            _ => None,
        }
    }

    pub(super) fn list(self, memcached: &Memcached, store: &Store) -> Vec<(&'static str, String)> {
        match self {
            Stats::General => general(memcached, store),
            Stats::Settings => settings(memcached, store),
            // There are no slabs: one class stands for all.
            Stats::Items if store.is_empty() => Vec::new(),
            Stats::Items => vec![
                ("items:1:number", store.len().to_string()),
                ("items:1:mem_requested", store.used_bytes().to_string()),
                ("items:1:evicted", store.stats().evicted.to_string()),
                ("items:1:outofmemory", store.stats().refused.to_string()),
                ("items:1:reclaimed", store.stats().expired.to_string()),
            ],
            Stats::Slabs => {
                vec![("active_slabs", "0".into()), ("total_malloced", store.used_bytes().to_string())]
            }
            Stats::Sizes => vec![("sizes_status", "disabled".into())],
        }
    }
}

fn general(memcached: &Memcached, store: &Store) -> Vec<(&'static str, String)> {
    let (counts, stats) = (&memcached.counts, store.stats());
    let uptime_ms = store.now() - memcached.began.unwrap_or(store.now());
    let mut list = vec![("pid", u64::from(std::process::id()))];
    list.extend([("uptime", uptime_ms / 1000), ("time", store.now() / 1000)]);
    let mut list: Vec<_> = list.into_iter().map(|(name, n)| (name, n.to_string())).collect();
    list.push(("version", VERSION.into()));
    list.push(("windlass_version", env!("CARGO_PKG_VERSION").into()));
    let numbers = [
        ("pointer_size", u64::from(usize::BITS)),
        ("curr_connections", counts.curr_connections),
        ("total_connections", counts.total_connections),
        ("cmd_get", counts.cmd_get),
        ("cmd_set", counts.cmd_set),
        ("cmd_flush", counts.cmd_flush),
        ("cmd_touch", counts.cmd_touch),
        ("cmd_meta", counts.cmd_meta),
        ("get_hits", counts.get_hits),
        ("get_misses", counts.get_misses),
        ("delete_misses", counts.delete_misses),
        ("delete_hits", counts.delete_hits),
        ("incr_misses", counts.incr_misses),
        ("incr_hits", counts.incr_hits),
        ("decr_misses", counts.decr_misses),
        ("decr_hits", counts.decr_hits),
        ("cas_misses", counts.cas_misses),
        ("cas_hits", counts.cas_hits),
        ("cas_badval", counts.cas_badval),
        ("touch_hits", counts.touch_hits),
        ("touch_misses", counts.touch_misses),
        ("store_too_large", counts.too_large),
        ("store_no_memory", counts.no_memory),
        ("auth_cmds", 0),
        ("auth_errors", 0),
        ("bytes_read", counts.bytes_read),
        ("bytes_written", counts.bytes_written),
        ("commands_refused", counts.refused),
        ("protocol_errors", counts.violations.iter().map(|(_, n)| n).sum()),
        ("limit_maxbytes", store.config().memory_max as u64),
        ("accepting_conns", 1),
        ("threads", 1),
        ("bytes", store.used_bytes() as u64),
        ("curr_items", store.len() as u64),
        ("total_items", counts.total_items),
        ("evictions", stats.evicted),
        ("reclaimed", stats.expired),
    ];
    list.extend(numbers.map(|(name, n)| (name, n.to_string())));
    // By kind, as they come up: labels are not known before.
    list.extend(counts.violations.iter().map(|(label, n)| (*label, n.to_string())));
    list
}

fn settings(memcached: &Memcached, store: &Store) -> Vec<(&'static str, String)> {
    let config = store.config();
    let evictions = if config.eviction == Eviction::None { "off" } else { "on" };
    vec![
        ("maxbytes", config.memory_max.to_string()),
        ("evictions", evictions.into()),
        ("eviction_policy", config.eviction.name().into()),
        ("num_threads", "1".into()),
        ("cas_enabled", "yes".into()),
        ("auth_enabled_sasl", "no".into()),
        ("auth_enabled_ascii", "no".into()),
        ("item_size_max", memcached.limits.value_max.to_string()),
        ("binding_protocol", "auto-negotiate".into()),
        ("flush_enabled", "yes".into()),
    ]
}
