//! Pages held in memory.

use windlass::Bytes;
use windlass_proto::http::RequestHead;

/// A file in memory: its type, its bytes, perhaps a compressed variant, and a tag made of them.
///
/// Browsers keep it and ask whether it has changed (`If-None-Match`); nothing is sent again that they have.
///
/// ```
/// use windlass_http::File;
///
/// let page = File::new("text/html; charset=utf-8", "<h1>Hello</h1>");
/// assert_eq!(page.etag(), File::new("text/plain", "<h1>Hello</h1>").etag());
/// ```
#[derive(Clone, Debug)]
pub struct File {
    pub(crate) content_type: String,
    pub(crate) bytes: Bytes,
    pub(crate) gzip: Option<Bytes>,
    pub(crate) cache_control: String,
    etag: String,
    gzip_etag: String,
}

impl File {
    /// A file of this type. `bytes` from `include_bytes!` are not copied.
    pub fn new(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> File {
        let bytes = bytes.into();
        let (hash, len) = (fnv1a(&bytes), bytes.len());
        File {
            content_type: content_type.into(),
            etag: format!("\"{hash:016x}-{len:x}\""),
            // Another representation has another tag (RFC 9110 section 8.8.3.3).
            gzip_etag: format!("\"{hash:016x}-{len:x}-gz\""),
            bytes,
            gzip: None,
            cache_control: "no-cache".into(),
        }
    }

    /// The same, compressed before (`gzip -9`), for clients that take it.
    pub fn gzip(mut self, bytes: impl Into<Bytes>) -> File {
        self.gzip = Some(bytes.into());
        self
    }

    /// Replaces `cache-control`: as it stands, `no-cache`, which lets a browser keep the file and has it ask
    /// each time whether that is still right.
    pub fn cache_control(mut self, value: impl Into<String>) -> File {
        self.cache_control = value.into();
        self
    }

    /// The tag of its bytes, in its quotes. FNV-1a of 64 bits and the length: it tells versions apart, and
    /// proves nothing to anybody.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// What suits the request: the bytes, their tag, and whether they are compressed.
    pub(crate) fn variant(&self, head: &RequestHead<'_>) -> (&Bytes, &str, bool) {
        match &self.gzip {
            Some(gzip) if takes_gzip(head) => (gzip, &self.gzip_etag, true),
            _ => (&self.bytes, &self.etag, false),
        }
    }
}

/// The customary type of a file by its name's ending, for a handful of endings that pages are made of;
/// `application/octet-stream` for others.
impl File {
    /// As [`File::new`], with the customary type of files whose name ends like `name`.
    pub fn named(name: &str, bytes: impl Into<Bytes>) -> File {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let known = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending));
        File::new(known.map_or("application/octet-stream", |(_, content_type)| content_type), bytes)
    }
}

const TYPES: [(&str, &str); 14] = [
    ("html", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("webp", "image/webp"),
    ("ico", "image/x-icon"),
    ("woff2", "font/woff2"),
    ("wasm", "application/wasm"),
    ("txt", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
];

/// Whether the client has what `etag` names (RFC 9110 section 13.1.2, compared weakly).
pub(crate) fn is_known(head: &RequestHead<'_>, etag: &str) -> bool {
    head.headers.list("if-none-match").any(|tag| {
        let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
        tag == b"*" || tag == etag.as_bytes()
    })
}

/// RFC 9110 section 12.5.3, as far as gzip goes.
fn takes_gzip(head: &RequestHead<'_>) -> bool {
    head.headers.list("accept-encoding").any(|element| {
        let mut parts = element.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let named = parts.next().is_some_and(|c| c.eq_ignore_ascii_case(b"gzip") || c == b"*");
        let refused = parts.any(|q| {
            let value = q.strip_prefix(b"q=").or(q.strip_prefix(b"Q=")).map(<[u8]>::trim_ascii);
            value.is_some_and(|value| value.iter().all(|&b| b == b'0' || b == b'.'))
        });
        named && !refused
    })
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}
