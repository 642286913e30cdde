//! An order: what is logged from now on.

use serde::{Deserialize, Serialize};
use windlass::proto::http::Status;
use windlass_http::{Replied, Reply, Request};

use crate::config::shape::LogLevel;
use crate::logs;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Order {
    level: LogLevel,
}

/// Does what the body says: `{"level":"debug"}`. 409 in a process that has no logs.
pub(super) fn set(request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    match request.json::<Order>() {
        Ok(order) if logs::set_level(order.level) => {
            tracing::info!(to = ?order.level, "the level of the log was set");
            reply.json(&order)
        }
        Ok(_) => {
            reply.status(Status::CONFLICT).text("this server has no logs: it was started with --quiet\n")
        }
        Err(refusal) => reply.refuse(refusal),
    }
}
