//! The certificates that are shown, by whose they are: so that they can be read again while the server runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
#[cfg(feature = "tls")]
use std::sync::{MutexGuard, PoisonError};

#[cfg(feature = "tls")]
use anyhow::{Context as _, Result};
#[cfg(feature = "tls")]
use windlass::ClientCertificates;

#[cfg(feature = "tls")]
use crate::config::shape::{ClientCertificate, TlsTable};
#[cfg(feature = "tls")]
use crate::config::value::FilePath;

/// Those of all services of a server.
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    #[cfg(feature = "tls")]
    shown: Arc<Mutex<BTreeMap<String, Shown>>>,
    #[cfg(not(feature = "tls"))]
    #[allow(dead_code, reason = "there are none")]
    shown: Arc<Mutex<BTreeMap<String, ()>>>,
}

#[cfg(feature = "tls")]
struct Shown {
    acceptor: windlass::TlsAcceptor,
    /// Of what was read.
    mark: u64,
}

/// What has been read anew, and is not shown yet.
#[cfg(feature = "tls")]
pub(crate) struct Read {
    owner: String,
    settings: windlass::TlsServer,
    mark: u64,
}

#[cfg(feature = "tls")]
impl Certificates {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `owner` shows on its listeners, read when it is asked for first.
    pub(crate) fn acceptor(&self, owner: &str, table: &TlsTable) -> Result<windlass::TlsAcceptor> {
        if let Some(shown) = self.lock().get(owner) {
            return Ok(shown.acceptor.clone());
        }
        let read = Read::new(owner, table)?;
        let acceptor = read.settings.build()?;
        self.lock().insert(read.owner, Shown { acceptor: acceptor.clone(), mark: read.mark });
        Ok(acceptor)
    }

    /// Shows what was read anew, from the next handshake on. Tells whether it is other than before.
    pub(crate) fn show(&self, read: Read) -> Result<bool> {
        let mut all = self.lock();
        let Some(shown) = all.get_mut(&read.owner) else { return Ok(false) };
        shown.acceptor.reload(&read.settings)?;
        Ok(std::mem::replace(&mut shown.mark, read.mark) != read.mark)
    }

    /// Whose are shown.
    pub(crate) fn owners(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Forgets those of whoever is not among `owners`.
    pub(crate) fn keep(&self, owners: &[String]) {
        self.lock().retain(|owner, _| owners.contains(owner));
    }
}

#[cfg(feature = "tls")]
impl Read {
    /// Reads what a table names.
    pub(crate) fn new(owner: &str, table: &TlsTable) -> Result<Read> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let settings = settings(table)?;
        settings.build()?;
        let mut mark = DefaultHasher::new();
        (std::fs::read(&table.cert.0)?, std::fs::read(&table.key.0)?).hash(&mut mark);
        match &settings.clients {
            ClientCertificates::Ignored => {}
            ClientCertificates::Optional(authorities) => (1, authorities).hash(&mut mark),
            ClientCertificates::Required(authorities) => (2, authorities).hash(&mut mark),
        }
        Ok(Read { owner: owner.into(), settings, mark: mark.finish() })
    }
}

/// What the files of a table say.
#[cfg(feature = "tls")]
pub(crate) fn settings(table: &TlsTable) -> Result<windlass::TlsServer> {
    let identity = windlass::TlsIdentity::from_files(&table.cert.0, &table.key.0)?;
    let clients = match &table.client_ca {
        None => ClientCertificates::Ignored,
        Some(FilePath(path)) => {
            let authorities =
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            match table.client_certificate {
                ClientCertificate::Required => ClientCertificates::Required(authorities),
                ClientCertificate::Optional => ClientCertificates::Optional(authorities),
            }
        }
    };
    Ok(windlass::TlsServer::new(identity).clients(clients))
}
