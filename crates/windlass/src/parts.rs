//! Which parts of the engine are built in. One that is not is a constant here, so that the compiler leaves out what only
//! it needs, while every line of it is still compiled: nothing rots in a build without it.
//!
//! Each is a feature of the crate, on by default; who asks a server for what is not there is told so, by an error.

/// Listening at names, which the system resolves; without it, at addresses and `localhost`.
pub(crate) const NAMES: bool = cfg!(feature = "names");
/// More than one worker, and threads for work that blocks.
pub(crate) const THREADS: bool = cfg!(feature = "threads");
/// UDP sockets.
pub(crate) const UDP: bool = cfg!(feature = "udp");
/// Connections of our own, and coupled ones.
pub(crate) const CONNECT: bool = cfg!(feature = "connect");
/// Changing a server while it serves.
pub(crate) const CHANGE: bool = cfg!(feature = "change");
/// Sockets from systemd and from a predecessor, and to a successor.
pub(crate) const HANDOVER: bool = cfg!(feature = "handover");
/// Lists of connections, turns written down, counts by service and listener, stalls.
pub(crate) const OBSERVE: bool = cfg!(feature = "observe");
/// One budget of memory.
pub(crate) const BUDGET: bool = cfg!(feature = "budget");
