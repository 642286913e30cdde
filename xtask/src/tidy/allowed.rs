//! What is allowed against a rule, where, and why. Every entry needs a reason a reader can weigh.

/// An exception: below `path` (a file, or a folder with everything in it), `what` may be named.
pub(crate) struct Allowed {
    pub path: &'static str,
    pub what: &'static str,
    #[expect(dead_code, reason = "for the reader; the compiler sees that none is left out")]
    pub why: &'static str,
}

/// Exceptions to the rules on what code may name.
pub(crate) const ALLOWED: &[Allowed] = &[
    Allowed {
        path: "crates/windlass/src/tls",
        what: "rustls",
        why: "a TLS configuration is the one foreign type the engine's API shows",
    },
    Allowed {
        path: "crates/windlass/src/server",
        what: "std::thread",
        why: "starts the workers and joins them",
    },
    Allowed {
        path: "crates/windlass/src/sim",
        what: "std::thread",
        why: "runs seeds side by side; nothing inside one run has a thread",
    },
    Allowed {
        path: "crates/windlass/src/sim/check",
        what: "std::env",
        why: "a test's seed is chosen from outside: the command that replays a failure",
    },
    Allowed {
        path: "crates/windlass/src/sim/check",
        what: "println!",
        why: "runs only inside tests, and tells how many seeds they ran",
    },
    Allowed {
        path: "crates/windlass/src/sim/check",
        what: "Instant",
        why: "tells how long a test took; nothing inside a run reads it",
    },
    Allowed {
        path: "crates/windlass/src/sim/errno",
        what: "rustix",
        why: "the errors of simulated sockets have the numbers of the real ones",
    },
    Allowed {
        path: "crates/windlass/src/handover",
        what: "std::env",
        why: "systemd says in the environment which sockets it passes",
    },
    Allowed {
        path: "crates/windlass/src/offload",
        what: "std::thread",
        why: "work that blocks, name resolution too, runs off the loop and is answered through an inbox",
    },
    Allowed { path: "bare/build", what: "std::env", why: "a build script is told by its environment" },
    Allowed { path: "bare/build", what: "println!", why: "and answers by printing" },
];

/// Whether `what` may be named in `path`.
pub(crate) fn is_allowed(path: &str, what: &str) -> bool {
    ALLOWED.iter().any(|allowed| {
        let behind = path.strip_prefix(allowed.path);
        allowed.what == what
            && behind.is_some_and(|behind| matches!(behind, "" | ".rs") || behind.starts_with('/'))
    })
}
