//! How bytes travel: windows, segments, acknowledgements, ends and resets.
//!
//! A simple TCP: in order and without loss (a lost segment is a late one), but with a bounded window, a
//! bounded send buffer that is freed by acknowledgements, and resets that discard what they discard on a
//! real system.

use super::end::{End, EndId, Fin, Piece, State};
use super::errno::Errno;
use super::plan::{Edges, MILLI, log_draw};
use super::poller::Source;
use super::trace::Who;
use super::world::{Happening, ListenerId, World};

impl World {
    pub(crate) fn delay(&mut self) -> u64 {
        let range = self.plan.delay.clone();
        range.start + self.rng.below(range.end - range.start)
    }

    /// Something can be read now that could not before.
    pub(crate) fn read_edge(&mut self, id: EndId) {
        if self.plan.edges == Edges::Arrival || self.end(id).armed_read {
            self.edge(id);
        }
    }

    /// Room for writing, if a write has missed it and there is enough of it again.
    pub(crate) fn space_edge(&mut self, id: EndId) {
        let stingy = self.plan.edges == Edges::Stingy;
        let end = self.end_mut(id);
        let waits = if stingy { end.armed_write } else { end.no_space };
        if !id.is_server() {
            let client = end.client;
            self.stir(client);
        } else if waits && end.writable() {
            end.no_space = false;
            if self.end(id).write_interest {
                self.edge(id);
            }
        }
    }

    pub(crate) fn edge(&mut self, id: EndId) {
        let end = self.end_mut(id);
        if !id.is_server() {
            let client = end.client;
            return self.stir(client);
        }
        if let Some((worker, _)) = end.registered
            && !end.marked
        {
            end.marked = true;
            self.mark(worker, Source::End(id));
        }
    }

    /// Puts on the wire what the window allows.
    pub(crate) fn pump(&mut self, id: EndId) {
        if matches!(self.end(id).state, State::Vanished | State::Opening) || self.end(id).reset_arrived {
            return;
        }
        loop {
            let peer = self.end(id.peer());
            let window = match peer.state {
                // It answers with a reset.
                State::Closed => usize::MAX,
                _ => peer.receive_max.saturating_sub(peer.arrived.len() + self.end(id).wire_bytes.len()),
            };
            let n = self.end(id).unsent.len().min(window).min(self.plan.segment_max as usize);
            if n == 0 {
                break;
            }
            let last = n == self.end(id).unsent.len();
            let with_fin =
                last && self.end(id).fin == Fin::Queued && self.plan.fin_with_data.hit(&mut self.rng);
            let end = self.end_mut(id);
            let End { unsent, wire_bytes, .. } = end;
            wire_bytes.extend(unsent.drain(..n));
            end.unacked += n;
            if with_fin {
                end.fin = Fin::Sent;
            }
            self.send(id, Piece::Bytes(n, with_fin));
        }
        if self.end(id).fin == Fin::Queued && self.end(id).unsent.is_empty() {
            self.end_mut(id).fin = Fin::Sent;
            self.send(id, Piece::Fin);
        }
    }

    fn send(&mut self, id: EndId, piece: Piece) {
        let arrival = (self.now + self.delay()).max(self.end(id).wire_until);
        let end = self.end_mut(id);
        end.wire_until = arrival;
        end.wire.push_back(piece);
        self.at(arrival, Happening::Arrive(id.0));
    }

    /// The first piece from `from` arrives at the other end.
    pub(crate) fn arrive(&mut self, from: EndId) {
        // A reset may have swept the wire since.
        let Some(piece) = self.end_mut(from).wire.pop_front() else { return };
        let to = from.peer();
        let (bytes, fin) = match piece {
            Piece::Reset => return self.reset_arrives(to),
            Piece::Fin => (0, true),
            Piece::Bytes(n, fin) => (n, fin),
        };
        match self.end(to).state {
            State::Vanished => {
                self.end_mut(from).wire_bytes.drain(..bytes);
                return;
            }
            State::Closed => {
                self.end_mut(from).wire_bytes.drain(..bytes);
                // Nobody reads this any more, and the sender is told so.
                if bytes > 0 {
                    self.send_reset(to);
                }
                return;
            }
            State::Opening | State::Queued | State::Open => {}
        }
        if bytes > 0 {
            let (low, high) = self.ends.split_at_mut((from.0 | 1) as usize);
            let (even, odd) = (&mut low[(from.0 & !1) as usize], &mut high[0]);
            let (sender, receiver) = if from.is_server() { (odd, even) } else { (even, odd) };
            receiver.arrived.extend(sender.wire_bytes.drain(..bytes));
            receiver.hidden = 0;
            let back = self.delay();
            self.at(self.now + back, Happening::Acknowledge(from.0, bytes));
        }
        if fin {
            self.end_mut(to).fin_arrived = true;
            self.trace.note(self.now, Who::World, "fin arrives", to.conn(), u64::from(to.is_server()));
        }
        self.read_edge(to);
    }

    pub(crate) fn acknowledge(&mut self, id: EndId, n: usize) {
        let end = self.end_mut(id);
        end.unacked = end.unacked.saturating_sub(n);
        self.space_edge(id);
    }

    pub(crate) fn unhide(&mut self, id: EndId) {
        if self.end(id).hidden > 0 {
            self.end_mut(id).hidden = 0;
            self.read_edge(id);
        }
    }

    fn reset_arrives(&mut self, id: EndId) {
        self.trace.note(self.now, Who::World, "reset arrives", id.conn(), u64::from(id.is_server()));
        let discard = self.plan.reset_discards;
        let end = self.end_mut(id);
        if end.reset_arrived || matches!(end.state, State::Vanished) {
            return;
        }
        end.reset_arrived = true;
        end.error = Some(Errno::ConnectionReset);
        end.unsent.clear();
        end.unacked = 0;
        end.hidden = 0;
        if discard {
            end.arrived.clear();
        }
        end.wire.clear();
        end.wire_bytes.clear();
        // An error wakes both directions, asked for or not.
        self.edge(id);
    }

    /// Tells the other end that this one is gone, now.
    pub(crate) fn send_reset(&mut self, id: EndId) {
        let overtakes = self.plan.reset_overtakes.hit(&mut self.rng);
        let arrival = self.now + self.delay();
        let end = self.end_mut(id);
        end.unsent.clear();
        if overtakes {
            // What is still on its way is refused when it comes.
            end.wire.clear();
            end.wire_bytes.clear();
            end.wire_until = arrival;
        }
        self.send(id, Piece::Reset);
    }

    /// The owner gives the end up. Unread bytes, or the wish, make it a reset; else what was written is
    /// still sent, and the end of the stream behind it.
    pub(crate) fn close_end(&mut self, id: EndId, reset: bool) {
        let end = self.end_mut(id);
        let broken = end.reset_arrived;
        end.state = State::Closed;
        let unread = !end.arrived.is_empty();
        end.arrived.clear();
        end.hidden = 0;
        if broken {
            return;
        }
        if reset || unread {
            self.send_reset(id);
        } else if self.end(id).fin == Fin::No {
            self.end_mut(id).fin = Fin::Queued;
            self.pump(id);
        }
        // The window of a closed end is no longer a limit for the peer.
        self.window_opens(id);
    }

    /// Bytes were read at `id`: the peer may send more, once it hears of it.
    pub(crate) fn window_opens(&mut self, id: EndId) {
        let peer = id.peer();
        if !self.end(peer).unsent.is_empty() && !self.end(peer).window_update_due {
            self.end_mut(peer).window_update_due = true;
            let delay = self.delay();
            self.at(self.now + delay, Happening::WindowOpens(peer.0));
        }
    }

    /// Cuts an end off: no FIN, no reset, no acknowledgement, ever.
    pub(crate) fn vanish(&mut self, id: EndId) {
        let end = self.end_mut(id);
        end.state = State::Vanished;
        end.unsent.clear();
        end.arrived.clear();
        end.wire.clear();
        end.wire_bytes.clear();
    }

    /// A client connects. Its end exists at once; the answer comes later.
    pub(crate) fn connect(&mut self, client: u32, group: usize) -> EndId {
        let id = self.new_pair(client, [State::Opening, State::Queued]);
        self.counts.connects += 1;
        self.trace.note(self.now, Who::Client(client), "connect", id.conn(), group as u64);
        let delay = self.delay();
        self.at(self.now + delay, Happening::Syn { end: id.0, group });
        id
    }

    /// Two ends of one connection: the client's, or the remote's, and the worker's.
    pub(crate) fn new_pair(&mut self, client: u32, states: [State; 2]) -> EndId {
        let id = EndId(self.ends.len() as u32);
        let draw = |world: &mut World, range: std::ops::Range<u64>| log_draw(&mut world.rng, &range) as usize;
        let (send, receive) = (self.plan.send_buffer.clone(), self.plan.receive_buffer.clone());
        for state in states {
            let (send, receive) = (draw(self, send.clone()), draw(self, receive.clone()));
            self.ends.push(End::new(state, client, send, receive));
        }
        // A server hears of progress only once a third of its send buffer is free again. Over a pipe that
        // takes longer for that than the server is patient, no client could be good.
        let rounds = (self.patience / (2 * self.plan.delay.end)).max(1);
        let most = self.end(id).receive_max.saturating_mul(3).saturating_mul(rounds as usize);
        let server = self.end_mut(id.peer());
        server.send_max = server.send_max.min(most);
        id
    }

    pub(crate) fn syn(&mut self, id: EndId, group: usize) {
        if self.end(id).state != State::Opening {
            return;
        }
        let open: Vec<usize> = (0..self.queues.len())
            .filter(|&q| self.queues[q].group == group && self.queues[q].listeners > 0)
            .collect();
        let delay = self.delay();
        if open.is_empty() {
            self.at(self.now + delay, Happening::Answer { end: id.0, accepted: false });
            return;
        }
        let queue = open[self.rng.below(open.len() as u64) as usize];
        if self.queues[queue].waiting.len() >= self.plan.backlog {
            self.at(self.now + self.plan.syn_retry, Happening::Syn { end: id.0, group });
            return;
        }
        let now = self.now;
        self.end_mut(id.peer()).queued_at = now;
        self.queues[queue].waiting.push_back(id.peer());
        self.at(self.now + delay, Happening::Answer { end: id.0, accepted: true });
        for n in 0..self.listeners.len() {
            let listener = &mut self.listeners[n];
            if listener.queue != queue || listener.closed || listener.marked {
                continue;
            }
            if let Some((worker, _)) = listener.registered {
                if self.plan.edges == Edges::Stingy && !listener.armed {
                    continue;
                }
                listener.marked = true;
                self.mark(worker, Source::Listener(ListenerId(n)));
            }
        }
    }

    pub(crate) fn answer(&mut self, id: EndId, accepted: bool) {
        if self.end(id).state != State::Opening {
            return;
        }
        let client = self.end(id).client;
        if accepted {
            self.end_mut(id).state = State::Open;
            self.pump(id);
        } else {
            self.end_mut(id).state = State::Closed;
            self.end_mut(id).error = Some(Errno::ConnectionRefused);
        }
        self.trace.note(self.now, Who::World, "answer", id.conn(), u64::from(accepted));
        self.stir(client);
    }

    /// Hides the last bytes that arrived at `id` behind a short read, until a later edge.
    pub(crate) fn hide_rest(&mut self, id: EndId) {
        let rest = self.end(id).visible();
        if rest > 0 && !self.end(id).fin_arrived && !self.end(id).reset_arrived {
            self.end_mut(id).hidden = rest;
            let late = if self.rng.chance(1, 2) { 0 } else { self.rng.below(MILLI) };
            self.at(self.now + late, Happening::Unhide(id.0));
        }
    }
}
