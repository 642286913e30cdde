//! UDP sockets of the real driver.
//!
//! Receiving goes through `quinn-udp`: up to 32 buffers a call (`recvmmsg`), each with as many
//! datagrams of one flow as the kernel has put together (GRO), with ECN and the address they were sent
//! to. So does sending what needs more than an address: several datagrams of one size in one call (GSO),
//! ECN, a source address. A plain datagram is sent with `sendto`: measured, that is a fifth to a third
//! cheaper than a `sendmsg` with control messages, and `sendmmsg` for 32 peers gains nothing over it.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use quinn_udp::{EcnCodepoint, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use super::handover::Twin;
use super::{Outbound, Received};
use crate::datagram::Ecn;

pub(crate) struct MioUdp {
    pub(super) socket: UdpSocket,
    state: State,
    /// What `state` remembers is not so.
    misled: bool,
    /// Datagrams that one call may send, as it was at the beginning.
    segments_max: usize,
    /// What the system has refused to send from, though somebody had sent to it: the address of a group.
    group: Option<IpAddr>,
    /// Has one peer, and no other.
    connected: bool,
    /// Kept for a successor, and let go of with the socket: one that nobody reads must not stay open.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there are none"))]
    pub(super) twin: Option<Twin>,
    /// A successor receives from it.
    pub(super) retired: bool,
}

/// What `quinn-udp` remembers of a socket, and has set on it.
enum State {
    Own(UdpSocketState),
    /// A connected socket has none until it sends what needs one: a proxy opens a socket for each flow, which
    /// may be one question and its answer, and a dozen options would cost as much as both.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Common(&'static UdpSocketState),
}

impl State {
    #[inline]
    fn get(&self) -> &UdpSocketState {
        match self {
            State::Own(state) => state,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            State::Common(state) => state,
        }
    }
}

/// What a UDP socket is opened with.
#[derive(Clone, Debug)]
pub(crate) struct UdpOptions {
    /// Several sockets on one address, one per worker.
    pub(crate) reuse_port: bool,
    /// Nobody may be there yet.
    pub(crate) first: bool,
    /// Take IPv4 on an IPv6 wildcard address too.
    pub(crate) dual_stack: bool,
    pub(crate) buffers: UdpBuffers,
}

/// The system's buffers of a socket, in bytes; 0 leaves its default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UdpBuffers {
    pub(crate) receive: usize,
    pub(crate) send: usize,
}

/// Opens a socket on an address.
pub(crate) fn bind(addr: SocketAddr, options: &UdpOptions) -> io::Result<(MioUdp, SocketAddr)> {
    if options.reuse_port && options.first {
        // Those who ask to share a port are not told that somebody else has it.
        open(addr, options.dual_stack)?.bind(&addr.into())?;
    }
    let socket = open(addr, options.dual_stack)?;
    #[cfg(unix)]
    if options.reuse_port {
        #[cfg(target_os = "freebsd")]
        socket.set_reuse_port_lb(true)?;
        #[cfg(not(target_os = "freebsd"))]
        socket.set_reuse_port(true)?;
    }
    size(&socket, options.buffers);
    socket.bind(&addr.into())?;
    finish(socket, false)
}

/// Opens a socket with one peer, on a port that the system chooses.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn connect(peer: SocketAddr, buffers: UdpBuffers) -> io::Result<(MioUdp, SocketAddr)> {
    use std::net::{Ipv4Addr, Ipv6Addr};
    let socket = open(peer, false)?;
    size(&socket, buffers);
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    socket.bind(&any.into())?;
    socket.connect(&peer.into())?;
    finish(socket, true)
}

/// Opens a socket with one peer, on a port that the system chooses, in as few calls as can be.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn connect(peer: SocketAddr, buffers: UdpBuffers) -> io::Result<(MioUdp, SocketAddr)> {
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new_raw(Domain::for_address(peer), kind, Some(Protocol::UDP))?;
    size(&socket, buffers);
    socket.connect(&peer.into())?;
    let socket = UdpSocket::from_std(socket.into());
    let local = socket.local_addr()?;
    let state = common_state(local.is_ipv6())?;
    // Several datagrams in one buffer, and the network's marks. Best effort: without them it goes on too.
    set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1);
    match peer {
        SocketAddr::V4(_) => set_option(&socket, libc::IPPROTO_IP, libc::IP_RECVTOS, 1),
        SocketAddr::V6(_) => set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1),
    }
    let socket = MioUdp {
        socket,
        segments_max: state.max_gso_segments(),
        state: State::Common(state),
        misled: false,
        group: None,
        connected: true,
        twin: None,
        retired: false,
    };
    Ok((socket, local))
}

/// What receiving needs, and how many datagrams a call may send: the same for all sockets of a family. Found
/// out with a socket that is not used.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn common_state(is_six: bool) -> io::Result<&'static UdpSocketState> {
    use std::sync::OnceLock;
    static FOUR: OnceLock<UdpSocketState> = OnceLock::new();
    static SIX: OnceLock<UdpSocketState> = OnceLock::new();
    let (common, domain) = if is_six { (&SIX, Domain::IPV6) } else { (&FOUR, Domain::IPV4) };
    if let Some(state) = common.get() {
        return Ok(state);
    }
    let tried = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    let state = UdpSocketState::new(UdpSockRef::from(&tried))?;
    Ok(common.get_or_init(|| state))
}

/// Goes on with a bound socket that another process opened, with the options that ours have.
#[cfg(target_os = "linux")]
pub(super) fn adopt(socket: Socket, buffers: UdpBuffers) -> io::Result<MioUdp> {
    socket.set_nonblocking(true)?;
    size(&socket, buffers);
    Ok(finish(socket, false)?.0)
}

fn open(addr: SocketAddr, dual_stack: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    Ok(socket)
}

/// The system may grant less than it is asked for, and says so nowhere but in the size itself.
fn size(socket: &Socket, buffers: UdpBuffers) {
    if buffers.receive > 0 {
        let _ = socket.set_recv_buffer_size(buffers.receive);
    }
    if buffers.send > 0 {
        let _ = socket.set_send_buffer_size(buffers.send);
    }
}

fn finish(socket: Socket, connected: bool) -> io::Result<(MioUdp, SocketAddr)> {
    let socket: std::net::UdpSocket = socket.into();
    let socket = UdpSocket::from_std(socket);
    let bound = socket.local_addr()?;
    let state = state_of(&socket, bound.is_ipv6())?;
    let segments_max = state.max_gso_segments();
    let socket = MioUdp {
        socket,
        state: State::Own(state),
        misled: false,
        segments_max,
        group: None,
        connected,
        twin: None,
        retired: false,
    };
    Ok((socket, bound))
}

/// Sets the options that `quinn-udp` wants, but for one.
fn state_of(socket: &UdpSocket, is_six: bool) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(UdpSockRef::from(socket))?;
    // A QUIC endpoint never wants fragments, so it has switched them off; a service of datagrams may
    // well be asked for more than fits a frame. Best effort: without it the send fails, and is told.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
        // On an IPv6 socket too, for the IPv4 peers it may have.
        let _ = sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT);
        if is_six {
            let _ = sockopt::set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT);
            // Fragments are allowed.
            set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0);
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = is_six;
    Ok(state)
}

/// Sets an option that is a number. Best effort.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(unsafe_code, reason = "no crate that we have sets these options")]
fn set_option(socket: &UdpSocket, level: libc::c_int, name: libc::c_int, value: libc::c_int) {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the system reads the
    // four bytes of `value`, which it is told the address and the length of.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        );
    }
}

impl MioUdp {
    #[inline]
    pub(super) fn receive(
        &mut self,
        bufs: &mut [IoSliceMut<'_>],
        received: &mut [Received],
    ) -> io::Result<usize> {
        // Through mio, which on Windows has to see `WouldBlock` to report the socket again.
        self.socket.try_io(|| self.state.get().recv(UdpSockRef::from(&self.socket), bufs, received))
    }

    pub(super) fn segments_max(&self) -> usize {
        if self.misled { self.segments_max } else { self.state.get().max_gso_segments() }
    }

    #[inline]
    pub(super) fn send(&mut self, out: &Outbound<'_>) -> io::Result<()> {
        let plain = out.segment.is_none() && out.ecn.is_none() && out.from.is_none();
        // Elsewhere a connected socket refuses to be told whom to send to.
        let by_name = !cfg!(any(target_os = "linux", target_os = "android"));
        if plain || (self.connected && by_name) {
            return self.send_plain(out);
        }
        let own = matches!(self.state, State::Own(_));
        if !own || self.misled && (out.ecn.is_some() || out.segment.is_some()) {
            self.state = State::Own(state_of(&self.socket, self.socket.local_addr()?.is_ipv6())?);
            self.misled = false;
        }
        let known = out.from_any && out.from == self.group;
        let transmit = Transmit {
            destination: out.to,
            ecn: out.ecn.map(|ecn| match ecn {
                Ecn::Ect0 => EcnCodepoint::Ect0,
                Ecn::Ect1 => EcnCodepoint::Ect1,
                Ecn::Ce => EcnCodepoint::Ce,
            }),
            contents: out.bytes,
            segment_size: out.segment,
            src_ip: if known { None } else { out.from },
        };
        match self.transmit(&transmit) {
            Ok(()) => Ok(()),
            Err(e) => self.not_sent(out, transmit, e),
        }
    }

    #[inline]
    fn transmit(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_io(|| self.state.get().try_send(UdpSockRef::from(&self.socket), transmit))
    }

    /// Whether an address is to blame: one to send from that is not ours, or one to send to.
    #[cold]
    fn not_sent(
        &mut self,
        out: &Outbound<'_>,
        mut transmit: Transmit<'_>,
        error: io::Error,
    ) -> io::Result<()> {
        use io::ErrorKind::{AddrNotAvailable, HostUnreachable, InvalidInput, NetworkUnreachable};
        let kind = error.kind();
        if !matches!(kind, AddrNotAvailable | HostUnreachable | InvalidInput | NetworkUnreachable) {
            return Err(error);
        }
        let mut result = Err(error);
        if out.from_any && transmit.src_ip.take().is_some() {
            result = self.transmit(&transmit);
            if result.is_ok() {
                self.group = out.from;
            }
        }
        // `quinn-udp` takes `InvalidInput` for a system that cuts nothing up and knows no marks, and would
        // do without both from then on. Of one call for several that may be right.
        self.misled |= kind == InvalidInput && (result.is_ok() || out.segment.is_none());
        result
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline]
    fn send_plain(&self, out: &Outbound<'_>) -> io::Result<()> {
        use rustix::net::{SendFlags, send, sendto};
        if self.connected {
            send(&self.socket, out.bytes, SendFlags::empty())?;
        } else {
            sendto(&self.socket, out.bytes, SendFlags::empty(), &out.to)?;
        }
        Ok(())
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn send_plain(&self, out: &Outbound<'_>) -> io::Result<()> {
        if self.connected { self.socket.send(out.bytes) } else { self.socket.send_to(out.bytes, out.to) }
            .map(|_| ())
    }
}

/// What the network marked a received buffer with.
pub(crate) fn ecn_of(received: &Received) -> Option<Ecn> {
    received.ecn.map(|ecn| match ecn {
        EcnCodepoint::Ect0 => Ecn::Ect0,
        EcnCodepoint::Ect1 => Ecn::Ect1,
        EcnCodepoint::Ce => Ecn::Ce,
    })
}
