//! What decoding a message costs: our codecs beside those of tokio-util, and those through our adapter.
//!
//! `cargo bench -p windlass-bench --bench codecs`. CPU time of this thread, the three in turns of some
//! milliseconds, so that all see the same machine; medians. Each gets its bytes by one copy per 64 KiB, which
//! stands for the read: into a scratch that is used again, or into the `BytesMut` that tokio's frames read
//! into. Each message is looked at as far as its length.

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use rustix::time::{ClockId, clock_gettime};
use tokio_util::codec::{Decoder, LengthDelimitedCodec, LinesCodec};
use windlass::TokioCodec;
use windlass::proto::framing::LengthField;
use windlass::proto::{Decode, Encode, Input, Lines};

const READ: usize = 64 * 1024;
const TURNS: usize = 301;
const SLICE: Duration = Duration::from_millis(2);

/// A stream of messages of this size, in pieces as they are read: they end anywhere in a message.
struct Stream {
    bytes: Vec<u8>,
    messages: usize,
}

impl Stream {
    fn new(mut codec: impl Encode<[u8]>, size: usize) -> Stream {
        let (mut bytes, mut messages) = (Vec::new(), 0);
        while bytes.len() < 4 * READ {
            codec.encode(&vec![b'x'; size], &mut bytes).expect("within the limit");
            messages += 1;
        }
        Stream { bytes, messages }
    }

    /// Decodes all of it, as the engine has it done.
    fn windlass<D: Decode>(
        &self,
        codec: &mut D,
        scratch: &mut [u8],
        len: impl Fn(D::Message<'_>) -> usize,
    ) -> usize {
        let (mut total, mut held) = (0, 0);
        for piece in self.bytes.chunks(READ) {
            let end = held + piece.len();
            scratch[held..end].copy_from_slice(piece);
            let mut input = Input::new(&mut scratch[..end]);
            while let Some(message) = codec.decode(&mut input).expect("valid") {
                total += len(message);
            }
            held = input.len();
            scratch.copy_within(end - held..end, 0);
        }
        total
    }

    /// Decodes all of it, as tokio's frames have it done.
    fn tokio<D: Decoder<Error: std::fmt::Debug>>(
        &self,
        codec: &mut D,
        buf: &mut BytesMut,
        len: impl Fn(D::Item) -> usize,
    ) -> usize {
        let mut total = 0;
        for piece in self.bytes.chunks(READ) {
            buf.extend_from_slice(piece);
            while let Some(message) = codec.decode(buf).expect("valid") {
                total += len(message);
            }
        }
        total
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Nanoseconds of one `run`, over as many as fit into a slice.
fn slice(mut run: impl FnMut() -> usize) -> f64 {
    let begin = cpu();
    let mut runs = 0;
    loop {
        black_box(run());
        runs += 1;
        let used = cpu() - begin;
        if used >= SLICE {
            return used.as_nanos() as f64 / f64::from(runs);
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures the three in turns and prints nanoseconds for each message.
fn compare(what: &str, stream: &Stream, mut contenders: [&mut dyn FnMut() -> usize; 3]) {
    let totals: Vec<_> = contenders.iter_mut().map(|run| run()).collect();
    assert!(totals.iter().all(|total| *total == totals[0] && *total > 0), "they decode the same: {totals:?}");
    let mut took = [const { Vec::new() }; 3];
    for turn in 0..TURNS {
        for n in 0..3 {
            // Another one begins each time.
            let n = (n + turn) % 3;
            took[n].push(slice(&mut *contenders[n]) / stream.messages as f64);
        }
    }
    let ratios = |n: usize| median(took[n].iter().zip(&took[0]).map(|(other, ours)| other / ours).collect());
    let (tokio, adapted) = (ratios(1), ratios(2));
    let [a, b, c] = took.map(median);
    println!("| {what} | {a:.1} | {b:.1} ({tokio:.1}) | {c:.1} ({adapted:.1}) |");
}

fn main() {
    println!("| ns of CPU for a message | windlass | tokio-util (ratio) | the same through `TokioCodec` |");
    println!("| --- | --- | --- | --- |");
    for size in [16, 64, 1024, 16 * 1024] {
        let stream = Stream::new(LengthField::be(4), size);
        let mut scratch = vec![0; 2 * READ];
        let mut again = scratch.clone();
        let (mut ours, mut theirs) = (LengthField::be(4), LengthDelimitedCodec::new());
        let mut adapted = TokioCodec::new(LengthDelimitedCodec::new(), 2 * READ);
        let mut buf = BytesMut::with_capacity(2 * READ);
        let mut contenders = (
            || stream.windlass(&mut ours, &mut scratch, |message| message.len()),
            || stream.tokio(&mut theirs, &mut buf, |message| message.len()),
            || stream.windlass(&mut adapted, &mut again, |message| message.len()),
        );
        compare(
            &format!("{size} B behind a length"),
            &stream,
            [&mut contenders.0, &mut contenders.1, &mut contenders.2],
        );
    }
    for size in [16, 64, 1024] {
        let stream = Stream::new(Lines::default(), size);
        let mut scratch = vec![0; 2 * READ];
        let mut again = scratch.clone();
        let (mut ours, mut theirs) = (Lines::default(), LinesCodec::new());
        let mut adapted = TokioCodec::new(LinesCodec::new(), 2 * READ);
        let mut buf = BytesMut::with_capacity(2 * READ);
        let mut contenders = (
            || stream.windlass(&mut ours, &mut scratch, |line| line.len()),
            || stream.tokio(&mut theirs, &mut buf, |line| line.len()),
            || stream.windlass(&mut adapted, &mut again, |line| line.len()),
        );
        compare(
            &format!("a line of {size} B"),
            &stream,
            [&mut contenders.0, &mut contenders.1, &mut contenders.2],
        );
    }
}
