//! What somebody outside asks of a hub: who its clients are, what is said in it, and the end of one of them.
//!
//! A question goes from worker to worker by mailbox, and takes along what it has found so far; the last one answers. So
//! nothing is shared, and a worker that stops takes the question with it. On each worker it looks at some sessions and
//! then has others have their turn. Read [`Ask`] first; `clients` is who is there, `lens` what passes while somebody
//! looks, `topics` what is told of that.

mod clients;
pub(crate) mod lens;
#[cfg(test)]
mod tests;
mod topics;

use std::fmt;

use serde::Serialize;
use windlass::{Mailbox, Scope, SendError, Sessions as Clients};

use crate::client::Client;
use crate::service::{Hub, Mail};
use crate::session::Key;

pub use clients::{
    ClientDetail, ClientEntry, ClientQuery, ClientSort, ClientsPage, QueuedEntry, SubscriptionEntry,
    WillEntry,
};
pub use topics::{Level, LevelEntry, TopicEntry, TopicQuery, TopicSort, TopicsPage};

/// Entries of a list that anybody can reach: what is beyond is found with a filter.
pub const REACH_MAX: usize = 10_000;

/// Levels of topics that one question may ask about.
pub const OPEN_MAX: usize = 64;

/// Bytes of a payload that are shown.
const SHOWN_MAX: usize = 256;

/// What is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Question {
    /// A page of the list of sessions.
    Clients(ClientQuery),
    /// All about one of them, by its client identifier.
    Client(Box<str>),
    /// The end of a client's connection, with 0x98 (administrative action) in version 5.
    Kick {
        /// Its client identifier.
        client: Box<str>,
        /// Its session ends as well, and it may be one without a connection.
        end_session: bool,
    },
    /// What is published most. Messages are followed from the first such question on, until nobody has asked for
    /// fifteen seconds.
    Topics(TopicQuery),
    /// The levels below these, at most [`OPEN_MAX`]: what is retained there, and what has been published since
    /// somebody looks. The empty list asks for the first levels only, which are told in any case.
    Levels(Vec<Box<str>>),
}

/// What is answered, each to its question.
#[derive(Debug)]
#[non_exhaustive]
pub enum Told {
    /// A page of clients.
    Clients(ClientsPage),
    /// One client, if it is there.
    Client(Option<Box<ClientDetail>>),
    /// Whether there was somebody to be disconnected, or a session to end.
    Kicked(bool),
    /// Topics.
    Topics(TopicsPage),
    /// Levels, the first ones first and then those of the question in its order.
    Levels(Vec<Level>),
}

/// A payload, as far as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Shown {
    /// As text, if it is UTF-8 without control characters (line breaks and tabs are none).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// In hexadecimal digits, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
    /// Bytes of all of it.
    pub bytes: usize,
    /// There is more of it than is shown.
    pub cut: bool,
}

impl Shown {
    /// The beginning of a payload of so many bytes.
    fn of(begin: &[u8], bytes: usize) -> Shown {
        let begin = &begin[..begin.len().min(SHOWN_MAX)];
        let cut = begin.len() < bytes;
        let text = match std::str::from_utf8(begin) {
            Ok(text) => Some(text),
            // The cut may have gone through a character.
            Err(error) if cut && error.error_len().is_none() => {
                std::str::from_utf8(&begin[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        match text.filter(|text| text.chars().all(is_plain)) {
            Some(text) => Shown { text: Some(text.into()), hex: None, bytes, cut },
            None => {
                let hex = begin.iter().map(|byte| format!("{byte:02x}")).collect();
                Shown { text: None, hex: Some(hex), bytes, cut }
            }
        }
    }
}

/// A question on its way through the workers of a hub.
///
/// ```no_run
/// # use windlass::Mailbox;
/// # use windlass_hub::Mail;
/// use windlass_hub::inspect::{Ask, Question, Told};
///
/// # let mailbox: Mailbox<Mail> = Mailbox::new();
/// let question = Question::Kick { client: "meter-7".into(), end_session: false };
/// Ask::send(&mailbox, question, |told| {
///     let Told::Kicked(was_there) = told else { return };
///     println!("{was_there}");
/// })?;
/// # Ok::<(), windlass_hub::inspect::AskError>(())
/// ```
pub struct Ask(Box<Asked>);

struct Asked {
    question: Question,
    /// What was found so far.
    found: Told,
    /// The next session of this worker to be looked at.
    next: Key,
    worker: usize,
    mailbox: Mailbox<Mail>,
    answer: Box<dyn FnOnce(Told) + Send>,
}

/// The question only.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ask").field(&self.0.question).finish()
    }
}

/// Why a question was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AskError {
    /// A worker has too much mail.
    Busy,
    /// The hub is not there any more.
    Gone,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AskError::Busy => "the hub has too much mail: ask again",
            AskError::Gone => "the hub is not there any more",
        })
    }
}

impl std::error::Error for AskError {}

/// How far a worker has come with a question.
enum Step {
    More(Key),
    Over,
}

impl Ask {
    /// Asks the hub with this mailbox. `answer` is called on a thread of its workers; not at all if one of them stops
    /// first, or has too much mail by then.
    ///
    /// # Errors
    ///
    /// The first worker did not take the question, and `answer` is not called.
    pub fn send(
        mailbox: &Mailbox<Mail>,
        question: Question,
        answer: impl FnOnce(Told) + Send + 'static,
    ) -> Result<(), AskError> {
        let found = match &question {
            Question::Clients(_) => Told::Clients(ClientsPage::default()),
            Question::Client(_) => Told::Client(None),
            Question::Kick { .. } => Told::Kicked(false),
            Question::Topics(_) => Told::Topics(TopicsPage::default()),
            Question::Levels(open) => Told::Levels(topics::begin(open)),
        };
        let (mailbox, answer) = (mailbox.clone(), Box::new(answer));
        Ask(Box::new(Asked { question, found, next: 0, worker: 0, mailbox, answer })).go()
    }

    fn go(self) -> Result<(), AskError> {
        let (mailbox, worker) = (self.0.mailbox.clone(), self.0.worker);
        mailbox.send(worker, Mail::Ask(self)).map_err(|error| match error {
            SendError::Full(_) => AskError::Busy,
            _ => AskError::Gone,
        })
    }
}

impl Hub {
    /// Adds to an answer what this worker knows.
    pub(crate) fn asked(&mut self, scope: &mut Scope<'_>, clients: &mut Clients<Client>, ask: Ask) {
        let mut asked = ask.0;
        let step = match (&asked.question, &mut asked.found) {
            (Question::Clients(query), Told::Clients(page)) => {
                self.list_clients(scope, clients, query, page, asked.next)
            }
            (Question::Client(id), Told::Client(found)) => {
                if let Some(detail) = self.describe_client(scope, clients, id) {
                    *found = Some(Box::new(detail));
                }
                Step::Over
            }
            (Question::Kick { client, end_session }, Told::Kicked(was_there)) => {
                *was_there |= self.kick_client(scope, client, *end_session);
                Step::Over
            }
            (Question::Topics(query), Told::Topics(page)) => {
                self.list_topics(query, page);
                Step::Over
            }
            (Question::Levels(_), Told::Levels(levels)) => {
                self.list_levels(levels);
                Step::Over
            }
            // `send` has made them fit.
            _ => Step::Over,
        };
        match step {
            Step::More(next) => asked.next = next,
            Step::Over => {
                asked.worker += 1;
                asked.next = 0;
                if asked.worker >= asked.mailbox.workers() {
                    let Asked { question, mut found, answer, .. } = *asked;
                    finish(&question, &mut found);
                    return answer(found);
                }
            }
        }
        // One that finds no room is lost, and whoever asked is told by its own timeout.
        let _ = Ask(asked).go();
    }
}

/// All workers have told what they know.
fn finish(question: &Question, found: &mut Told) {
    match (question, found) {
        (Question::Clients(query), Told::Clients(page)) => page.finish(query),
        (Question::Topics(query), Told::Topics(page)) => page.finish(query),
        (_, Told::Levels(levels)) => levels.iter_mut().for_each(Level::finish),
        _ => {}
    }
}
