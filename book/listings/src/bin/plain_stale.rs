//! An event that finds somebody else: two streams are ready in one batch, the first event's work closes the
//! second stream, and its place is given to a newcomer before the second event is looked at.

use std::io::{self, Write};
use std::os::unix::net::UnixStream as Pair;

use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Token};

// ANCHOR: main
fn main() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(8);
    // The table of a server: a token is a place in it, and places are used again.
    let mut table: Vec<(&str, UnixStream)> = Vec::new();
    let mut far_ends = Vec::new();
    for name in ["Ann", "Bob"] {
        let (mut here, there) = stream()?;
        poll.registry().register(&mut here, Token(table.len()), Interest::READABLE)?;
        table.push((name, here));
        far_ends.push(there);
    }
    let meant = ["Ann", "Bob"];

    // Both say something before the server looks.
    for far in far_ends.iter_mut() {
        far.write_all(b"hello")?;
    }
    poll.poll(&mut events, None)?;
    let mut first = true;
    for event in &events {
        let place = event.token().0;
        println!("an event of {} is given to {}", meant[place], table[place].0);
        if first {
            // The first message is about the other: it has to go. A newcomer gets its place.
            first = false;
            let other = 1 - place;
            let (mut newcomer, there) = stream()?;
            poll.registry().deregister(&mut table[other].1)?;
            poll.registry().register(&mut newcomer, Token(other), Interest::READABLE)?;
            table[other] = ("Cem", newcomer);
            far_ends.push(there);
            println!("{} goes, Cem comes in the same place", meant[other]);
        }
    }
    Ok(())
}
// ANCHOR_END: main

// A connection: our end, and the peer's.
fn stream() -> io::Result<(UnixStream, Pair)> {
    let (here, there) = Pair::pair()?;
    here.set_nonblocking(true)?;
    Ok((UnixStream::from_std(here), there))
}
