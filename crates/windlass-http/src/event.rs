//! Server-sent events: what is pushed, and who listens.

use std::collections::BTreeSet;

use windlass::{Bytes, Conn, ConnId};

use crate::config::{HttpConfig, WhenSlow};
use crate::stats::HttpStats;

/// One server-sent event, as `EventSource` in a browser receives it.
///
/// ```
/// use windlass_http::Event;
///
/// let event = Event::new("one\ntwo").name("tick").id("7");
/// assert_eq!(event.to_string(), "event: tick\nid: 7\ndata: one\ndata: two\n\n");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Event {
    name: String,
    id: String,
    data: String,
    retry_ms: Option<u64>,
}

impl Event {
    /// An event with this text; lines in it stay lines.
    pub fn new(data: impl Into<String>) -> Event {
        Event { data: data.into(), ..Event::default() }
    }

    /// Its type, for `addEventListener`; `message` if there is none. Line breaks are taken out.
    pub fn name(mut self, name: impl Into<String>) -> Event {
        self.name = one_line(name.into());
        self
    }

    /// Its id, which the browser tells when it comes back (`last-event-id`). Line breaks are taken out.
    pub fn id(mut self, id: impl Into<String>) -> Event {
        self.id = one_line(id.into());
        self
    }

    /// How long the browser is to wait before it comes back, in milliseconds.
    pub fn retry_ms(mut self, ms: u64) -> Event {
        self.retry_ms = Some(ms);
        self
    }
}

/// As it is sent.
impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (field, value) in [("event", &self.name), ("id", &self.id)] {
            if !value.is_empty() {
                writeln!(f, "{field}: {value}")?;
            }
        }
        if let Some(ms) = self.retry_ms {
            writeln!(f, "retry: {ms}")?;
        }
        // CR alone ends a line for a browser too.
        for line in self.data.replace("\r\n", "\n").split(['\n', '\r']) {
            writeln!(f, "data: {line}")?;
        }
        writeln!(f)
    }
}

fn one_line(text: String) -> String {
    text.replace(['\r', '\n', '\0'], "")
}

/// A stream of events, and its subscribers on this worker.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) path: String,
    // In order, so that a simulation repeats itself.
    pub(crate) subscribers: BTreeSet<ConnId>,
}

/// Sends an event to all subscribers of a channel: bytes that are made once, and shared.
pub(crate) fn publish<F>(
    channel: &Channel,
    config: &HttpConfig,
    stats: &mut HttpStats,
    event: &Event,
    mut find: F,
) where
    F: FnMut(ConnId, &mut dyn FnMut(&mut Conn<'_>)),
{
    stats.events += 1;
    if channel.subscribers.is_empty() {
        return;
    }
    let bytes = Bytes::from(event.to_string());
    for &id in &channel.subscribers {
        find(id, &mut |conn: &mut Conn<'_>| send(config, stats, conn, &bytes));
    }
}

/// Sends an event to one subscriber, if it keeps up.
pub(crate) fn send(config: &HttpConfig, stats: &mut HttpStats, conn: &mut Conn<'_>, bytes: &Bytes) {
    if conn.output_len() <= config.subscriber_output_max {
        return conn.write_shared(bytes.clone());
    }
    match config.when_slow {
        WhenSlow::Disconnect => {
            stats.slow_disconnected += 1;
            conn.abort();
        }
        WhenSlow::Skip => stats.slow_skipped += 1,
    }
}
