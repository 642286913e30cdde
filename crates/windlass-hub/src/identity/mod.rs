//! Who a client is, and what it may do.

mod acl;
#[cfg_attr(not(feature = "certificates"), path = "certificate/absent.rs")]
mod certificate;
mod judge;
#[cfg_attr(not(feature = "jwt"), path = "jwt/absent.rs")]
mod jwt;
mod limits;
pub(crate) mod mistake;
#[cfg_attr(not(feature = "passwords"), path = "passwords/absent.rs")]
pub mod passwords;
#[cfg_attr(not(feature = "passwords"), path = "recent/absent.rs")]
mod recent;

pub use acl::{Acl, Rights};
pub use certificate::{CertificateError, CertificateName};
pub use judge::{
    Anonymous, Check, Checked, Identity, IdentityConfig, Judged, Presented, Refusal, Standing, WhenRevoked,
    Who,
};
#[cfg(feature = "jwt")]
pub use jwt::{Algorithm, JwtConfig, JwtKey, KEYS_MAX, KeyError, Token};
pub use jwt::{Jwt, JwtError};
pub use limits::{UserLimits, UsersLimits};
pub use mistake::Mistake;
#[cfg(feature = "passwords")]
pub use passwords::{Hashing, HashingError};
pub use passwords::{PasswordCheck, Passwords};
pub use recent::Recent;
