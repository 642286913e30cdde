//! What is wrong with a configuration: where it stands, why, and what was probably meant.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::json;

/// Problems shown to people.
const SHOWN_MAX: usize = 100;

/// The files that were read, for showing their lines.
#[derive(Default)]
pub(crate) struct Sources {
    files: Vec<Source>,
    /// Keys whose values are not shown.
    secret: Vec<String>,
}

struct Source {
    path: PathBuf,
    text: String,
    /// The same, place by place, without secrets.
    shown: String,
}

/// A place in one of the files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) file: usize,
    pub(crate) span: Range<usize>,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// One sentence.
    pub(crate) what: String,
    /// Where, unless it is about no line at all.
    pub(crate) place: Option<Place>,
    /// A few words beside the caret.
    pub(crate) label: String,
    /// Another place it has to do with, and what that is.
    pub(crate) other: Option<(Place, String)>,
    /// What to write instead.
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn at(place: Place, what: impl Into<String>, label: impl Into<String>) -> Problem {
        Problem { what: what.into(), place: Some(place), label: label.into(), other: None, help: None }
    }

    pub(crate) fn without_place(what: impl Into<String>) -> Problem {
        Problem { what: what.into(), place: None, label: String::new(), other: None, help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn other(mut self, place: Place, what: impl Into<String>) -> Problem {
        self.other = Some((place, what.into()));
        self
    }
}

/// A line, and which part of it is meant, in characters.
struct Line<'a> {
    number: usize,
    column: usize,
    text: &'a str,
    width: usize,
}

impl Sources {
    /// No files yet, and keys whose values shall not be shown.
    pub(crate) fn new(secret: Vec<String>) -> Sources {
        Sources { files: Vec::new(), secret }
    }

    /// Keeps a file; its number is what [`Place::file`] means.
    pub(crate) fn add(&mut self, path: &Path, text: String) -> usize {
        let shown = super::secrets::masked(&text, &self.secret);
        self.files.push(Source { path: path.into(), text, shown });
        self.files.len() - 1
    }

    /// Keeps a file of another kind, and how it may be shown: place by place as long.
    #[cfg(feature = "hub")]
    pub(crate) fn add_shown(&mut self, path: &Path, text: String, shown: String) -> usize {
        self.files.push(Source { path: path.into(), text, shown });
        self.files.len() - 1
    }

    pub(crate) fn path(&self, file: usize) -> &Path {
        &self.files[file].path
    }

    pub(crate) fn text(&self, file: usize) -> &str {
        &self.files[file].text
    }

    /// Of every file.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|source| source.path.clone()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// The problems as a compiler shows them, in the order of their lines.
    pub(crate) fn render(&self, problems: &[Problem], coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        // Each shows its line, and finding that takes as long as the file is.
        for problem in self.sorted(problems).into_iter().take(SHOWN_MAX) {
            let mut group = Level::ERROR
                .primary_title(problem.what.as_str())
                .elements(std::iter::empty::<annotate_snippets::Element<'_>>());
            if let Some(place) = &problem.place {
                group = group.element(self.snippet(place, AnnotationKind::Primary, &problem.label));
            }
            if let Some((place, what)) = &problem.other {
                group = group.element(self.snippet(place, AnnotationKind::Context, what));
            }
            if let Some(help) = &problem.help {
                group = group.element(Level::HELP.message(help.as_str()));
            }
            text += &renderer.render(&[group]);
            text += "\n\n";
        }
        if problems.len() > SHOWN_MAX {
            let _ = writeln!(text, "the first {SHOWN_MAX} of them are shown\n");
        }
        let many =
            if problems.len() == 1 { "one thing is" } else { &format!("{} things are", problems.len()) };
        let _ = writeln!(text, "{many} wrong with the configuration");
        text
    }

    fn snippet<'a>(
        &'a self,
        place: &Place,
        kind: AnnotationKind,
        label: &'a str,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let annotation = kind.span(place.span.clone());
        let annotation = if label.is_empty() { annotation } else { annotation.label(label) };
        Snippet::source(self.files[place.file].shown.as_str())
            .path(self.path(place.file).display().to_string())
            .annotation(annotation)
    }

    /// The problems for programs: an array of objects, lines and columns counted from 1. `source` is the line,
    /// `width` how many of its characters from `column` on are meant, and `label` what to say beside them.
    pub(crate) fn json(&self, problems: &[Problem]) -> String {
        let list: Vec<_> = self
            .sorted(problems)
            .into_iter()
            .map(|problem| {
                let line = problem.place.as_ref().map(|place| self.line(place));
                json!({
                    "message": problem.what,
                    "file": problem.place.as_ref().map(|place| self.path(place.file).display().to_string()),
                    "line": line.as_ref().map(|line| line.number),
                    "column": line.as_ref().map(|line| line.column),
                    "source": line.as_ref().map(|line| line.text),
                    "width": line.as_ref().map(|line| line.width),
                    "label": problem.label,
                    "help": problem.help,
                })
            })
            .collect();
        format!("{:#}\n", serde_json::Value::from(list))
    }

    /// The line where a place begins, as it may be shown.
    fn line(&self, place: &Place) -> Line<'_> {
        let (text, Range { start, end }) = (&self.files[place.file].shown, place.span.clone());
        let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let last = text[start..].find('\n').map_or(text.len(), |at| start + at);
        Line {
            number: text[..start].matches('\n').count() + 1,
            column: text[first..start].chars().count() + 1,
            text: text[first..last].trim_end_matches('\r'),
            width: text[start..end.clamp(start, last)].chars().count().max(1),
        }
    }

    fn sorted<'p>(&self, problems: &'p [Problem]) -> Vec<&'p Problem> {
        let mut sorted: Vec<_> = problems.iter().collect();
        sorted.sort_by_key(|problem| {
            problem.place.as_ref().map_or((usize::MAX, 0), |place| (place.file, place.span.start))
        });
        sorted
    }
}
