//! Enhanced authentication (section 4.12 of 5.0): a method of your own, asked step by step.

use std::fmt;

use windlass_proto::mqtt::Reason;

/// Methods of enhanced authentication that clients of version 5 may ask for. One value is shared by all workers.
///
/// ```
/// use windlass_hub::{Authenticator, Exchange, Reason, Step};
///
/// #[derive(Debug)]
/// struct Echo;
/// impl Authenticator for Echo {
///     fn begin(&self, method: &str, _: &str) -> Option<Box<dyn Exchange>> {
///         (method == "ECHO").then(|| Box::new(Asked(false)) as Box<dyn Exchange>)
///     }
/// }
///
/// #[derive(Debug)]
/// struct Asked(bool);
/// impl Exchange for Asked {
///     fn step(&mut self, said: &[u8]) -> Step {
///         match std::mem::replace(&mut self.0, true) {
///             false => Step::Continue(b"say it again".to_vec()),
///             true if said == b"it again" => Step::Done { user: Some("echo".into()), data: Vec::new() },
///             true => Step::Refuse(Reason::NotAuthorized),
///         }
///     }
/// }
/// ```
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// Begins an authentication by this method; `None` if there is no such method: the client is refused with 0x8c.
    fn begin(&self, method: &str, client_id: &str) -> Option<Box<dyn Exchange>>;
}

/// One authentication that goes on.
pub trait Exchange: fmt::Debug + Send {
    /// The client said this: with its CONNECT or AUTH.
    fn step(&mut self, said: &[u8]) -> Step;
}

/// What comes of a step.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The client is told this, and answers.
    Continue(Vec<u8>),
    /// It is who it says.
    Done {
        /// Its name from now on; `None`: that of its CONNECT.
        user: Option<Box<str>>,
        /// What it is told.
        data: Vec<u8>,
    },
    /// It is not: CONNACK says this reason, and a client that was served is disconnected with 0x87.
    Refuse(Reason),
}

/// Without what was said.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Continue(_) => f.write_str("Continue(..)"),
            Step::Done { user, .. } => f.debug_struct("Done").field("user", user).finish_non_exhaustive(),
            Step::Refuse(reason) => f.debug_tuple("Refuse").field(reason).finish(),
        }
    }
}
