//! Protocol buffers over TCP, each behind its length as a varint (*delimited* messages, as
//! `writeDelimitedTo` of the official libraries writes them): `cargo run --example protobuf`.
//!
//! A sensor sends readings, and is told after each how many there were and their mean. The messages are
//! derived by hand; with `protoc` the same structs come out of a `.proto` file.

use prost::Message;
use windlass::proto::framing::LengthField;
use windlass::proto::{Decode, Encode};
use windlass::{Close, Conn, Input, Service, serve};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Reading {
    #[prost(string, tag = "1")]
    pub(crate) sensor: String,
    #[prost(double, tag = "2")]
    pub(crate) value: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Summary {
    #[prost(uint64, tag = "1")]
    pub(crate) readings: u64,
    #[prost(double, tag = "2")]
    pub(crate) mean: f64,
}

/// Messages of up to 4 KiB, of a kind that rarely takes more than a hundred bytes.
pub(crate) const FRAMES: LengthField = LengthField::varint().max(4096);

#[derive(Default)]
pub(crate) struct Sensors {
    /// A reply on its way into a frame: its length must be known before it is sent.
    reply: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Sensor {
    readings: u64,
    sum: f64,
}

impl Service for Sensors {
    type Session = Sensor;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Sensor, Close> {
        Ok(Sensor::default())
    }

    fn data(&mut self, conn: &mut Conn<'_>, sensor: &mut Sensor, input: &mut Input<'_>) -> Result<(), Close> {
        let mut frames = FRAMES;
        while let Some(message) = frames.decode(input)? {
            let reading = Reading::decode(&*message)?;
            sensor.readings += 1;
            sensor.sum += reading.value;
            let summary = Summary { readings: sensor.readings, mean: sensor.sum / sensor.readings as f64 };
            self.reply.clear();
            summary.encode(&mut self.reply)?;
            frames.encode(&self.reply, conn)?;
        }
        Ok(())
    }
}

fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7005".into());
    let bound = serve(Sensors::default).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
