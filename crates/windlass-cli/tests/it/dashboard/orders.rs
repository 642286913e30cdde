//! What an operator does there: closes a connection, reloads, drains.

use super::*;

#[test]
fn it_shows_a_connection_and_closes_it() {
    let Some((observed, mut browser)) = watch("closes", "") else { return };
    let (mut one, mut other) = (observed.server.connect(), observed.server.connect());
    round_trip(&mut one, b"hello");
    round_trip(&mut other, b"hello");
    browser.until(LIVE);
    browser.scroll_to("connections");
    let peer = one.local_addr().unwrap().to_string();
    let row = format!(
        "[...document.querySelectorAll('#connection-table tbody tr')].find((tr) => tr.textContent.includes('{peer}'))"
    );
    browser.until(&row);
    // The filter is the server's.
    browser.eval(&format!(
        "(() => {{ const filter = document.getElementById('connection-filter'); filter.value = '{peer}'; filter.dispatchEvent(new Event('input')); }})()"
    ));
    browser.until(&format!("document.querySelectorAll('#connection-table tbody tr').length === 1 && {row}"));
    browser.shot("connection-light");
    assert!(browser.text("#connection-count").starts_with("1 of "));
    // Cancel leaves it alone.
    let close = "#connection-table tbody tr button.small";
    browser.click(close);
    browser.until("document.getElementById('ask').open");
    assert!(browser.text("#ask-text").contains(&peer));
    browser.click("#ask button[value=no]");
    browser.until("!document.getElementById('ask').open");
    round_trip(&mut one, b"still here");
    browser.click(close);
    browser.until("document.getElementById('ask').open");
    browser.click("#ask-yes");
    let mut end = Vec::new();
    assert_eq!(one.read_to_end(&mut end).unwrap(), 0, "it has ended in good order");
    drop(one);
    browser
        .until("document.querySelector('#connection-table .empty').textContent.includes('fits the filter')");
    round_trip(&mut other, b"not this one");
    browser.until("document.querySelector('#close-table').textContent.includes('requested')");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// What is wrong is told by `windlass check`, of the file itself; only the way to the page is ours.
#[test]
fn a_wrong_file_is_shown_with_its_lines() {
    let Some((observed, mut browser)) = watch("problems", "") else { return };
    browser.until(LIVE);
    let path = observed.folder.join("windlass.toml");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{good}lisen = 5\n[limits]\nidle_timeout = \"12q\"\n")).unwrap();
    let output = run(&["check", "-c", path.to_str().unwrap(), "--no-environment", "--format", "json"]);
    let problems: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    browser.scroll_to("orders");
    let answer = serde_json::json!({ "problems": problems });
    browser.answering("*/api/reload", 422, &answer, "document.getElementById('reload').click()");
    browser.until("document.querySelectorAll('.problems li').length === 2");
    let said = browser.text("#reload-answer");
    let line = good.lines().count() + 1;
    assert!(said.contains(&format!("windlass.toml:{line}:1")), "{said}");
    assert!(said.contains(&format!("{line} | lisen = 5")) && said.contains("^^^^^"), "{said}");
    assert!(said.contains("did you mean listen?"), "{said}");
    browser.shot("reload-light");
}

#[test]
fn the_level_of_logs_is_set() {
    let Some((_observed, mut browser)) = watch("logs", "") else { return };
    browser.until(LIVE);
    browser.eval("document.getElementById('log-level').value = 'debug'");
    browser.click("#log-form button");
    browser.until("document.getElementById('log-answer').textContent === 'It logs at debug now.'");
}

#[test]
fn it_drains() {
    let Some((observed, mut browser)) = watch("drains", "") else { return };
    browser.until(LIVE);
    browser.click("#drain");
    browser.until("document.getElementById('ask').open");
    browser.click("#ask-yes");
    browser.until("/is draining|disconnected/.test(document.getElementById('drain-answer').textContent + document.getElementById('live-text').textContent)");
    let mut observed = observed;
    let deadline = std::time::Instant::now() + LONG;
    while observed.server.is_running() {
        assert!(std::time::Instant::now() < deadline, "it does not end");
        thread::sleep(Duration::from_millis(20));
    }
    browser.until("document.body.dataset.live === 'lost'");
}
