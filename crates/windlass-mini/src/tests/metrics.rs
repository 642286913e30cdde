//! Each figure under its own name.

use super::*;

/// Of a page: each sample that is not in `expected`, and each of these that is not on the page.
fn differences(page: &str, expected: &str) -> Vec<String> {
    let samples = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    let (page, expected) = (samples(page), samples(expected));
    let missing = expected.iter().filter(|line| !page.contains(line)).cloned();
    let more = page.iter().filter(|line| !line.starts_with("# TYPE") && !expected.contains(line)).cloned();
    missing.chain(more).collect()
}

#[test]
fn what_the_engine_counts() {
    let mut counters = Counters::default();
    counters.opened = 1;
    counters.ended = 2;
    counters.bytes_in = 3;
    counters.bytes_out = 4;
    counters.buffered_bytes = 5;
    counters.congestions = 6;
    counters.turns = 7;
    counters.overloads = 8;
    counters.shed_memory = 9;
    counters.sockets_refused = 10;
    counters.shed_full = 11;
    counters.shed_source = 12;
    counters.shed_overload = 13;
    let mut page = String::new();
    counted(&mut page, &counters);
    let sockets = if cfg!(feature = "udp") { "windlass_sockets_refused_total 10" } else { "" };
    let expected = [
        "# TYPE windlass_connections_opened_total counter
         windlass_connections_opened_total 1
         windlass_connections_ended_total 2
         windlass_received_bytes_total 3
         windlass_sent_bytes_total 4
         # TYPE windlass_buffered_bytes gauge
         windlass_buffered_bytes 5
         windlass_congestions_total 6
         windlass_turns_total 7
         windlass_overloads_total 8
         windlass_memory_ended_total 9
         windlass_newcomers_refused_total{reason=\"full\"} 11
         windlass_newcomers_refused_total{reason=\"source\"} 12
         windlass_newcomers_refused_total{reason=\"overload\"} 13
         ",
        sockets,
    ];
    assert_eq!(differences(&page, &expected.concat()), [""; 0]);
}

#[cfg(feature = "relay")]
#[test]
fn why_nobody_was_found_behind_a_relay() {
    let mut counters = Counters::default();
    counters.connects_refused = 1;
    counters.connects_unreachable = 2;
    counters.connects_timed_out = 3;
    counters.connects_out_of_resources = 4;
    counters.connects_cancelled = 5;
    counters.connects_over_limit = 6;
    let mut page = String::new();
    connects_failed(&mut page, &counters);
    let expected = "windlass_connects_failed_total{reason=\"refused\"} 1
                    windlass_connects_failed_total{reason=\"unreachable\"} 2
                    windlass_connects_failed_total{reason=\"timeout\"} 3
                    windlass_connects_failed_total{reason=\"out_of_resources\"} 4
                    windlass_connects_failed_total{reason=\"cancelled\"} 5
                    windlass_connects_over_limit_total 6";
    assert_eq!(differences(&page, expected), [""; 0]);
}

#[cfg(feature = "hub")]
#[test]
fn what_hubs_count_and_shed() {
    let mut stats = windlass_hub::HubStats::default();
    stats.clients = 1;
    stats.sessions = 2;
    stats.subscriptions = 3;
    stats.retained = 4;
    stats.retained_bytes = 5;
    stats.queued = 6;
    stats.queued_bytes = 7;
    stats.memory_used = 8;
    stats.packets_received = 9;
    stats.unheard = 10;
    stats.dropped_queue_full = 11;
    stats.dropped_expired = 12;
    stats.dropped_too_long = 13;
    stats.dropped_offline = 14;
    stats.denied_publish = 20;
    stats.denied_read = 21;
    stats.denied_subscribe = 22;
    stats.retained_refused = 23;
    stats.memory_sessions_refused = 15;
    stats.memory_subscriptions_refused = 16;
    stats.memory_retained_refused = 17;
    stats.memory_messages_dropped = 18;
    stats.memory_clients_ended = 19;
    let mut page = String::new();
    for (name, kind, value) in HUB_FAMILIES {
        sample(&mut page, name, kind, value(&stats));
    }
    for (name, label, values) in HUB_SHED {
        for (what, value) in *values {
            sample(&mut page, &[name, " ", label].concat(), &[" ", what].concat(), value(&stats));
        }
    }
    let expected = "clientsgauge 1
                    sessionsgauge 2
                    subscriptionsgauge 3
                    retainedgauge 4
                    retained_bytesgauge 5
                    queuedgauge 6
                    queued_bytesgauge 7
                    memory_bytesgauge 8
                    packets_received_totalcounter 9
                    messages_unheard_totalcounter 10
                    windlass_hub_dropped_total reason queue_full 11
                    windlass_hub_dropped_total reason expired 12
                    windlass_hub_dropped_total reason too_long 13
                    windlass_hub_dropped_total reason offline 14
                    windlass_hub_denied_total what publish 20
                    windlass_hub_denied_total what read 21
                    windlass_hub_denied_total what subscribe 22
                    windlass_hub_denied_total what retain 23
                    windlass_hub_memory_refused_total what session 15
                    windlass_hub_memory_refused_total what subscription 16
                    windlass_hub_memory_refused_total what retained 17
                    windlass_hub_memory_refused_total what message 18
                    windlass_hub_memory_refused_total what client 19";
    assert_eq!(differences(&page, expected), [""; 0]);
}

/// Whoever sends newcomers hears of a drain before it is over.
#[test]
fn who_drains_is_not_ready() {
    let looked = Arc::new(Looked::default());
    assert!(!looked.is_ready(), "before there is a server");
    let bound = service(&looked).tcp("127.0.0.1:0").bind().unwrap();
    assert!(looked.server.set(bound.handle()).is_ok());
    assert!(looked.is_ready());
    bound.handle().shutdown();
    assert!(!looked.is_ready());
}
