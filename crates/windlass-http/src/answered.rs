//! What an access log can tell of a request.

use std::time::Duration;

use windlass::{Conn, ConnId, Peer, Time};
use windlass_proto::http::{RequestHead, Status};

use crate::reply::Shared;

/// A request that was answered: what [`Http::on_answer`](crate::Http::on_answer) hears of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Answered<'a> {
    /// What was asked; `None` if it could not be read, or came too slowly. All of it is the client's words:
    /// whoever writes it into a line has to see to it that it stays one.
    pub head: Option<RequestHead<'a>>,
    /// What was answered.
    pub status: Status,
    /// Bytes of the body that was answered, without the head. 0 for streams of events and for upgrades, which
    /// are told when they begin.
    pub body_bytes: u64,
    /// From the head of the request to its answer, in the worker's time: 0 if both are in one turn. How long
    /// the answer takes to be sent is not in it.
    pub took: Duration,
    /// Who asked.
    pub peer: Peer,
    /// The connection that it came on.
    pub conn: ConnId,
    /// The listener that the connection came in by.
    pub listener: Option<usize>,
}

pub(crate) type OnAnswer = Box<dyn FnMut(&Answered<'_>)>;

impl Shared {
    /// Tells whoever wants to hear that a request was answered that came at `since`.
    pub(crate) fn tell(
        &mut self,
        conn: &Conn<'_>,
        head: Option<RequestHead<'_>>,
        status: Status,
        body_bytes: u64,
        since: Time,
    ) {
        if let Some(hear) = &mut self.on_answer {
            let (peer, listener, took) = (conn.peer(), conn.listener(), conn.now().since(since));
            hear(&Answered { head, status, body_bytes, took, peer, conn: conn.id(), listener });
        }
    }
}
