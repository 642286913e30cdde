//! The codecs of windlass below Linux: two conversations over TCP, without an operating system and without a heap.
//!
//! [`windlass_proto`] has the codecs, smoltcp is the TCP/IP stack, and a [`Wire`] is the network: what is sent comes
//! back. A sensor and a broker speak MQTT 5 on one connection; two machines exchange frames with a length in front on
//! another. Everything they need stands in a [`Memory`], whose size the compiler knows.
//!
//! Read [`run`] first, then `peer`, which is how a codec meets a socket of smoltcp's, then `sensor`.
//! `main.rs` runs it on a Cortex-M4 (qemu has one) and on whatever has an operating system, with the same words.
#![no_std]

mod broker;
mod frames;
mod peer;
mod sensor;
mod wire;

use core::fmt;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use broker::Broker;
use frames::{Answering, Asking};
pub use peer::Failure;
use peer::{Buffers, End};
use sensor::Sensor;
pub use wire::Wire;

/// The port of the broker, as IANA has it.
const MQTT: u16 = 1883;
/// The port of the frames.
const FRAMES: u16 = 4000;
/// How long all of it may take, on a clock that only moves while everybody waits.
const TIMEOUT: Duration = Duration::from_secs(10);

/// All that the conversations take, but for the stack.
pub struct Memory {
    wire: Wire,
    ends: [Buffers; 4],
}

impl Memory {
    /// Empty.
    pub const fn new() -> Memory {
        Memory { wire: Wire::new(), ends: [const { Buffers::new() }; 4] }
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

/// Has all four talk until they have said everything, and writes down what they send and receive.
///
/// # Errors
///
/// If one of them hears what it did not expect, or nothing for too long.
pub fn run(memory: &mut Memory, log: &mut dyn fmt::Write) -> Result<(), Failure> {
    let Memory { wire, ends } = memory;
    let [sensor, broker, asking, answering] = ends;
    let mut now = Instant::ZERO;
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), wire, now);
    let here = IpAddress::v4(127, 0, 0, 1);
    interface.update_ip_addrs(|all| _ = all.push(IpCidr::new(here, 8)));

    let mut storage = [SocketStorage::EMPTY; 4];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let mut sensor = End::new(Sensor::new(), sensor, &mut sockets);
    let mut broker = End::new(Broker::new(), broker, &mut sockets);
    let mut asking = End::new(Asking::new(), asking, &mut sockets);
    let mut answering = End::new(Answering::new(), answering, &mut sockets);

    for (handle, port) in [(broker.handle, MQTT), (answering.handle, FRAMES)] {
        sockets.get_mut::<tcp::Socket<'_>>(handle).listen(port).map_err(|_| Failure::Connect)?;
    }
    let mut connect = |handle: SocketHandle, to, from: u16| {
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket.connect(interface.context(), (here, to), from).map_err(|_| Failure::Connect)
    };
    connect(sensor.handle, MQTT, 50_000)?;
    connect(asking.handle, FRAMES, 50_001)?;

    loop {
        interface.poll(now, wire, &mut sockets);
        // `|`, so that each of them has its turn.
        let stirred = sensor.turn(&mut sockets, log)?
            | broker.turn(&mut sockets, log)?
            | asking.turn(&mut sockets, log)?
            | answering.turn(&mut sockets, log)?;
        if sensor.is_over(&sockets)
            && broker.is_over(&sockets)
            && asking.is_over(&sockets)
            && answering.is_over(&sockets)
        {
            break;
        }
        if stirred || wire.is_busy() {
            continue;
        }
        // Everybody waits: for a timer of the stack's, or for ever.
        match interface.poll_delay(now, &sockets) {
            Some(Duration::ZERO) => {}
            Some(delay) if now + delay <= Instant::ZERO + TIMEOUT => now += delay,
            _ => return Err(Failure::Silence),
        }
    }
    asking.peer.report(log)?;
    writeln!(log, "wire: {} packets, the largest of {} bytes", wire.sent(), wire.largest())?;
    Ok(())
}
