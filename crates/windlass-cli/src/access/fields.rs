//! The fields that a line can have.

use crate::nearest::nearest;

/// What a service has lines about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Connections, when they have ended.
    Connections,
    /// Requests, when they are answered.
    Requests,
    /// Requests that are passed on, when they are over.
    #[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "nothing is passed on"))]
    Proxied,
    /// Flows of datagrams that are passed on, when they are over.
    #[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "nothing is passed on"))]
    Flows,
}

macro_rules! fields {
    ($($name:ident $text:literal $kinds:expr;)*) => {
        /// One thing that is known.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Field {
            $($name,)*
        }

        impl Field {
            const ALL: &[Field] = &[$(Field::$name,)*];

            /// Its name in a template.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Field::$name => $text,)* }
            }

            fn kinds(self) -> &'static [Kind] {
                match self { $(Field::$name => $kinds,)* }
            }
        }
    };
}

const CONNECTIONS: &[Kind] = &[Kind::Connections];
const REQUESTS: &[Kind] = &[Kind::Requests, Kind::Proxied];
const PROXIED: &[Kind] = &[Kind::Proxied];
const FLOWS: &[Kind] = &[Kind::Flows];
/// Whatever has bytes from its client and for it.
const COUNTED: &[Kind] = &[Kind::Connections, Kind::Flows];
const PASSED_ON: &[Kind] = &[Kind::Proxied, Kind::Flows];
const STREAMS: &[Kind] = &[Kind::Connections, Kind::Requests, Kind::Proxied];
const ALL: &[Kind] = &[Kind::Connections, Kind::Requests, Kind::Proxied, Kind::Flows];

fields! {
    Time "time" ALL;
    Peer "peer" ALL;
    Service "service" ALL;
    Listener "listener" ALL;
    Conn "conn" STREAMS;
    DurationMs "duration_ms" ALL;
    Received "received" COUNTED;
    Sent "sent" COUNTED;
    Messages "messages" CONNECTIONS;
    Reason "reason" CONNECTIONS;
    Fault "fault" CONNECTIONS;
    Method "method" REQUESTS;
    Target "target" REQUESTS;
    Query "query" REQUESTS;
    Protocol "protocol" REQUESTS;
    Status "status" REQUESTS;
    Bytes "bytes" REQUESTS;
    Host "host" REQUESTS;
    UserAgent "user_agent" REQUESTS;
    Referer "referer" REQUESTS;
    Client "client" PROXIED;
    Route "route" PROXIED;
    Backend "backend" PASSED_ON;
    RequestBytes "request_bytes" PROXIED;
    QueueMs "queue_ms" PROXIED;
    ConnectMs "connect_ms" PROXIED;
    ResponseMs "response_ms" PROXIED;
    Retries "retries" PROXIED;
    Reused "reused" PROXIED;
    Ending "ending" PASSED_ON;
    Why "why" PROXIED;
    Requests "requests" FLOWS;
    Replies "replies" FLOWS;
}

impl Field {
    /// The field of that name; `Err` says what may have been meant.
    pub(super) fn by_name(name: &str) -> Result<Field, String> {
        let names: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
        Field::ALL.iter().copied().find(|field| field.name() == name).ok_or_else(|| {
            match nearest(name, &names) {
                Some(near) => format!("there is no field {{{name}}}; did you mean {{{near}}}?"),
                None => format!("there is no field {{{name}}}; the fields are {}", names.join(", ")),
            }
        })
    }

    /// Whether lines of this kind have it.
    pub(super) fn is_of(self, kind: Kind) -> bool {
        self.kinds().contains(&kind)
    }

    /// Those that lines of this kind have, by name.
    pub(super) fn names(kind: Kind) -> String {
        let of = Field::ALL.iter().filter(|field| field.is_of(kind));
        of.map(|field| field.name()).collect::<Vec<_>>().join(", ")
    }
}
