//! Tests of the parts. What hosts do with each other is in `tests/enet`.

mod channel;
mod coder;
mod half_open;
mod pace;
mod wheel;
mod wire;
