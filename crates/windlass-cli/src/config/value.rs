//! Values as people write them: `"64KiB"`, `"10s"`, `10_000`, `"127.0.0.1:9000"`.
//!
//! Each type has a format's name, which stands in the JSON Schema; [`check`] finds the reader of that
//! format, so that a wrong value is refused where it stands in the file.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::access::Format;
use crate::quantity;

/// A size in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Size(pub(crate) usize);

/// A time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Time(pub(crate) Duration);

/// A count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Count(pub(crate) usize);

/// Where to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Listen(pub(crate) windlass::Address);

/// Where a backend is.
#[cfg(feature = "proxy")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Backend(pub(crate) windlass_proxy::Target);

/// Where a backend is checked: an address, since no name is asked for.
#[cfg(feature = "proxy")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CheckAddress(pub(crate) std::net::SocketAddr);

/// Where backends come from.
#[cfg(feature = "proxy")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Source(pub(crate) windlass_proxy::Source);

/// A name server: its address, and its port if that is not 53.
#[cfg(feature = "proxy")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NameServer(pub(crate) std::net::SocketAddr);

/// A network, or `unix` for the peers of Unix sockets.
#[cfg(feature = "proxy")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Network(pub(crate) String);

/// A change to a header, of a request or a response.
#[cfg(feature = "proxy")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HeaderRule(pub(crate) windlass_proxy::HeaderRule);

/// A file: relative to the file that names it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct FilePath(pub(crate) PathBuf);

/// A file that is written, relative to the file that names it; `-` is stdout.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct OutputPath(pub(crate) PathBuf);

/// What a line of an access log looks like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AccessFormat(pub(crate) Format);

/// What is not shown again.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

const HIDDEN: &str = "(hidden)";

trait Text: Sized {
    const FORMAT: &'static str;
    /// Whether a bare number is one too.
    const NUMBERS: bool = false;
    const EXAMPLE: &'static str;
    fn read(text: &str) -> Result<Self, String>;
    fn show(&self) -> String;
    /// As a number, where it is nothing else.
    fn number(&self) -> Option<u64> {
        None
    }
}

impl Text for Size {
    const FORMAT: &'static str = "size";
    const NUMBERS: bool = true;
    const EXAMPLE: &'static str = "64KiB";
    fn read(text: &str) -> Result<Size, String> {
        quantity::size(text).map(Size)
    }
    fn show(&self) -> String {
        quantity::show_size(&self.0)
    }
}

impl Text for Time {
    const FORMAT: &'static str = "time";
    const NUMBERS: bool = true;
    const EXAMPLE: &'static str = "10s";
    fn read(text: &str) -> Result<Time, String> {
        quantity::duration(text).map(Time)
    }
    fn show(&self) -> String {
        quantity::show_duration(&self.0)
    }
}

impl Text for Count {
    const FORMAT: &'static str = "count";
    const NUMBERS: bool = true;
    const EXAMPLE: &'static str = "10k";
    fn read(text: &str) -> Result<Count, String> {
        quantity::count(text).map(Count)
    }
    fn show(&self) -> String {
        quantity::show_count(&self.0)
    }
    fn number(&self) -> Option<u64> {
        Some(self.0 as u64)
    }
}

impl Text for Listen {
    const FORMAT: &'static str = "address";
    const EXAMPLE: &'static str = "127.0.0.1:9000";
    fn read(text: &str) -> Result<Listen, String> {
        windlass::Address::from_str(text).map(Listen).map_err(|error| error.to_string())
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(feature = "proxy")]
impl Text for Backend {
    const FORMAT: &'static str = "backend";
    const EXAMPLE: &'static str = "10.0.0.1:80";
    fn read(text: &str) -> Result<Backend, String> {
        windlass_proxy::Target::from_str(text).map(Backend).map_err(|error| error.to_string())
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(feature = "proxy")]
impl Text for CheckAddress {
    const FORMAT: &'static str = "check-address";
    const EXAMPLE: &'static str = "10.0.0.9:9000";
    fn read(text: &str) -> Result<CheckAddress, String> {
        let why = || format!("`{text}` is no address with a port, like 10.0.0.9:9000 or [2001:db8::9]:9000");
        let at: std::net::SocketAddr = text.parse().map_err(|_| why())?;
        if at.port() == 0 { Err(why()) } else { Ok(CheckAddress(at)) }
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(feature = "proxy")]
impl Text for Source {
    const FORMAT: &'static str = "source";
    const EXAMPLE: &'static str = "dns:web.internal:80";
    fn read(text: &str) -> Result<Source, String> {
        windlass_proxy::Source::from_str(text).map(Source).map_err(|error| error.to_string())
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(feature = "proxy")]
impl Text for NameServer {
    const FORMAT: &'static str = "name-server";
    const EXAMPLE: &'static str = "192.0.2.53";
    fn read(text: &str) -> Result<NameServer, String> {
        let bare = text.parse().map(|ip: std::net::IpAddr| (ip, 53).into());
        let at = bare.or_else(|_| text.parse());
        at.map(NameServer)
            .map_err(|_| format!("`{text}` is no address of a name server: write IP or IP:PORT"))
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(feature = "proxy")]
impl Text for Network {
    const FORMAT: &'static str = "network";
    const EXAMPLE: &'static str = "10.0.0.0/8";
    fn read(text: &str) -> Result<Network, String> {
        let one = windlass_proxy::Sources::parse([text]).map_err(|error| error.to_string())?;
        Ok(Network(one.to_string()))
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

#[cfg(feature = "proxy")]
impl Text for HeaderRule {
    const FORMAT: &'static str = "header rule";
    const EXAMPLE: &'static str = "set X-Real-IP: {client_ip}";
    fn read(text: &str) -> Result<HeaderRule, String> {
        text.parse().map(HeaderRule).map_err(|error: windlass_proxy::RuleError| error.to_string())
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(feature = "proxy")]
impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Network, String> {
        Network::read(text)
    }
}

impl Text for FilePath {
    const FORMAT: &'static str = "path";
    const EXAMPLE: &'static str = "chain.pem";
    fn read(text: &str) -> Result<FilePath, String> {
        if text.is_empty() { Err("a path has at least one letter".into()) } else { Ok(FilePath(text.into())) }
    }
    fn show(&self) -> String {
        self.0.display().to_string()
    }
}

impl Text for OutputPath {
    const FORMAT: &'static str = "path or -";
    const EXAMPLE: &'static str = "access.log";
    fn read(text: &str) -> Result<OutputPath, String> {
        FilePath::read(text).map(|path| OutputPath(path.0))
    }
    fn show(&self) -> String {
        self.0.display().to_string()
    }
}

impl Text for AccessFormat {
    const FORMAT: &'static str = "access format";
    const EXAMPLE: &'static str = "json";
    fn read(text: &str) -> Result<AccessFormat, String> {
        Format::parse(text).map(AccessFormat)
    }
    fn show(&self) -> String {
        self.0.text().into()
    }
}

impl Text for Secret {
    const FORMAT: &'static str = "secret";
    const EXAMPLE: &'static str = "${ADMIN_TOKEN}";
    fn read(text: &str) -> Result<Secret, String> {
        match text {
            HIDDEN => Err("what `windlass config` prints in place of a secret is none".into()),
            text => Ok(Secret(text.into())),
        }
    }
    fn show(&self) -> String {
        HIDDEN.into()
    }
}

/// Whether `text` is written as `format` wants it; a format that is none of ours takes anything.
pub(crate) fn check(format: &str, text: &str) -> Result<(), String> {
    fn reads<T: Text>(text: &str) -> Result<(), String> {
        T::read(text).map(drop)
    }
    match format {
        Size::FORMAT => reads::<Size>(text),
        Time::FORMAT => reads::<Time>(text),
        Count::FORMAT => reads::<Count>(text),
        Listen::FORMAT => reads::<Listen>(text),
        #[cfg(feature = "proxy")]
        Backend::FORMAT => reads::<Backend>(text),
        #[cfg(feature = "proxy")]
        CheckAddress::FORMAT => reads::<CheckAddress>(text),
        #[cfg(feature = "proxy")]
        Network::FORMAT => reads::<Network>(text),
        #[cfg(feature = "proxy")]
        Source::FORMAT => reads::<Source>(text),
        #[cfg(feature = "proxy")]
        NameServer::FORMAT => reads::<NameServer>(text),
        #[cfg(feature = "proxy")]
        HeaderRule::FORMAT => reads::<HeaderRule>(text),
        FilePath::FORMAT => reads::<FilePath>(text),
        OutputPath::FORMAT => reads::<OutputPath>(text),
        AccessFormat::FORMAT => reads::<AccessFormat>(text),
        Secret::FORMAT => reads::<Secret>(text),
        _ => super::limits::check(format, text).unwrap_or(Ok(())),
    }
}

/// Whether a text of this format is a path, relative to the file it stands in.
pub(crate) fn is_path(format: &str, text: &str) -> bool {
    format == FilePath::FORMAT || (format == OutputPath::FORMAT && text != "-")
}

/// The path in a text of this format that names a file behind a word: relative like one that stands alone.
pub(crate) fn file_behind(format: &str, text: &str) -> Option<String> {
    #[cfg(feature = "proxy")]
    if format == Source::FORMAT {
        return text.strip_prefix("file:").map(String::from);
    }
    let _ = (format, text);
    None
}

/// The format whose texts are not shown.
pub(crate) const SECRET: &str = Secret::FORMAT;

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.number() {
                    Some(number) => serializer.serialize_u64(number),
                    None => serializer.serialize_str(&self.show()),
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                // Numbers have become texts in `tree`.
                $name::read(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schema($name::FORMAT, $name::NUMBERS, $name::EXAMPLE)
            }
        }
    )*};
}

as_text!(Size Time Count Listen FilePath OutputPath AccessFormat Secret);
#[cfg(feature = "proxy")]
as_text!(Backend CheckAddress Network Source NameServer HeaderRule);

/// The schema of a text in a format of ours.
pub(crate) fn schema(format: &str, numbers: bool, example: &str) -> Schema {
    match numbers {
        true => json_schema!({ "type": ["string", "integer"], "format": format, "examples": [example] }),
        false => json_schema!({ "type": "string", "format": format, "examples": [example] }),
    }
}
