//! The bytes of a datagram: its header, and the twelve commands behind it (`protocol.h` of ENet 1.3.18).
//!
//! All numbers are big-endian. A datagram is a header of two bytes, or four where it carries the time it was sent,
//! a checksum of four where both ends use one, and commands up to its end.

/// Shortest and longest datagram that two ends may agree on.
pub(super) const MTU_MIN: u32 = 576;
pub(super) const MTU_MAX: u32 = 4096;

/// How many bytes of reliable messages may be under way, at least and at most.
pub(super) const WINDOW_MIN: u32 = 4096;
pub(super) const WINDOW_MAX: u32 = 65_536;

/// Stands for "no peer yet": what CONNECT is sent to. Ids are below it.
pub(super) const NO_PEER: u16 = 0x0fff;

/// The channel of commands that belong to no channel.
pub(super) const NO_CHANNEL: u8 = 0xff;

/// Sessions are counted in two bits; this is "none before".
pub(super) const NO_SESSION: u8 = 0xff;
pub(super) const SESSION_MASK: u8 = 3;

/// Fragments of one message, at most.
pub(super) const FRAGMENTS_MAX: u32 = 1024 * 1024;

const FLAG_SENT_TIME: u16 = 1 << 15;
const FLAG_COMPRESSED: u16 = 1 << 14;
const SESSION_SHIFT: u32 = 12;

/// The bit of a command that asks for an acknowledgement.
pub(super) const ACKNOWLEDGE: u8 = 1 << 7;
/// The bit of a command that stands outside of all order.
pub(super) const UNSEQUENCED: u8 = 1 << 6;

pub(super) const NUMBER_MASK: u8 = 0x0f;
const ACK: u8 = 1;
const CONNECT: u8 = 2;
pub(super) const VERIFY: u8 = 3;
const DISCONNECT: u8 = 4;
const PING: u8 = 5;
const RELIABLE: u8 = 6;
const UNRELIABLE: u8 = 7;
const FRAGMENT: u8 = 8;
const UNSEQUENCED_MESSAGE: u8 = 9;
const BANDWIDTH: u8 = 10;
const THROTTLE: u8 = 11;
const UNRELIABLE_FRAGMENT: u8 = 12;

/// Bytes of the longest header in front of the commands, without its checksum.
pub(super) const HEADER: usize = 4;
/// The same of one that does not carry its time.
pub(super) const SHORT_HEADER: usize = 2;
pub(super) const CHECKSUM: usize = 4;
/// Bytes of commands, by their number; those that carry a message without it.
pub(super) const ACK_LEN: usize = 8;
pub(super) const CONNECT_LEN: usize = 48;
pub(super) const PING_LEN: usize = 4;
pub(super) const FRAGMENT_LEN: usize = 24;

/// What stands in front of a datagram's commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// The id that the receiver gave the sender, or [`NO_PEER`].
    pub(super) peer: u16,
    pub(super) session: u8,
    pub(super) compressed: bool,
    pub(super) sent_time: Option<u16>,
}

impl Header {
    /// The header, and how long it is; nothing if the datagram ends inside it.
    #[inline(always)]
    pub(super) fn read(bytes: &[u8]) -> Option<(Header, usize)> {
        let (first, rest) = bytes.split_first_chunk::<2>()?;
        let first = u16::from_be_bytes(*first);
        let timed = first & FLAG_SENT_TIME != 0;
        let sent_time = match timed {
            true => Some(u16::from_be_bytes(*rest.first_chunk()?)),
            false => None,
        };
        let header = Header {
            peer: first & NO_PEER,
            session: (first >> SESSION_SHIFT) as u8 & SESSION_MASK,
            compressed: first & FLAG_COMPRESSED != 0,
            sent_time,
        };
        Some((header, if timed { 4 } else { 2 }))
    }

    /// Writes it, and gives back how long it is. `out` has [`HEADER`] bytes.
    pub(super) fn write(&self, out: &mut [u8]) -> usize {
        let mut first = self.peer & NO_PEER | u16::from(self.session & SESSION_MASK) << SESSION_SHIFT;
        if self.compressed {
            first |= FLAG_COMPRESSED;
        }
        if let Some(time) = self.sent_time {
            out[..2].copy_from_slice(&(first | FLAG_SENT_TIME).to_be_bytes());
            out[2..4].copy_from_slice(&time.to_be_bytes());
            return 4;
        }
        out[..2].copy_from_slice(&first.to_be_bytes());
        2
    }
}

/// How a sender is to adapt what it drops of unreliable messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Throttle {
    /// Milliseconds.
    pub(super) interval: u32,
    pub(super) acceleration: u32,
    pub(super) deceleration: u32,
}

/// What CONNECT asks for and VERIFY grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Terms {
    /// The id under which its sender wants to be spoken to.
    pub(super) peer: u16,
    pub(super) incoming_session: u8,
    pub(super) outgoing_session: u8,
    pub(super) mtu: u32,
    pub(super) window: u32,
    pub(super) channels: u32,
    pub(super) incoming_bandwidth: u32,
    pub(super) outgoing_bandwidth: u32,
    pub(super) throttle: Throttle,
    pub(super) connect_id: u32,
}

/// A piece of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fragment<'b> {
    /// The sequence number of the message's first fragment.
    pub(super) start: u16,
    pub(super) count: u32,
    pub(super) number: u32,
    pub(super) total: u32,
    pub(super) offset: u32,
    pub(super) bytes: &'b [u8],
}

/// What a command says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Body<'b> {
    Acknowledge { sequence: u16, sent_time: u16 },
    Connect { terms: Terms, code: u32 },
    Verify(Terms),
    Disconnect { code: u32 },
    Ping,
    Reliable(&'b [u8]),
    Unreliable { sequence: u16, bytes: &'b [u8] },
    Fragment(Fragment<'b>),
    Unsequenced { group: u16, bytes: &'b [u8] },
    Bandwidth { incoming: u32, outgoing: u32 },
    Throttle(Throttle),
    UnreliableFragment(Fragment<'b>),
}

/// A command: four bytes that all have, and what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Command<'b> {
    /// [`ACKNOWLEDGE`] and [`UNSEQUENCED`].
    pub(super) flags: u8,
    pub(super) channel: u8,
    pub(super) sequence: u16,
    pub(super) body: Body<'b>,
}

/// No such command, or the datagram ends inside it. What stood before it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

impl<'b> Command<'b> {
    /// Takes one command off the front, or nothing off an end.
    // Where it is not inlined it is copied on its way, in other pieces than it was written in, which takes longer than all else
    // that is done with a short datagram.
    #[inline(always)]
    pub(super) fn read(bytes: &mut &'b [u8]) -> Result<Option<Command<'b>>, Malformed> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader(bytes);
        let command = Command::read_one(&mut reader).ok_or(Malformed)?;
        *bytes = reader.0;
        Ok(Some(command))
    }

    #[inline(always)]
    fn read_one(reader: &mut Reader<'b>) -> Option<Command<'b>> {
        let first = reader.u8()?;
        let channel = reader.u8()?;
        let sequence = reader.u16()?;
        let body = match first & NUMBER_MASK {
            ACK => Body::Acknowledge { sequence: reader.u16()?, sent_time: reader.u16()? },
            CONNECT => Body::Connect { terms: reader.terms()?, code: reader.u32()? },
            VERIFY => Body::Verify(reader.terms()?),
            DISCONNECT => Body::Disconnect { code: reader.u32()? },
            PING => Body::Ping,
            RELIABLE => {
                let len = reader.u16()?;
                Body::Reliable(reader.take(len)?)
            }
            UNRELIABLE => {
                let (sequence, len) = (reader.u16()?, reader.u16()?);
                Body::Unreliable { sequence, bytes: reader.take(len)? }
            }
            FRAGMENT => Body::Fragment(reader.fragment()?),
            UNSEQUENCED_MESSAGE => {
                let (group, len) = (reader.u16()?, reader.u16()?);
                Body::Unsequenced { group, bytes: reader.take(len)? }
            }
            BANDWIDTH => Body::Bandwidth { incoming: reader.u32()?, outgoing: reader.u32()? },
            THROTTLE => Body::Throttle(reader.throttle()?),
            UNRELIABLE_FRAGMENT => Body::UnreliableFragment(reader.fragment()?),
            _ => return None,
        };
        Some(Command { flags: first & !NUMBER_MASK, channel, sequence, body })
    }

    /// Whether it brings a message, or a part of one.
    pub(super) fn is_message(&self) -> bool {
        matches!(
            self.body,
            Body::Reliable(_)
                | Body::Unreliable { .. }
                | Body::Fragment(_)
                | Body::Unsequenced { .. }
                | Body::UnreliableFragment(_)
        )
    }

    /// The bytes of it, message included.
    pub(super) fn len(&self) -> usize {
        4 + match self.body {
            Body::Acknowledge { .. } => ACK_LEN - 4,
            Body::Disconnect { .. } => 4,
            Body::Connect { .. } => CONNECT_LEN - 4,
            Body::Verify(_) => CONNECT_LEN - 8,
            Body::Ping => 0,
            Body::Reliable(bytes) => 2 + bytes.len(),
            Body::Unreliable { bytes, .. } | Body::Unsequenced { bytes, .. } => 4 + bytes.len(),
            Body::Fragment(fragment) | Body::UnreliableFragment(fragment) => {
                FRAGMENT_LEN - 4 + fragment.bytes.len()
            }
            Body::Bandwidth { .. } => 8,
            Body::Throttle(_) => 12,
        }
    }

    /// Writes it behind what is there. The caller has asked [`len`](Command::len) whether it fits.
    pub(super) fn write(&self, out: &mut Writer<'_>) {
        let number = match self.body {
            Body::Acknowledge { .. } => ACK,
            Body::Connect { .. } => CONNECT,
            Body::Verify(_) => VERIFY,
            Body::Disconnect { .. } => DISCONNECT,
            Body::Ping => PING,
            Body::Reliable(_) => RELIABLE,
            Body::Unreliable { .. } => UNRELIABLE,
            Body::Fragment(_) => FRAGMENT,
            Body::Unsequenced { .. } => UNSEQUENCED_MESSAGE,
            Body::Bandwidth { .. } => BANDWIDTH,
            Body::Throttle(_) => THROTTLE,
            Body::UnreliableFragment(_) => UNRELIABLE_FRAGMENT,
        };
        out.put(&[self.flags | number, self.channel]);
        out.u16(self.sequence);
        match self.body {
            Body::Acknowledge { sequence, sent_time } => {
                out.u16(sequence);
                out.u16(sent_time);
            }
            Body::Connect { terms, code } => {
                out.terms(&terms);
                out.u32(code);
            }
            Body::Verify(terms) => out.terms(&terms),
            Body::Disconnect { code } => out.u32(code),
            Body::Ping => {}
            Body::Reliable(bytes) => {
                out.u16(bytes.len() as u16);
                out.put(bytes);
            }
            Body::Unreliable { sequence: number, bytes } | Body::Unsequenced { group: number, bytes } => {
                out.u16(number);
                out.u16(bytes.len() as u16);
                out.put(bytes);
            }
            Body::Fragment(fragment) | Body::UnreliableFragment(fragment) => {
                out.u16(fragment.start);
                out.u16(fragment.bytes.len() as u16);
                out.u32(fragment.count);
                out.u32(fragment.number);
                out.u32(fragment.total);
                out.u32(fragment.offset);
                out.put(fragment.bytes);
            }
            Body::Bandwidth { incoming, outgoing } => {
                out.u32(incoming);
                out.u32(outgoing);
            }
            Body::Throttle(throttle) => out.throttle(&throttle),
        }
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }

    #[inline]
    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    #[inline]
    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    fn take(&mut self, len: u16) -> Option<&'b [u8]> {
        let (front, rest) = self.0.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some(front)
    }

    fn throttle(&mut self) -> Option<Throttle> {
        Some(Throttle { interval: self.u32()?, acceleration: self.u32()?, deceleration: self.u32()? })
    }

    fn terms(&mut self) -> Option<Terms> {
        Some(Terms {
            peer: self.u16()?,
            incoming_session: self.u8()?,
            outgoing_session: self.u8()?,
            mtu: self.u32()?,
            window: self.u32()?,
            channels: self.u32()?,
            incoming_bandwidth: self.u32()?,
            outgoing_bandwidth: self.u32()?,
            throttle: self.throttle()?,
            connect_id: self.u32()?,
        })
    }

    fn fragment(&mut self) -> Option<Fragment<'b>> {
        let start = self.u16()?;
        let len = self.u16()?;
        Some(Fragment {
            start,
            count: self.u32()?,
            number: self.u32()?,
            total: self.u32()?,
            offset: self.u32()?,
            bytes: self.take(len)?,
        })
    }
}

/// Bytes behind bytes, in a buffer whose owner knows that they fit.
pub(super) struct Writer<'b> {
    pub(super) out: &'b mut [u8],
    pub(super) at: usize,
}

impl Writer<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    #[inline]
    fn u16(&mut self, number: u16) {
        self.put(&number.to_be_bytes());
    }

    #[inline]
    fn u32(&mut self, number: u32) {
        self.put(&number.to_be_bytes());
    }

    fn throttle(&mut self, throttle: &Throttle) {
        self.u32(throttle.interval);
        self.u32(throttle.acceleration);
        self.u32(throttle.deceleration);
    }

    fn terms(&mut self, terms: &Terms) {
        self.u16(terms.peer);
        self.put(&[terms.incoming_session, terms.outgoing_session]);
        self.u32(terms.mtu);
        self.u32(terms.window);
        self.u32(terms.channels);
        self.u32(terms.incoming_bandwidth);
        self.u32(terms.outgoing_bandwidth);
        self.throttle(&terms.throttle);
        self.u32(terms.connect_id);
    }
}
