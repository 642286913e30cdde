//! An IoT hub: MQTT 3.1.1 and 5.0, on the windlass engine.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod journal;
