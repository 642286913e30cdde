//! `[[hub.rule]]`: messages that leave a hub by another way than MQTT.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass::proto::mqtt::Filter;
use windlass_hub::rules::Test;

use super::value::{Count, FilePath, Secret, Size, Time};

/// Messages of some topics, or those of them with such a value, are added to a file or posted somewhere. Whoever
/// publishes them does not wait for that.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RuleTable {
    /// What it is called in metrics and logs; by default its filter.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("examples" = ["hot"]))]
    pub(crate) name: String,
    /// The filter of its topics.
    #[schemars(extend("examples" = ["plant/+/state"]))]
    pub(crate) filter: String,
    /// A field of the payload, which is JSON then: only messages are meant in which it is there and as it is asked for.
    /// Names are separated by dots, places in lists are numbers from 0; or it is a JSON pointer, which begins with `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["sensor.temp"]))]
    pub(crate) field: Option<String>,
    /// It is a number larger than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) above: Option<f64>,
    /// It is a number less than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) below: Option<f64>,
    /// It is this text, this number, or this of `true` and `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) equals: Option<Scalar>,
    /// The file that lines of JSON are added to, one for each message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/var/log/windlass/hot.jsonl"]))]
    pub(crate) file: Option<FilePath>,
    /// So long it may be before another one is begun.
    pub(crate) rotate_bytes: Size,
    /// Files that are kept besides, as `FILE.1` (the newest) and so on.
    pub(crate) rotate_keep: Count,
    /// Where messages are posted to: an address of `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["https://example.org/hook"]))]
    pub(crate) webhook: Option<String>,
    /// What is posted.
    pub(crate) body: Body,
    /// The header `Authorization` of each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization: Option<Secret>,
    /// Authorities (PEM) for its certificate, in the place of those that the web trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_ca: Option<FilePath>,
    /// Messages that go at once: into one request, if it is a list, or into the file.
    pub(crate) batch_max: Count,
    /// How long the first of them waits for others.
    pub(crate) batch_wait: Time,
    /// How long one request may take.
    pub(crate) timeout: Time,
    /// How often one is tried again, after pauses that double from half a second to 30 s.
    pub(crate) retries_max: Count,
    /// Messages that wait. With one more, the oldest is dropped, and counted.
    pub(crate) queue_max: Count,
    /// Bytes of them.
    pub(crate) queue_bytes_max: Size,
}

/// What is posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Body {
    /// A list of messages as JSON, each with topic, time and payload.
    #[default]
    Json,
    /// The payload of one message as it is; the topic is in the header `MQTT-Topic`, percent-encoded.
    Payload,
}

/// A text, a number, `true` or `false`.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
pub(crate) struct Scalar(pub(crate) Value);

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl Default for RuleTable {
    fn default() -> RuleTable {
        RuleTable {
            name: String::new(),
            filter: String::new(),
            field: None,
            above: None,
            below: None,
            equals: None,
            file: None,
            rotate_bytes: Size(64 << 20),
            rotate_keep: Count(4),
            webhook: None,
            body: Body::Json,
            authorization: None,
            webhook_ca: None,
            batch_max: Count(100),
            batch_wait: Time(Duration::from_secs(1)),
            timeout: Time(Duration::from_secs(10)),
            retries_max: Count(5),
            queue_max: Count(10_000),
            queue_bytes_max: Size(16 << 20),
        }
    }
}

/// Rules of one hub.
pub(crate) const RULES_MAX: usize = 64;

impl RuleTable {
    /// What it is called.
    pub(crate) fn called(&self) -> &str {
        if self.name.is_empty() { &self.filter } else { &self.name }
    }

    /// What is asked of payloads, if anything is.
    pub(crate) fn test(&self) -> Option<Test> {
        let equals = self.equals.as_ref().map(|Scalar(value)| value.clone());
        Some(Test { field: self.field.clone()?, above: self.above, below: self.below, equals })
    }

    /// What is wrong with it: a key, empty for all of it, and why.
    pub(crate) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut wrong = |key, why: &str| problems.push((key, why.to_owned()));
        match Filter::new(&self.filter) {
            _ if self.filter.is_empty() => wrong("", "a rule has a `filter`: `filter = \"plant/+/state\"`"),
            Err(why) => wrong("filter", &format!("`{}` {why}", self.filter)),
            Ok(filter) if filter.group().is_some() => {
                wrong("filter", "a rule shares with nobody: leave `$share` and the group out");
            }
            Ok(_) => {}
        }
        match (&self.file, &self.webhook) {
            (None, None) => wrong("", "a rule has a `file` or a `webhook`"),
            (Some(_), Some(_)) => wrong("webhook", "a rule has a `file` or a `webhook`, not both"),
            _ => {}
        }
        if self.field.is_none() {
            let asked = [
                ("above", self.above.is_some()),
                ("below", self.below.is_some()),
                ("equals", self.equals.is_some()),
            ];
            for (key, _) in asked.into_iter().filter(|(_, is)| *is) {
                wrong(key, "of which `field`?");
            }
        }
        if let Some(url) = &self.webhook
            && let Err(why) = crate::hub::rules::webhook::check(url)
        {
            wrong("webhook", &why);
        }
        if self.authorization.as_ref().is_some_and(|it| it.0.chars().any(|c| c.is_control() || !c.is_ascii()))
        {
            wrong("authorization", "no header can have line breaks, or letters beyond ASCII");
        }
        for (key, is_wrong, range) in [
            ("rotate_bytes", self.rotate_bytes.0 < 4 << 10, "`rotate_bytes` must be at least 4KiB"),
            ("rotate_keep", self.rotate_keep.0 > 1_000, "`rotate_keep` must be at most 1,000"),
            ("batch_max", !(1..=10_000).contains(&self.batch_max.0), "`batch_max` must be from 1 to 10,000"),
            ("queue_max", self.queue_max.0 == 0, "`queue_max` must be at least 1"),
            ("timeout", self.timeout.0.is_zero(), "`timeout` must be more than 0"),
        ] {
            if is_wrong {
                wrong(key, range);
            }
        }
        problems
    }
}
