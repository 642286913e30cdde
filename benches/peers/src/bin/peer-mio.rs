//! The same algorithm as `peer-epoll` on plain mio: what mio itself costs.

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Duration;

use anyhow::Result;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use peers::Args;

const LISTENER: Token = Token(usize::MAX);
/// Bytes one connection may read before the others have their turn.
const BUDGET: usize = 1 << 20;

/// One connection; the token is its index.
struct Slot {
    /// Bytes the socket refused. Boxed: almost always absent.
    residue: Option<Box<Residue>>,
    socket: TcpStream,
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
    let mut listener = TcpListener::from_std(args.listen()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    peers::announce(listener.local_addr()?);

    let mut scratch = vec![0; args.buffer.unwrap_or(64 * 1024)];
    let mut slots: Vec<Option<Slot>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut events = Events::with_capacity(1024);
    // Connections whose budget ran out: there is more to read, and no event will say so.
    let mut again: Vec<usize> = Vec::new();
    let mut rerun: Vec<usize> = Vec::new();
    loop {
        let timeout = if again.is_empty() { None } else { Some(Duration::ZERO) };
        match poll.poll(&mut events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&poll, &listener, &mut slots, &mut free)?;
                continue;
            }
            let index = event.token().0;
            let Some(slot) = slots[index].as_mut() else { continue };
            slot.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            slot.ending |= event.is_read_closed() || event.is_error();
            step(&mut slots, index, &mut scratch, &mut again, &mut free);
        }
        std::mem::swap(&mut again, &mut rerun);
        for index in rerun.drain(..) {
            // By now it may be another connection; a turn too many does that one no harm.
            if let Some(slot) = slots[index].as_mut() {
                slot.queued = false;
                step(&mut slots, index, &mut scratch, &mut again, &mut free);
            }
        }
    }
}

fn accept(
    poll: &Poll,
    listener: &TcpListener,
    slots: &mut Vec<Option<Slot>>,
    free: &mut Vec<usize>,
) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((mut socket, _)) => {
                let index = free.pop().unwrap_or(slots.len());
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut socket, Token(index), interest)?;
                let slot =
                    Some(Slot { residue: None, socket, readable: false, ending: false, queued: false });
                if index == slots.len() {
                    slots.push(slot);
                } else {
                    slots[index] = slot;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Serves one connection, and ends it if it is over.
fn step(
    slots: &mut [Option<Slot>],
    index: usize,
    scratch: &mut [u8],
    again: &mut Vec<usize>,
    free: &mut Vec<usize>,
) {
    let Some(slot) = slots[index].as_mut() else { return };
    if !turn(slot, scratch) {
        // Closing the only descriptor also removes it from epoll. No event of this batch can
        // follow for it: epoll reports a descriptor once per batch.
        slots[index] = None;
        free.push(index);
    } else if slot.readable && slot.residue.is_none() && !slot.queued {
        slot.queued = true;
        again.push(index);
    }
}

/// Serves one connection for one event. False: it is over.
fn turn(slot: &mut Slot, scratch: &mut [u8]) -> bool {
    let Slot { residue, socket, readable, ending, .. } = slot;
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
        let read = match socket.read(scratch) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                *readable = false;
                break;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
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
fn send(socket: &mut TcpStream, bytes: &[u8]) -> Option<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(n) => sent += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(sent)
}
