//! MQTT 3.1.1 and 5.0 without I/O: both ends, and the state between them.
//!
//! [`Mqtt`] is the codec of one connection. A server's decodes what clients send and encodes what servers send;
//! a client's does the reverse. A [`Packet`] borrows from the bytes it came in, which were checked once:
//! strings, topics, filters, properties and reason codes are what the specifications allow, or there is no
//! packet. What is wrong is an [`MqttError`], which says whether it is a malformed packet or a protocol error
//! and which reason code answers it.
//!
//! Beside the codec stand machines that a broker or a client needs and that no socket is needed for:
//! [`Outgoing`] and [`Incoming`] for QoS 1 and 2, [`AliasesIn`] and [`AliasesOut`], [`PublishTemplate`] for one
//! message to many receivers, [`Subscriptions`] and [`Retained`] for topics. They, and properties to send
//! ([`PropertiesBuf`]), need the feature `alloc`; the codec does not.
//!
//! Read [`Packet`] first, then `codec`, then `properties`. Clauses are cited as the specifications number them;
//! where the two versions number one rule differently, that of 3.1.1 stands first:
//! [3.1.1](https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html),
//! [5.0](https://docs.oasis-open.org/mqtt/mqtt/v5.0/os/mqtt-v5.0-os.html).
//!
//! ```
//! use windlass_proto::mqtt::{Limits, Mqtt, Packet};
//! use windlass_proto::{Decode, Input};
//!
//! // A CONNECT of MQTT 5 with the client identifier `a`, and a PINGREQ behind it.
//! let mut received = *b"\x10\x0e\0\x04MQTT\x05\x02\0\x3c\0\0\x01a\xc0\0";
//! let mut input = Input::new(&mut received);
//! let mut mqtt = Mqtt::server(Limits::default());
//!
//! let Some(Packet::Connect(connect)) = mqtt.decode(&mut input)? else { panic!("it is whole") };
//! assert_eq!((connect.client_id, connect.keep_alive, connect.clean_start), ("a", 60, true));
//! assert!(matches!(mqtt.decode(&mut input)?, Some(Packet::Pingreq)));
//! assert!(mqtt.decode(&mut input)?.is_none());
//! # Ok::<(), windlass_proto::mqtt::MqttError>(())
//! ```

mod ack;
#[cfg(feature = "alloc")]
mod alias;
mod codec;
mod connack;
mod connect;
mod disconnect;
mod error;
#[cfg(feature = "alloc")]
mod incoming;
mod limits;
#[cfg(feature = "alloc")]
mod outgoing;
mod packet;
mod properties;
#[cfg(feature = "alloc")]
mod properties_buf;
mod property;
mod publish;
mod read;
mod reason;
mod subscribe;
#[cfg(feature = "alloc")]
mod table;
#[cfg(feature = "alloc")]
mod template;
mod topic;
#[cfg(feature = "alloc")]
mod tree;
mod write;

pub use ack::Ack;
#[cfg(feature = "alloc")]
pub use alias::{AliasesIn, AliasesOut};
pub use codec::Mqtt;
pub use connack::Connack;
pub use connect::{Connect, Secret, Will};
pub use disconnect::{Auth, Disconnect};
pub use error::{Fault, MqttError};
#[cfg(feature = "alloc")]
pub use incoming::{Arrival, Incoming, IncomingError, Ticket};
pub use limits::Limits;
#[cfg(feature = "alloc")]
pub use outgoing::{InFlight, Outgoing, OutgoingError, Resend};
pub use packet::{Kind, Packet, PacketId, QoS, Side, Version};
pub use properties::Properties;
#[cfg(feature = "alloc")]
pub use properties_buf::PropertiesBuf;
pub use property::{Place, Property};
pub use publish::Publish;
pub use reason::Reason;
pub use subscribe::{
    Filters, Names, Reasons, RetainHandling, Suback, Subscribe, SubscribeOptions, Subscription, Unsubscribe,
};
#[cfg(feature = "alloc")]
pub use template::{Delivery, PublishTemplate, SUBSCRIPTION_ID_MAX, TopicForm};
#[cfg(feature = "alloc")]
pub use topic::TopicBuf;
pub use topic::{Filter, Topic, TopicError};
#[cfg(feature = "alloc")]
pub use tree::{Child, Group, Matched, Retained, Scan, Subscriptions, TreeError, TreeLimits};

#[cfg(all(test, feature = "alloc"))]
mod tests;
