//! What of a proxy's table keeps clients and backends from harm: `guard`, `breaker`, `check_http` and
//! `check_exchange`.

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_proxy::{Breaker, CheckKind, ExchangeCheck, GuardConfig, HttpCheck, Sources};

use crate::config::value::{Count, Network, Time};

/// Who is let in, and how much of one source. A source is a client's address, as a believed PROXY header says
/// it or as it connects; of IPv6 a network.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GuardTable {
    /// Networks, or `unix`, that are let in; nobody else is then.
    #[schemars(extend("examples" = ["10.0.0.0/8"]))]
    pub(crate) allow: Vec<Network>,
    /// Networks, or `unix`, that are not let in, though `allow` names them too.
    #[schemars(extend("examples" = ["203.0.113.0/24"]))]
    pub(crate) deny: Vec<Network>,
    /// Connections of one source, of all workers together. 0: any number. Without it
    /// `limits.source_connections_max` counts, by the client's address too, and spares those on loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [100]))]
    pub(crate) connections_max: Option<Count>,
    /// New connections of one source per second. 0: any number.
    pub(crate) connection_rate: Count,
    /// So many may come at once, after a while without any.
    pub(crate) connection_burst: Count,
    /// Requests of one source per second. 0: any number.
    pub(crate) request_rate: Count,
    /// So many may come at once, after a while without any.
    pub(crate) request_burst: Count,
    /// IPv6 addresses with so many leading bits in common are one source.
    pub(crate) ipv6_prefix: Count,
    /// Sources that are remembered, at 24 bytes each. With more, those that are not connected are forgotten.
    pub(crate) sources_max: Count,
    /// Whoever is refused is kept for so long without a word, instead of being closed at once.
    pub(crate) tarpit: Time,
    /// Clients that are kept like this at the same time. More are closed at once.
    pub(crate) tarpit_max: Count,
}

impl Default for GuardTable {
    fn default() -> GuardTable {
        let GuardConfig {
            connection_rate,
            connection_burst,
            request_rate,
            request_burst,
            ipv6_prefix,
            sources_max,
            tarpit,
            tarpit_max,
            ..
        } = GuardConfig::default();
        let count = |n: u32| Count(n as usize);
        GuardTable {
            allow: Vec::new(),
            deny: Vec::new(),
            connections_max: None,
            connection_rate: count(connection_rate),
            connection_burst: count(connection_burst),
            request_rate: count(request_rate),
            request_burst: count(request_burst),
            ipv6_prefix: count(ipv6_prefix),
            sources_max: count(sources_max),
            tarpit: Time(tarpit),
            tarpit_max: Count(tarpit_max),
        }
    }
}

/// What is too large for the setting is too large for its check as well.
fn count(Count(n): Count) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl GuardTable {
    pub(crate) fn config(&self) -> Result<GuardConfig> {
        let networks = |list: &[Network]| Sources::parse(list.iter().map(|Network(text)| text));
        Ok(GuardConfig {
            allow: networks(&self.allow)?,
            deny: networks(&self.deny)?,
            connections_max: count(self.connections_max.unwrap_or(Count(0))),
            spare_loopback: false,
            connection_rate: count(self.connection_rate),
            connection_burst: count(self.connection_burst),
            request_rate: count(self.request_rate),
            request_burst: count(self.request_burst),
            ipv6_prefix: count(self.ipv6_prefix),
            sources_max: count(self.sources_max),
            tarpit: self.tarpit.0,
            tarpit_max: self.tarpit_max.0,
        })
    }
}

/// The circuit breaker of each backend: if too many of its last connections failed, it gets none for a while,
/// then a few to try it with.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BreakerTable {
    /// It opens when so many percent have failed.
    pub(crate) errors_percent: Count,
    /// Of so many, the last.
    pub(crate) window: Count,
    /// With fewer than these it does not open.
    pub(crate) volume_min: Count,
    /// How long it stays open.
    pub(crate) open: Time,
    /// Then so many are let through; it closes when all of them went well.
    pub(crate) probes: Count,
}

impl Default for BreakerTable {
    fn default() -> BreakerTable {
        let Breaker { window, volume_min, open, probes, .. } = Breaker::default();
        let count = |n: u32| Count(n as usize);
        BreakerTable {
            // Whoever writes the table wants one.
            errors_percent: Count(50),
            window: count(window),
            volume_min: count(volume_min),
            open: Time(open),
            probes: count(probes),
        }
    }
}

impl BreakerTable {
    pub(crate) fn config(&self) -> Breaker {
        Breaker {
            errors_percent: count(self.errors_percent),
            window: count(self.window),
            volume_min: count(self.volume_min),
            open: self.open.0,
            probes: count(self.probes),
        }
    }
}

/// Ask backends by an HTTP request when they are checked.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpCheckTable {
    /// The method.
    pub(crate) method: String,
    /// The path, with a query if there is one.
    pub(crate) path: String,
    /// The `Host`. The backend's address, if nothing else is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["example.com"]))]
    pub(crate) host: Option<String>,
    /// A status in one of these passes: `200`, `200-399`.
    pub(crate) status: Vec<String>,
    /// Text that has to be in the first 64 KiB of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["ready"]))]
    pub(crate) body: Option<String>,
}

impl Default for HttpCheckTable {
    fn default() -> HttpCheckTable {
        let HttpCheck { method, path, .. } = HttpCheck::default();
        HttpCheckTable { method, path, host: None, status: vec!["200-399".into()], body: None }
    }
}

impl HttpCheckTable {
    pub(crate) fn config(&self) -> Result<CheckKind> {
        let range = |text: &String| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let number = |text: &str| text.parse::<u16>().ok();
            number(first).zip(number(last)).map(|(first, last)| first..=last)
        };
        let mut status = Vec::new();
        for text in &self.status {
            let Some(range) = range(text) else {
                bail!("check_http.status: `{text}` is no status: write 200-399")
            };
            status.push(range);
        }
        Ok(CheckKind::Http(HttpCheck {
            method: self.method.clone(),
            path: self.path.clone(),
            host: self.host.clone(),
            status,
            body: self.body.clone(),
        }))
    }
}

/// Ask backends by bytes when they are checked. With `mode = "udp"` they are a datagram, and the answer is one, but
/// for a backend with a `check_port` or a `check_address`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeTable {
    /// What is sent. Nothing, to a backend that speaks first.
    #[serde(default)]
    pub(crate) send: String,
    /// What its answer has to begin with.
    #[schemars(extend("examples" = ["+PONG"]))]
    pub(crate) expect: String,
}

impl ExchangeTable {
    pub(crate) fn config(&self) -> CheckKind {
        let (send, expect) = (self.send.clone().into_bytes(), self.expect.clone().into_bytes());
        CheckKind::Exchange(ExchangeCheck { send, expect })
    }
}
