//! Mosquitto's configuration.
