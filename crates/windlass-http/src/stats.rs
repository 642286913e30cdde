//! What a server of pages counts.

use windlass_proto::http::{HttpError, Status};

/// Counted on one worker since it began.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct HttpStats {
    /// Requests whose head was understood.
    pub requests: u64,
    /// Responses, by the first digit of their status: the first entry counts those with 1xx.
    pub responses: [u64; 5],
    /// Requests that broke the protocol, a limit or a deadline, by the reason's
    /// [`label`](HttpError::label). The connection ended with each.
    pub refused: Vec<(&'static str, u64)>,
    /// Replies that could not be written as they were given (a header with a line break, say): answered
    /// with 500 instead. A mistake of the app's.
    pub unwritable: u64,
    /// Requests answered with 503 because of [`HttpConfig::bodies_max`](crate::HttpConfig::bodies_max).
    pub overloaded: u64,
    /// Requests answered with 503 because the worker was overloaded
    /// ([`HttpConfig::retry_after`](crate::HttpConfig::retry_after)).
    pub shed: u64,
    /// Requests answered with 504 because of [`HttpConfig::answer_timeout`](crate::HttpConfig::answer_timeout).
    pub late: u64,
    /// Connections that went on with another protocol.
    pub upgrades: u64,
    /// Subscribers there are now.
    pub subscribers: u64,
    /// Events given to [`Push::event`](crate::Push::event) or [`Reply::push`](crate::Reply::push).
    pub events: u64,
    /// Subscribers disconnected because they were slow.
    pub slow_disconnected: u64,
    /// Events that a slow subscriber missed.
    pub slow_skipped: u64,
}

impl HttpStats {
    pub(crate) fn count_response(&mut self, status: Status) {
        let class = usize::from(status.code() / 100).clamp(1, 5) - 1;
        self.responses[class] += 1;
    }

    pub(crate) fn count_refused(&mut self, error: HttpError) {
        let label = error.label();
        match self.refused.iter_mut().find(|(known, _)| *known == label) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((label, 1)),
        }
        self.count_response(error.status());
    }
}
