//! A counter of 64 bits, on machines without an instruction for one too: there are none on mips, where a lock of
//! `portable-atomic` stands in.

#[cfg(not(target_has_atomic = "64"))]
pub(crate) use portable_atomic::AtomicU64;
#[cfg(target_has_atomic = "64")]
pub(crate) use std::sync::atomic::AtomicU64;
