//! Any text as a mosquitto.conf: every remark is about a line of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_hub::import::{Source, mosquitto};

fuzz_target!(|text: &str| {
    let source = |name: &str, text: &str| Source { name: name.into(), text: text.into() };
    // A folder holds what stands behind the middle.
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    let imported = mosquitto(source("main", text), &mut |_| Ok(vec![source("more", &text[middle..])]));
    for remark in &imported.remarks {
        let text = &imported.sources[remark.source].text;
        assert!(text[remark.span.clone()].starts_with(&*remark.directive) || remark.directive == "listener");
        assert!(remark.line <= text.lines().count());
    }
    assert!(imported.toml.contains("[[hub]]\nlisten = ["));
});
