//! The reference: a hand-tuned, single-threaded, edge-triggered epoll echo server.
//!
//! One read buffer is shared by all connections. A connection keeps bytes of its own only while
//! the socket refuses them, and is not read meanwhile, so memory stays bounded. A read that does
//! not fill the buffer ends the drain, unless the event said that the peer closed its side: then
//! the end of the stream stands behind the data, without a further edge.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::Result;
use peers::Args;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use rustix::time::Timespec;

const EVENTS: usize = 1024;
const LISTENER: u64 = u64::MAX;
/// Bytes one connection may read before the others have their turn. Without it, a peer that sends
/// as fast as we echo keeps the loop to itself.
const BUDGET: usize = 1 << 20;

/// One connection. The table is indexed by descriptor, so 16 bytes are all it costs.
#[derive(Default)]
struct Slot {
    /// Bytes the socket refused. Boxed: almost always absent.
    residue: Option<Box<Residue>>,
    socket: Option<OwnedFd>,
    /// The kernel may hold bytes we have not read.
    readable: bool,
    /// The peer will send no more: read up to the end of the stream.
    ending: bool,
    /// It stands in the list of those that read on in the next round.
    queued: bool,
}

struct Residue {
    bytes: Vec<u8>,
    sent: usize,
}

fn main() {
    let args = Args::from_env();
    if let Err(error) = serve(&args) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn serve(args: &Args) -> Result<()> {
    let listener = args.listen()?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN | EventFlags::ET)?;
    peers::announce(listener.local_addr()?);

    let mut scratch = vec![0; args.buffer.unwrap_or(64 * 1024)];
    let mut slots: Vec<Slot> = Vec::new();
    let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
    // Connections whose budget ran out: there is more to read, and no event will say so.
    let mut again: Vec<usize> = Vec::new();
    let mut rerun: Vec<usize> = Vec::new();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        let timeout = if again.is_empty() { None } else { Some(&now) };
        let ready = match epoll::wait(&epoll, &mut events, timeout) {
            Ok((ready, _)) => ready,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for event in ready {
            // Copied out, because the kernel's structure is packed.
            let (data, flags) = (event.data, event.flags);
            if data.u64() == LISTENER {
                accept(&epoll, &listener, &mut slots)?;
                continue;
            }
            step(&mut slots, data.u64() as usize, flags, &mut scratch, &mut again);
        }
        std::mem::swap(&mut again, &mut rerun);
        for index in rerun.drain(..) {
            // By now it may be another connection; a turn too many does that one no harm.
            slots[index].queued = false;
            step(&mut slots, index, EventFlags::empty(), &mut scratch, &mut again);
        }
    }
}

fn accept(epoll: &OwnedFd, listener: &std::net::TcpListener, slots: &mut Vec<Slot>) -> Result<()> {
    loop {
        match rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => {
                let index = socket.as_raw_fd() as usize;
                let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
                epoll::add(epoll, &socket, EventData::new_u64(index as u64), interest)?;
                if index >= slots.len() {
                    slots.resize_with(index + 1, Slot::default);
                }
                slots[index] = Slot { socket: Some(socket), ..Slot::default() };
            }
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Serves one connection, and ends it if it is over.
fn step(slots: &mut [Slot], index: usize, flags: EventFlags, scratch: &mut [u8], again: &mut Vec<usize>) {
    let slot = &mut slots[index];
    if slot.socket.is_none() {
        return;
    }
    if !turn(slot, flags, scratch) {
        // Closing the only descriptor also removes it from epoll. No event of this batch can
        // follow for it: epoll reports a descriptor once per batch.
        *slot = Slot::default();
    } else if slot.readable && slot.residue.is_none() && !slot.queued {
        slot.queued = true;
        again.push(index);
    }
}

/// Serves one connection for one event. False: it is over.
fn turn(slot: &mut Slot, flags: EventFlags, scratch: &mut [u8]) -> bool {
    let Slot { residue, socket: Some(socket), readable, ending, .. } = slot else { return false };
    // An error flag sets both: bytes that came before a reset are still there to be read.
    *readable |= flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
    *ending |= flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);

    if let Some(rest) = residue {
        match send(socket, &rest.bytes[rest.sent..]) {
            Some(sent) => rest.sent += sent,
            None => return false,
        }
        if rest.sent < rest.bytes.len() {
            return true;
        }
        *residue = None;
    }
    let mut budget = BUDGET;
    while *readable && budget > 0 {
        let read = match rustix::net::recv(&*socket, &mut *scratch, RecvFlags::empty()) {
            Ok((0, _)) => return false,
            Ok((read, _)) => read,
            Err(Errno::AGAIN) => {
                *readable = false;
                break;
            }
            Err(Errno::INTR) => continue,
            Err(_) => return false,
        };
        *readable = read == scratch.len() || *ending;
        budget = budget.saturating_sub(read);
        let Some(sent) = send(socket, &scratch[..read]) else { return false };
        if sent < read {
            *residue = Some(Box::new(Residue { bytes: scratch[sent..read].to_vec(), sent: 0 }));
            break;
        }
    }
    true
}

/// Writes until all is written or the socket refuses. `None`: the connection is dead.
fn send(socket: &OwnedFd, bytes: &[u8]) -> Option<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match rustix::net::send(socket, &bytes[sent..], SendFlags::NOSIGNAL) {
            Ok(n) => sent += n,
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    Some(sent)
}
