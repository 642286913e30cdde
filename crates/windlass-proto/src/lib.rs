//! Bytes to messages and back, without a socket, a clock or a thread.
#![no_std]
extern crate alloc;
