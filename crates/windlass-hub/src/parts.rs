//! Which parts of the hub are built in, as `parts.rs` of the engine: what is not is a constant here, and the compiler leaves
//! out what only it needs. Where a part stands on another crate, `absent.rs` has what stands in for it.

/// Passwords and tokens, whose checks take long enough to be kept off the loop.
pub(crate) const CHECKS: bool = cfg!(any(feature = "passwords", feature = "jwt"));
/// What outlives the process.
pub(crate) const JOURNAL: bool = cfg!(feature = "journal");
/// Connections that begin with a request: WebSockets, and publishing by HTTP.
pub(crate) const HTTP: bool = cfg!(feature = "http");
/// Sessions dealt out among several workers.
pub(crate) const SPREAD: bool = cfg!(feature = "spread");
