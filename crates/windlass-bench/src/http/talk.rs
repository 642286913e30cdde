//! One HTTP connection.

use std::sync::Arc;

use windlass_proto::http::{ClientConn, HttpError, Limits, ResponsePart, Status};
use windlass_proto::{Decode as _, Input};

use crate::load::{Fault, Speech, Talk, Talker, Wire};

/// The longest body that is taken, in bytes.
const BODY_MAX: u64 = 256 << 20;

/// What is asked.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) host: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    /// It is the last on its connection.
    pub(super) close: bool,
    /// Requests under way on one connection.
    pub(super) flight: usize,
}

/// What must be answered.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// The body may be another.
    pub(super) any_body: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct HttpSpeech {
    pub(super) request: Arc<Request>,
    /// `None`: it is to be found out.
    pub(super) page: Option<Arc<Page>>,
}

impl Speech for HttpSpeech {
    type Line = Talker<HttpTalk>;

    fn line(&self, wire: Wire, _: usize) -> Self::Line {
        let talk = HttpTalk { speech: self.clone(), conn: conn(&self.request), at: 0, seen: None };
        Talker::new(wire, talk)
    }
}

fn conn(request: &Request) -> ClientConn {
    let limits = Limits { body_max: BODY_MAX, ..Limits::default() };
    ClientConn::new(limits).pipeline_max(request.flight)
}

/// One connection's talk.
pub(crate) struct HttpTalk {
    speech: HttpSpeech,
    conn: ClientConn,
    /// Bytes of the body that have come.
    at: usize,
    /// Where nothing is known yet, the response.
    seen: Option<(u16, Vec<u8>)>,
}

impl HttpTalk {
    /// The response that was found.
    pub(super) fn into_seen(self) -> Option<(u16, Vec<u8>)> {
        self.seen
    }

    fn head(&mut self, status: Status) -> Result<(), Fault> {
        self.at = 0;
        match &self.speech.page {
            None => self.seen = Some((status.code(), Vec::new())),
            Some(page) if page.status == status.code() => {}
            Some(page) if status.code() >= 400 => {
                return Err(Fault::Refused(format!(
                    "status {} where {} is wanted",
                    status.code(),
                    page.status
                )));
            }
            Some(page) => {
                return Err(Fault::Wrong(format!(
                    "status {} where {} is wanted",
                    status.code(),
                    page.status
                )));
            }
        }
        Ok(())
    }

    fn body(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if let Some((_, body)) = &mut self.seen {
            body.extend_from_slice(bytes);
        }
        let Some(page) = self.speech.page.as_ref().filter(|page| !page.any_body) else { return Ok(()) };
        if page.body.get(self.at..self.at + bytes.len()) != Some(bytes) {
            let rest = page.body.get(self.at..).unwrap_or_default();
            let same = rest.iter().zip(bytes).take_while(|(wanted, got)| wanted == got).count();
            return Err(Fault::Wrong(format!("the body differs from the first at byte {}", self.at + same)));
        }
        self.at += bytes.len();
        Ok(())
    }

    fn end_of_body(&self) -> Result<(), Fault> {
        match self.speech.page.as_ref().filter(|page| !page.any_body) {
            Some(page) if page.body.len() != self.at => Err(Fault::Wrong(format!(
                "a body of {} bytes where the first had {}",
                self.at,
                page.body.len()
            ))),
            _ => Ok(()),
        }
    }

    fn part(&mut self, part: ResponsePart<'_>) -> Result<u64, Fault> {
        match part {
            ResponsePart::Head(head) => self.head(head.status)?,
            ResponsePart::Body(bytes) => self.body(bytes)?,
            ResponsePart::End => {
                self.end_of_body()?;
                return Ok(1);
            }
            _ => {}
        }
        Ok(0)
    }
}

fn wrong(error: HttpError) -> Fault {
    Fault::Wrong(error.to_string())
}

impl Talk for HttpTalk {
    fn is_ready(&self) -> bool {
        self.conn.is_ready()
    }

    fn ask(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Request { host, path, headers, close, .. } = &*self.speech.request;
        let mut request = self.conn.request(out, "GET", path, host);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if *close {
            request = request.close();
        }
        request.empty().map_err(|error| Fault::Wrong(format!("cannot ask for that: {error}")))
    }

    fn hear(&mut self, input: &mut Input<'_>, _: &mut Vec<u8>) -> Result<u64, Fault> {
        let mut answered = 0;
        while let Some(part) = self.conn.decode(input).map_err(wrong)? {
            answered += self.part(part)?;
        }
        Ok(answered)
    }

    fn end(&mut self) -> Result<u64, Fault> {
        let part = match self.conn.end(&mut Input::new(&mut [])) {
            // It owes a response: that is told as such.
            Err(HttpError::Truncated) | Ok(None) => return Ok(0),
            Err(error) => return Err(wrong(error)),
            Ok(Some(part)) => part,
        };
        self.part(part)
    }

    fn is_over(&self) -> bool {
        self.conn.is_over()
    }

    fn renew(&mut self) {
        self.conn = conn(&self.speech.request);
        self.at = 0;
    }
}
