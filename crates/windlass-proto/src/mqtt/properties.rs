//! All properties of one packet: a view of those that came (section 2.2.2 of version 5).

use core::fmt;

use super::limits::Rules;
use super::property::{self, Place, Property};
use super::read::{Reader, VARINT_MAX};
use super::write::put_varint;
use super::{Kind, MqttError, Side, Version};
use crate::{EncodeError, Put};

/// The properties of a packet, in the order they came in; none in 3.1.1.
///
/// They were checked when the packet was decoded, and are walked when asked.
///
/// ```
/// use windlass_proto::mqtt::{PropertiesBuf, Property};
///
/// let mut some = PropertiesBuf::new();
/// some.push(Property::ReceiveMaximum(20))?.push(Property::User("a", "1"))?.push(Property::User("a", "2"))?;
/// let properties = some.properties();
/// assert_eq!(properties.receive_maximum(), Some(20));
/// assert!(properties.user().eq([("a", "1"), ("a", "2")]));
/// # Ok::<(), windlass_proto::EncodeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties<'b> {
    pub(super) bytes: &'b [u8],
}

macro_rules! getters {
    ($($name:ident $variant:ident $id:literal $kind:ty, $text:literal;)*) => {
        impl<'b> Properties<'b> {
            $(
                #[doc = concat!("The value of [`Property::", stringify!($variant), "`]", $text)]
                #[inline]
                pub fn $name(self) -> Option<$kind> {
                    match self.find($id)? {
                        Property::$variant(value) => Some(value),
                        _ => None,
                    }
                }
            )*
        }
    };
}

getters! {
    message_expiry MessageExpiry 0x02 u32, ", in seconds.";
    response_topic ResponseTopic 0x08 super::Topic<'b>, ".";
    subscription_id SubscriptionId 0x0b u32, ", the first one.";
    session_expiry SessionExpiry 0x11 u32, ", in seconds.";
    assigned_client_id AssignedClientId 0x12 &'b str, ".";
    server_keep_alive ServerKeepAlive 0x13 u16, ", in seconds.";
    authentication_method AuthenticationMethod 0x15 &'b str, ".";
    authentication_data AuthenticationData 0x16 super::Secret<'b>, ".";
    request_problem_information RequestProblemInformation 0x17 bool, "; absent it is true.";
    will_delay WillDelay 0x18 u32, ", in seconds.";
    request_response_information RequestResponseInformation 0x19 bool, "; absent it is false.";
    reason_string ReasonString 0x1f &'b str, ".";
    receive_maximum ReceiveMaximum 0x21 u16, "; absent it is 65,535.";
    topic_alias_maximum TopicAliasMaximum 0x22 u16, "; absent it is 0.";
    topic_alias TopicAlias 0x23 u16, ".";
    maximum_packet_size MaximumPacketSize 0x27 u32, ", in bytes.";
}

impl<'b> Properties<'b> {
    /// No properties.
    pub const NONE: Properties<'static> = Properties { bytes: &[] };

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// Their bytes, without the length in front.
    #[inline]
    pub const fn as_bytes(self) -> &'b [u8] {
        self.bytes
    }

    /// Properties to send, as [`Property::encode`] put them one behind the other: without a heap, for which there is
    /// `PropertiesBuf`. Whether they may stand in a packet is checked when it is encoded.
    ///
    /// ```
    /// use windlass_proto::PutSlice;
    /// use windlass_proto::mqtt::{Properties, Property};
    ///
    /// let mut memory = [0; 16];
    /// let mut out = PutSlice::new(&mut memory);
    /// Property::SessionExpiry(3600).encode(&mut out)?;
    /// let properties = Properties::encoded(out.whole().unwrap())?;
    /// assert_eq!(properties.session_expiry(), Some(3600));
    /// # Ok::<(), windlass_proto::EncodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the bytes are none of that.
    pub fn encoded(bytes: &'b [u8]) -> Result<Properties<'b>, EncodeError> {
        let mut reader = Reader::new(bytes, Kind::Publish);
        while !reader.is_empty() {
            let read = reader.u8().and_then(|id| Property::read(id, &mut reader));
            read.map_err(|_| EncodeError::Invalid)?;
        }
        Ok(Properties { bytes })
    }

    /// All of them, in order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Property<'b>> {
        // The kind is only named in errors, and there are none any more.
        let mut reader = Reader::new(self.bytes, Kind::Publish);
        core::iter::from_fn(move || {
            let id = reader.u8().ok()?;
            Property::read(id, &mut reader).ok()
        })
    }

    /// The user properties, in order ([MQTT-3.3.2-18]).
    pub fn user(self) -> impl Iterator<Item = (&'b str, &'b str)> {
        self.iter().filter_map(|property| match property {
            Property::User(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// The numbers of all subscriptions a message comes for ([MQTT-3.3.4-3], [MQTT-3.3.4-4]).
    pub fn subscription_ids(self) -> impl Iterator<Item = u32> {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionId(id) => Some(id),
            _ => None,
        })
    }

    #[inline]
    fn find(self, id: u8) -> Option<Property<'b>> {
        if self.bytes.is_empty() {
            return None;
        }
        self.iter().find(|property| property.id() == id)
    }

    /// Reads the length and the properties behind it; in 3.1.1 there are none, and no length.
    #[inline]
    pub(super) fn parse(
        reader: &mut Reader<'b>,
        place: Place,
        rules: &Rules,
    ) -> Result<Properties<'b>, MqttError> {
        if rules.version == Version::V311 {
            return Ok(Properties::NONE);
        }
        let len = reader.varint()? as usize;
        let bytes = reader.take(len)?;
        if !bytes.is_empty() {
            check(bytes, reader.kind(), place, rules)?;
        }
        Ok(Properties { bytes })
    }

    /// What this end may send in a packet of this version: that properties were put together for another place is
    /// a mistake of ours. 3.1.1 has none, and leaves them out.
    pub(super) fn check(self, place: Place, from: Side, version: Version) -> Result<(), EncodeError> {
        if version == Version::V311 || self.bytes.is_empty() {
            return Ok(());
        }
        if self.bytes.len() > VARINT_MAX as usize {
            return Err(EncodeError::TooLong { max: VARINT_MAX as usize });
        }
        check(self.bytes, Kind::Publish, place, &Rules::of_kept(version, from))
            .map_err(|_| EncodeError::Invalid)
    }

    /// Puts the length and the properties.
    #[inline]
    pub(super) fn put(self, version: Version, out: &mut (impl Put + ?Sized)) {
        if version == Version::V5 {
            put_varint(out, self.bytes.len() as u32);
            out.put(self.bytes);
        }
    }
}

/// That each property may stand there, once, with its value. One pass, whatever they are.
pub(super) fn check(bytes: &[u8], kind: Kind, place: Place, rules: &Rules) -> Result<(), MqttError> {
    let mut reader = Reader::new(bytes, kind);
    let (mut seen, mut user) = (0_u64, 0_usize);
    while !reader.is_empty() {
        let id = reader.u8()?;
        if !property::allowed(id, place) {
            return Err(MqttError::PropertyUnknown(id));
        }
        // Every identifier that is allowed somewhere is below 64.
        let twice = seen & 1 << id != 0;
        seen |= 1 << id;
        match id {
            property::USER => {
                user += 1;
                if user > rules.user_properties_max {
                    return Err(MqttError::UserProperties);
                }
            }
            // A message may come for several subscriptions, and no client has any to say ([MQTT-3.3.4-6]).
            property::SUBSCRIPTION_ID if place == Place::Packet(Kind::Publish) => match rules.from {
                Side::Client => return Err(MqttError::PropertyFrom(id)),
                Side::Server => {}
            },
            // [MQTT-3.14.2-2], and section 3.14.2.2.5.
            property::SESSION_EXPIRY | property::SERVER_REFERENCE
                if place == Place::Packet(Kind::Disconnect)
                    && (rules.from == Side::Server) == (id == property::SESSION_EXPIRY) =>
            {
                return Err(MqttError::PropertyFrom(id));
            }
            _ if twice => return Err(MqttError::PropertyTwice(id)),
            _ => {}
        }
        Property::read(id, &mut reader)?;
    }
    let auth = 1 << property::AUTHENTICATION_METHOD | 1 << property::AUTHENTICATION_DATA;
    if seen & auth == 1 << property::AUTHENTICATION_DATA {
        return Err(MqttError::AuthenticationMethod);
    }
    Ok(())
}

/// How many bytes there are: what is in them may be secret.
impl fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Properties({} bytes)", self.bytes.len())
    }
}
