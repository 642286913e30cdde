//! An MQTT broker for the tests: a thread for each connection, no QoS 2, and a fault if one is wanted.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use windlass_proto::mqtt::{
    Ack, Connack, Limits, Mqtt, Packet, PacketId, Properties, Publish, QoS, Reason, Reasons, Suback,
};
use windlass_proto::{Decode as _, Encode as _, Input};

/// What the broker does wrong, once it has passed on so many messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    /// It passes no message on.
    Loses(u64),
    /// It passes a message on twice.
    Repeats(u64),
    /// It passes a message on behind the next one.
    Swaps(u64),
    /// It changes a byte of a message.
    Changes(u64),
    /// It acknowledges nothing any more.
    Forgets(u64),
    /// It refuses a message.
    Refuses(u64),
    /// It ends the publisher's connection.
    Closes(u64),
    /// It says nothing more to anybody.
    Stalls(u64),
    /// It grants no subscription.
    Denies,
    /// It lets nobody in.
    Shuts,
}

type Outs = HashMap<String, Vec<Arc<Mutex<TcpStream>>>>;

struct Shared {
    wrong: Wrong,
    passed: AtomicU64,
    subscribers: Mutex<Outs>,
    /// A message that waits to be passed on behind the next one.
    held: Mutex<Option<Vec<u8>>>,
}

/// Starts one; its address. It ends with the process.
pub(crate) fn start(wrong: Wrong) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (passed, held) = (AtomicU64::new(0), Mutex::new(None));
    let shared = Arc::new(Shared { wrong, passed, subscribers: Mutex::default(), held });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = shared.clone();
            // A connection that breaks is the client's affair.
            thread::spawn(move || serve(&shared, stream));
        }
    });
    address
}

fn serve(shared: &Shared, mut stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let out = Arc::new(Mutex::new(stream.try_clone().ok()?));
    let mut codec = Mqtt::server(Limits::default());
    let (mut left, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).ok().filter(|&read| read > 0)?;
        left.extend_from_slice(&buffer[..read]);
        let mut input = Input::new(&mut left);
        let mut said = Vec::new();
        while let Some(packet) = codec.decode(&mut input).ok()? {
            match packet {
                Packet::Connect(_) => {
                    let reason =
                        if shared.wrong == Wrong::Shuts { Reason::NotAuthorized } else { Reason::Success };
                    let connack = Connack { session_present: false, reason, properties: Properties::NONE };
                    codec.encode(&Packet::Connack(connack), &mut said).ok()?;
                }
                Packet::Subscribe(subscribe) => {
                    let filter = subscribe.filters.iter().next()?;
                    let granted = match (shared.wrong, filter.options.qos) {
                        (Wrong::Denies, _) => Reason::NotAuthorized,
                        (_, QoS::AtMostOnce) => Reason::Success,
                        (_, QoS::AtLeastOnce) => Reason::GrantedQos1,
                        (_, QoS::ExactlyOnce) => Reason::GrantedQos2,
                    };
                    let reasons = [granted];
                    let suback = Suback {
                        id: subscribe.id,
                        properties: Properties::NONE,
                        reasons: Reasons::new(&reasons),
                    };
                    codec.encode(&Packet::Suback(suback), &mut said).ok()?;
                    let topic = filter.filter.as_str().to_owned();
                    shared.subscribers.lock().unwrap().entry(topic).or_default().push(out.clone());
                }
                Packet::Publish(publish) => {
                    let nth = shared.passed.fetch_add(1, Ordering::Relaxed);
                    match shared.wrong {
                        Wrong::Closes(at) if nth == at => return None,
                        Wrong::Stalls(at) if nth >= at => thread::sleep(Duration::from_secs(3600)),
                        _ => {}
                    }
                    pass(shared, &codec, &publish, nth)?;
                    let Some(id) = publish.id else { continue };
                    let reason = match shared.wrong {
                        Wrong::Forgets(at) if nth >= at => continue,
                        Wrong::Refuses(at) if nth == at => Reason::QuotaExceeded,
                        _ => Reason::Success,
                    };
                    codec.encode(&Packet::Puback(Ack::with(id, reason)), &mut said).ok()?;
                }
                Packet::Disconnect(_) => return None,
                _ => {}
            }
        }
        let rest = input.len();
        left.drain(..left.len() - rest);
        out.lock().unwrap().write_all(&said).ok()?;
    }
}

/// Passes a message on to whom it is for.
fn pass(shared: &Shared, codec: &Mqtt, publish: &Publish<'_>, nth: u64) -> Option<()> {
    let mut payload = publish.payload.to_vec();
    if shared.wrong == Wrong::Changes(nth) {
        *payload.last_mut()? ^= 1;
    }
    let id = publish.id.map(|_| PacketId::MIN.saturating_add((nth % 65_000) as u16));
    let mut bytes = Vec::new();
    let packet = Packet::Publish(Publish { id, payload: &payload, ..*publish });
    codec.clone().encode(&packet, &mut bytes).ok()?;
    let mut held = shared.held.lock().unwrap();
    match shared.wrong {
        Wrong::Loses(at) if nth == at => return Some(()),
        Wrong::Repeats(at) if nth == at => bytes.extend_from_within(..),
        Wrong::Swaps(at) if nth == at => {
            *held = Some(bytes);
            return Some(());
        }
        _ => bytes.extend(held.take().unwrap_or_default()),
    }
    drop(held);
    let outs = shared.subscribers.lock().unwrap().get(publish.topic?.as_str()).cloned();
    for out in outs.unwrap_or_default() {
        // Who has gone gets nothing.
        let _ = out.lock().unwrap().write_all(&bytes);
    }
    Some(())
}
