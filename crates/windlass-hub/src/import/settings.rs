//! What the lines of a `mosquitto.conf` say, gathered by what it is about.

use super::{At, Set};

/// All of it.
#[derive(Default)]
pub(super) struct Settings {
    /// The listener of `port` and `bind_address`, and what stands before the first `listener`.
    pub(super) default: Listener,
    /// Whether `port` or `bind_address` was said.
    pub(super) has_default: bool,
    pub(super) listeners: Vec<Listener>,
    /// Whether lines are about a bridge now.
    pub(super) in_bridge: bool,
    pub(super) per_listener: bool,
    /// What is about everything, unless settings are per listener.
    pub(super) security: Security,
    pub(super) hub: Vec<Set<Key>>,
    pub(super) server_user: Option<Set<String>>,
    pub(super) log_path: Option<Set<String>>,
    pub(super) persistence: Option<Set<bool>>,
    pub(super) persistence_location: Option<Set<String>>,
}

/// A key of `[[hub]]` and its value, as TOML.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub(super) key: &'static str,
    pub(super) value: String,
}

/// One address, and how it is spoken with.
#[derive(Clone, Default)]
pub(super) struct Listener {
    pub(super) at: Option<At>,
    pub(super) port: u16,
    /// A host, an address, or a path.
    pub(super) host: Option<String>,
    pub(super) cafile: Option<Set<String>>,
    pub(super) certfile: Option<Set<String>>,
    pub(super) keyfile: Option<Set<String>>,
    pub(super) require_certificate: Option<Set<bool>>,
    pub(super) identity: Option<Set<bool>>,
    pub(super) subject: Option<Set<bool>>,
    pub(super) id_from_user: Option<Set<bool>>,
    pub(super) connections_max: Option<Set<u64>>,
    /// Of this listener alone, before what is said of all.
    pub(super) allow_anonymous: Option<Set<bool>>,
    pub(super) keys: Vec<Set<Key>>,
    pub(super) security: Security,
}

/// Who may come, and what they may do.
#[derive(Clone, Default)]
pub(super) struct Security {
    pub(super) allow_anonymous: Option<Set<bool>>,
    pub(super) password_file: Option<Set<String>>,
    pub(super) acl_file: Option<Set<String>>,
    pub(super) prefixes: Vec<Set<String>>,
}

impl Security {
    /// Whether it means the same, wherever it stands.
    pub(super) fn is(&self, other: &Security) -> bool {
        let of = |it: &Security| {
            let text = |set: &Option<Set<String>>| set.as_ref().map(|set| set.value.clone());
            let prefixes: Vec<String> = it.prefixes.iter().map(|set| set.value.clone()).collect();
            let anonymous = it.allow_anonymous.as_ref().is_some_and(|set| set.value);
            (anonymous, text(&it.password_file), text(&it.acl_file), prefixes)
        };
        of(self) == of(other)
    }
}

impl Settings {
    /// The listener that lines are about now.
    pub(super) fn listener(&mut self) -> &mut Listener {
        self.listeners.last_mut().unwrap_or(&mut self.default)
    }

    /// What lines about security are about now.
    pub(super) fn security(&mut self) -> &mut Security {
        if self.per_listener { &mut self.listener().security } else { &mut self.security }
    }
}
