//! HTTP: heads, bodies, both ends of a connection, and what must be refused.

mod body;
mod client;
mod encode;
mod passing;
mod random;
mod request;
mod response;
mod server;
mod smuggling;
