//! Bots that play by ENet: one socket of a worker for each port of the server, and all its bots behind it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use windlass::{Close, Conn, Scope, Socket, SocketId, Time};
use windlass_proto::enet::{Config, DATAGRAM_MAX, Event, Host, Kind, PeerId};

use super::{Bots, BotsWatch, Player, Seat, Stage};
use crate::udp::{CHANNELS, RELIABLE, SEQUENCED};
use crate::wire::Saying;
use std::sync::atomic::Ordering::Relaxed;

/// Where a seat's datagrams go.
#[derive(Deserialize)]
pub(super) struct Place {
    #[serde(default)]
    host: Option<String>,
    port: u16,
}

/// Those of one worker.
#[derive(Default)]
pub(super) struct ByUdp {
    lines: Vec<Line>,
    /// Seats that are to be taken: where, and with what.
    wanted: Vec<(SocketAddr, String)>,
    /// Bots that are to begin anew.
    again: usize,
}

/// A socket for one port of the server.
struct Line {
    to: SocketAddr,
    socket: SocketId,
    host: Host,
    players: HashMap<PeerId, (String, Player)>,
    leaving: bool,
}

impl Bots {
    /// A seat that was asked for is to be taken by UDP.
    pub(super) fn by_udp(&mut self, conn: &mut Conn<'_>, seat: &Seat) -> Result<Option<Stage>, Close> {
        let Some(place) = &seat.udp else { return Err(Close::Protocol("a server without UDP".into())) };
        // A name is that of whoever was asked for the seat.
        let ip = place.host.as_ref().and_then(|host| host.parse::<IpAddr>().ok());
        let to = SocketAddr::new(ip.unwrap_or(self.config.server.ip()), place.port);
        self.udp.wanted.push((to, seat.ticket.clone()));
        conn.close();
        Ok(Some(Stage::Gone))
    }

    /// What all that play by UDP do with one tick.
    pub(super) fn tick_udp(&mut self, scope: &mut Scope<'_>, is_due: impl Fn(u64) -> bool) {
        let Bots { udp, watch, .. } = &mut *self;
        for (to, ticket) in std::mem::take(&mut udp.wanted) {
            let taken = !scope.is_draining() && udp.take(scope, to, ticket);
            udp.again += usize::from(!taken);
        }
        let now = scope.now();
        for line in &mut udp.lines {
            if let Some(mut socket) = scope.socket(line.socket) {
                udp.again += line.act(&mut socket, now, watch, &is_due);
            }
        }
        for _ in 0..std::mem::take(&mut udp.again) {
            if !scope.is_draining() {
                self.again(true, |connect| scope.connect(connect));
            }
        }
    }
}

impl ByUdp {
    /// Connects for one bot.
    fn take(&mut self, scope: &mut Scope<'_>, to: SocketAddr, ticket: String) -> bool {
        let at = match self.lines.iter().position(|line| line.to == to) {
            Some(at) => at,
            None => {
                let Ok(socket) = scope.connect_udp(to) else { return false };
                let mut seed = [0; 16];
                seed[..8].copy_from_slice(&scope.random().to_ne_bytes());
                let host = Host::new(Config { accept: false, ..Config::default() }, seed);
                self.lines.push(Line { to, socket, host, players: HashMap::new(), leaving: false });
                self.lines.len() - 1
            }
        };
        let line = &mut self.lines[at];
        let Ok(peer) = line.host.connect(scope.now(), to, CHANNELS, 0) else { return false };
        line.players.insert(peer, (ticket, Player::new(scope.random())));
        true
    }

    fn line(&mut self, socket: SocketId) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.socket == socket)
    }

    pub(super) fn receive(&mut self, socket: &mut Socket<'_>, datagram: &[u8], watch: &BotsWatch) {
        let now = socket.now();
        let Some(line) = self.line(socket.id()) else { return };
        line.host.receive(now, line.to, datagram);
        let gone = line.happened(now, watch);
        line.close_if_over(socket);
        self.again += gone;
    }

    /// The server of the bots ends: they give their seats up.
    pub(super) fn leave(&mut self, socket: &mut Socket<'_>) {
        let Some(line) = self.line(socket.id()) else { return socket.close() };
        line.leaving = true;
        let farewell = Saying::new().farewell().into_bytes();
        for (&peer, (_, player)) in &line.players {
            match player.seat {
                Some(_) => _ = line.host.send(peer, RELIABLE, Kind::Reliable, &farewell),
                None => line.host.disconnect_now(peer, 0),
            }
        }
        line.flush(socket);
    }
}

impl Line {
    /// What each bot for whom it is time does with a tick; how many are gone meanwhile.
    fn act(
        &mut self,
        socket: &mut Socket<'_>,
        now: Time,
        watch: &BotsWatch,
        is_due: impl Fn(u64) -> bool,
    ) -> usize {
        let mut buf = [0; DATAGRAM_MAX];
        if !self.leaving {
            for (&peer, (_, player)) in
                self.players.iter_mut().filter(|(_, (_, player))| is_due(player.phase))
            {
                let Some(saying) = player.act(now, watch) else { continue };
                let message = Some((SEQUENCED, Kind::Unreliable, &saying[..]));
                if let Ok(Some((to, len))) = self.host.transmit_to(now, peer, message, &mut buf) {
                    socket.send_to(to, &buf[..len]);
                }
            }
        }
        self.flush(socket);
        let gone = self.happened(now, watch);
        self.close_if_over(socket);
        gone
    }

    fn flush(&mut self, socket: &mut Socket<'_>) {
        let mut buf = [0; DATAGRAM_MAX];
        while let Some((to, len)) = self.host.poll_transmit(socket.now(), &mut buf) {
            socket.send_to(to, &buf[..len]);
        }
    }

    /// What has happened; how many bots are gone with it.
    fn happened(&mut self, now: Time, watch: &BotsWatch) -> usize {
        let mut gone = 0;
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Connected { peer, .. } => {
                    if let Some((ticket, _)) = self.players.get(&peer) {
                        let _ = self.host.send(peer, RELIABLE, Kind::Reliable, ticket.as_bytes());
                    }
                }
                Event::Message { peer, bytes, .. } => {
                    if let Some((_, player)) = self.players.get_mut(&peer) {
                        let before = player.seat;
                        player.hear(&bytes, now, watch);
                        if before.is_none() && player.seat.is_some() {
                            watch.0.seated_udp.fetch_add(1, Relaxed);
                        }
                    }
                    self.host.take_back(bytes);
                }
                Event::Disconnected { peer, .. } => {
                    let Some((_, player)) = self.players.remove(&peer) else { continue };
                    gone += 1;
                    if player.seat.is_some() {
                        watch.0.seated.fetch_sub(1, Relaxed);
                        watch.0.seated_udp.fetch_sub(1, Relaxed);
                        watch.0.lost.fetch_add(u64::from(!self.leaving), Relaxed);
                    }
                }
                _ => {}
            }
        }
        gone
    }

    fn close_if_over(&mut self, socket: &mut Socket<'_>) {
        if self.leaving {
            self.flush(socket);
            if self.host.live() == 0 {
                socket.close();
            }
        }
    }
}
