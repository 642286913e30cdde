//! TLS on connections of our own making: whom we trust, what we show, whom we ask for.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;

use super::identity::TlsIdentity;
use super::server::{TlsVersion, protocols, roots};
use crate::error::{Error, Result};

/// The TLS of outbound connections: plain data, made into a [`TlsConnector`] by [`TlsClient::build`].
///
/// ```no_run
/// use windlass::{Connect, TlsClient};
///
/// let tls = TlsClient::new(std::fs::read("authorities.pem")?).alpn(["http/1.1"]).build()?;
/// let upstream: std::net::SocketAddr = "192.0.2.7:443".parse()?;
/// let connect = Connect::to(upstream).tls(tls.to("upstream.example")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TlsClient {
    /// The authorities trusted to sign servers' certificates, as PEM. There are none by default: the
    /// engine brings no list of its own, and trusts nobody it was not told to.
    pub authorities: Vec<u8>,
    /// Shown to servers that ask for a certificate.
    pub identity: Option<TlsIdentity>,
    /// Application protocols offered (ALPN), the preferred first.
    pub alpn: Vec<Vec<u8>>,
    /// The versions offered. Default: 1.3, and 1.2 in a build with the feature `tls12`.
    pub versions: Vec<TlsVersion>,
}

impl TlsClient {
    /// Trusts `authorities` (PEM); everything else as it is by default.
    pub fn new(authorities: impl Into<Vec<u8>>) -> TlsClient {
        TlsClient {
            authorities: authorities.into(),
            identity: None,
            alpn: Vec::new(),
            versions: TlsVersion::all(),
        }
    }

    /// Sets [`TlsClient::identity`].
    pub fn identity(mut self, identity: TlsIdentity) -> TlsClient {
        self.identity = Some(identity);
        self
    }

    /// Sets [`TlsClient::alpn`].
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> TlsClient {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Sets [`TlsClient::versions`].
    pub fn versions(mut self, versions: impl IntoIterator<Item = TlsVersion>) -> TlsClient {
        self.versions = versions.into_iter().collect();
        self
    }

    /// Makes it what connections take.
    ///
    /// # Errors
    ///
    /// If an authority cannot be read, an ALPN name is empty or longer than 255 bytes, no version is left, or one is
    /// not in this build.
    pub fn build(&self) -> Result<TlsConnector> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&TlsVersion::supported(&self.versions)?)
            .map_err(|e| Error::config(format!("TLS: {e}")))?
            .with_root_certificates(roots(&self.authorities)?);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let resolver = rustls::sign::SingleCertAndKey::from((*identity.key).clone());
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
        };
        config.alpn_protocols = protocols(&self.alpn)?;
        Ok(TlsConnector(Arc::new(config)))
    }
}

/// What outbound connections with TLS have in common, their resumable sessions included. From
/// [`TlsClient`]; cheap to clone.
#[derive(Clone)]
pub struct TlsConnector(Arc<ClientConfig>);

impl TlsConnector {
    /// A server by its name, a host name or an IP address: what its certificate must be for, and what it
    /// is asked for (SNI).
    ///
    /// # Errors
    ///
    /// If `name` is neither.
    pub fn to(&self, name: &str) -> Result<TlsTarget> {
        let name = ServerName::try_from(name.to_owned());
        let name = name.map_err(|_| Error::config("neither a host name nor an IP address"))?;
        Ok(TlsTarget { config: self.0.clone(), name })
    }
}

/// The way out of our settings into all of rustls'. Early data, which can be replayed, is switched off.
impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> TlsConnector {
        let mut config = Arc::unwrap_or_clone(config);
        config.enable_early_data = false;
        TlsConnector(Arc::new(config))
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").finish_non_exhaustive()
    }
}

/// The server that an outbound connection must lead to. From [`TlsConnector::to`].
#[derive(Clone)]
pub struct TlsTarget {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

/// Two are equal when they have one connector and one name.
impl PartialEq for TlsTarget {
    fn eq(&self, other: &TlsTarget) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for TlsTarget {}

impl fmt::Debug for TlsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTarget").field("name", &self.name).finish_non_exhaustive()
    }
}
