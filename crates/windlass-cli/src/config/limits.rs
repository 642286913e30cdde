//! The table `[limits]`: the engine's bounds by their names, as the flag `--limit` takes them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::limits::{self, Setting};
use windlass::Limits;

/// Bounds that are not the defaults, each as it was written.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize)]
pub(crate) struct LimitsTable(BTreeMap<String, String>);

impl LimitsTable {
    /// Those that flags set, the last one of a key last.
    pub(crate) fn from_settings(settings: &[Setting]) -> LimitsTable {
        LimitsTable(settings.iter().map(|setting| (setting.key().into(), setting.value().into())).collect())
    }

    /// Whether the limit of this name is among them.
    #[cfg(feature = "kv")]
    pub(crate) fn sets(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The defaults with these over them.
    pub(crate) fn limits(&self) -> Limits {
        self.over(Limits::default())
    }

    /// `limits` with these over them.
    pub(crate) fn over(&self, limits: Limits) -> Limits {
        let settings: Vec<Setting> = self
            .0
            .iter()
            // `tree` has held each against the schema.
            .filter_map(|(key, value)| Setting::parse(&format!("{key}={value}")).ok())
            .collect();
        limits::apply(limits, &settings)
    }
}

impl JsonSchema for LimitsTable {
    fn schema_name() -> Cow<'static, str> {
        "LimitsTable".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let defaults: BTreeMap<&str, String> = limits::shown(&Limits::default()).into_iter().collect();
        let properties: serde_json::Map<String, Value> = Limits::NAMES
            .iter()
            .map(|(name, about)| {
                let property = json!({
                    "type": ["string", "integer"],
                    "format": format!("limit {name}"),
                    "description": about,
                    "default": defaults.get(name),
                    "examples": [defaults.get(name)],
                });
                ((*name).to_owned(), property)
            })
            .collect();
        let mut schema = Schema::default();
        schema.insert("type".into(), "object".into());
        schema.insert("additionalProperties".into(), false.into());
        schema.insert("properties".into(), properties.into());
        schema
    }
}

/// Whether `text` is a value of the limit that `format` names.
pub(crate) fn check(format: &str, text: &str) -> Option<Result<(), String>> {
    let name = format.strip_prefix("limit ")?;
    Some(Setting::parse(&format!("{name}={text}")).map(drop))
}
