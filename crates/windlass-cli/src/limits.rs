//! `--limit KEY=VALUE`: every bound of the engine, by name.

use windlass::{Limits, WhenDatagramsFull, WhenFull, WhenOverloaded};

use crate::nearest::nearest;
use crate::quantity::{count, duration, show_count, show_duration, show_size, size};

/// One bound: how its value is read and shown.
struct Key {
    name: &'static str,
    read: fn(&mut Limits, &str) -> Result<(), String>,
    show: fn(&Limits) -> String,
}

macro_rules! keys {
    ($($name:ident: $read:expr, $show:expr;)*) => {
        static KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            read: |limits, text| { limits.$name = $read(text)?; Ok(()) },
            show: |limits| $show(&limits.$name),
        },)*];
    };
}

// In the order of `Limits::NAMES`; a test holds the two together.
keys! {
    connections_max: count, show_count;
    listener_connections_max: count, show_count;
    source_connections_max: count, show_count;
    accept_rate_max: count, show_count;
    accept_burst_max: count, show_count;
    accepts_per_turn_max: count, show_count;
    closes_per_turn_max: count, show_count;
    connecting_max: count, show_count;
    connects_per_turn_max: count, show_count;
    connect_timeout: duration, show_duration;
    when_full: when_full, show_when_full;
    backlog_max: count, show_count;
    idle_timeout: duration, show_duration;
    write_stall_timeout: duration, show_duration;
    write_progress_min: size, show_size;
    linger_timeout: duration, show_duration;
    drain_timeout: duration, show_duration;
    handover_drain_timeout: duration, show_duration;
    handover_ready_timeout: duration, show_duration;
    tls_handshake_timeout: duration, show_duration;
    tls_handshakes_max: count, show_count;
    tls_handshakes_per_turn_max: count, show_count;
    read_budget_bytes: size, show_size;
    input_max: size, show_size;
    output_high: size, show_size;
    output_low: size, show_size;
    output_max: size, show_size;
    buffered_max: size, show_size;
    relay_pipes_max: count, show_count;
    mailbox_max: count, show_count;
    mailbox_per_turn_max: count, show_count;
    stall_timeout: duration, show_duration;
    overload_lag_max: duration, show_duration;
    overload_interval: duration, show_duration;
    when_overloaded: when_overloaded, show_when_overloaded;
    overload_idle_divisor: count, show_count;
    sockets_max: count, show_count;
    datagrams_per_turn_max: count, show_count;
    datagram_output_max: size, show_size;
    datagrams_queued_max: count, show_count;
    when_datagrams_full: when_datagrams_full, show_when_datagrams_full;
    datagram_receive_buffer_bytes: size, show_size;
    datagram_send_buffer_bytes: size, show_size;
}

fn when_full(text: &str) -> Result<WhenFull, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "wait" => Ok(WhenFull::Wait),
        "shed" => Ok(WhenFull::Shed),
        _ => Err(format!("`{text}` is no policy: it is `wait` or `shed`")),
    }
}

fn show_when_full(policy: &WhenFull) -> String {
    match policy {
        WhenFull::Wait => "wait".into(),
        WhenFull::Shed => "shed".into(),
    }
}

fn when_overloaded(text: &str) -> Result<WhenOverloaded, String> {
    match when_full(text)? {
        WhenFull::Wait => Ok(WhenOverloaded::Wait),
        WhenFull::Shed => Ok(WhenOverloaded::Shed),
    }
}

fn show_when_overloaded(policy: &WhenOverloaded) -> String {
    match policy {
        WhenOverloaded::Wait => "wait".into(),
        WhenOverloaded::Shed => "shed".into(),
    }
}

fn when_datagrams_full(text: &str) -> Result<WhenDatagramsFull, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "drop_newest" => Ok(WhenDatagramsFull::DropNewest),
        "drop_oldest" => Ok(WhenDatagramsFull::DropOldest),
        _ => Err(format!("`{text}` is no policy: it is `drop_newest` or `drop_oldest`")),
    }
}

fn show_when_datagrams_full(policy: &WhenDatagramsFull) -> String {
    match policy {
        WhenDatagramsFull::DropNewest => "drop_newest".into(),
        WhenDatagramsFull::DropOldest => "drop_oldest".into(),
    }
}

/// One `KEY=VALUE`, known to be good.
#[derive(Clone)]
pub(crate) struct Setting {
    key: &'static str,
    value: String,
}

impl Setting {
    pub(crate) fn key(&self) -> &str {
        self.key
    }

    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// Reads `KEY=VALUE`, and says in one sentence what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Setting, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("write it as KEY=VALUE, for example idle_timeout=30s; `--limits` lists the keys")?;
        let name = name.trim();
        let Some(key) = find(name) else {
            return Err(unknown(name));
        };
        (key.read)(&mut Limits::default(), value)?;
        Ok(Setting { key: key.name, value: value.into() })
    }
}

fn find(name: &str) -> Option<&'static Key> {
    keys().iter().find(|key| key.name == name)
}

/// The list, hidden from the optimizer: where it knows the constants it unrolls what runs over them,
/// and LLVM's constraint elimination (as of Rust 1.95) then takes longer than anybody would wait.
fn keys() -> &'static [Key] {
    std::hint::black_box(KEYS)
}

fn unknown(name: &str) -> String {
    let mut text = format!("there is no limit `{name}`");
    let names: Vec<&str> = keys().iter().map(|key| key.name).collect();
    if let Some(near) = nearest(name, &names) {
        text += &format!("; did you mean `{near}`?");
    }
    text + "\n\nThe limits are:\n" + &crate::text::wrap(&names.join(", "), 2, 80)
}

/// `limits` with `settings` over them, the last one of a key last.
pub(crate) fn apply(mut limits: Limits, settings: &[Setting]) -> Limits {
    for setting in settings {
        if let Some(key) = find(setting.key) {
            // It was read once already, so it can be read again.
            let _ = (key.read)(&mut limits, &setting.value);
        }
    }
    limits
}

/// Every limit's name and its value, written as it can be typed.
pub(crate) fn shown(limits: &Limits) -> Vec<(&'static str, String)> {
    keys().iter().map(|key| (key.name, (key.show)(limits))).collect()
}

/// A table of every limit in effect with its text, `width` columns wide.
pub(crate) fn table(limits: &Limits, width: usize) -> String {
    let names = keys().iter().map(|key| key.name.len()).max().unwrap_or(0);
    let values = keys().iter().map(|key| (key.show)(limits).len()).max().unwrap_or(0).max("value".len());
    let indent = names + values + 4;
    let mut table = format!("{:names$}  {:>values$}  what it bounds\n", "limit", "value");
    for key in keys() {
        let about = Limits::NAMES.iter().find(|(name, _)| *name == key.name).map_or("", |(_, about)| about);
        let about = crate::text::wrap(about, indent, width);
        table += &format!("{:names$}  {:>values$}  {}\n", key.name, (key.show)(limits), about.trim_start());
    }
    table
}

#[cfg(test)]
#[path = "tests/limits.rs"]
mod tests;
