//! Every directive of mosquitto.conf(5), of 2.0 and 2.1, and what becomes of it.

use super::settings::{Key, Listener, Settings};
use super::{At, Fate, Set};

/// Why a line is not carried over as it is.
type Remarked = Result<(), (Fate, String)>;

/// Those that are not carried over, and why.
const DROPPED: &[(&str, &str)] = &[
    ("accept_protocol_versions", "3.1.1 and 5 are spoken on every address"),
    ("allow_duplicate_messages", "overlapping subscriptions are delivered once, with all their identifiers"),
    ("auth_plugin", PLUGINS),
    (
        "auth_plugin_deny_special_chars",
        "names with `/`, `+` or `#` in them never stand for a level of a topic",
    ),
    ("autosave_interval", "nothing is saved at intervals"),
    ("autosave_on_changes", "nothing is saved at intervals"),
    ("bind_interface", "listen on an address of the interface"),
    ("capath", "name one file of authorities as `client_ca` in `[hub.tls]`"),
    ("check_retain_source", "who may read a retained message is asked when it is delivered"),
    ("ciphers", "TLS has its safe ciphers only"),
    ("ciphers_tls1.3", "TLS has its safe ciphers only"),
    ("connection_messages", "connections are in the access log, if there is one"),
    ("crlfile", "certificates are not held against a list of those revoked"),
    ("dhparamfile", "TLS has elliptic curves only"),
    ("disable_client_cert_date_checks", "an expired certificate is none"),
    ("enable_control_api", "the admin page is `[admin]`"),
    ("global_plugin", PLUGINS),
    ("http_api", "the admin page is `[admin]`"),
    ("http_dir", "the hub serves no files"),
    ("listener_auto_id_prefix", "ids that are given begin with `auto-`"),
    ("log_facility", "logs go to stderr, a file or the journal: see `[log]`"),
    ("log_timestamp", "each line of a log has its time"),
    ("log_timestamp_format", "each line of a log has its time"),
    ("log_type", "see `level` of `[log]`"),
    ("max_inflight_bytes", "what is under way is bounded in messages"),
    ("memory_limit", "memory is bounded by `[limits]`, and by the queues' bounds"),
    ("mount_point", "topics are not moved"),
    ("packet_buffer_size", "a connection has no buffer of its own"),
    ("persistence_file", "the folder is named, and not the files in it"),
    ("pid_file", "whoever starts it knows its process: systemd needs no such file"),
    ("plugin", PLUGINS),
    ("plugin_load", PLUGINS),
    ("plugin_use", PLUGINS),
    ("psk_file", "there is no TLS with pre-shared keys"),
    ("psk_hint", "there is no TLS with pre-shared keys"),
    ("retain_expiry_interval", "retained messages end when their publisher says so"),
    ("retry_interval", "messages are sent again when a client comes back, as the standards have it"),
    ("socket_domain", "listen on an address of the family"),
    ("tls_engine", "keys are in files"),
    ("tls_engine_kpass_sha1", "keys are in files"),
    ("tls_keyform", "keys are in files"),
    ("websockets_headers_size", "a request has at most 16 KiB"),
    ("websockets_log_level", "see `level` of `[log]`"),
    ("websockets_origin", "the origin of a page is not asked for"),
];

const PLUGINS: &str = "there are no plugins";

/// Those of a bridge, behind `connection`.
const BRIDGE: &[&str] = &[
    "address",
    "addresses",
    "bridge_alpn",
    "bridge_attempt_unsubscribe",
    "bridge_bind_address",
    "bridge_cafile",
    "bridge_capath",
    "bridge_certfile",
    "bridge_ciphers",
    "bridge_ciphers_tls1.3",
    "bridge_identity",
    "bridge_insecure",
    "bridge_keyfile",
    "bridge_max_packet_size",
    "bridge_max_topic_alias",
    "bridge_outgoing_retain",
    "bridge_protocol_version",
    "bridge_psk",
    "bridge_receive_maximum",
    "bridge_reload_type",
    "bridge_require_ocsp",
    "bridge_session_expiry_interval",
    "bridge_tcp_keepalive",
    "bridge_tcp_user_timeout",
    "bridge_tls_use_os_certs",
    "bridge_tls_version",
    "cleansession",
    "clientid",
    "idle_timeout",
    "keepalive_interval",
    "local_cleansession",
    "local_clientid",
    "local_password",
    "local_username",
    "notification_topic",
    "notifications",
    "notifications_local_only",
    "password",
    "remote_clientid",
    "remote_password",
    "remote_username",
    "restart_timeout",
    "round_robin",
    "start_type",
    "threshold",
    "topic",
    "try_private",
    "username",
];

/// Takes in one line.
pub(super) fn read(settings: &mut Settings, directive: &str, value: &str, at: &At) -> Remarked {
    let line = Line { directive, value, at };
    if line.is_of_bridge(settings) {
        return Err((Fate::Dropped, "there are no bridges yet".into()));
    }
    if let Some((_, why)) = DROPPED.iter().find(|(name, _)| *name == directive) {
        return Err((Fate::Dropped, (*why).into()));
    }
    if directive.starts_with("auth_opt_") || directive.starts_with("plugin_opt_") {
        return Err((Fate::Dropped, PLUGINS.into()));
    }
    match directive {
        "listener" | "port" | "bind_address" | "protocol" => line.address(settings),
        "cafile"
        | "certfile"
        | "keyfile"
        | "require_certificate"
        | "tls_version"
        | "use_identity_as_username"
        | "use_subject_as_username"
        | "use_username_as_clientid"
        | "max_connections" => line.listener(settings),
        "acl_file"
        | "allow_anonymous"
        | "listener_allow_anonymous"
        | "password_file"
        | "clientid_prefixes"
        | "per_listener_settings"
        | "allow_zero_length_clientid"
        | "auto_id_prefix" => line.security(settings),
        "log_dest" | "persistence" | "persistence_location" | "retained_persistence" | "user" => {
            line.process(settings)
        }
        _ => line.hub(settings),
    }
}

struct Line<'l> {
    directive: &'l str,
    value: &'l str,
    at: &'l At,
}

fn dropped(why: impl Into<String>) -> Remarked {
    Err((Fate::Dropped, why.into()))
}

fn changed(why: impl Into<String>) -> Remarked {
    Err((Fate::Changed, why.into()))
}

fn mistake<T>(why: impl Into<String>) -> Result<T, (Fate, String)> {
    Err((Fate::Mistake, why.into()))
}

impl Line<'_> {
    fn is_of_bridge(&self, settings: &mut Settings) -> bool {
        match self.directive {
            "connection" => settings.in_bridge = true,
            "listener" => settings.in_bridge = false,
            _ => {}
        }
        self.directive == "connection" || BRIDGE.contains(&self.directive)
    }

    fn set<T>(&self, value: T, directive: &'static str) -> Option<Set<T>> {
        Some(Set { value, at: self.at.clone(), directive })
    }

    fn text(&self) -> Result<String, (Fate, String)> {
        if self.value.is_empty() { mistake("it has no value") } else { Ok(self.value.into()) }
    }

    fn yes(&self) -> Result<bool, (Fate, String)> {
        match self.value {
            // As Mosquitto reads them.
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => mistake("it is `true` or `false`"),
        }
    }

    fn number(&self, range: std::ops::RangeInclusive<u64>) -> Result<u64, (Fate, String)> {
        match self.value.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ if *range.end() == u64::MAX => mistake("it is a whole number"),
            _ => mistake(format!("it is a number from {} to {}", range.start(), range.end())),
        }
    }

    fn path(&self) -> Result<(String, Remarked), (Fate, String)> {
        let path = self.text()?;
        let remark = if path.starts_with('/') {
            Ok(())
        } else {
            changed("a relative path begins at the folder of windlass.toml")
        };
        Ok((path, remark))
    }

    fn address(&self, settings: &mut Settings) -> Remarked {
        match self.directive {
            "listener" => {
                let mut words = self.value.splitn(2, [' ', '\t']);
                let port = words.next().unwrap_or_default().parse::<u16>();
                let host = words.next().map(|host| host.trim().to_owned()).filter(|host| !host.is_empty());
                let Ok(port) = port else { return mistake("it has a port from 0 to 65,535") };
                if port == 0 && host.as_ref().is_none_or(|path| !path.starts_with('/')) {
                    return mistake("port 0 is for a Unix socket, and its path is missing");
                }
                settings.listeners.push(Listener {
                    at: Some(self.at.clone()),
                    port,
                    host,
                    ..Listener::default()
                });
                Ok(())
            }
            "port" => {
                settings.default.port = u16::try_from(self.number(1..=65_535)?).unwrap_or(1883);
                settings.has_default = true;
                settings.default.at.get_or_insert_with(|| self.at.clone());
                Ok(())
            }
            "bind_address" => {
                settings.default.host = Some(self.text()?);
                settings.has_default = true;
                settings.default.at.get_or_insert_with(|| self.at.clone());
                Ok(())
            }
            _ => match self.value {
                "mqtt" | "mqttv31" | "mqttv311" | "mqttv5" => Ok(()),
                "websockets" => changed("MQTT without WebSocket is spoken on this address too"),
                _ => dropped("MQTT and WebSocket are spoken"),
            },
        }
    }

    fn listener(&self, settings: &mut Settings) -> Remarked {
        let listener = settings.listener();
        match self.directive {
            "cafile" | "certfile" | "keyfile" => {
                let (path, remark) = self.path()?;
                match self.directive {
                    "cafile" => listener.cafile = self.set(path, "cafile"),
                    "certfile" => listener.certfile = self.set(path, "certfile"),
                    _ => listener.keyfile = self.set(path, "keyfile"),
                }
                remark
            }
            "require_certificate" => {
                listener.require_certificate = self.set(self.yes()?, "require_certificate");
                Ok(())
            }
            "use_identity_as_username" => {
                listener.identity = self.set(self.yes()?, "use_identity_as_username");
                Ok(())
            }
            "use_subject_as_username" => {
                listener.subject = self.set(self.yes()?, "use_subject_as_username");
                Ok(())
            }
            "use_username_as_clientid" => {
                listener.id_from_user = self.set(self.yes()?, "use_username_as_clientid");
                Ok(())
            }
            "tls_version" => match self.value {
                "tlsv1.2" => changed("TLS 1.3 is spoken too"),
                "tlsv1.3" => changed("TLS 1.2 is spoken too"),
                _ => dropped("TLS 1.2 and 1.3 are spoken"),
            },
            _ => match self.value.parse::<i64>() {
                Ok(count) if count > 0 => {
                    listener.connections_max = self.set(count.unsigned_abs(), "max_connections");
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(_) => mistake("it is a whole number"),
            },
        }
    }

    fn security(&self, settings: &mut Settings) -> Remarked {
        match self.directive {
            "per_listener_settings" => {
                settings.per_listener = self.yes()?;
                Ok(())
            }
            "allow_anonymous" => {
                settings.security().allow_anonymous = self.set(self.yes()?, "allow_anonymous");
                Ok(())
            }
            "listener_allow_anonymous" => {
                settings.listener().allow_anonymous = self.set(self.yes()?, "listener_allow_anonymous");
                Ok(())
            }
            "password_file" => {
                let (path, remark) = self.path()?;
                settings.security().password_file = self.set(path, "password_file");
                remark
            }
            "acl_file" => {
                let (path, remark) = self.path()?;
                settings.security().acl_file = self.set(path, "acl_file");
                remark
            }
            "clientid_prefixes" => {
                let prefix = self.set(self.text()?, "clientid_prefixes");
                settings.security().prefixes.extend(prefix);
                Ok(())
            }
            "allow_zero_length_clientid" if self.yes()? => Ok(()),
            "allow_zero_length_clientid" => dropped("a client without an id is given one"),
            _ if self.value == "auto-" => Ok(()),
            _ => dropped("ids that are given begin with `auto-`"),
        }
    }

    fn process(&self, settings: &mut Settings) -> Remarked {
        match self.directive {
            "user" => {
                settings.server_user = self.set(self.text()?, "user");
                Ok(())
            }
            // Its name before 1.0.
            "persistence" | "retained_persistence" => {
                settings.persistence = self.set(self.yes()?, "persistence");
                Ok(())
            }
            "persistence_location" => {
                settings.persistence_location = self.set(self.text()?, "persistence_location");
                Ok(())
            }
            _ => match self.value.split_once([' ', '\t']) {
                Some(("file", path)) => {
                    settings.log_path = self.set(path.trim().into(), "log_dest");
                    Ok(())
                }
                None if self.value == "stderr" => Ok(()),
                _ => dropped("logs go to stderr, a file or the journal: see `[log]`"),
            },
        }
    }

    fn hub(&self, settings: &mut Settings) -> Remarked {
        let mut key = |key: &'static str, value: String, directive: &'static str| {
            settings.hub.extend(self.set(Key { key, value }, directive));
        };
        match self.directive {
            "max_keepalive" => {
                // What is not said is what Mosquitto begins with, and means none here.
                let seconds = self.number(0..=65_535)?;
                if seconds != 65_535 {
                    key("keep_alive_max", format!("\"{seconds}s\""), "max_keepalive");
                }
                Ok(())
            }
            "max_inflight_messages" => {
                let count = match self.number(0..=65_535)? {
                    0 => 65_535,
                    count => count,
                };
                key("receive_max", count.to_string(), "max_inflight_messages");
                key("in_flight_max", count.to_string(), "max_inflight_messages");
                Ok(())
            }
            "max_queued_messages" => match self.number(0..=u64::MAX)? {
                0 => changed("a queue has a bound: the default of `queue_max`"),
                count => {
                    key("queue_max", count.to_string(), "max_queued_messages");
                    Ok(())
                }
            },
            "max_queued_bytes" => match self.number(0..=u64::MAX)? {
                0 => changed("a queue has a bound: the default of `queue_bytes_max`"),
                bytes => {
                    key("queue_bytes_max", bytes.to_string(), "max_queued_bytes");
                    Ok(())
                }
            },
            "max_packet_size" => match self.number(0..=268_435_455)? {
                0 => changed("a packet has a bound: the default of `packet_max`"),
                bytes => {
                    key("packet_max", bytes.max(20).to_string(), "max_packet_size");
                    Ok(())
                }
            },
            "message_size_limit" => match self.number(0..=268_435_455)? {
                0 => changed("a packet has a bound: the default of `packet_max`"),
                bytes => {
                    // Room for a topic and some properties.
                    let bytes = (bytes + 65_536).min(268_435_455);
                    key("packet_max", bytes.to_string(), "message_size_limit");
                    changed("`packet_max` bounds the whole packet: 64 KiB more than the payload")
                }
            },
            "persistent_client_expiration" => {
                let seconds = expiration(self.value)
                    .ok_or_else(|| (Fate::Mistake, "it is a number with h, d, w, m or y".to_owned()))?;
                key("session_expiry_max", format!("\"{seconds}s\""), "persistent_client_expiration");
                changed("it is for clients of version 5 too")
            }
            "queue_qos0_messages" => {
                key("queue_qos_0", self.yes()?.to_string(), "queue_qos0_messages");
                Ok(())
            }
            "retain_available" => {
                key("retain", self.yes()?.to_string(), "retain_available");
                Ok(())
            }
            "sys_interval" => {
                key("sys_interval", format!("\"{}s\"", self.number(0..=65_535)?), "sys_interval");
                Ok(())
            }
            "global_max_clients" => match self.value.parse::<i64>() {
                Ok(count) if count > 0 => {
                    key("sessions_max", count.to_string(), "global_max_clients");
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(_) => mistake("it is a whole number"),
            },
            "global_max_connections" => dropped("connections are bounded by `connections_max` of `[limits]`"),
            "max_qos" | "maximum_qos" => {
                let value = self.number(0..=2)?.to_string();
                let set = self.set(Key { key: "qos_max", value }, "max_qos");
                settings.listener().keys.extend(set);
                Ok(())
            }
            "max_topic_alias" => {
                let value = self.number(0..=65_535)?.to_string();
                let set = self.set(Key { key: "topic_alias_max", value }, "max_topic_alias");
                settings.listener().keys.extend(set);
                Ok(())
            }
            "enable_proxy_protocol" => {
                self.number(1..=2)?;
                let set =
                    self.set(Key { key: "proxy_header", value: "true".into() }, "enable_proxy_protocol");
                settings.listener().keys.extend(set);
                changed("headers of both versions are taken")
            }
            "proxy_protocol_v2_require_tls" => {
                dropped("whether its client spoke TLS is for the proxy to say and to ask for")
            }
            "max_topic_alias_broker" => {
                let value = self.number(0..=65_535)?.to_string();
                let set = self.set(Key { key: "topic_alias_out_max", value }, "max_topic_alias_broker");
                settings.listener().keys.extend(set);
                Ok(())
            }
            "set_tcp_nodelay" if self.yes()? => Ok(()),
            "set_tcp_nodelay" => dropped("nothing is held back, and what belongs together is sent at once"),
            "upgrade_outgoing_qos" if self.yes()? => dropped("a message keeps the QoS of its publisher"),
            "upgrade_outgoing_qos" => Ok(()),
            _ => mistake("it is no directive of Mosquitto that is known here"),
        }
    }
}

/// In seconds: `12h`, `3d`, `2w`, `1m`, `1y`, as Mosquitto counts them.
fn expiration(value: &str) -> Option<u64> {
    let number =
        value.get(..value.len().checked_sub(1)?)?.parse::<u64>().ok().filter(|number| *number > 0)?;
    let hours = match value.as_bytes().last()? {
        b'h' => 1,
        b'd' => 24,
        b'w' => 24 * 7,
        b'm' => 24 * 30,
        b'y' => 24 * 365,
        _ => return None,
    };
    // Behind a hundred years it is for ever.
    Some(number.saturating_mul(hours * 3600).min(u64::from(u32::MAX)))
}

/// All that are known, for the test that holds them against the manual.
#[cfg(test)]
pub(super) fn known(directive: &str) -> bool {
    let at = At { source: 0, line: 1, span: 0..0 };
    let read = read(&mut Settings::default(), directive, "\u{1}", &at);
    directive == "include_dir" || !matches!(read, Err((Fate::Mistake, why)) if why.contains("no directive"))
}
