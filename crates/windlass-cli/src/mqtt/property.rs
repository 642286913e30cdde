//! `-D COMMAND NAME VALUE`: properties of version 5, by the names that mosquitto has for them.

use anyhow::{Context as _, Result, anyhow, bail};
use windlass::proto::mqtt::{Kind, PropertiesBuf, Property, Secret, Topic};

use crate::nearest::nearest;

/// Where a property may be put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Packet(Kind),
    Will,
}

const COMMANDS: [(&str, Place); 6] = [
    ("connect", Place::Packet(Kind::Connect)),
    ("publish", Place::Packet(Kind::Publish)),
    ("subscribe", Place::Packet(Kind::Subscribe)),
    ("unsubscribe", Place::Packet(Kind::Unsubscribe)),
    ("disconnect", Place::Packet(Kind::Disconnect)),
    ("will", Place::Will),
];

const NAMES: [&str; 17] = [
    "authentication-data",
    "authentication-method",
    "content-type",
    "correlation-data",
    "maximum-packet-size",
    "message-expiry-interval",
    "payload-format-indicator",
    "reason-string",
    "receive-maximum",
    "request-problem-information",
    "request-response-information",
    "response-topic",
    "session-expiry-interval",
    "subscription-identifier",
    "topic-alias",
    "topic-alias-maximum",
    "will-delay-interval",
];
const USER: &str = "user-property";

/// All properties of a command line.
#[derive(Default, Debug)]
pub(super) struct Given {
    connect: PropertiesBuf,
    publish: PropertiesBuf,
    subscribe: PropertiesBuf,
    unsubscribe: PropertiesBuf,
    disconnect: PropertiesBuf,
    will: PropertiesBuf,
}

impl Given {
    /// Those of these words, which stand one behind the other. A first word with spaces in it is several: so
    /// a whole property fits into a variable of the environment.
    pub(super) fn parse(words: &[String]) -> Result<Given> {
        let mut given = Given::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut inside = word.split_whitespace().map(str::to_owned);
            let mut next = || inside.next().or_else(|| words.next().cloned());
            let (Some(command), Some(name)) = (next(), next()) else { bail!("-D {word}: a name is missing") };
            let Some((_, place)) = COMMANDS.iter().find(|(known, _)| *known == command) else {
                let known = COMMANDS.map(|(known, _)| known);
                bail!("-D {command}: the commands are {}", known.join(", "));
            };
            let value = next().with_context(|| format!("-D {command} {name}: its value is missing"))?;
            let put = if name == USER {
                let second =
                    next().with_context(|| format!("-D {command} {name} {value}: and its value?"))?;
                given.of(*place).push(Property::User(&value, &second)).map(drop)
            } else {
                let property = property(&name, &value).with_context(|| format!("-D {command} {name}"))?;
                given.of(*place).push(property).map(drop)
            };
            put.map_err(|error| anyhow!("-D {command} {name}: {error}"))?;
        }
        Ok(given)
    }

    /// What stands in such a packet.
    pub(super) fn of(&mut self, place: Place) -> &mut PropertiesBuf {
        match place {
            Place::Packet(Kind::Connect) => &mut self.connect,
            Place::Packet(Kind::Subscribe) => &mut self.subscribe,
            Place::Packet(Kind::Unsubscribe) => &mut self.unsubscribe,
            Place::Packet(Kind::Disconnect) => &mut self.disconnect,
            Place::Will => &mut self.will,
            Place::Packet(_) => &mut self.publish,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        let all =
            [&self.connect, &self.publish, &self.subscribe, &self.unsubscribe, &self.disconnect, &self.will];
        all.iter().all(|some| some.is_empty())
    }

    pub(super) fn connect(&self) -> &PropertiesBuf {
        &self.connect
    }

    pub(super) fn publish(&self) -> &PropertiesBuf {
        &self.publish
    }

    pub(super) fn subscribe(&self) -> &PropertiesBuf {
        &self.subscribe
    }

    pub(super) fn unsubscribe(&self) -> &PropertiesBuf {
        &self.unsubscribe
    }

    pub(super) fn disconnect(&self) -> &PropertiesBuf {
        &self.disconnect
    }

    pub(super) fn will(&self) -> &PropertiesBuf {
        &self.will
    }
}

fn property<'v>(name: &str, value: &'v str) -> Result<Property<'v>> {
    let number = || value.parse::<u32>().map_err(|_| anyhow!("`{value}` is no number"));
    let small = || value.parse::<u16>().map_err(|_| anyhow!("`{value}` is no number up to 65535"));
    let whether = || match value {
        "0" | "false" => Ok(false),
        "1" | "true" => Ok(true),
        _ => Err(anyhow!("`{value}` is neither 0 nor 1")),
    };
    Ok(match name {
        "authentication-data" => Property::AuthenticationData(Secret(value.as_bytes())),
        "authentication-method" => Property::AuthenticationMethod(value),
        "content-type" => Property::ContentType(value),
        "correlation-data" => Property::CorrelationData(value.as_bytes()),
        "maximum-packet-size" => Property::MaximumPacketSize(number()?),
        "message-expiry-interval" => Property::MessageExpiry(number()?),
        "payload-format-indicator" => Property::PayloadIsUtf8(whether()?),
        "reason-string" => Property::ReasonString(value),
        "receive-maximum" => Property::ReceiveMaximum(small()?),
        "request-problem-information" => Property::RequestProblemInformation(whether()?),
        "request-response-information" => Property::RequestResponseInformation(whether()?),
        "response-topic" => Property::ResponseTopic(Topic::new(value).map_err(|error| anyhow!("{error}"))?),
        "session-expiry-interval" => Property::SessionExpiry(number()?),
        "subscription-identifier" => Property::SubscriptionId(number()?),
        "topic-alias" => Property::TopicAlias(small()?),
        "topic-alias-maximum" => Property::TopicAliasMaximum(small()?),
        "will-delay-interval" => Property::WillDelay(number()?),
        other => {
            let near = nearest(other, &[&NAMES[..], &[USER]].concat());
            bail!(
                "there is no such property{}",
                near.map_or(String::new(), |it| format!("; did you mean {it}?"))
            )
        }
    })
}

#[cfg(test)]
#[path = "../tests/mqtt/property.rs"]
mod tests;
