//! What a TLS listener shows: certificates by name, protocols, whom it asks for a certificate; and the
//! handle that replaces all of it while the server runs.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::identity::{TlsIdentity, certificates};
use crate::error::{Error, Result};

/// The TLS of a listener: plain data, made into a [`TlsAcceptor`] by [`TlsServer::build`].
///
/// ```no_run
/// use windlass::{TlsIdentity, TlsServer};
///
/// let tls = TlsServer::new(TlsIdentity::from_files("example.pem", "example.key")?)
///     .identity("other.example", TlsIdentity::from_files("other.pem", "other.key")?)
///     .alpn(["h2", "http/1.1"])
///     .build()?;
/// # Ok::<(), windlass::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TlsServer {
    /// Shown to clients that ask for a name not in `identities`, or for none. `None`: they are refused.
    pub default: Option<TlsIdentity>,
    /// Shown to clients that ask for the name (SNI): a host name, or `*.` and a domain for every name one
    /// level below it. The exact name goes first.
    pub identities: Vec<(String, TlsIdentity)>,
    /// Application protocols (ALPN), the preferred first. Empty: none is negotiated. A client that offers
    /// only others is refused; one that offers none is not.
    pub alpn: Vec<Vec<u8>>,
    /// Whether clients show certificates.
    pub clients: ClientCertificates,
    /// The versions spoken. Default: 1.3, and 1.2 in a build with the feature `tls12`.
    pub versions: Vec<TlsVersion>,
    /// Clients may resume a session by a ticket, which the server seals and need not remember. Default
    /// true. The keys change every six hours and are kept for twelve.
    pub tickets: bool,
    /// Sessions remembered for clients without tickets, in the whole server. 0: none. Default 0.
    pub sessions_max: usize,
}

/// Whether clients show certificates (mutual TLS).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    Ignored,
    /// Who shows none is let in; who shows one that these authorities (PEM) did not sign is not.
    Optional(Vec<u8>),
    /// Everybody shows one that these authorities (PEM) signed.
    Required(Vec<u8>),
}

/// A version of TLS. Older ones are not spoken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246; in a build with the feature `tls12`.
    V1_2,
    /// TLS 1.3, RFC 8446.
    V1_3,
}

impl TlsVersion {
    /// All that this build speaks.
    pub(super) fn all() -> Vec<TlsVersion> {
        if cfg!(feature = "tls12") {
            vec![TlsVersion::V1_2, TlsVersion::V1_3]
        } else {
            vec![TlsVersion::V1_3]
        }
    }

    pub(super) fn supported(versions: &[TlsVersion]) -> Result<Vec<&'static SupportedProtocolVersion>> {
        let of = |version: &TlsVersion| match version {
            #[cfg(feature = "tls12")]
            TlsVersion::V1_2 => Ok(&rustls::version::TLS12),
            #[cfg(not(feature = "tls12"))]
            TlsVersion::V1_2 => Err(Error::config("TLS 1.2 is not in this build (feature `tls12`)")),
            TlsVersion::V1_3 => Ok(&rustls::version::TLS13),
        };
        versions.iter().map(of).collect()
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsVersion::V1_2 => "TLSv1.2",
            TlsVersion::V1_3 => "TLSv1.3",
        })
    }
}

impl Default for TlsServer {
    fn default() -> TlsServer {
        TlsServer {
            default: None,
            identities: Vec::new(),
            alpn: Vec::new(),
            clients: ClientCertificates::Ignored,
            versions: TlsVersion::all(),
            tickets: true,
            sessions_max: 0,
        }
    }
}

impl TlsServer {
    /// Shows `identity` to everybody; everything else as it is by default.
    pub fn new(identity: TlsIdentity) -> TlsServer {
        TlsServer { default: Some(identity), ..TlsServer::default() }
    }

    /// Adds to [`TlsServer::identities`].
    pub fn identity(mut self, name: &str, identity: TlsIdentity) -> TlsServer {
        self.identities.push((name.into(), identity));
        self
    }

    /// Sets [`TlsServer::alpn`].
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> TlsServer {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Sets [`TlsServer::clients`].
    pub fn clients(mut self, clients: ClientCertificates) -> TlsServer {
        self.clients = clients;
        self
    }

    /// Sets [`TlsServer::versions`].
    pub fn versions(mut self, versions: impl IntoIterator<Item = TlsVersion>) -> TlsServer {
        self.versions = versions.into_iter().collect();
        self
    }

    /// Sets [`TlsServer::tickets`].
    pub fn tickets(mut self, tickets: bool) -> TlsServer {
        self.tickets = tickets;
        self
    }

    /// Sets [`TlsServer::sessions_max`].
    pub fn sessions_max(mut self, sessions: usize) -> TlsServer {
        self.sessions_max = sessions;
        self
    }

    /// Makes it what listeners take.
    ///
    /// # Errors
    ///
    /// If no identity is given, a name is none, an authority cannot be read, an ALPN name is empty or longer
    /// than 255 bytes, no version is left, or one
    /// is not in this build.
    pub fn build(&self) -> Result<TlsAcceptor> {
        let config = self.config()?;
        Ok(TlsAcceptor(Arc::new(Shown {
            config: RwLock::new(Arc::new(config)),
            clients: RwLock::new(Some(self.clients.clone())),
        })))
    }

    fn config(&self) -> Result<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&TlsVersion::supported(&self.versions)?)
            .map_err(|e| Error::config(format!("TLS: {e}")))?;
        let verifier = match &self.clients {
            ClientCertificates::Ignored => WebPkiClientVerifier::no_client_auth(),
            ClientCertificates::Optional(pem) | ClientCertificates::Required(pem) => {
                let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), provider);
                let optional = matches!(self.clients, ClientCertificates::Optional(_));
                let builder = if optional { builder.allow_unauthenticated() } else { builder };
                builder.build().map_err(|e| Error::config(format!("TLS client authorities: {e}")))?
            }
        };
        let names = Arc::new(Names::new(self)?);
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(names);
        config.alpn_protocols = protocols(&self.alpn)?;
        if self.tickets {
            config.ticketer =
                ring::Ticketer::new().map_err(|e| Error::config(format!("TLS ticket keys: {e}")))?;
        }
        config.session_storage = match self.sessions_max {
            0 => Arc::new(NoServerSessionStorage {}),
            n => ServerSessionMemoryCache::new(n),
        };
        Ok(config)
    }
}

/// Protocol names (ALPN) as TLS can say them: RFC 7301 section 3.1.
pub(super) fn protocols(alpn: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    match alpn.iter().find(|name| name.is_empty() || name.len() > 255) {
        None => Ok(alpn.to_vec()),
        Some(name) => Err(Error::config(format!("an ALPN name has 1 to 255 bytes, not {}", name.len()))),
    }
}

/// Authorities, from PEM.
pub(super) fn roots(pem: &[u8]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|e| Error::config(format!("an authority cannot be used: {e}")))?;
    }
    Ok(roots)
}

/// What TLS listeners show, shared by all workers. A handle: its clones show the same, and what one of
/// them [reloads](TlsAcceptor::reload) all of them show.
///
/// ```no_run
/// # use windlass::{Close, Conn, Input, Service, TlsIdentity, TlsServer, serve};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> { Ok(()) }
/// #     fn data(&mut self, c: &mut Conn<'_>, _: &mut (), i: &mut Input<'_>) -> Result<(), Close> {
/// #         c.write(i.take_all()); Ok(())
/// #     }
/// # }
/// let settings = || Ok::<_, windlass::Error>(TlsServer::new(TlsIdentity::from_files("a.pem", "a.key")?));
/// let tls = settings()?.build()?;
/// let server = serve(|| Echo).tls("127.0.0.1:7443", &tls).tcp("127.0.0.1:7000");
/// // Later, on any thread, when the files have changed:
/// tls.reload(&settings()?)?;
/// # drop(server);
/// # Ok::<(), windlass::Error>(())
/// ```
#[derive(Clone)]
pub struct TlsAcceptor(Arc<Shown>);

struct Shown {
    config: RwLock<Arc<ServerConfig>>,
    /// Whom the present configuration trusts; `None` for one that is not ours.
    clients: RwLock<Option<ClientCertificates>>,
}

impl TlsAcceptor {
    /// Shows `settings` from the next handshake on. Connections that are there stay as they are. Sessions
    /// of before can still be resumed, unless clients are now judged by other certificates.
    ///
    /// # Errors
    ///
    /// Those of [`TlsServer::build`]; then everything stays as it was.
    pub fn reload(&self, settings: &TlsServer) -> Result<()> {
        let mut config = settings.config()?;
        let mut clients = self.0.clients.write().unwrap_or_else(PoisonError::into_inner);
        let mut shown = self.0.config.write().unwrap_or_else(PoisonError::into_inner);
        if clients.as_ref() == Some(&settings.clients) {
            if settings.tickets && shown.ticketer.enabled() {
                config.ticketer = shown.ticketer.clone();
            }
            if settings.sessions_max > 0 && shown.session_storage.can_cache() {
                config.session_storage = shown.session_storage.clone();
            }
        }
        *clients = Some(settings.clients.clone());
        *shown = Arc::new(config);
        Ok(())
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.0.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The way out of our settings into all of rustls'. Early data, which can be replayed, is switched off.
impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> TlsAcceptor {
        let mut config = Arc::unwrap_or_clone(config);
        config.max_early_data_size = 0;
        TlsAcceptor(Arc::new(Shown { config: RwLock::new(Arc::new(config)), clients: RwLock::new(None) }))
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").finish_non_exhaustive()
    }
}

/// Certificates by name.
#[derive(Debug)]
struct Names {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// `example.test` for `*.example.test`.
    below: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Names {
    fn new(server: &TlsServer) -> Result<Names> {
        let default = server.default.as_ref().map(|identity| identity.key.clone());
        if default.is_none() && server.identities.is_empty() {
            return Err(Error::config("TLS needs a certificate"));
        }
        let mut names = Names { exact: HashMap::new(), below: HashMap::new(), default };
        for (name, identity) in &server.identities {
            let name = name.to_ascii_lowercase();
            let (table, name) = match name.strip_prefix("*.") {
                Some(domain) => (&mut names.below, domain.to_owned()),
                None => (&mut names.exact, name),
            };
            if rustls::pki_types::DnsName::try_from(name.as_str()).is_err() {
                return Err(Error::config(format!("`{name}` is no host name")));
            }
            if table.insert(name.clone(), identity.key.clone()).is_some() {
                return Err(Error::config(format!("two TLS certificates for `{name}`")));
            }
        }
        Ok(names)
    }

    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        // Lower case already.
        let below = || self.below.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(below).cloned()
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.server_name().and_then(|name| self.find(name)).or_else(|| self.default.clone())
    }
}

#[cfg(all(test, not(feature = "tls12")))]
mod tests {
    use super::*;
    use crate::TlsClient;

    #[test]
    fn a_version_that_is_not_in_this_build_is_refused_and_not_passed_over() {
        assert_eq!(TlsVersion::all(), [TlsVersion::V1_3]);
        for versions in [vec![TlsVersion::V1_2], vec![TlsVersion::V1_3, TlsVersion::V1_2]] {
            let server = TlsServer::default().versions(versions.clone()).build().unwrap_err();
            assert!(server.to_string().contains("tls12"), "{server}");
            let client = TlsClient::new("").versions(versions).build().unwrap_err();
            assert!(client.to_string().contains("tls12"), "{client}");
        }
    }
}
