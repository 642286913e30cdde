//! From what was said to a `windlass.toml`.

use std::fmt::Write as _;

use super::settings::{Key, Listener, Security, Settings};
use super::{Fate, Remark, Set, remark};

/// Mosquitto's, where no other is said.
const PORT: u16 = 1883;

/// Writes it, with a remark for all that could not be put together.
pub(super) fn toml(name: &str, settings: Settings, remarks: &mut Vec<Remark>) -> String {
    let mut writer = Writer { remarks };
    let listeners = writer.listeners(&settings);
    let mut text = format!(
        "# From {}, by `windlass hub import`. Check it with `windlass check -c FILE`.\n",
        name.replace(|c: char| c.is_control(), "?")
    );
    if let Some(user) = &settings.server_user {
        let _ = write!(text, "\n[server]\nuser = {}\n", quoted(&user.value));
    }
    if let Some(path) = &settings.log_path {
        let _ = write!(text, "\n[log]\npath = {}\n", quoted(&path.value));
    }
    text += &writer.limits(&listeners);
    text += "\n[[hub]]\n";
    let tls = writer.tls(&listeners);
    let (plain, secure): (Vec<&Listener>, Vec<&Listener>) =
        listeners.iter().filter(|it| writer.is_carried(it, tls)).partition(|it| it.certfile.is_none());
    let addresses =
        |of: &[&Listener]| of.iter().map(|it| quoted(&it.address())).collect::<Vec<_>>().join(", ");
    if secure.is_empty() {
        let _ = writeln!(text, "listen = [{}]", addresses(&plain));
    } else {
        let _ = writeln!(text, "listen = [{}]", addresses(&secure));
        if !plain.is_empty() {
            let _ = writeln!(text, "listen_plain = [{}]", addresses(&plain));
        }
    }
    for (key, value) in writer.keys(&settings, &listeners) {
        let _ = writeln!(text, "{key} = {value}");
    }
    if let Some(folder) = writer.persistence(&settings) {
        let _ = writeln!(text, "data = {}", quoted(&folder));
    }
    if let Some(listener) = tls {
        text += &writer.tls_table(listener);
    }
    text += &writer.identity(&settings, &listeners);
    text
}

struct Writer<'r> {
    remarks: &'r mut Vec<Remark>,
}

impl Listener {
    fn address(&self) -> String {
        match &self.host {
            Some(path) if self.port == 0 => format!("unix:{path}"),
            Some(host) if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{}", self.port),
            Some(host) => format!("{host}:{}", self.port),
            None => format!(":{}", self.port),
        }
    }

    /// What TLS is made of: the certificate, its key, the authority of clients, and whether they need it.
    fn tls(&self) -> Option<(&str, Option<&str>, Option<&str>)> {
        let certificate = self.certfile.as_ref()?;
        let key = self.keyfile.as_ref().map(|set| &*set.value);
        let required = self.require_certificate.as_ref().is_some_and(|set| set.value);
        let authority = self.cafile.as_ref().filter(|_| required).map(|set| &*set.value);
        Some((&certificate.value, key, authority))
    }
}

impl Writer<'_> {
    fn remark<T>(&mut self, set: &Set<T>, fate: Fate, why: &str) {
        self.remarks.push(remark(&set.at, set.directive, fate, why));
    }

    /// All of them, that of `port` first. Without one Mosquitto serves this machine.
    fn listeners(&mut self, settings: &Settings) -> Vec<Listener> {
        let mut listeners = Vec::new();
        if settings.has_default || settings.listeners.is_empty() {
            let mut listener = settings.default.clone();
            if listener.port == 0 {
                listener.port = PORT;
            }
            if !settings.has_default {
                listener.host = Some("127.0.0.1".into());
            }
            listeners.push(listener);
        }
        listeners.extend(settings.listeners.iter().cloned());
        for listener in &listeners {
            if listener.certfile.is_none()
                && let Some(set) = listener.keyfile.as_ref().or(listener.cafile.as_ref())
            {
                self.remark(set, Fate::Dropped, "without `certfile` the listener does not speak TLS");
            }
            if listener.certfile.is_some()
                && let Some(set) = &listener.cafile
                && listener.require_certificate.as_ref().is_none_or(|it| !it.value)
            {
                self.remark(set, Fate::Dropped, "clients are not asked for certificates");
            }
        }
        listeners
    }

    /// The one whose TLS is the hub's: the first that has any.
    fn tls<'l>(&mut self, listeners: &'l [Listener]) -> Option<&'l Listener> {
        let first = listeners.iter().find(|it| it.certfile.is_some())?;
        for other in listeners.iter().filter(|it| it.certfile.is_some() && it.tls() != first.tls()) {
            if let Some(at) = &other.at {
                let why = "all addresses of a hub with TLS have one certificate and one authority: this one is left out";
                self.remarks.push(remark(at, "listener", Fate::Dropped, why));
            }
        }
        Some(first)
    }

    fn is_carried(&self, listener: &Listener, tls: Option<&Listener>) -> bool {
        listener.certfile.is_none() || tls.is_some_and(|tls| tls.tls() == listener.tls())
    }

    /// A bound of each listener is a bound of the process, if there is only one.
    fn limits(&mut self, listeners: &[Listener]) -> String {
        let bounds: Vec<&Set<u64>> = listeners.iter().filter_map(|it| it.connections_max.as_ref()).collect();
        match (&bounds[..], listeners) {
            ([], _) => String::new(),
            ([bound], [_]) => format!("\n[limits]\nconnections_max = {}\n", bound.value),
            _ => {
                for bound in bounds {
                    let why =
                        "connections are bounded for all addresses together: `connections_max` of `[limits]`";
                    self.remark(bound, Fate::Dropped, why);
                }
                String::new()
            }
        }
    }

    /// Keys of the hub, each once: of what is said twice, the last holds, as in Mosquitto.
    fn keys(&mut self, settings: &Settings, listeners: &[Listener]) -> Vec<(&'static str, String)> {
        let mut keys: Vec<(&'static str, String)> = Vec::new();
        let mut put = |key: &'static str, value: &str| {
            keys.retain(|(known, _)| *known != key);
            keys.push((key, value.to_owned()));
        };
        for Set { value: Key { key, value }, .. } in &settings.hub {
            put(key, value);
        }
        let mut first: Vec<&Set<Key>> = Vec::new();
        for set in listeners.iter().flat_map(|it| &it.keys) {
            match first.iter().find(|known| known.value.key == set.value.key) {
                None => {
                    put(set.value.key, &set.value.value);
                    if listeners.len() > 1 {
                        self.remarks.push(remark(
                            &set.at,
                            set.directive,
                            Fate::Changed,
                            "it is for all addresses",
                        ));
                    }
                    first.push(set);
                }
                Some(known) if known.value == set.value => {}
                Some(_) => {
                    let why = "it is for all addresses of a hub, and another listener says otherwise";
                    self.remarks.push(remark(&set.at, set.directive, Fate::Dropped, why));
                }
            }
        }
        keys
    }

    /// A folder of its own: what Mosquitto has stored is not read, and stays.
    fn persistence(&mut self, settings: &Settings) -> Option<String> {
        let set = settings.persistence.as_ref()?;
        if !set.value {
            return None;
        }
        self.remark(set, Fate::Changed, "what Mosquitto has stored is not read: `data` begins empty");
        let folder = settings.persistence_location.as_ref().map_or("", |set| set.value.trim_end_matches('/'));
        Some(if folder.is_empty() { "windlass-data".into() } else { format!("{folder}/windlass") })
    }

    fn tls_table(&mut self, listener: &Listener) -> String {
        let Some((certificate, key, authority)) = listener.tls() else { return String::new() };
        // A key may stand in the same file.
        let mut text = format!(
            "\n[hub.tls]\ncert = {}\nkey = {}\n",
            quoted(certificate),
            quoted(key.unwrap_or(certificate))
        );
        if let Some(authority) = authority {
            let _ = writeln!(text, "client_ca = {}", quoted(authority));
        } else if let Some(set) = listener.require_certificate.as_ref().filter(|set| set.value) {
            self.remark(set, Fate::Dropped, "`cafile` is missing: clients are not asked for certificates");
        }
        text
    }

    fn identity(&mut self, settings: &Settings, listeners: &[Listener]) -> String {
        let mut security = self.security(settings, listeners);
        self.anonymous(&mut security, listeners);
        let mut keys = Vec::new();
        let said = security.allow_anonymous.as_ref().map(|set| set.value);
        // Without a listener, who is on this machine needs no name.
        let has_listener = settings.has_default || !settings.listeners.is_empty();
        match said {
            Some(true) => keys.push(("anonymous", "\"everybody\"".to_owned())),
            Some(false) => keys.push(("anonymous", "\"never\"".to_owned())),
            None if has_listener => keys.push(("anonymous", "\"never\"".to_owned())),
            None => {}
        }
        if let Some(set) = &security.password_file {
            keys.push(("password_file", quoted(&set.value)));
        }
        if let Some(set) = &security.acl_file {
            keys.push(("acl_file", quoted(&set.value)));
            let why =
                "a subscription that could match nothing that may be read is refused, and denial always wins";
            self.remark(set, Fate::Changed, why);
        }
        if let Some(name) = self.certificate(listeners) {
            keys.push(("certificate", quoted(name)));
        }
        if !security.prefixes.is_empty() {
            let prefixes: Vec<String> = security.prefixes.iter().map(|set| quoted(&set.value)).collect();
            keys.push(("client_id_prefixes", format!("[{}]", prefixes.join(", "))));
        }
        let from_user: Vec<&Set<bool>> =
            listeners.iter().filter_map(|it| it.id_from_user.as_ref()).filter(|set| set.value).collect();
        if let Some(set) = from_user.first() {
            keys.push(("client_id_from_user", "true".to_owned()));
            if listeners.len() > 1 {
                self.remark(set, Fate::Changed, "it is for all addresses");
            }
        }
        if keys.is_empty() {
            return String::new();
        }
        keys.iter()
            .fold("\n[hub.identity]\n".to_owned(), |text, (key, value)| format!("{text}{key} = {value}\n"))
    }

    /// What is said of a listener alone holds for the hub, if it is said of the first, or means the same.
    fn anonymous(&mut self, security: &mut Security, listeners: &[Listener]) {
        let said = |listener: &Listener| listener.allow_anonymous.as_ref().map(|set| set.value);
        let all = security.allow_anonymous.as_ref().is_some_and(|set| set.value);
        let first = listeners.first().and_then(said).unwrap_or(all);
        for listener in listeners {
            let Some(set) = &listener.allow_anonymous else { continue };
            if set.value == first {
                security.allow_anonymous = Some(set.clone());
            } else {
                let why = "a hub has one identity for all its addresses: that of the first listener";
                self.remark(set, Fate::Dropped, why);
            }
        }
    }

    /// A hub has one: that of all listeners, or of the first.
    fn security(&mut self, settings: &Settings, listeners: &[Listener]) -> Security {
        if !settings.per_listener {
            return settings.security.clone();
        }
        let Some(first) = listeners.first() else { return Security::default() };
        for other in listeners.iter().filter(|it| !it.security.is(&first.security)) {
            let Security { allow_anonymous, password_file, acl_file, prefixes } = &other.security;
            let why = "a hub has one identity for all its addresses: that of the first listener";
            let texts = password_file.iter().chain(acl_file).chain(prefixes);
            let mut left: Vec<Remark> =
                texts.map(|set| remark(&set.at, set.directive, Fate::Dropped, why)).collect();
            left.extend(allow_anonymous.iter().map(|set| remark(&set.at, set.directive, Fate::Dropped, why)));
            if let Some(at) = other.at.as_ref().filter(|_| left.is_empty()) {
                left.push(remark(at, "listener", Fate::Changed, why));
            }
            self.remarks.append(&mut left);
        }
        first.security.clone()
    }

    fn certificate(&mut self, listeners: &[Listener]) -> Option<&'static str> {
        let mut found = None;
        for listener in listeners {
            let uses = [(&listener.identity, "common-name"), (&listener.subject, "subject")];
            for (set, name) in uses {
                let Some(set) = set.as_ref().filter(|set| set.value) else { continue };
                let required = listener.require_certificate.as_ref().is_some_and(|it| it.value);
                if listener.certfile.is_none() || !required {
                    self.remark(set, Fate::Dropped, "clients show no certificates on this listener");
                } else if found.is_some_and(|known| known != name) {
                    self.remark(
                        set,
                        Fate::Dropped,
                        "a hub takes one name of a certificate, and has taken another",
                    );
                } else {
                    found = Some(name);
                }
            }
        }
        found
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(out, "\\U{:08X}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}
