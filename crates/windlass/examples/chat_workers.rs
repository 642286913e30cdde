//! A line chat on all cores: `cargo run --example chat_workers`, then `nc 127.0.0.1 7002` more than once.
//!
//! Each worker keeps the members it has, and nobody else's. What is said goes to its own members at once,
//! and to every other worker as one message in its mailbox; the text itself is shared and copied for none
//! of them. A whisper travels by the member's id, which knows its worker.

use std::collections::HashMap;
use std::time::Duration;

use windlass::proto::{Decode, Lines};
use windlass::{
    Bytes, Close, Conn, ConnId, Input, Mailbox, Receive, Scope, SendError, Service, Sessions, Tick, serve,
};

struct Chat {
    mailbox: Mailbox<Told>,
    /// Everybody in the chat, wherever they are: each worker hears of all who come and go.
    names: HashMap<String, ConnId>,
    /// Workers that have missed who came or went: their mailbox was full.
    behind: Vec<usize>,
}

struct Member {
    lines: Lines,
    name: Option<String>,
}

/// What workers tell each other.
#[derive(Clone)]
enum Told {
    Said(Bytes),
    Whispered(ConnId, Bytes),
    Joined(String, ConnId),
    Left(String, ConnId),
    /// All members of a worker, for one that has missed some of it.
    Members(usize, Vec<(String, ConnId)>),
}

impl Chat {
    /// To everybody else on this worker, and to everybody on the others.
    fn say(&mut self, conn: &mut Conn<'_>, text: String) {
        let text = Bytes::from(text);
        conn.broadcast_shared(text.clone());
        self.tell_others(conn, Told::Said(text));
    }

    fn tell_others(&mut self, conn: &Conn<'_>, told: Told) {
        let about_names = matches!(told, Told::Joined(..) | Told::Left(..));
        for worker in (0..self.mailbox.workers()).filter(|worker| *worker != conn.id().worker()) {
            // A worker that does not take it is stopping, or so far behind that its mailbox is full: its
            // members miss a line, and nobody waits for them. But a name must not stay taken there.
            let result = self.mailbox.send(worker, told.clone());
            if about_names && matches!(result, Err(SendError::Full(_))) && !self.behind.contains(&worker) {
                self.behind.push(worker);
            }
        }
    }

    fn join(&mut self, conn: &mut Conn<'_>, name: String) -> Option<String> {
        if name.is_empty() || self.names.contains_key(&name) {
            conn.write(b"Taken. Another name? ");
            return None;
        }
        self.names.insert(name.clone(), conn.id());
        self.tell_others(conn, Told::Joined(name.clone(), conn.id()));
        self.say(conn, format!("* {name} joined\n"));
        Some(name)
    }

    /// `/tell NAME TEXT`
    fn whisper(&mut self, conn: &mut Conn<'_>, from: &str, line: &str) {
        let (name, text) = line.split_once(' ').unwrap_or((line, ""));
        let text = Bytes::from(format!("{from} whispers: {text}\n"));
        match self.names.get(name) {
            Some(id) if id.worker() == conn.id().worker() => conn.write_shared_to(*id, text),
            Some(id) => drop(self.mailbox.send_to(*id, Told::Whispered(*id, text))),
            None => conn.write(b"* nobody of that name\n"),
        }
    }
}

impl Service for Chat {
    type Session = Member;

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Member, Close> {
        conn.write(b"Your name? ");
        Ok(Member { lines: Lines::max(1024), name: None })
    }

    fn data(&mut self, conn: &mut Conn<'_>, member: &mut Member, input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(line) = member.lines.decode(input)? {
            let line = String::from_utf8_lossy(line);
            match &member.name {
                None => member.name = self.join(conn, line.trim().to_string()),
                Some(_) if line == "/quit" => return Err(Close::Done),
                Some(name) => match line.strip_prefix("/tell ") {
                    Some(rest) => self.whisper(conn, name, rest),
                    None => self.say(conn, format!("{name}: {line}\n")),
                },
            }
        }
        Ok(())
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Member>, _: Tick) {
        if self.behind.is_empty() {
            return;
        }
        let here = scope.worker();
        let own = self.names.iter().filter(|(_, id)| id.worker() == here);
        let own: Vec<_> = own.map(|(name, id)| (name.clone(), *id)).collect();
        let mailbox = &self.mailbox;
        let tell = |worker| mailbox.send(worker, Told::Members(here, own.clone()));
        self.behind.retain(|worker| matches!(tell(*worker), Err(SendError::Full(_))));
    }

    fn closed(&mut self, conn: &mut Conn<'_>, member: Member, _: Close) {
        if let Some(name) = member.name {
            if self.names.get(&name) == Some(&conn.id()) {
                self.names.remove(&name);
            }
            self.tell_others(conn, Told::Left(name.clone(), conn.id()));
            self.say(conn, format!("* {name} left\n"));
        }
    }
}

impl Receive for Chat {
    type Message = Told;

    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Member>, told: Told) {
        match told {
            Told::Said(text) => scope.broadcast_shared(text),
            Told::Whispered(id, text) => scope.write_shared_to(id, text),
            Told::Joined(name, id) => drop(self.names.insert(name, id)),
            // Two who take a name at the same moment on two workers both have it: the last one is found.
            Told::Left(name, id) if self.names.get(&name) == Some(&id) => drop(self.names.remove(&name)),
            Told::Left(..) => {}
            Told::Members(worker, members) => {
                self.names.retain(|_, id| id.worker() != worker);
                self.names.extend(members);
            }
        }
    }
}

fn main() -> windlass::Result<()> {
    let mailbox = Mailbox::new();
    let in_service = mailbox.clone();
    serve(move || Chat { mailbox: in_service.clone(), names: HashMap::new(), behind: Vec::new() })
        .mailbox(&mailbox)
        .tick(Duration::from_secs(1))
        .tcp("127.0.0.1:7002")
        .run()
        .map(drop)
}
