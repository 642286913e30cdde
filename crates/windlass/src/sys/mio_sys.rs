//! The real driver: mio, sockets, the system clock. One-line forwards wherever possible.

use std::fs::File;
use std::hash::{BuildHasher, Hasher};
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use std::io::Write;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use mio::net::{UnixListener, UnixStream};
use mio::{Events, Interest, Poll};
#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::SockRef;
use windlass_proto::Time;

use super::udp::{self, MioUdp, UdpBuffers};
use super::{Outbound, Readiness, Received, Sys, Token, Wake, connect};
use crate::connect::Remote;

#[cfg(target_os = "linux")]
use super::pipe::Pipe;
use crate::parts;
/// There is no splicing here.
#[cfg(not(target_os = "linux"))]
pub(crate) enum Pipe {}

use super::clock;

/// Urgent data is asked about because a read stops at its mark, short of what lies behind.
#[cfg(any(target_os = "linux", target_os = "android"))]
const TCP_INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const TCP_INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Events taken from the system at once. More only makes a turn, and so a latency, longer.
const EVENTS_MAX: usize = 512;

pub(crate) enum MioListener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

pub(crate) enum MioStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(all(feature = "pipe", target_os = "linux"))]
    Piped(super::piped::PipedStream),
}

pub(crate) struct MioSys {
    poll: Poll,
    events: Events,
    waker: Arc<mio::Waker>,
    /// Held so that it can be given up when the process is out of descriptors.
    spare: Option<File>,
    random: u64,
    #[cfg(unix)]
    stop_pipe: Option<UnixStream>,
    #[cfg(target_os = "linux")]
    signals: Option<super::Signals>,
    /// Kept for a successor: the sockets of this worker, and on worker 0 the place to ask for them.
    #[cfg(target_os = "linux")]
    twins: Vec<(u16, super::handover::Twin)>,
    #[cfg(target_os = "linux")]
    control: Option<super::handover::Control>,
    #[cfg(target_os = "linux")]
    successor: Option<super::handover::Successor>,
    #[cfg(target_os = "linux")]
    timer: Option<super::timerfd::TimerFd>,
    /// Whether splicing raises no signal; asked once.
    #[cfg(target_os = "linux")]
    splices: Option<bool>,
}

impl MioSys {
    pub(crate) fn new() -> io::Result<MioSys> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), mio::Token(Token::WAKE.0))?);
        Ok(MioSys {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            waker,
            spare: open_spare(),
            random: std::collections::hash_map::RandomState::new().build_hasher().finish(),
            #[cfg(unix)]
            stop_pipe: None,
            #[cfg(target_os = "linux")]
            signals: None,
            #[cfg(target_os = "linux")]
            twins: Vec::new(),
            #[cfg(target_os = "linux")]
            control: None,
            #[cfg(target_os = "linux")]
            successor: None,
            #[cfg(target_os = "linux")]
            timer: None,
            #[cfg(target_os = "linux")]
            splices: None,
        })
    }

    /// Takes every byte that arrives on `pipe` for a shutdown request.
    #[cfg(unix)]
    pub(crate) fn watch_stop_pipe(&mut self, pipe: std::os::unix::net::UnixStream) -> io::Result<()> {
        pipe.set_nonblocking(true)?;
        let mut pipe = UnixStream::from_std(pipe);
        self.poll.registry().register(&mut pipe, mio::Token(Token::STOP.0), Interest::READABLE)?;
        self.stop_pipe = Some(pipe);
        Ok(())
    }

    /// Takes signals that ask to stop for shutdown requests.
    #[cfg(target_os = "linux")]
    pub(crate) fn watch_signals(&mut self, signals: super::Signals) -> io::Result<()> {
        signals.register(self.poll.registry())?;
        self.signals = Some(signals);
        Ok(())
    }

    /// Keeps the twins of this worker's sockets, and serves the control socket if it is given one.
    #[cfg_attr(not(target_os = "linux"), allow(unused_variables, reason = "there are none"))]
    pub(crate) fn keep_for_successor(
        &mut self,
        twins: Vec<(u16, super::handover::Twin)>,
        control: Option<super::handover::Control>,
    ) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if parts::HANDOVER {
            self.twins = twins;
            if let Some(mut control) = control {
                control.register(self.poll.registry())?;
                self.control = Some(control);
            }
        }
        Ok(())
    }

    /// Changes what is kept for a successor, before what goes is closed.
    #[cfg_attr(not(target_os = "linux"), allow(unused_variables, reason = "nothing is"))]
    pub(crate) fn change_kept(&mut self, bequest: crate::server::Bequest) {
        #[cfg(target_os = "linux")]
        {
            self.twins.retain(|(id, _)| !bequest.gone.contains(id));
            for (id, _) in &mut self.twins {
                if let Some((_, new)) = bequest.passed.iter().find(|(old, _)| old == id) {
                    *id = *new;
                }
            }
            if let Some(control) = &mut self.control {
                control.change(&bequest);
            }
            self.twins.extend(bequest.twins);
        }
    }
}

fn open_spare() -> Option<File> {
    if cfg!(unix) { File::open("/dev/null").ok() } else { None }
}

impl MioStream {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            MioStream::Tcp(s) => s,
            #[cfg(unix)]
            MioStream::Unix(s) => s,
            #[cfg(all(feature = "pipe", target_os = "linux"))]
            MioStream::Piped(s) => s,
        }
    }

    /// RST instead of FIN, and nothing left in the kernel: close with a linger time of zero.
    fn set_reset(&self) {
        match self {
            MioStream::Tcp(s) => {
                // A socket that is gone already cannot be told; then there is nothing left to reset.
                let _ = SockRef::from(s).set_linger(Some(Duration::ZERO));
            }
            #[cfg(unix)]
            MioStream::Unix(_) => {}
            #[cfg(all(feature = "pipe", target_os = "linux"))]
            MioStream::Piped(_) => {}
        }
    }
}

/// The system calls themselves: on epoll a stream's readiness is no concern of mio's, and the layers
/// between are four calls that the processor has forgotten each time it comes back from the kernel.
#[cfg(any(target_os = "linux", target_os = "android"))]
impl MioStream {
    #[inline]
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        use std::os::fd::AsFd;
        match self {
            MioStream::Tcp(s) => s.as_fd(),
            MioStream::Unix(s) => s.as_fd(),
            #[cfg(all(feature = "pipe", target_os = "linux"))]
            MioStream::Piped(s) => s.from(),
        }
    }

    /// What is written to: the same, unless it is no socket.
    #[cfg(target_os = "linux")]
    fn fd_to(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            #[cfg(all(feature = "pipe", target_os = "linux"))]
            MioStream::Piped(s) => s.to(),
            _ => self.fd(),
        }
    }

    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        #[cfg(all(feature = "pipe", target_os = "linux"))]
        if let MioStream::Piped(piped) = self {
            return piped.read(buf);
        }
        let (read, _) = rustix::net::recv(self.fd(), buf, RecvFlags::empty())?;
        Ok(read)
    }

    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        #[cfg(all(feature = "pipe", target_os = "linux"))]
        if let MioStream::Piped(piped) = self {
            return piped.write(buf);
        }
        Ok(rustix::net::send(self.fd(), buf, SendFlags::NOSIGNAL)?)
    }

    /// Not `writev`, which cannot be told to raise no SIGPIPE.
    #[inline]
    fn writev(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(all(feature = "pipe", target_os = "linux"))]
        if let MioStream::Piped(piped) = self {
            return piped.writev(bufs);
        }
        let mut nothing = SendAncillaryBuffer::default();
        Ok(rustix::net::sendmsg(self.fd(), bufs, &mut nothing, SendFlags::NOSIGNAL)?)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl MioStream {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            MioStream::Tcp(s) => s.read(buf),
            #[cfg(unix)]
            MioStream::Unix(s) => s.read(buf),
        }
    }

    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            MioStream::Tcp(s) => s.write(buf),
            #[cfg(unix)]
            MioStream::Unix(s) => s.write(buf),
        }
    }

    #[inline]
    fn writev(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            MioStream::Tcp(s) => s.write_vectored(bufs),
            #[cfg(unix)]
            MioStream::Unix(s) => s.write_vectored(bufs),
        }
    }
}

impl MioListener {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            MioListener::Tcp(l) => l,
            #[cfg(unix)]
            MioListener::Unix(l) => l,
        }
    }
}

impl Sys for MioSys {
    type Listener = MioListener;
    type Stream = MioStream;
    type Udp = MioUdp;
    type Pipe = Pipe;

    #[inline]
    fn now(&mut self) -> Time {
        clock::now()
    }

    #[inline]
    fn coarse_now(&mut self) -> Time {
        clock::coarse_now()
    }

    fn random(&mut self) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    #[inline]
    fn short_ends(&self) -> bool {
        cfg!(unix)
    }

    #[cfg(unix)]
    fn stop_requests(&mut self) -> u32 {
        let mut requests = 0;
        if let Some(pipe) = &mut self.stop_pipe {
            let mut bytes = [0; 16];
            while let Ok(n @ 1..) = pipe.read(&mut bytes) {
                requests += n as u32;
            }
        }
        #[cfg(target_os = "linux")]
        if let Some(signals) = &mut self.signals {
            requests += signals.take();
        }
        requests
    }

    #[cfg(target_os = "linux")]
    fn control(&mut self, now: Time) -> super::ControlTurn {
        if !parts::HANDOVER {
            return super::ControlTurn::default();
        }
        let registry = self.poll.registry();
        let gone = self.successor.as_mut().is_some_and(|successor| successor.is_gone(registry));
        if gone {
            self.successor = None;
        }
        let turn = self.control.as_mut().map(|control| control.turn(now, registry)).unwrap_or_default();
        super::ControlTurn { gone, ..turn }
    }

    #[cfg(target_os = "linux")]
    fn stop_listening(&mut self) {
        if !parts::HANDOVER {
            return;
        }
        self.twins.clear();
        if let Some(control) = self.control.take() {
            self.successor = control.close(self.poll.registry());
        }
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.waker.clone()
    }

    #[inline]
    fn poll(&mut self, timeout: Option<Duration>, mut mark: impl FnMut(Token, Readiness)) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            // A signal: the worker looks around and polls again.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(e) => return Err(e),
        }
        for event in &self.events {
            let bits = (event.is_readable() as u8 * Readiness::READABLE)
                | (event.is_writable() as u8 * Readiness::WRITABLE)
                | ((event.is_read_closed() || event.is_priority()) as u8 * Readiness::READ_CLOSED)
                | ((event.is_write_closed() || event.is_error()) as u8 * Readiness::BROKEN);
            mark(Token(event.token().0), Readiness(bits));
        }
        Ok(())
    }

    fn batch_max(&self) -> usize {
        EVENTS_MAX
    }

    fn waited(&mut self, _stream: &MioStream) -> Option<Duration> {
        #[cfg(target_os = "linux")]
        if let MioStream::Tcp(stream) = _stream {
            return super::waited::since_handshake(stream);
        }
        None
    }

    fn arm_tick(&mut self, _at: Option<Time>) -> bool {
        #[cfg(target_os = "linux")]
        {
            if self.timer.is_none() {
                self.timer = super::timerfd::TimerFd::new(self.poll.registry()).ok();
            }
            self.timer.as_ref().is_some_and(|timer| timer.arm(_at).is_ok())
        }
        #[cfg(not(target_os = "linux"))]
        false
    }

    fn register_listener(&mut self, listener: &mut MioListener, token: Token) -> io::Result<()> {
        self.poll.registry().register(listener.source(), mio::Token(token.0), Interest::READABLE)
    }

    fn accept(&mut self, listener: &mut MioListener) -> io::Result<(MioStream, Option<SocketAddr>)> {
        match listener {
            MioListener::Tcp(l) => l.accept().map(|(s, addr)| (MioStream::Tcp(s), Some(addr))),
            #[cfg(unix)]
            MioListener::Unix(l) => l.accept().map(|(s, _)| (MioStream::Unix(s), None)),
        }
    }

    fn shed(&mut self, listener: &mut MioListener) -> io::Result<bool> {
        if self.spare.take().is_none() {
            self.spare = open_spare();
            return Ok(false);
        }
        let result = self.accept(listener).map(|(stream, _)| {
            stream.set_reset();
            true
        });
        self.spare = open_spare();
        result
    }

    fn close_listener(&mut self, mut listener: MioListener) {
        // Fails only for what is not registered, and then there is nothing to undo.
        let _ = self.poll.registry().deregister(listener.source());
    }

    fn connect(
        &mut self,
        remote: &Remote,
        source: Option<SocketAddr>,
        congestion: Option<&str>,
    ) -> io::Result<(MioStream, bool)> {
        connect::begin(remote, source, congestion)
    }

    fn connected(&mut self, stream: &mut MioStream) -> io::Result<bool> {
        connect::is_done(stream)
    }

    #[inline]
    fn register(&mut self, stream: &mut MioStream, token: Token) -> io::Result<()> {
        let token = mio::Token(token.0);
        match stream {
            // Both directions at once and for good: on TCP the second costs no event.
            MioStream::Tcp(s) => self.poll.registry().register(s, token, TCP_INTEREST),
            #[cfg(unix)]
            MioStream::Unix(s) => self.poll.registry().register(s, token, Interest::READABLE),
            #[cfg(all(feature = "pipe", target_os = "linux"))]
            MioStream::Piped(s) => self.poll.registry().register(s, token, Interest::READABLE),
        }
    }

    fn can_move(&self) -> bool {
        cfg!(unix)
    }

    fn release(&mut self, stream: &mut MioStream) -> io::Result<()> {
        self.poll.registry().deregister(stream.source())
    }

    fn want_write(&mut self, stream: &mut MioStream, _token: Token) -> io::Result<bool> {
        match stream {
            MioStream::Tcp(_) => Ok(false),
            #[cfg(unix)]
            MioStream::Unix(s) => {
                let both = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().reregister(s, mio::Token(_token.0), both)?;
                Ok(true)
            }
            #[cfg(all(feature = "pipe", target_os = "linux"))]
            MioStream::Piped(_) => Ok(false),
        }
    }

    #[inline]
    fn read(&mut self, stream: &mut MioStream, buf: &mut [u8]) -> io::Result<usize> {
        stream.read(buf)
    }

    #[inline]
    fn write(&mut self, stream: &mut MioStream, buf: &[u8]) -> io::Result<usize> {
        stream.write(buf)
    }

    #[inline]
    fn writev(&mut self, stream: &mut MioStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        stream.writev(bufs)
    }

    fn pipe(&mut self) -> Option<Pipe> {
        #[cfg(target_os = "linux")]
        {
            let splices = *self.splices.get_or_insert_with(super::pipe::splices_in_peace);
            if splices { Pipe::new().ok() } else { None }
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    fn splice_in(&mut self, _stream: &mut MioStream, pipe: &mut Pipe, _len: usize) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        return pipe.fill(_stream.fd(), _len);
        #[cfg(not(target_os = "linux"))]
        match *pipe {}
    }

    fn splice_out(&mut self, pipe: &mut Pipe, _stream: &mut MioStream, _len: usize) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        return pipe.empty(_stream.fd_to(), _len);
        #[cfg(not(target_os = "linux"))]
        match *pipe {}
    }

    fn local_addr(&mut self, stream: &mut MioStream) -> Option<SocketAddr> {
        match stream {
            MioStream::Tcp(s) => s.local_addr().ok(),
            #[cfg(unix)]
            MioStream::Unix(_) => None,
            #[cfg(all(feature = "pipe", target_os = "linux"))]
            MioStream::Piped(_) => None,
        }
    }

    fn take_error(&mut self, stream: &mut MioStream) -> Option<io::Error> {
        match stream {
            MioStream::Tcp(s) => s.take_error(),
            #[cfg(unix)]
            MioStream::Unix(s) => s.take_error(),
            #[cfg(all(feature = "pipe", target_os = "linux"))]
            MioStream::Piped(_) => Ok(None),
        }
        .unwrap_or_else(Some)
    }

    fn finish(&mut self, stream: &mut MioStream) -> io::Result<()> {
        match stream {
            MioStream::Tcp(s) => s.shutdown(Shutdown::Write),
            #[cfg(unix)]
            MioStream::Unix(s) => s.shutdown(Shutdown::Write),
            #[cfg(all(feature = "pipe", target_os = "linux"))]
            MioStream::Piped(s) => {
                s.finish();
                Ok(())
            }
        }
    }

    #[cfg(all(feature = "pipe", target_os = "linux"))]
    fn lingers(&self, stream: &MioStream) -> bool {
        !matches!(stream, MioStream::Piped(_))
    }

    fn close(&mut self, mut stream: MioStream, registered: bool, reset: bool) {
        if registered {
            // Always, though closing would do it for us: a duplicate of the descriptor (in a child,
            // or handed over) would otherwise keep sending events for a connection that is gone.
            let _ = self.poll.registry().deregister(stream.source());
        }
        if reset {
            stream.set_reset();
        }
    }

    fn connect_udp(&mut self, peer: SocketAddr, buffers: UdpBuffers) -> io::Result<(MioUdp, SocketAddr)> {
        udp::connect(peer, buffers)
    }

    fn register_udp(&mut self, socket: &mut MioUdp, token: Token) -> io::Result<()> {
        self.poll.registry().register(&mut socket.socket, mio::Token(token.0), Interest::READABLE)
    }

    fn rename_udp(&mut self, socket: &mut MioUdp, token: Token) -> io::Result<()> {
        self.poll.registry().reregister(&mut socket.socket, mio::Token(token.0), Interest::READABLE)
    }

    fn want_room(&mut self, socket: &mut MioUdp, token: Token, wanted: bool) -> io::Result<()> {
        let (registry, token) = (self.poll.registry(), mio::Token(token.0));
        match (socket.retired, wanted) {
            (false, true) => {
                registry.reregister(&mut socket.socket, token, Interest::READABLE | Interest::WRITABLE)
            }
            (false, false) => registry.reregister(&mut socket.socket, token, Interest::READABLE),
            (true, true) => registry.register(&mut socket.socket, token, Interest::WRITABLE),
            (true, false) => registry.deregister(&mut socket.socket),
        }
    }

    fn retire_udp(&mut self, socket: &mut MioUdp) -> io::Result<()> {
        socket.retired = true;
        socket.twin = None;
        self.poll.registry().deregister(&mut socket.socket)
    }

    #[inline]
    fn receive(
        &mut self,
        socket: &mut MioUdp,
        bufs: &mut [IoSliceMut<'_>],
        received: &mut [Received],
    ) -> io::Result<usize> {
        socket.receive(bufs, received)
    }

    #[inline]
    fn send(&mut self, socket: &mut MioUdp, out: &Outbound<'_>) -> io::Result<()> {
        socket.send(out)
    }

    #[inline]
    fn segments_max(&self, socket: &MioUdp) -> usize {
        socket.segments_max()
    }

    fn close_udp(&mut self, mut socket: MioUdp, registered: bool) {
        if registered {
            let _ = self.poll.registry().deregister(&mut socket.socket);
        }
    }
}

impl Wake for mio::Waker {
    fn wake(&self) {
        // Its only failure is a poll that is gone, and then there is nobody to wake.
        let _ = mio::Waker::wake(self);
    }
}
