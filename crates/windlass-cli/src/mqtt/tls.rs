//! Whom a client trusts, and what it shows.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use windlass::{TlsClient, TlsIdentity, TlsTarget, TlsVersion};

use crate::args::{TlsArgs, TlsSpoken};

/// Where systems keep the certificates they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A broker that is addressed as `host`.
pub(super) fn target(args: &TlsArgs, host: &str) -> Result<TlsTarget> {
    let mut authorities = Vec::new();
    match (&args.cafile, &args.capath) {
        (None, None) => authorities = read(system()?)?,
        (file, folder) => {
            if let Some(path) = file {
                authorities.extend(read(path)?);
            }
            if let Some(folder) = folder {
                for path in certificates(folder)? {
                    authorities.extend(read(&path)?);
                    authorities.push(b'\n');
                }
            }
        }
    }
    let mut client = TlsClient::new(authorities).alpn(&args.tls_alpn);
    if let (Some(cert), Some(key)) = (&args.cert, &args.key) {
        client = client.identity(TlsIdentity::from_files(cert, key)?);
    }
    if let Some(version) = args.tls_version {
        client = client.versions([match version {
            TlsSpoken::V12 => TlsVersion::V1_2,
            TlsSpoken::V13 => TlsVersion::V1_3,
        }]);
    }
    let name = args.tls_name.as_deref().unwrap_or(host);
    client.build()?.to(name).with_context(|| format!("`{name}`"))
}

fn system() -> Result<&'static Path> {
    match BUNDLES.iter().map(Path::new).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("this system keeps no trusted certificates where they are looked for: give --cafile"),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn certificates(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "pem" || end == "crt"))
        .collect();
    if paths.is_empty() {
        bail!("{} has no file that ends in .pem or .crt", folder.display());
    }
    paths.sort();
    Ok(paths)
}
