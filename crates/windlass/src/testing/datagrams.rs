//! UDP sockets of the test: peers of a service of datagrams, and upstreams it opens sockets to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Harness;

/// A UDP socket of the test's. See [`Harness::bind_udp`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TestSocket(u32);

impl Harness {
    /// Binds a UDP socket, on an address of its own.
    ///
    /// ```
    /// use windlass::testing::Harness;
    /// use windlass::{Datagram, DatagramService, Socket, datagrams};
    ///
    /// struct Echo;
    ///
    /// impl DatagramService for Echo {
    ///     fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
    ///         socket.reply(&datagram, datagram.bytes);
    ///     }
    /// }
    ///
    /// let mut harness = Harness::new(datagrams(|| Echo));
    /// let peer = harness.bind_udp();
    /// harness.send_datagram(peer, b"hello");
    /// let (from, bytes) = harness.receive_datagram(peer).expect("an answer");
    /// assert_eq!((from, &bytes[..]), (harness.udp_server(), &b"hello"[..]));
    /// assert_eq!(harness.receive_datagram(peer), None);
    /// ```
    pub fn bind_udp(&mut self) -> TestSocket {
        self.bind(None)
    }

    /// The same on this address, on which the service may be about to open a socket to
    /// ([`Socket::connect`](crate::Socket::connect)). Where nobody is bound, it is told so.
    pub fn bind_udp_at(&mut self, addr: SocketAddr) -> TestSocket {
        self.bind(Some(addr))
    }

    fn bind(&mut self, at: Option<SocketAddr>) -> TestSocket {
        let mut world = self.run.world.borrow_mut();
        let client = world.addresses.len() as u32;
        world.addresses.push(IpAddr::V4(Ipv4Addr::from(0x0A00_0001 + client)));
        world.client_binds(client, at);
        TestSocket(client)
    }

    /// Where a socket of the test's is: whom the service sees.
    pub fn udp_addr(&self, socket: TestSocket) -> SocketAddr {
        self.run.world.borrow().udp_address(socket.0)
    }

    /// Where the service receives datagrams.
    pub fn udp_server(&self) -> SocketAddr {
        self.run.world.borrow().udp_server(0)
    }

    /// Sends a datagram to the service: to one of its workers, always the same for one socket.
    pub fn send_datagram(&mut self, from: TestSocket, bytes: impl AsRef<[u8]>) {
        self.send_datagram_to(from, self.udp_server(), bytes);
    }

    /// Sends a datagram to this address: that of a socket the service has opened, as
    /// [`Harness::receive_datagram`] tells it.
    pub fn send_datagram_to(&mut self, from: TestSocket, to: SocketAddr, bytes: impl AsRef<[u8]>) {
        self.run.world.borrow_mut().client_sends(from.0, to, bytes.as_ref());
        self.settle();
    }

    /// Takes the next datagram that has come to this socket, with the address it came from.
    pub fn receive_datagram(&mut self, at: TestSocket) -> Option<(SocketAddr, Vec<u8>)> {
        self.settle();
        self.run.world.borrow_mut().client_receives(at.0)
    }

    /// Closes a socket: nobody is there any more, and a service that goes on sending from a socket of its
    /// own is told. To send something opens it again.
    pub fn close_udp(&mut self, socket: TestSocket) {
        self.run.world.borrow_mut().client_listens(socket.0, false);
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::{Datagram, DatagramService, Outgoing, Socket, SocketId, datagrams};

    const UPSTREAM: &str = "192.0.2.7:53";

    /// Passes questions on to one upstream and tells the last who asked what came of it.
    #[derive(Default)]
    struct Forward {
        asked: Option<(SocketId, SocketAddr)>,
        flow: Option<SocketId>,
    }

    impl Forward {
        fn tell(&self, socket: &mut Socket<'_>, bytes: &[u8]) {
            let Some((id, to)) = self.asked else { return };
            if let Some(mut socket) = socket.other(id) {
                socket.send_to(to, bytes);
            }
        }
    }

    impl DatagramService for Forward {
        fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
            if socket.peer().is_some() {
                return self.tell(socket, datagram.bytes);
            }
            self.asked = Some((socket.id(), datagram.from));
            let upstream = UPSTREAM.parse().expect("an address");
            let flow = *self.flow.get_or_insert_with(|| socket.connect(upstream).expect("within the limits"));
            let mut flow = socket.other(flow).expect("it stays open");
            flow.send(datagram.bytes);
            flow.wake_at(flow.now() + Duration::from_secs(3));
        }

        fn error(&mut self, socket: &mut Socket<'_>, error: io::Error) {
            self.tell(socket, error.kind().to_string().as_bytes());
        }

        fn timeout(&mut self, socket: &mut Socket<'_>) {
            self.tell(socket, b"timeout");
            self.flow = None;
            socket.close();
        }
    }

    fn hears(harness: &mut Harness, at: TestSocket) -> String {
        let bytes = harness.receive_datagram(at).map_or(b"nothing".to_vec(), |(_, bytes)| bytes);
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_proxy_is_driven_from_both_sides() {
        let mut harness = Harness::new(datagrams(Forward::default));
        let peer = harness.bind_udp();
        let upstream = harness.bind_udp_at(UPSTREAM.parse().unwrap());
        assert_eq!(harness.udp_addr(upstream).to_string(), UPSTREAM);
        harness.send_datagram(peer, b"question");
        let (flow, bytes) = harness.receive_datagram(upstream).expect("passed on");
        assert_eq!(bytes, b"question");
        assert_eq!(hears(&mut harness, peer), "nothing");
        harness.send_datagram_to(upstream, flow, b"answer");
        assert_eq!(hears(&mut harness, peer), "answer");

        harness.close_udp(upstream);
        harness.send_datagram(peer, b"anybody?");
        assert_eq!(hears(&mut harness, peer), io::ErrorKind::ConnectionRefused.to_string());
        harness.advance(Duration::from_millis(3_001));
        assert_eq!(hears(&mut harness, peer), "timeout");
        assert_eq!(harness.handle().stats().counters.sockets, 1);
        harness.shutdown();
        assert!(harness.is_stopped());
    }

    #[test]
    fn empty_ones_count_and_several_peers_are_told_apart() {
        let mut harness = Harness::new(datagrams(|| Repeat(3)));
        let peers = [(); 3].map(|()| harness.bind_udp());
        for peer in peers {
            harness.send_datagram(peer, b"");
            harness.send_datagram(peer, harness.udp_addr(peer).to_string());
        }
        for peer in peers {
            let own = harness.udp_addr(peer).to_string();
            for text in ["", "", "", &own, &own, &own, "nothing"] {
                assert_eq!(hears(&mut harness, peer), text);
            }
        }
    }

    /// Sends back what arrives, so many times.
    struct Repeat(usize);

    impl DatagramService for Repeat {
        fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
            for _ in 0..self.0 {
                socket.send_out(Outgoing::new(datagram.from, datagram.bytes));
            }
        }
    }
}
