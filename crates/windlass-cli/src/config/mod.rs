//! A server from a file. Read `shape` for what may stand in one, then `load` here for the way from a path
//! to a configuration: `tree` holds every key and value against the schema, `conflicts` what does not go
//! together, and `problem` shows all that is wrong at once.

mod conflicts;
mod environment;
#[cfg(feature = "realtime")]
pub(crate) mod game;
#[cfg(feature = "hub")]
pub(crate) mod hub;
#[cfg(feature = "hub")]
pub(crate) mod identity;
mod include;
pub(crate) mod limits;
pub(crate) mod print;
mod problem;
#[cfg(feature = "proxy")]
pub(crate) mod proxy;
#[cfg(feature = "hub")]
pub(crate) mod rule;
mod secrets;
pub(crate) mod shape;
mod tree;
pub(crate) mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use windlass::Address;

use crate::access::Kind;

pub(crate) use problem::{Place, Problem, Sources};
pub(crate) use shape::File;
use shape::{AccessTable, TlsTable};
pub(crate) use tree::Places;

/// Files that one configuration may be made of.
const FILES_MAX: usize = 256;
/// Bytes of one file: what is longer is no configuration.
const FILE_MAX: u64 = 4 << 20;

/// A configuration, and where everything in it stands.
pub(crate) struct Loaded {
    pub(crate) file: File,
    pub(crate) sources: Sources,
    pub(crate) places: Places,
}

/// All that is wrong with one.
pub(crate) struct Wrong {
    pub(crate) sources: Sources,
    pub(crate) problems: Vec<Problem>,
}

/// The JSON Schema of a file, for editors and for `tree`.
pub(crate) fn schema() -> Value {
    schemars::schema_for!(File).to_value()
}

/// What holds where a file says nothing.
pub(crate) fn defaults() -> Value {
    serde_json::to_value(File::default()).unwrap_or_default()
}

/// Reads `path` and what it includes. `variable` is the environment.
pub(crate) fn load(path: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Wrong> {
    let schema = schema();
    let mut sources = Sources::new(secrets::keys(&schema));
    let mut problems = Vec::new();
    let mut places = Places::new();
    let mut whole = Map::new();
    let mut counts = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<(PathBuf, Option<Place>)> = vec![(path.to_owned(), None)];
    while let Some((path, named)) = waiting.pop() {
        // One file may have many names: `../here/a.toml` in `a.toml` would never end.
        if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            continue;
        }
        let text = match read(&path, named.is_some()) {
            Ok(text) => text,
            Err(why) => {
                let what = format!("cannot read {}: {why}", path.display());
                problems.push(match named {
                    Some(place) => Problem::at(place, what, "included here"),
                    None => Problem::without_place(what),
                });
                continue;
            }
        };
        let file = sources.add(&path, text);
        let table = tree::parse(&sources, file, &mut problems);
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut here = Places::new();
        let reader = &mut tree::Reader {
            schema: &schema,
            file,
            folder,
            variable,
            problems: &mut problems,
            places: &mut here,
        };
        let mut values = reader.file(table.get_ref(), &counts);
        let included = include::files(values.remove("include"), folder, &here, &mut problems);
        if sources.len() + waiting.len() + included.len() > FILES_MAX {
            problems.push(Problem::without_place(format!("more than {FILES_MAX} files are included")));
            break;
        }
        // The first named is read first.
        waiting.extend(included.into_iter().rev());
        merge(&mut whole, values, &places, &here, &mut problems);
        for (key, value) in &whole {
            counts.insert(key.clone(), value.as_array().map_or(0, Vec::len));
        }
        for (path, place) in here {
            places.entry(path).or_insert(place);
        }
    }
    let file = if problems.is_empty() {
        // What does not fit the schema was a problem.
        serde_json::from_value(whole.into())
            .map_err(|error| problems.push(Problem::without_place(error.to_string())))
    } else {
        without_holes(&mut whole);
        serde_json::from_value(whole.into()).map_err(drop)
    };
    let file = file.map(|file: File| File { read_from: shape::ReadFrom(sources.paths()), ..file });
    #[cfg(feature = "proxy")]
    let file = file.map(|mut file: File| {
        file.proxy = file.proxy.into_iter().map(proxy::ProxyTable::meant).collect();
        file
    });
    if let Ok(file) = &file {
        conflicts::find(file, &places, &mut problems);
    }
    match file {
        Ok(file) if problems.is_empty() => Ok(Loaded { file, sources, places }),
        _ => Err(Wrong { sources, problems }),
    }
}

/// One service of any kind, as far as all are alike.
pub(crate) struct Serving<'f> {
    /// Where it stands in the file: `echo[0]`.
    pub(crate) path: String,
    pub(crate) name: &'f str,
    pub(crate) listen: Vec<&'f Address>,
    /// How many of them, the last ones, are without TLS whatever the others have: `listen_plain`.
    pub(crate) plain: usize,
    pub(crate) tls: Option<&'f TlsTable>,
    pub(crate) access_log: Option<&'f AccessTable>,
    /// What that has lines about.
    pub(crate) lines: Kind,
}

impl Serving<'_> {
    /// Where an address of it stands in the file.
    pub(crate) fn place_of(&self, at: usize) -> String {
        match at.checked_sub(self.listen.len() - self.plain) {
            Some(at) => format!("{}.listen_plain[{at}]", self.path),
            None => format!("{}.listen[{at}]", self.path),
        }
    }

    /// The certificate that is shown at an address, if one is.
    pub(crate) fn tls_at(&self, at: usize) -> Option<&TlsTable> {
        self.tls
            .filter(|_| at < self.listen.len() - self.plain && !matches!(self.listen[at], Address::Udp(_)))
    }
}

/// Every service of a configuration.
pub(crate) fn services(file: &File) -> Vec<Serving<'_>> {
    let mut services = Vec::new();
    macro_rules! add {
        ($kind:ident) => {
            services.extend(file.$kind.iter().enumerate().map(|(at, table)| Serving {
                path: format!("{}[{at}]", stringify!($kind)),
                name: &table.name,
                listen: table.listen.iter().map(|listen| &listen.0).collect(),
                plain: 0,
                tls: table.tls.as_ref(),
                access_log: table.access_log.as_ref(),
                lines: Kind::Connections,
            }));
        };
    }
    #[cfg(feature = "echo")]
    add!(echo);
    #[cfg(feature = "websocket")]
    add!(websocket);
    #[cfg(feature = "proxy")]
    {
        let first = services.len();
        add!(proxy);
        for (service, table) in services[first..].iter_mut().zip(&file.proxy) {
            service.lines = match table.mode {
                proxy::ModeName::Tcp => Kind::Connections,
                proxy::ModeName::Http => Kind::Proxied,
                proxy::ModeName::Udp => Kind::Flows,
            };
        }
    }
    #[cfg(feature = "kv")]
    {
        add!(resp);
        add!(memcached);
    }
    #[cfg(feature = "hub")]
    {
        let first = services.len();
        add!(hub);
        for (service, table) in services[first..].iter_mut().zip(&file.hub) {
            service.plain = table.listen_plain.len();
            service.listen.extend(table.listen_plain.iter().map(|listen| &listen.0));
        }
    }
    #[cfg(feature = "realtime")]
    add!(game);
    services
}

/// Workers that a file may ask for.
const WORKERS_MAX: usize = 1_024;

/// Where players of games come by datagrams: where that is in the file, and the port of each worker, or why there are not so
/// many.
pub(crate) fn udp_ports(file: &File) -> Vec<(String, Result<Vec<Address>, String>)> {
    #[cfg(feature = "realtime")]
    {
        // More workers, and what is no port at all, are other problems.
        let ports = crate::game::udp_ports(crate::serving::workers(file).min(WORKERS_MAX));
        let tables = file.game.iter().enumerate().filter_map(|(at, game)| Some((at, game.udp.as_ref()?)));
        let tables = tables.filter(|(_, udp)| !matches!(udp.listen.0, Address::Unix(_)));
        let ports_of = |(at, udp): (usize, &game::UdpTable)| {
            let addresses = udp.addresses(ports).map(|them| them.into_iter().map(Address::Udp).collect());
            let few = || format!("no {ports} ports from {} on, one for each worker", udp.listen.0);
            (format!("game[{at}].udp.listen"), addresses.ok_or_else(few))
        };
        tables.map(ports_of).collect()
    }
    #[cfg(not(feature = "realtime"))]
    {
        let _ = file;
        Vec::new()
    }
}

/// The files that a server of this configuration writes: its logs.
#[cfg_attr(
    any(not(unix), target_vendor = "apple"),
    allow(dead_code, reason = "users and sandboxes are elsewhere")
)]
pub(crate) fn written(file: &File) -> Vec<&Path> {
    let logs = services(file).into_iter().filter_map(|service| service.access_log);
    let logs = logs.chain(&file.admin.access_log).map(|log| &*log.path.0);
    let paths = logs.chain(file.log.path.as_ref().map(|path| &*path.0));
    paths.filter(|path| !crate::logfile::is_stdout(path)).collect()
}

/// Where a service of this kind usually listens.
pub(crate) fn usual_address(kind: &str) -> &'static str {
    match kind {
        "websocket" => "127.0.0.1:9001",
        "proxy" => "127.0.0.1:8080",
        "resp" => "127.0.0.1:6379",
        "memcached" => "127.0.0.1:11211",
        "hub" => "127.0.0.1:1883",
        "game" => "127.0.0.1:7777",
        _ => "127.0.0.1:9000",
    }
}

/// An `included` file has to be one: opening a pipe would wait for its other end.
fn read(path: &Path, included: bool) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    if included && std::fs::metadata(path).is_ok_and(|it| !it.is_file()) {
        return Err("it is no file".into());
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > FILE_MAX { Err("it is longer than 4 MiB".into()) } else { Ok(text) }
}

/// Lists grow, tables take each other's keys, and what is set twice is a problem.
fn merge(
    whole: &mut Map<String, Value>,
    values: Map<String, Value>,
    before: &Places,
    here: &Places,
    problems: &mut Vec<Problem>,
) {
    for (key, value) in values {
        match (whole.get_mut(&key), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (Some(Value::Object(table)), Value::Object(more)) => {
                for (name, value) in more {
                    let path = format!("{key}.{name}");
                    if table.contains_key(&name)
                        && let (Some(first), Some(second)) = (before.get(&path), here.get(&path))
                    {
                        let problem =
                            Problem::at(second.clone(), format!("`{path}` is set twice"), "again here");
                        problems.push(problem.other(first.clone(), "first here"));
                    }
                    table.insert(name, value);
                }
            }
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

/// Takes out what was refused, so that the rest can be looked at for conflicts. Places in a list are
/// wrong behind a hole, so an entry keeps its place and a list of texts loses it.
fn without_holes(values: &mut Map<String, Value>) {
    for value in values.values_mut() {
        match value {
            Value::Object(table) => without_holes(table),
            Value::Array(list) => {
                for item in list.iter_mut() {
                    if let Value::Object(table) = item {
                        without_holes(table);
                    }
                }
                list.retain(|item| !item.is_null());
            }
            _ => {}
        }
    }
}

#[cfg(all(
    test,
    feature = "tls",
    feature = "echo",
    feature = "websocket",
    feature = "kv",
    feature = "proxy",
    feature = "hub",
    feature = "realtime"
))]
#[path = "../tests/config/mod.rs"]
mod tests;
