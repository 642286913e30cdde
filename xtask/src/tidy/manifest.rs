//! The dependencies that a `Cargo.toml` names: as much TOML as that takes.

/// One dependency as written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The package's name, through `package = ".."` if it is renamed.
    pub package: String,
    pub line: usize,
    /// Whether only tests, examples and benchmarks see it.
    pub dev: bool,
}

/// The dependencies of every table of a manifest (`dependencies`, `build-dependencies`,
/// `dev-dependencies`, those of a target, and `[dependencies.name]`), but not the workspace's versions.
pub(crate) fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    let mut table = Table::Other;
    for (number, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            table = Table::of(line.trim_matches(['[', ']']));
            if let Table::Named { dev, name } = &table {
                found.push(Dependency { package: name.clone(), line: number + 1, dev: *dev });
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let key = key.trim();
        match table {
            Table::List { dev } => {
                let name = key.split('.').next().unwrap_or(key).trim_matches(['"', '\'']);
                let package = renamed(value).unwrap_or(name).to_owned();
                found.push(Dependency { package, line: number + 1, dev });
            }
            Table::Named { .. } if key == "package" => {
                if let Some(last) = found.last_mut() {
                    last.package = value.trim().trim_matches(['"', '\'']).to_owned();
                }
            }
            _ => {}
        }
    }
    found
}

enum Table {
    // `[dependencies]`
    List { dev: bool },
    // `[dependencies.name]`
    Named { dev: bool, name: String },
    Other,
}

impl Table {
    fn of(header: &str) -> Table {
        // `target.'cfg(unix)'.dependencies`: the condition may hold dots, the kind stands behind it.
        let header = match header.strip_prefix("target.") {
            Some(target) => {
                &target[target
                    .find("dependencies")
                    .map_or(0, |at| target[..at].rfind('.').map_or(0, |dot| dot + 1))..]
            }
            None => header,
        };
        let (kind, name) = header.split_once('.').map_or((header, None), |(kind, name)| (kind, Some(name)));
        let dev = match kind.trim() {
            "dependencies" | "build-dependencies" => false,
            "dev-dependencies" => true,
            _ => return Table::Other,
        };
        match name {
            Some(name) => Table::Named { dev, name: name.trim_matches(['"', '\'']).to_owned() },
            None => Table::List { dev },
        }
    }
}

// The package in `{ package = "mio", version = "1" }`.
fn renamed(value: &str) -> Option<&str> {
    let behind = value.split_once("package")?.1.trim_start().strip_prefix('=')?.trim_start();
    behind.strip_prefix('"')?.split('"').next()
}
