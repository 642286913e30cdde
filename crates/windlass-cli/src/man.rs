//! `windlass man`: manual pages, from the same declarations as the flags and the configuration.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::{Command, CommandFactory};
use clap_mangen::roff::{Roff, bold, italic, roman};
use serde_json::Value;

use crate::args::{Cli, ManArgs};
use crate::built::{self, Asked};
use crate::config::{self, print as page};
use crate::print;

/// The page about the configuration file.
const FILE_PAGE: &str = "windlass.toml.5";

/// `windlass man`.
pub(crate) fn run(args: &ManArgs) -> Result<()> {
    let pages = pages()?;
    if let Some(folder) = &args.output {
        return write(folder, &pages);
    }
    let wanted = match args.page.as_deref() {
        None | Some("windlass") => "windlass.1".to_owned(),
        Some("windlass.toml") => FILE_PAGE.to_owned(),
        Some(command) => format!("windlass-{}.1", command.trim_start_matches("windlass-").replace(' ', "-")),
    };
    let Some((_, text)) = pages.iter().find(|(name, _)| *name == wanted) else {
        let asked = args.page.as_deref().unwrap_or_default();
        if let Some(why) = built::without(Asked::Command, asked.trim_start_matches("windlass-")) {
            bail!(why);
        }
        let names: Vec<&str> = pages.iter().filter_map(|(name, _)| short(name)).collect();
        let near = crate::nearest::nearest(asked, &names);
        let near = near.map_or_else(|| ".".into(), |near| format!("; did you mean `{near}`?"));
        bail!("there is no such page{near} The pages are: {}", names.join(", "));
    };
    print(text);
    Ok(())
}

/// `echo` for `windlass-echo.1`.
fn short(name: &str) -> Option<&str> {
    let name = name.rsplit_once('.')?.0;
    Some(name.strip_prefix("windlass-").unwrap_or(name))
}

fn write(folder: &Path, pages: &[(String, Vec<u8>)]) -> Result<()> {
    for (name, text) in pages {
        // Where man(1) looks: each section has a folder of its own.
        let section = folder.join(if name == FILE_PAGE { "man5" } else { "man1" });
        std::fs::create_dir_all(&section).with_context(|| format!("cannot make {}", section.display()))?;
        let path = section.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(format!("Wrote {} pages to {}\n", pages.len(), folder.display()).as_bytes());
    Ok(())
}

/// Every page, by the name of its file.
fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let mut pages = Vec::new();
    commands(&cli, "windlass", &mut pages)?;
    pages.push((FILE_PAGE.into(), file_page(&config::schema())?));
    Ok(pages)
}

fn commands(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let mut text = Vec::new();
    // Its place for a date has the version: an empty one would let what is behind it move up.
    let page = clap_mangen::Man::new(command.clone()).date(env!("CARGO_PKG_VERSION"));
    page.source("windlass").manual("windlass").render(&mut text)?;
    pages.push((format!("{name}.1"), text));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        commands(inner, &format!("{name}-{}", inner.get_name()), pages)?;
    }
    Ok(())
}

/// windlass.toml(5): every key with what it means and its default, out of the schema.
fn file_page(schema: &Value) -> Result<Vec<u8>> {
    let mut roff = Roff::new();
    roff.control("TH", ["windlass.toml", "5", env!("CARGO_PKG_VERSION"), "windlass", "windlass"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("windlass.toml - the configuration of a windlass server")]);
    roff.control("SH", ["DESCRIPTION"]);
    for paragraph in [
        "A file in TOML for windlass-run(1). windlass-check(1) tells all that is wrong in one, \
         windlass-init(1) writes one to begin with.",
        "Sizes are written as \"64KiB\", times as \"10s\", counts as 10000 or \"10k\". ${NAME} in a text is a \
         variable of the environment. Files are relative to the file that names them.",
    ] {
        roff.control("PP", []);
        roff.text([roman(paragraph)]);
    }
    let top = schema["properties"].as_object().into_iter().flatten();
    for (key, property) in top {
        let is_list = property["type"] == "array";
        let inner = page::described(schema, if is_list { &property["items"] } else { property });
        let heading = match (inner["properties"].is_object(), is_list) {
            (true, true) => format!("[[{key}]]"),
            (true, false) => format!("[{key}]"),
            (false, _) => key.clone(),
        };
        roff.control("SH", [heading.as_str()]);
        roff.text([roman(about(property))]);
        keys(schema, "", inner, &config::defaults()[key], &mut roff);
    }
    roff.control("SH", ["FILES"]);
    roff.control("TP", []);
    roff.text([italic("/etc/windlass/windlass.toml")]);
    roff.text([roman("what the unit windlass.service serves")]);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("windlass(1), windlass-run(1), windlass-check(1)")]);
    let mut text = Vec::new();
    roff.to_writer(&mut text)?;
    Ok(text)
}

fn keys(schema: &Value, before: &str, table: &Value, defaults: &Value, roff: &mut Roff) {
    for (name, property) in table["properties"].as_object().into_iter().flatten() {
        let inner = page::described(schema, property);
        if inner["properties"].is_object() {
            keys(schema, &format!("{before}{name}."), inner, &Value::Null, roff);
            continue;
        }
        // A list of tables: `[[proxy.backend]]`.
        let items = page::described(schema, &inner["items"]);
        if items["properties"].is_object() {
            roff.control("TP", []);
            roff.text([bold(format!("{before}{name}[]"))]);
            roff.text([roman(about(property))]);
            keys(schema, &format!("{before}{name}[]."), items, &Value::Null, roff);
            continue;
        }
        let mut said = about(property).to_owned();
        let default = [&defaults[name], &property["default"]].into_iter().find(|value| !value.is_null());
        if let Some(default) = default.map(page::written).filter(|text| !text.is_empty() && text != "[]") {
            let _ = write!(said, " Default: {default}");
        }
        roff.control("TP", []);
        roff.text([bold(format!("{before}{name}"))]);
        roff.text([roman(said)]);
        for choice in inner["oneOf"].as_array().into_iter().flatten() {
            if let Some(value) = choice["const"].as_str() {
                roff.control("RS", []);
                roff.control("TP", []);
                roff.text([bold(value)]);
                roff.text([roman(about(choice))]);
                roff.control("RE", []);
            }
        }
    }
}

fn about(property: &Value) -> &str {
    property["description"].as_str().unwrap_or_default()
}

#[cfg(test)]
#[path = "tests/man.rs"]
mod tests;
