//! The commands around a configuration file: serve it, check it, begin one, print it.

use std::path::Path;

use anyhow::Result;
use windlass::Address;

use crate::args::{CheckArgs, ConfigArgs, InitArgs, ReportFormat, RunArgs};
use crate::built::{self, Asked};
use crate::config::shape::TlsTable;
use crate::config::value::Listen;
use crate::config::{self, File, Loaded, Places, Problem, Sources, print as page};
use crate::{print, serving};

/// The exit code of a configuration that is wrong: EX_CONFIG of sysexits(3).
pub(crate) const EXIT_CONFIG: u8 = 78;

/// A configuration is wrong, and what is wrong has been printed.
#[derive(Debug)]
pub(crate) struct Misconfigured;

impl std::fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the configuration is wrong")
    }
}

impl std::error::Error for Misconfigured {}

/// `windlass run`.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let mut loaded = load(&args.config, ReportFormat::Text)?;
    known(&mut loaded, ReportFormat::Text)?;
    serving::run_file(&args.config, &loaded.file, args.quiet)
}

/// Whether the files that say who may come can be used; if not, it is told where they are wrong.
fn known(loaded: &mut Loaded, format: ReportFormat) -> Result<()> {
    let mut problems = Vec::new();
    let Loaded { file, sources, places } = loaded;
    #[cfg(feature = "hub")]
    crate::hub::identity::problems(file, sources, places, &mut problems);
    let _ = (file, places);
    if problems.is_empty() { Ok(()) } else { Err(tell(sources, &problems, format)) }
}

/// `windlass check`.
pub(crate) fn check(args: &CheckArgs) -> Result<()> {
    let Loaded { file, mut sources, places } = load(&args.config, args.format)?;
    let mut problems = Vec::new();
    if !args.no_environment {
        environment(&file, &places, &mut problems);
        #[cfg(feature = "hub")]
        crate::hub::identity::problems(&file, &mut sources, &places, &mut problems);
    }
    let _ = &mut sources;
    if !problems.is_empty() {
        return Err(tell(&sources, &problems, args.format));
    }
    match args.format {
        ReportFormat::Text => {
            let listeners: usize = config::services(&file).iter().map(|service| service.listen.len()).sum();
            let ports: usize =
                config::udp_ports(&file).iter().flat_map(|(_, ports)| ports).map(Vec::len).sum();
            let listeners = listeners + ports;
            let es = if listeners == 1 { "" } else { "es" };
            let path = args.config.display();
            let mut text = format!("{path}: nothing is wrong; {listeners} address{es} to listen on\n");
            if !args.no_environment {
                text += &foreseen(&file);
            }
            if let Some(plan) = serving::memory_plan(&file)? {
                text += &format!("memory:\n{plan}");
            }
            print(text.as_bytes());
        }
        ReportFormat::Json => print(b"[]\n"),
    }
    Ok(())
}

/// `windlass init`.
pub(crate) fn init(args: &InitArgs) -> Result<()> {
    let schema = config::schema();
    #[cfg(feature = "demo")]
    if args.kind == "demo" {
        anyhow::ensure!(args.set.is_empty(), "`--set` has no effect on the demo's file");
        return write(args, &page::demo(&crate::demo::file(|port| port))?);
    }
    let kinds = page::kinds(&schema);
    let mut set = args.set.clone();
    let Some(text) = page::starting(&schema, &args.kind, config::usual_address(&args.kind), &mut set) else {
        let asked = if args.kind == "demo" { Asked::Command } else { Asked::Table };
        if let Some(why) = built::without(asked, &args.kind) {
            anyhow::bail!(why);
        }
        let demo = cfg!(feature = "demo").then_some("demo");
        let names: Vec<&str> = kinds.iter().map(|(name, _)| name.as_str()).chain(demo).collect();
        let near = crate::nearest::nearest(&args.kind, &names);
        let near = near.map_or_else(|| ".".into(), |near| format!("; did you mean `{near}`?"));
        anyhow::bail!(
            "there is no kind of service `{}`{near} The kinds are: {}",
            args.kind,
            names.join(", ")
        );
    };
    if let Some((key, _)) = set.first() {
        anyhow::bail!("there is no key `{key}` in any table of such a file");
    }
    write(args, &text)
}

/// Where `args` say, but never over what is there.
fn write(args: &InitArgs, text: &str) -> Result<()> {
    match &args.output {
        None => print(text.as_bytes()),
        Some(path) => {
            use std::io::Write;
            // What is there may be somebody's work.
            let mut file = std::fs::File::create_new(path)
                .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
            file.write_all(text.as_bytes())?;
            print(format!("Wrote {0}. Serve it with `windlass run -c {0}`\n", path.display()).as_bytes());
        }
    }
    Ok(())
}

/// `windlass config`.
pub(crate) fn effective(args: &ConfigArgs) -> Result<()> {
    if args.schema {
        print(format!("{:#}\n", config::schema()).as_bytes());
        return Ok(());
    }
    let loaded = load(&args.config, ReportFormat::Text)?;
    print(page::effective(&loaded.file)?.as_bytes());
    Ok(())
}

/// A configuration that could be served, as far as can be told while another server has its addresses.
#[cfg(unix)]
pub(crate) fn checked(path: &Path) -> Result<Loaded> {
    let mut loaded = load(path, ReportFormat::Text)?;
    known(&mut loaded, ReportFormat::Text)?;
    let mut problems = Vec::new();
    readable(&loaded.file, &loaded.places, &mut problems);
    if problems.is_empty() { Ok(loaded) } else { Err(tell(&loaded.sources, &problems, ReportFormat::Text)) }
}

pub(crate) fn load(path: &Path, format: ReportFormat) -> Result<Loaded> {
    let mut loaded = config::load(path, &|name| std::env::var(name).ok())
        .map_err(|wrong| tell(&wrong.sources, &wrong.problems, format))?;
    loaded.file = serving::divided(loaded.file)?;
    Ok(loaded)
}

fn tell(sources: &Sources, problems: &[Problem], format: ReportFormat) -> anyhow::Error {
    use std::io::{IsTerminal, Write};
    match format {
        ReportFormat::Text => {
            let text = sources.render(problems, std::io::stderr().is_terminal());
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
        ReportFormat::Json => print(sources.json(problems).as_bytes()),
    }
    Misconfigured.into()
}

/// What only this machine can tell: certificates, addresses, descriptors.
fn environment(file: &File, places: &Places, problems: &mut Vec<Problem>) {
    readable(file, places, problems);
    if problems.is_empty()
        && let Err(why) = serving::memory_plan(file)
    {
        problems.push(placed(places, "server.memory", format!("{why:#}")));
    }
    let mut wrong = |path: &str, what: String| problems.push(placed(places, path, what));
    for service in config::services(file) {
        for (at, listen) in service.listen.iter().enumerate() {
            if let Err(why) = serving::try_listen(listen) {
                wrong(&service.place_of(at), why);
            }
        }
    }
    for (here, ports) in config::udp_ports(file) {
        let refused = |port: &Address| serving::try_listen(port).err();
        ports.iter().flatten().filter_map(refused).for_each(|why| wrong(&here, why));
    }
    for (at, Listen(address)) in file.admin.listen.iter().enumerate() {
        if let Err(why) = serving::try_listen(address) {
            wrong(&format!("admin.listen[{at}]"), why);
        }
    }
    #[cfg(unix)]
    {
        use crate::process::descriptors;
        let descriptors_wanted = file.server.descriptors.0 as u64;
        if let Some(why) = descriptors::refused(descriptors_wanted) {
            wrong("server.descriptors", why);
        }
        let (limit, _) = descriptors::foreseen(descriptors_wanted);
        let wanted = file.limits.limits().connections_max as u64;
        if wanted > limit {
            wrong(
                "limits.connections_max",
                format!("{wanted} connections need more descriptors than this process may open ({limit})"),
            );
        }
    }
    #[cfg(all(unix, not(target_vendor = "apple")))]
    {
        use crate::process::identity::Identity;
        match Identity::of(&file.server) {
            Ok(Some(identity)) => {
                if let Some(why) = identity.refused() {
                    wrong("server.user", why);
                }
            }
            Ok(None) => {}
            Err((key, why)) => wrong(key, why),
        }
    }
    #[cfg(any(not(unix), target_vendor = "apple"))]
    if file.server.user.is_some() || file.server.group.is_some() {
        wrong("server.user", crate::process::NO_USERS.into());
    }
}

/// What this machine allows, where that is no mistake.
fn foreseen(file: &File) -> String {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "nothing is known of such a system"))]
    let mut text = String::new();
    #[cfg(unix)]
    {
        let (after, before) = crate::process::descriptors::foreseen(file.server.descriptors.0 as u64);
        text += &format!("descriptors: {after}");
        text += &if after == before { "\n".into() } else { format!(", from {before}\n") };
    }
    #[cfg(target_os = "linux")]
    if file.server.sandbox != crate::config::shape::Sandbox::Off {
        text += &format!("sandbox: this kernel can forbid {}\n", crate::process::sandbox::foreseen());
    }
    let _ = file;
    text
}

/// Whether the files that it names can be used.
pub(crate) fn readable(file: &File, places: &Places, problems: &mut Vec<Problem>) {
    for service in config::services(file) {
        if let Some(why) = service.tls.and_then(certificate) {
            problems.push(placed(places, &format!("{}.tls", service.path), why));
        }
    }
    #[cfg(feature = "proxy")]
    for (n, proxy) in file.proxy.iter().enumerate() {
        for (key, path) in proxy.pages() {
            if let Err(why) = crate::proxy::page(&path.0) {
                problems.push(placed(places, &format!("proxy[{n}].{key}"), format!("{why:#}")));
            }
        }
    }
    #[cfg(feature = "kv")]
    if let Err(why) = crate::kv::password(file) {
        problems.push(placed(places, "resp[0].password_file", format!("{why:#}")));
    }
}

pub(crate) fn placed(places: &Places, path: &str, what: String) -> Problem {
    match places.get(path) {
        Some(place) => Problem::at(place.clone(), what, ""),
        None => Problem::without_place(what),
    }
}

#[cfg(feature = "tls")]
fn certificate(table: &TlsTable) -> Option<String> {
    let built = crate::serving::tls_settings(table).and_then(|settings| Ok(settings.build()?));
    built.err().map(|error| crate::failure::one_line(&error))
}

#[cfg(not(feature = "tls"))]
fn certificate(_: &TlsTable) -> Option<String> {
    Some("this windlass was built without TLS".into())
}
