//! Connect storm: connect, subscribe, close, and again.

use std::sync::Arc;

use windlass_proto::Input;

use super::options::MqttOptions;
use super::peer::{Login, Peer, Wish};
use crate::load::{Fault, Speech, Talk, Talker, Wire};

#[derive(Clone)]
pub(crate) struct StormSpeech {
    login: Arc<Login>,
    options: Arc<MqttOptions>,
}

impl StormSpeech {
    pub(crate) fn new(options: &MqttOptions) -> StormSpeech {
        StormSpeech { login: Arc::new(options.login()), options: Arc::new(options.clone()) }
    }
}

impl Speech for StormSpeech {
    type Line = Talker<StormTalk>;

    fn line(&self, wire: Wire, number: usize) -> Self::Line {
        let peer = self.peer(number);
        Talker::new(wire, StormTalk { speech: self.clone(), number, peer, told: false })
    }
}

impl StormSpeech {
    fn peer(&self, number: usize) -> Peer {
        let MqttOptions { run, qos, durable, .. } = &*self.options;
        let wish = Wish { filter: format!("{run}/{number}").into(), qos: *qos };
        Peer::new(&self.login, format!("{run}-c{number}"), *durable, Some(wish))
    }
}

/// One connection's talk: its only request is to be let in and to subscribe.
pub(crate) struct StormTalk {
    speech: StormSpeech,
    number: usize,
    peer: Peer,
    /// Messages could flow, and that was counted.
    told: bool,
}

impl Talk for StormTalk {
    fn ask(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.peer.open(out)
    }

    fn hear(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<u64, Fault> {
        self.peer.hear(input, out, |packet, _, _| {
            Err(Fault::Wrong(format!("{} that nobody asked for", packet.kind().name())))
        })?;
        if !self.peer.is_open() {
            // What the WebSocket's handshake has opened.
            self.peer.open(out)?;
            return Ok(0);
        }
        if self.told {
            return Ok(0);
        }
        self.told = true;
        self.peer.leave(out)?;
        Ok(1)
    }

    fn renew(&mut self) {
        self.peer = self.speech.peer(self.number);
        self.told = false;
    }
}
