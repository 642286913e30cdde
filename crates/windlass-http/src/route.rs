//! Which request goes where.

use windlass_proto::http::{RequestHead, Status};

use crate::app::App;
use crate::file::File;
use crate::reply::{Replied, Reply};
use crate::request::{Refusal, Request};

pub(crate) type Handle<A> = Box<dyn Fn(&mut A, &Request<'_>, Reply<'_, '_>) -> Replied>;
pub(crate) type Accept<A> =
    Box<dyn Fn(&mut A, &Request<'_>) -> Result<Accepted<<A as App>::Upgraded>, Refusal>>;

pub(crate) type Guard<A> = Box<dyn Fn(&mut A, &Request<'_>) -> Result<(), Refusal>>;

/// One route.
pub(crate) struct Route<A: App> {
    pub(crate) path: String,
    // The path and all below it.
    pub(crate) prefix: bool,
    pub(crate) to: To<A>,
    pub(crate) body_max: Option<u64>,
}

/// Where it goes.
pub(crate) enum To<A: App> {
    Handle(String, Handle<A>),
    File(File),
    /// The channel's number, and who may listen.
    Events(usize, Option<Guard<A>>),
    Upgrade(String, Accept<A>),
}

/// A connection that goes on with another protocol: what it becomes, and what the response says.
#[derive(Clone, Debug)]
pub struct Accepted<U> {
    pub(crate) session: U,
    pub(crate) headers: Vec<(String, String)>,
}

impl<U> Accepted<U> {
    /// It becomes `session`.
    pub fn new(session: U) -> Accepted<U> {
        Accepted { session, headers: Vec::new() }
    }

    /// Adds a header line to the response with 101.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Accepted<U> {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Why no route was found.
pub(crate) enum NoRoute {
    Path,
    /// The path is there; these methods are not what was asked with.
    Method(String),
}

impl NoRoute {
    pub(crate) fn status(&self) -> Status {
        match self {
            NoRoute::Path => Status::NOT_FOUND,
            NoRoute::Method(_) => Status::METHOD_NOT_ALLOWED,
        }
    }
}

impl<A: App> Route<A> {
    fn takes_path(&self, path: &str) -> bool {
        if self.prefix { path.starts_with(&self.path) } else { path == self.path }
    }

    fn method(&self) -> &str {
        match &self.to {
            To::Handle(method, _) => method,
            _ => "GET",
        }
    }
}

/// The first route that fits, in the order they were given; exact paths before prefixes. `HEAD` goes where
/// `GET` does.
pub(crate) fn find<A: App>(routes: &[Route<A>], head: &RequestHead<'_>) -> Result<usize, NoRoute> {
    let path = head.path();
    let mut methods = Vec::new();
    for prefix in [false, true] {
        for (at, route) in routes.iter().enumerate().filter(|(_, route)| route.prefix == prefix) {
            if !route.takes_path(path) {
                continue;
            }
            let method = route.method();
            if method == head.method || (method == "GET" && head.method == "HEAD") {
                return Ok(at);
            }
            let head = (method == "GET").then_some("HEAD");
            for method in [Some(method), head].into_iter().flatten() {
                if !methods.contains(&method) {
                    methods.push(method);
                }
            }
        }
    }
    if methods.is_empty() { Err(NoRoute::Path) } else { Err(NoRoute::Method(methods.join(", "))) }
}
