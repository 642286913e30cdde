//! ENet as its users see it: hosts on a network that loses, delays, doubles and overtakes, strangers with forged
//! datagrams, and rusty_enet as the other end. Time is virtual, chance is seeded.

mod forged;
mod handshake;
mod limits;
mod lossy;
mod net;
mod raw;
mod rusty;
mod times;
