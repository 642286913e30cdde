//! What is wrong with a file that somebody wrote: where, why, and what to write instead.

use std::ops::Range;

/// One thing that is wrong with a text. A reader reports all of them at once.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Mistake {
    /// Which bytes of the text.
    pub span: Range<usize>,
    /// One sentence. No secret is in it.
    pub what: String,
    /// A few words to stand beside the caret; may be empty.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(span: Range<usize>, what: impl Into<String>, label: impl Into<String>) -> Mistake {
        Mistake { span, what: what.into(), label: label.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Mistake {
        self.help = Some(help.into());
        self
    }
}

/// Part of a text, and where it begins there.
#[derive(Clone, Copy)]
pub(crate) struct Part<'t> {
    pub(crate) at: usize,
    pub(crate) text: &'t str,
}

impl<'t> Part<'t> {
    pub(crate) fn span(self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    pub(crate) fn trim(self) -> Part<'t> {
        let begun = self.text.trim_start();
        Part { at: self.at + self.text.len() - begun.len(), text: begun.trim_end() }
    }

    /// The first word, and what stands behind it without the space between.
    pub(crate) fn word(self) -> (Part<'t>, Part<'t>) {
        let this = self.trim();
        let end = this.text.find([' ', '\t']).unwrap_or(this.text.len());
        let (word, rest) = this.text.split_at(end);
        (Part { text: word, ..this }, Part { at: this.at + end, text: rest }.trim())
    }

    /// What stands before and behind the first `by`.
    #[cfg_attr(not(feature = "passwords"), allow(dead_code, reason = "their files are read so"))]
    pub(crate) fn split_once(self, by: char) -> Option<(Part<'t>, Part<'t>)> {
        let (before, behind) = self.text.split_once(by)?;
        let at = self.at + before.len() + by.len_utf8();
        Some((Part { text: before, ..self }, Part { at, text: behind }))
    }
}

/// The lines of a text, without their ends.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let part = Part { at, text: line.trim_end_matches(['\n', '\r']) };
        at += line.len();
        part
    })
}
