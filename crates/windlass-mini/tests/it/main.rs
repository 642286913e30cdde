//! The program as it is started: its services, its thread, its end, what it says of a wrong configuration, and what comes
//! to a server that has little of everything.
#![cfg(target_os = "linux")]

mod harness;

#[cfg(any(feature = "echo", feature = "relay", feature = "hub"))]
mod check;

#[cfg(feature = "echo")]
mod echo;
#[cfg(feature = "hub")]
mod hub;
#[cfg(any(feature = "echo", feature = "relay", feature = "hub"))]
#[path = "../../../windlass-cli/tests/it/little.rs"]
mod little;
#[cfg(any(feature = "echo", feature = "relay", feature = "hub"))]
mod malformed;
#[cfg(all(feature = "echo", feature = "metrics"))]
mod metrics;
#[cfg(feature = "relay")]
mod relay;
#[cfg(feature = "hub")]
#[path = "../../../windlass-hub/tests/reported/mod.rs"]
mod reported;
#[cfg(any(feature = "echo", feature = "relay", feature = "hub"))]
mod siege;
#[cfg(feature = "echo")]
mod signals;
#[cfg(all(feature = "echo", feature = "tls"))]
mod tls;
