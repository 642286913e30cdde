//! How one configuration differs from another: what a change of the running server has to say.

use serde_json::Value;
use windlass::Address;

use super::Told;
use super::plan::{self, ADMIN};
use crate::config::shape::TlsTable;
use crate::config::{self, File};

/// A service of the server, as far as it decides what has to change.
pub(super) struct Unit {
    /// What the engine calls it.
    pub(super) name: String,
    /// All that is said of it but where it listens: with other settings it is another service.
    settings: Value,
    pub(super) listeners: Vec<Listener>,
}

#[derive(Clone)]
pub(super) struct Listener {
    pub(super) address: String,
    pub(super) tag: u32,
    pub(super) tls: Option<TlsTable>,
    /// Whose certificate it is.
    pub(super) owner: String,
}

impl Listener {
    /// Whether it may stay as it is; a certificate can be read again.
    fn is(&self, other: &Listener) -> bool {
        self.address == other.address
            && self.tag == other.tag
            && self.tls.is_some() == other.tls.is_some()
            && (self.tls.is_none() || self.owner == other.owner)
    }
}

/// Every service of a configuration; `kv` is what the key-value service is called.
pub(super) fn units(file: &File, kv: &str, told: &Told) -> Vec<Unit> {
    let tables = serde_json::to_value(file).unwrap_or_default();
    let mut units: Vec<Unit> = Vec::new();
    for service in config::services(file) {
        let (kind, at) = service.path.split_once('[').unwrap_or((&service.path, "0]"));
        let at: usize = at.trim_end_matches(']').parse().unwrap_or_default();
        let owner = plan::owner(kind, service.name);
        let tag = tag(kind, &owner, told);
        let listener = |(at, address): (usize, &&Address)| Listener {
            address: address.to_string(),
            tag: tag.unwrap_or(0),
            tls: service.tls_at(at).cloned(),
            owner: owner.clone(),
        };
        let listeners = service.listen.iter().enumerate().map(listener);
        if tag.is_some() {
            // One service for all tables of the store: what is said of that is told to it.
            match units.iter_mut().find(|unit| unit.name == kv && unit.settings == *"kv") {
                Some(unit) => unit.listeners.extend(listeners),
                None => units.push(Unit {
                    name: kv.into(),
                    settings: "kv".into(),
                    listeners: listeners.collect(),
                }),
            }
            continue;
        }
        let mut settings = tables[kind][at].clone();
        if let Some(table) = settings.as_object_mut() {
            ["name", "listen", "tls"].iter().for_each(|key| drop(table.remove(*key)));
            if kind == "proxy" {
                // All but its log and what it passes on is told to the one that runs.
                table.retain(|key, _| matches!(key.as_str(), "access_log" | "mode"));
            }
            if kind == "hub" {
                // The same: sessions and topics stay.
                table.retain(|key, _| {
                    matches!(key.as_str(), "access_log" | "data" | "durability" | "sync_interval")
                });
            }
            if kind == "game" {
                // All of it: what it cannot be told waits for the next start.
                table.clear();
            }
            table.insert("kind".into(), kind.into());
        }
        units.push(Unit { name: service.name.into(), settings, listeners: listeners.collect() });
    }
    #[cfg(feature = "proxy")]
    for (at, table) in file.proxy.iter().enumerate() {
        if let Some(name) = table.discovery() {
            // It goes with its proxy, and hears from that of other sources.
            let (log, mode) = (&tables["proxy"][at]["access_log"], &tables["proxy"][at]["mode"]);
            let settings = serde_json::json!({ "kind": "discovery", "of": [log, mode] });
            units.push(Unit { name, settings, listeners: Vec::new() });
        }
    }
    if !file.admin.listen.is_empty() {
        let listener = |listen: &config::value::Listen| Listener {
            address: listen.0.to_string(),
            tag: 0,
            tls: None,
            owner: String::new(),
        };
        let mut settings = tables["admin"].clone();
        if let Some(table) = settings.as_object_mut() {
            table.remove("listen");
            // A secret is shown as stars.
            let token = file.admin.token.as_ref().map(|token| token.0.clone());
            table.insert("token".into(), token.into());
        }
        units.push(Unit {
            name: ADMIN.into(),
            settings,
            listeners: file.admin.listen.iter().map(listener).collect(),
        });
    }
    units
}

/// The tag of a kind's listeners, if it is one of the store's.
fn tag(kind: &str, owner: &str, told: &Told) -> Option<u32> {
    #[cfg(feature = "kv")]
    return crate::kv::tag_of(kind, owner, told);
    #[cfg(not(feature = "kv"))]
    {
        let _ = (kind, owner, told);
        None
    }
}

/// What has to be done to come from one configuration to another.
#[derive(Default)]
pub(super) struct Difference {
    /// Services that go, by name.
    pub(super) remove: Vec<String>,
    /// Services that come; some of them in the place of one that goes.
    pub(super) add: Vec<String>,
    /// Listeners that services which stay get and lose.
    pub(super) listen: Vec<(String, Listener)>,
    pub(super) unlisten: Vec<(String, String)>,
    /// Listeners that show a certificate, whether they stay or come.
    pub(super) certificates: Vec<Listener>,
}

impl Difference {
    pub(super) fn of(old: &[Unit], new: &[Unit]) -> Difference {
        let mut difference = Difference::default();
        for unit in old {
            if !new.iter().any(|other| other.name == unit.name && other.settings == unit.settings) {
                difference.remove.push(unit.name.clone());
            }
        }
        for unit in new {
            let same = |other: &&Unit| other.name == unit.name && other.settings == unit.settings;
            match old.iter().find(same) {
                None => difference.add.push(unit.name.clone()),
                Some(before) => difference.listeners(before, unit),
            }
            difference.certificates.extend(unit.listeners.iter().filter(|it| it.tls.is_some()).cloned());
        }
        difference
    }

    fn listeners(&mut self, before: &Unit, unit: &Unit) {
        let mut there = before.listeners.clone();
        for listener in &unit.listeners {
            match there.iter().position(|other| other.is(listener)) {
                Some(at) => drop(there.swap_remove(at)),
                None => self.listen.push((unit.name.clone(), listener.clone())),
            }
        }
        self.unlisten.extend(there.into_iter().map(|gone| (unit.name.clone(), gone.address)));
    }

    /// The difference in words.
    pub(super) fn in_words(&self) -> Vec<String> {
        let is_new = |name: &&String| !self.remove.contains(name);
        let is_gone = |name: &&String| !self.add.contains(name);
        let mut words = Vec::new();
        words.extend(self.remove.iter().filter(is_gone).map(|name| format!("service {name} removed")));
        words.extend(self.add.iter().filter(is_new).map(|name| format!("service {name} added")));
        let replaced = self.add.iter().filter(|name| self.remove.contains(name));
        words.extend(replaced.map(|name| format!("service {name} replaced: its settings are others")));
        words.extend(self.unlisten.iter().map(|(name, at)| format!("{name} listens no more on {at}")));
        words.extend(self.listen.iter().map(|(name, new)| format!("{name} listens on {}", new.address)));
        words
    }
}

#[cfg(all(
    test,
    feature = "tls",
    feature = "echo",
    feature = "websocket",
    feature = "kv",
    feature = "proxy"
))]
#[path = "../tests/difference.rs"]
mod tests;
