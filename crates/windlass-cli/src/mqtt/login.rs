//! Who a client is, and what it says of itself in CONNECT; and how it talks to people.

use std::io::Write as _;

use anyhow::{Context as _, Result, anyhow, ensure};
use windlass::Close;
use windlass::proto::mqtt::{Connect, Packet, PropertiesBuf, Property, QoS, Secret, Topic, Version, Will};

use super::client::version;
use super::property::Given;
use crate::args::{BrokerArgs, WillArgs};

/// Everything about a client but what it is for.
pub(super) struct Login {
    pub(super) version: Version,
    pub(super) given: Given,
    pub(super) keep_alive: u16,
    id: String,
    user: Option<String>,
    password: Option<String>,
    clean: bool,
    properties: PropertiesBuf,
    will: Option<Testament>,
    quiet: bool,
    debug: bool,
}

struct Testament {
    topic: String,
    payload: String,
    qos: QoS,
    retain: bool,
}

impl Login {
    pub(super) fn of(args: &BrokerArgs) -> Result<Login> {
        let version = version(args.protocol);
        let given = Given::parse(&args.property)?;
        ensure!(given.is_empty() || version == Version::V5, "properties (-D) are of version 5: give -V 5");
        ensure!(
            args.session_expiry.is_none() || version == Version::V5,
            "a session's expiry (-x) is of version 5: give -V 5"
        );
        let mine = std::process::id();
        let id = match (&args.id, &args.id_prefix) {
            (Some(id), _) => id.clone(),
            (None, Some(prefix)) => format!("{prefix}{mine}"),
            (None, None) => format!("windlass-{mine}"),
        };
        ensure!(!args.keep_session || args.id.is_some(), "to keep a session (-c) a name is needed: give -i");
        let url = args.url.as_ref();
        let mut password = args.password.clone();
        if let Some(path) = &args.password_file {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            password = Some(text.lines().next().unwrap_or_default().to_owned());
        }
        let user = args.username.clone().or_else(|| url.and_then(|url| url.user.clone()));
        let password = password.or_else(|| url.and_then(|url| url.password.clone()));
        ensure!(
            password.is_none() || user.is_some() || version == Version::V5,
            "a password needs a user (-u) with version 3.1.1"
        );
        let mut properties = PropertiesBuf::new();
        properties.extend(given.connect().properties(), |_| true);
        let expiry = args.session_expiry.or_else(|| args.keep_session.then_some(u32::MAX));
        if let Some(seconds) = expiry.filter(|_| version == Version::V5)
            && properties.properties().session_expiry().is_none()
        {
            properties.push(Property::SessionExpiry(seconds)).map_err(|error| anyhow!("{error}"))?;
        }
        let login = Login {
            version,
            given,
            keep_alive: args.keep_alive,
            id,
            user,
            password,
            clean: !args.keep_session,
            properties,
            will: testament(&args.will)?,
            quiet: args.quiet,
            debug: args.debug,
        };
        // What cannot be said is a mistake on the command line.
        let mut codec =
            windlass::proto::mqtt::Mqtt::client(version, windlass::proto::mqtt::Limits::default());
        login
            .connect(|packet| Ok(windlass::proto::Encode::encode(&mut codec, packet, &mut Vec::new())?))
            .map_err(|error| anyhow!("such a CONNECT there is not: {error}"))?;
        Ok(login)
    }

    /// Has CONNECT said.
    pub(super) fn connect(&self, say: impl FnOnce(&Packet<'_>) -> Result<(), Close>) -> Result<(), Close> {
        let will = match &self.will {
            None => None,
            Some(will) => Some(Will {
                topic: Topic::new(&will.topic)?,
                payload: will.payload.as_bytes(),
                qos: will.qos,
                retain: will.retain,
                properties: self.given.will().properties(),
            }),
        };
        say(&Packet::Connect(Connect {
            clean_start: self.clean,
            keep_alive: self.keep_alive,
            will,
            user_name: self.user.as_deref(),
            password: self.password.as_ref().map(|password| Secret(password.as_bytes())),
            properties: self.properties.properties(),
            ..Connect::new(self.version, &self.id)
        }))
    }

    /// Tells people something that is no error yet.
    pub(super) fn tell(&self, text: &str) {
        if !self.quiet {
            // Nobody may be listening.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(super) fn debug(&self, what: &str, packet: &str) {
        if self.debug {
            let _ = writeln!(std::io::stderr(), "{} {what} {packet}", self.id);
        }
    }
}

fn testament(args: &WillArgs) -> Result<Option<Testament>> {
    let Some(topic) = &args.will_topic else { return Ok(None) };
    Topic::new(topic).map_err(|error| anyhow!("--will-topic {topic}: {error}"))?;
    Ok(Some(Testament {
        topic: topic.clone(),
        payload: args.will_payload.clone().unwrap_or_default(),
        qos: QoS::from_bits(args.will_qos).unwrap_or_default(),
        retain: args.will_retain,
    }))
}
