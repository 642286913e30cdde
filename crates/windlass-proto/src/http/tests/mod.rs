//! HTTP: heads, bodies, both ends of a connection, and what must be refused.

mod encode;
mod request;
mod response;
