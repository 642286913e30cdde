//! What clients see when something went wrong.

use windlass_proto::http::{HeaderLines, Status};

use crate::http::config::ErrorPage;

use super::Page;

/// The longest body of a page, and of a response that a route gives.
pub(super) const BODY_MAX: usize = 64 * 1024;

/// One page for each status that we answer with.
#[derive(Debug)]
pub(super) struct Pages {
    /// In the order of their statuses.
    all: Vec<(Status, HeaderLines, Vec<u8>)>,
    /// For any other.
    other: (HeaderLines, Vec<u8>),
}

fn lines(content_type: &str) -> Result<HeaderLines, String> {
    let mut lines = HeaderLines::new();
    let pushed =
        lines.push("content-type", content_type).and_then(|()| lines.push("cache-control", "no-store"));
    pushed.map_err(|_| format!("`{}` is no content type", content_type.escape_debug()))?;
    Ok(lines)
}

impl Pages {
    /// Checks pages, and draws up those that nobody wrote; `Err` says what is wrong.
    pub(super) fn new(pages: &[ErrorPage]) -> Result<Pages, String> {
        let mut all = Vec::new();
        for status in (400..600).filter_map(Status::new) {
            let code = status.code();
            let mut written = pages.iter().filter(|page| page.status == status);
            match (written.next(), written.next()) {
                (Some(_), Some(_)) => return Err(format!("there are two pages for {code}")),
                (Some(page), None) if page.body.len() > BODY_MAX => {
                    return Err(format!("the page for {code} is longer than {} KiB", BODY_MAX / 1024));
                }
                (Some(page), None) => all.push((status, lines(&page.content_type)?, page.body.clone())),
                (None, _) if status.reason().is_empty() => {}
                (None, _) => {
                    let text = format!("{code} {}\n", status.reason());
                    all.push((status, lines("text/plain; charset=utf-8")?, text.into_bytes()));
                }
            }
        }
        if let Some(page) = pages.iter().find(|page| !(400..600).contains(&page.status.code())) {
            return Err(format!(
                "a page is for a status from 400 to 599, and not for {}",
                page.status.code()
            ));
        }
        Ok(Pages { all, other: (lines("text/plain; charset=utf-8")?, Vec::new()) })
    }

    pub(super) fn page(&self, status: Status) -> Page<'_> {
        match self.all.binary_search_by_key(&status, |(status, ..)| *status) {
            Ok(at) => Page { lines: &self.all[at].1, body: &self.all[at].2 },
            Err(_) => Page { lines: &self.other.0, body: &self.other.1 },
        }
    }
}
