//! Clients and origins that check each other: an origin sends back the target and the body of each request, in
//! any framing, and a client wants back what it sent, in order and whole.

use std::time::Duration;

use windlass::proto::http::{ClientConn, Limits, RequestPart, ResponsePart, ServerConn, Status as Code};
use windlass::proto::testing::Rng;
use windlass::proto::{Decode, Input};
use windlass::sim::{Answer, Client, Ending, Line, Status, Step};

/// What origins of one run do when they are called: anything but accept and then break.
pub(crate) fn patient_mood(rng: &mut Rng) -> impl FnMut(&mut Rng) -> Answer + 'static {
    let good = 1 + rng.below(8);
    move |rng: &mut Rng| match rng.below(4 + good) {
        0 => Answer::Refuse,
        1 => Answer::Unreachable,
        2 => Answer::Silent,
        3 => Answer::Late(Duration::from_millis(rng.below(3_000))),
        _ => Answer::Accept,
    }
}

/// Anything at all.
pub(crate) fn rude_mood(rng: &mut Rng) -> impl FnMut(&mut Rng) -> Answer + 'static {
    let mut patient = patient_mood(rng);
    move |rng: &mut Rng| if rng.chance(1, 8) { Answer::Reset } else { patient(rng) }
}

const LIMITS: Limits = Limits {
    start_line_max: 8 * 1024,
    header_line_max: 16 * 1024,
    head_max: 32 * 1024,
    headers_max: 100,
    body_max: u64::MAX,
    chunk_line_max: 256,
    trailers_max: 8 * 1024,
    drain_max: 64 * 1024,
};

/// An origin's end of a connection.
pub(crate) struct Origin {
    http: ServerConn,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Of the request under way.
    target: String,
    body: Vec<u8>,
    /// Ends the connection now and then when it is idle, without a word.
    closes: bool,
    /// Does anything, now and then.
    is_rude: bool,
    /// Says nothing more.
    is_over: bool,
    finished: bool,
}

impl Origin {
    pub(crate) fn good(_: &mut Rng, closes: bool) -> Origin {
        Origin {
            http: ServerConn::new(LIMITS),
            input: Vec::new(),
            output: Vec::new(),
            target: String::new(),
            body: Vec::new(),
            closes,
            is_rude: false,
            is_over: false,
            finished: false,
        }
    }

    pub(crate) fn rude(rng: &mut Rng) -> Origin {
        Origin { closes: true, is_rude: rng.chance(2, 3), ..Origin::good(rng, true) }
    }

    /// Answers the request that is there, in a framing of its choice.
    fn answer(&mut self, rng: &mut Rng) {
        let mut body = self.target.clone().into_bytes();
        body.extend_from_slice(&self.body);
        if rng.chance(1, 6) {
            self.http.close_after_response();
        }
        if rng.chance(1, 6) {
            // Passed on, or passed over where the client is too old.
            let _ = self.http.interim(&mut self.output, Code::EARLY_HINTS).and_then(|head| head.end());
        }
        let response = self.http.respond(&mut self.output, Code::OK).header("x-target", &self.target);
        let begun = match rng.below(4) {
            0 => response.chunked(),
            // Whoever leaves in the middle of it has come to its end, as far as anybody can tell.
            1 if !self.is_rude => response.until_close(),
            _ => response.length(body.len() as u64),
        };
        begun.expect("a head");
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(1 + rng.below(rest.len() as u64) as usize);
            self.http.write(&mut self.output, piece).expect("as long as was said");
            rest = behind;
        }
        self.http.finish(&mut self.output).expect("as long as was said");
    }

    /// Reads what is there. `Err`: what came is no request.
    fn read(&mut self, rng: &mut Rng) -> Result<(), String> {
        loop {
            let before = self.input.len();
            let mut input = Input::new(&mut self.input);
            let part = match self.http.decode(&mut input) {
                Ok(part) => part,
                Err(error) => return Err(format!("{error:?}")),
            };
            let mut whole = false;
            let none = part.is_none();
            match part {
                Some(RequestPart::Head(head)) => {
                    if head.host != Some("h") || head.headers.contains("x-secret") {
                        return Err("a head that is not as it should be".into());
                    }
                    self.target = head.target_as_sent().into();
                    self.body.clear();
                }
                Some(RequestPart::Body(piece)) => self.body.extend_from_slice(piece),
                Some(RequestPart::End) => whole = true,
                _ => {}
            }
            let left = input.len();
            self.input.drain(..before - left);
            if whole {
                self.answer(rng);
            }
            if none {
                return Ok(());
            }
        }
    }
}

impl Client for Origin {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        line.receive(&mut self.input, usize::MAX);
        if self.is_rude && line.rng().chance(1, 30) {
            match line.rng().below(4) {
                0 => {
                    line.reset();
                    return Step::Done;
                }
                1 => {
                    line.close();
                    return Step::Done;
                }
                // In the middle of a body it would be part of that.
                _ if !self.output.is_empty() => {}
                what => {
                    // Who goes on behind this would answer every request with the response to the one before,
                    // and nobody could know.
                    self.is_over = true;
                    self.output.extend_from_slice(match what {
                        2 => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes",
                        _ => b"\0garbage",
                    });
                }
            }
        }
        let mut rng = Rng::new(line.rng().below(u64::MAX));
        if !self.is_over
            && let Err(what) = self.read(&mut rng)
            && !self.finished
        {
            return line.fail(format!("the origin got {what}: {}", self.input.escape_ascii()));
        }
        let idle = self.http.is_idle() && self.input.is_empty() && self.output.is_empty();
        let sent = line.send(&self.output);
        self.output.drain(..sent);
        let is_over = self.is_over || self.http.is_over() || (idle && self.closes && line.rng().chance(1, 8));
        if is_over && self.output.is_empty() && !self.finished {
            self.finished = true;
            line.finish();
        }
        match line.status() {
            Status::Ended(Ending::Fin) => {
                if !self.finished {
                    self.finished = true;
                    line.finish();
                }
                Step::Done
            }
            Status::Open | Status::Connecting => Step::Wait,
            _ => Step::Done,
        }
    }
}

/// One request to be sent.
struct Question {
    method: &'static str,
    body: Vec<u8>,
    chunked: bool,
}

/// A client.
pub(crate) struct Asker {
    http: ClientConn,
    questions: Vec<Question>,
    begun: bool,
    asked: usize,
    answered: usize,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Of the response under way.
    status: u16,
    body: Vec<u8>,
    piece_max: u64,
    pause_max: u64,
    /// Leaves after so many steps, in this way.
    leaves: Option<(u64, u64)>,
    is_reckless: bool,
    finished: bool,
}

impl Asker {
    pub(crate) fn good(rng: &mut Rng, only_safe: bool) -> Asker {
        let most = 2_000 >> rng.below(8);
        let questions = (0..1 + rng.below(8)).map(|_| {
            let method = match rng.below(if only_safe { 2 } else { 4 }) {
                0 => "GET",
                1 => "HEAD",
                2 => "PUT",
                _ => "POST",
            };
            let length = if only_safe { 0 } else { rng.below(most + 1) };
            let body = (0..length).map(|n| (n % 251) as u8).collect();
            Question { method, body, chunked: rng.chance(1, 2) }
        });
        let questions = questions.collect();
        Asker {
            http: ClientConn::new(LIMITS).pipeline_max(1 + rng.below(4) as usize),
            questions,
            begun: false,
            asked: 0,
            answered: 0,
            input: Vec::new(),
            output: Vec::new(),
            status: 0,
            body: Vec::new(),
            piece_max: 1 + (1_000 >> rng.below(10)),
            pause_max: if rng.chance(1, 2) { 0 } else { 1 << rng.below(24) },
            leaves: None,
            is_reckless: false,
            finished: false,
        }
    }

    pub(crate) fn reckless(rng: &mut Rng) -> Asker {
        let leaves = Some((rng.below(40), rng.below(5)));
        Asker { leaves, is_reckless: true, ..Asker::good(rng, false) }
    }

    fn target(line: &Line<'_>, n: usize) -> String {
        format!("/{}/{n}?x=y", line.index())
    }

    /// Writes the next request, if one may be sent.
    fn ask(&mut self, line: &Line<'_>) {
        while self.asked < self.questions.len() && self.http.is_ready() {
            let question = &self.questions[self.asked];
            let target = Asker::target(line, self.asked);
            let request = self.http.request(&mut self.output, question.method, &target, "h");
            let request = request.header("x-n", self.asked.to_string());
            let begun = match (question.body.is_empty(), question.chunked) {
                (true, _) => request.empty(),
                (false, true) => request.chunked(),
                (false, false) => request.body(&question.body),
            };
            begun.expect("a request");
            if !question.body.is_empty() && question.chunked {
                for piece in question.body.chunks(100) {
                    self.http.write(&mut self.output, piece).expect("a piece");
                }
                self.http.finish(&mut self.output).expect("an end");
            }
            self.asked += 1;
        }
    }

    /// Reads what has come; `ended`: nothing more will.
    fn hear(&mut self, line: &Line<'_>, ended: bool) -> Result<(), String> {
        loop {
            let before = self.input.len();
            let mut input = Input::new(&mut self.input);
            let part = match self.http.decode(&mut input) {
                Ok(None) if ended => self.http.end(&mut input),
                part => part,
            };
            let part = part.map_err(|error| format!("{error:?} as answer {}", self.answered))?;
            let mut whole = false;
            let none = part.is_none();
            match part {
                Some(ResponsePart::Head(head)) => self.status = head.status.code(),
                Some(ResponsePart::Body(piece)) => self.body.extend_from_slice(piece),
                Some(ResponsePart::End) => whole = true,
                _ => {}
            }
            let left = input.len();
            self.input.drain(..before - left);
            if whole {
                self.judge(line)?;
                self.body.clear();
                self.answered += 1;
            }
            if none {
                return Ok(());
            }
        }
    }

    /// Whether a response is the one to its request.
    fn judge(&self, line: &Line<'_>) -> Result<(), String> {
        let question = &self.questions[self.answered];
        let mut expected = Asker::target(line, self.answered).into_bytes();
        expected.extend_from_slice(&question.body);
        if question.method == "HEAD" {
            expected.clear();
        }
        // What rude origins say instead is theirs.
        let is_made_up = self.is_reckless && (self.body == b"yes" || self.body.is_empty());
        match self.status {
            200 if self.body == expected || is_made_up => Ok(()),
            408 | 429 | 502..=504 if self.is_reckless => Ok(()),
            status => {
                let (n, what, length) = (self.answered, self.body.escape_ascii(), self.body.len());
                let (method, wanted) = (question.method, expected.len());
                Err(format!("{status} as answer {n} to {method}: {length} bytes for {wanted}: {what}"))
            }
        }
    }
}

impl Client for Asker {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if !self.begun {
            if line.shutdown_at().is_some() {
                return Step::Done;
            }
            self.begun = true;
            line.connect();
        }
        if let Some((steps, how)) = &mut self.leaves {
            if *steps == 0 {
                match how {
                    0 => line.reset(),
                    1 => line.vanish(),
                    2 => line.close(),
                    _ => {}
                }
                if *how < 3 {
                    return Step::Done;
                }
            }
            *steps = steps.saturating_sub(1);
        }
        line.receive(&mut self.input, usize::MAX);
        let ended = matches!(line.status(), Status::Ended(Ending::Fin));
        if let Err(what) = self.hear(line, ended) {
            let excused = self.is_reckless || line.excused() || line.shutdown_at().is_some();
            return if excused && ended { Step::Done } else { line.fail(what) };
        }
        match line.status() {
            Status::Open => {}
            Status::Connecting => return Step::Wait,
            Status::Ended(_) if self.answered == self.questions.len() => {
                line.close();
                return Step::Done;
            }
            Status::Ended(how) => {
                let excused = self.is_reckless || line.excused() || line.shutdown_at().is_some();
                return match excused {
                    true => Step::Done,
                    false => line.fail(format!("{how:?} after {} answers", self.answered)),
                };
            }
            _ => return Step::Done,
        }
        self.ask(line);
        let piece = (1 + line.rng().below(self.piece_max) as usize).min(self.output.len());
        let sent = line.send(&self.output[..piece]);
        self.output.drain(..sent);
        if self.answered == self.questions.len() && !self.finished {
            self.finished = true;
            line.finish();
        }
        if !self.output.is_empty() && sent > 0 {
            let pause = line.rng().below(self.pause_max + 1);
            return Step::Until(line.after(Duration::from_nanos(1 + pause)));
        }
        if !self.is_reckless {
            return Step::Wait;
        }
        let pause = Duration::from_millis(1 + line.rng().below(50));
        Step::Until(line.after(pause))
    }
}
