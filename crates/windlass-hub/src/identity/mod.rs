//! Who a client is, and what it may do.

mod acl;
mod certificate;
mod judge;
mod jwt;
mod limits;
pub(crate) mod mistake;
pub mod passwords;
mod recent;

pub use acl::{Acl, Rights};
pub use certificate::{CertificateError, CertificateName};
pub use judge::{
    Anonymous, Check, Checked, Identity, IdentityConfig, Judged, Presented, Refusal, Standing, WhenRevoked,
    Who,
};
pub use jwt::{Algorithm, Jwt, JwtConfig, JwtError, JwtKey, KEYS_MAX, KeyError, Token};
pub use limits::{UserLimits, UsersLimits};
pub use mistake::Mistake;
pub use passwords::{Hashing, HashingError, PasswordCheck, Passwords};
pub use recent::Recent;
