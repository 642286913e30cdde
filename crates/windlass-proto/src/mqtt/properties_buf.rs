//! A buffer for the properties of one packet to send (section 2.2.2 of version 5).

use alloc::vec::Vec;
use core::fmt;

use super::limits::Rules;
use super::properties::check;
use super::property::{Place, Property};
use super::write::varint_len;
use super::{Kind, MqttError, Properties, Side, Version};
use crate::EncodeError;

/// Properties of a packet to send. Whether they may stand in it is checked when it is encoded.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PropertiesBuf {
    bytes: Vec<u8>,
}

impl PropertiesBuf {
    /// None yet.
    pub const fn new() -> PropertiesBuf {
        PropertiesBuf { bytes: Vec::new() }
    }

    /// Some that were checked.
    pub(super) fn of(bytes: &[u8]) -> PropertiesBuf {
        PropertiesBuf { bytes: bytes.to_vec() }
    }

    /// Those of a message that was kept: bytes as [`Properties::as_bytes`] gave them, from wherever they were.
    ///
    /// # Errors
    ///
    /// If they are not what a server may send in a PUBLISH.
    pub fn kept(bytes: &[u8]) -> Result<PropertiesBuf, MqttError> {
        let rules = Rules::of_kept(Version::V5, Side::Server);
        check(bytes, Kind::Publish, Place::Packet(Kind::Publish), &rules)?;
        Ok(PropertiesBuf { bytes: bytes.to_vec() })
    }

    /// Adds one behind those that are there.
    ///
    /// # Errors
    ///
    /// If its value has no encoding: a text that is too long or holds U+0000, or a number that may not be.
    pub fn push(&mut self, property: Property<'_>) -> Result<&mut PropertiesBuf, EncodeError> {
        property.encode(&mut self.bytes)?;
        Ok(self)
    }

    /// Adds all of `properties` that `keep` keeps, as they are.
    pub fn extend(
        &mut self,
        properties: Properties<'_>,
        mut keep: impl FnMut(&Property<'_>) -> bool,
    ) -> &mut PropertiesBuf {
        for property in properties.iter().filter(|property| keep(property)) {
            property.put(&mut self.bytes);
        }
        self
    }

    /// Forgets all of them, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// What a packet takes.
    #[inline]
    pub fn properties(&self) -> Properties<'_> {
        Properties { bytes: &self.bytes }
    }

    /// Bytes they take in a packet, with their length in front.
    pub fn len(&self) -> usize {
        varint_len(self.bytes.len() as u32) + self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl fmt::Debug for PropertiesBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.properties().fmt(f)
    }
}
