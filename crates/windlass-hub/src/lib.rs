//! An IoT hub on the windlass engine: MQTT 3.1.1 and 5.
//!
//! [`identity`] is who a client is and what it may do; [`import`] reads what Mosquitto is configured with.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod identity;
pub mod import;
