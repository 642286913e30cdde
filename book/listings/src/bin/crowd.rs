//! The book's client: `crowd ADDRESS CONNECTIONS [ROUNDS]` opens so many connections at once, says a line on
//! each and waits for it to come back, one connection after the other, and counts.

use std::io::{Read, Write};
use std::net::TcpStream;

const LINE: &[u8] = b"hello\n";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, rounds @ ..] = &words[..] else {
        eprintln!("usage: crowd ADDRESS CONNECTIONS [ROUNDS]");
        std::process::exit(2);
    };
    let number = |text: &String| text.parse::<usize>().expect("a number");
    let (connections, rounds) = (number(connections), rounds.first().map_or(1, number));

    let streams: Vec<_> = (0..connections).map(|_| TcpStream::connect(address)).collect();
    let mut answered = 0;
    for stream in streams.into_iter().flatten() {
        answered += (0..rounds).take_while(|_| say(&stream)).count();
        // Leaves here, so that somebody who waits may come in.
    }
    println!("{connections} came, {answered} of {} lines were answered", connections * rounds);
}

// Whether the line came back.
fn say(mut stream: &TcpStream) -> bool {
    let mut answer = [0; LINE.len()];
    stream.write_all(LINE).is_ok() && stream.read_exact(&mut answer).is_ok() && answer == LINE
}
