//! The program as it is started: its services, its thread, its end, and what it says of a wrong configuration.
#![cfg(target_os = "linux")]

mod harness;

#[cfg(any(feature = "echo", feature = "relay", feature = "hub"))]
mod check;

#[cfg(feature = "echo")]
mod echo;
#[cfg(feature = "hub")]
mod hub;
#[cfg(all(feature = "echo", feature = "metrics"))]
mod metrics;
#[cfg(feature = "relay")]
mod relay;
#[cfg(all(feature = "echo", feature = "tls"))]
mod tls;
