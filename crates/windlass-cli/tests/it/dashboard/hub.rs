//! The hub: its clients, one of them, the end of one, and topics whose values change while somebody looks.

use super::*;
use crate::hub_operated::{join, publish};

struct Watched {
    browser: Browser,
    at: String,
    _server: Server,
    _folder: crate::config::Folder,
}

/// A hub with a rule, watched by a browser.
fn watched(name: &str) -> Option<Watched> {
    let mut browser = Browser::start(name)?;
    let folder = crate::config::Folder::new(name);
    let text = format!(
        "[server]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n[[hub]]\nname = \"mqtt\"\nlisten = \"127.0.0.1:0\"\n\
         sys_interval = 0\n\
         [[hub.rule]]\nname = \"hot\"\nfilter = \"plant/+/temp\"\nfile = \"{}\"\n",
        folder.path("hot.jsonl")
    );
    let file = folder.file("windlass.toml", &text);
    let mut server = Server::command(&["run", "-q", "-c", &file]);
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    browser.look(1280, 900, "light");
    browser.open(&format!("http://{admin}/"));
    browser.until(LIVE);
    Some(Watched { browser, at: server.address.clone(), _server: server, _folder: folder })
}

fn row(client: &str) -> String {
    format!(
        "[...document.querySelectorAll('#hub-table tbody tr')].find((row) => row.firstChild.textContent === '{client}')"
    )
}

fn level(topic: &str) -> String {
    format!("document.querySelector('#topic-tree [title=\"{topic}\"]').parentElement")
}

#[test]
fn clients_are_shown_looked_into_and_disconnected() {
    let Some(mut case) = watched("hub-clients") else { return };
    let browser = &mut case.browser;
    browser.scroll_to("hub");
    browser.until("document.querySelector('#hub-table .empty').textContent === 'Nobody is there.'");
    let mut clients: Vec<_> = (0..30).map(|n| join(&case.at, &format!("meter-{n:02}"))).collect();
    for _ in 0..5 {
        publish(&mut clients[7], "t/x", "1", false);
    }
    browser.until("document.getElementById('hub-count').textContent === '30 clients'");
    // By what came from them, the one that says something first; and so is it with the button in the head.
    browser.eval("document.querySelector('#hub-table th button[title=\"Sort by received\"]').click()");
    browser.until("document.querySelector('#hub-table tbody th').textContent === 'meter-07'");
    browser.until(&format!("{}.querySelector('[data-name=received]').textContent === '5'", row("meter-07")));
    browser.eval("document.querySelector('#hub-table th button[title=\"Sort by name\"]').click()");
    browser.until("document.getElementById('hub-page').textContent === 'page 1 of 2'");
    browser.click("#hub-on");
    browser.until("document.querySelector('#hub-table tbody th').textContent === 'meter-25'");
    browser.eval("const f = document.getElementById('hub-filter'); f.value = '-07'; f.dispatchEvent(new Event('input'))");
    browser.until("document.getElementById('hub-count').textContent === '1 of 30'");
    // One of them.
    browser.eval(&format!("{}.querySelector('button').click()", row("meter-07")));
    browser.until("document.getElementById('client').open && document.querySelector('#client-view code')");
    assert_eq!(browser.text("#client-h"), "meter-07");
    let said = browser.text("#client-view");
    for wanted in ["anonymous", "MQTT 3.1.1", "t/#", "Subscriptions: 1 of"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    browser.shot("hub-client-light");
    // A question before its end; no is no.
    browser.click("#client-kick");
    browser.until("document.getElementById('ask').open");
    browser.click("#ask button[value=no]");
    browser.until("!document.getElementById('ask').open && document.getElementById('client').open");
    let mut still = [0; 2];
    clients[7].write_all(b"\xc0\0").unwrap();
    while still != *b"\xd0\0" {
        still[0] = still[1];
        clients[7].read_exact(&mut still[1..]).unwrap();
    }
    browser.click("#client-end");
    browser.until("document.getElementById('ask').open");
    browser.click("#ask-yes");
    browser.until("document.getElementById('client-answer').textContent === 'Its session has ended.'");
    assert_eq!(clients[7].read(&mut still).unwrap(), 0, "it is disconnected");
    browser.click("#client-close");
    browser.until("document.getElementById('hub-count').textContent === '0 of 29'");
    assert_eq!(browser.text("#hub-table .empty"), "No client fits the filter.");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn values_are_seen_as_they_change() {
    let Some(mut case) = watched("hub-topics") else { return };
    let browser = &mut case.browser;
    let mut device = join(&case.at, "device");
    publish(&mut device, "plant/1/temp", "20.5", true);
    publish(&mut device, "plant", "on", true);
    // Whatever a stranger writes stays text.
    publish(&mut device, "<b>bold<b>", "<script>", true);
    browser.scroll_to("topics");
    browser.until("document.querySelectorAll('#topic-tree .level').length === 2");
    browser.until(&format!("{}.querySelector('.level-value').textContent === 'on'", level("plant")));
    browser
        .until(&format!("{}.querySelector('.level-value').textContent === '<script>'", level("<b>bold<b>")));
    // Down two levels, by the buttons.
    browser.eval(&format!("{}.querySelector('button').click()", level("plant")));
    browser.until("document.querySelector('#topic-tree [title=\"plant/1\"]')");
    browser.eval(&format!("{}.querySelector('button').click()", level("plant/1")));
    let value = format!("{}.querySelector('.level-value').textContent", level("plant/1/temp"));
    browser.until(&format!("{value} === '20.5'"));
    assert_eq!(browser.eval(&format!("{}.querySelector('button').hidden", level("plant/1/temp"))), true);
    // It changes while somebody looks, and a new one is there as well.
    publish(&mut device, "plant/1/temp", "21.0", false);
    publish(&mut device, "plant/1/door", "open", false);
    browser.until(&format!("{value} === '21.0'"));
    browser.until("document.querySelector('#topic-tree [title=\"plant/1/door\"]')");
    browser.until("document.querySelector('#topic-table tbody').textContent.includes('plant/1/temp')");
    let before = browser.eval("document.querySelector('#topic-table tbody').textContent");
    for n in 0..20 {
        publish(&mut device, "plant/1/temp", &format!("22.{n}"), false);
        thread::sleep(Duration::from_millis(20));
    }
    browser.until(&format!("{value} === '22.19'"));
    browser.until("document.querySelector('#topic-table tbody th').textContent === 'plant/1/temp'");
    browser.until(&format!("document.querySelector('#topic-table tbody').textContent !== {before}"));
    // Shut again, nobody asks for what is below.
    browser.eval(&format!("{}.querySelector('button').click()", level("plant")));
    browser.until("!document.querySelector('#topic-tree [title=\"plant/1\"]')");
    // Paused, nothing changes; then it goes on.
    browser.click("#pause");
    let rows = browser.eval("document.querySelectorAll('#topic-tree .level').length");
    publish(&mut device, "new", "1", true);
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(browser.eval("document.querySelectorAll('#topic-tree .level').length"), rows);
    browser.click("#pause");
    browser.until("document.querySelector('#topic-tree [title=new]')");
    // With a filter only those that fit it.
    browser.eval("const f = document.getElementById('topic-filter'); f.value = 'plant/+/door'; f.dispatchEvent(new Event('input'))");
    browser.until("document.querySelectorAll('#topic-table tbody tr').length === 1");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn it_looks_right_in_both_schemes_and_on_a_narrow_screen() {
    let Some(mut case) = watched("hub-look") else { return };
    let browser = &mut case.browser;
    let mut clients: Vec<_> = (0..12).map(|n| join(&case.at, &format!("plant-controller-{n:02}"))).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        let (topic, value) =
            (format!("plant/{n}/temp"), format!("{{\"temp\": 2{}.5, \"unit\": \"C\"}}", n % 10));
        publish(client, &topic, &value, n % 2 == 0);
        publish(client, &format!("plant/{n}/pump/state"), "running", true);
    }
    browser.scroll_to("topics");
    browser.until("document.querySelector('#topic-tree [title=plant]')");
    browser.eval(&format!("{}.querySelector('button').click()", level("plant")));
    browser.until("document.querySelector('#topic-tree [title=\"plant/4\"]')");
    browser.eval(&format!("{}.querySelector('button').click()", level("plant/4")));
    browser.until("document.querySelector('#topic-tree [title=\"plant/4/temp\"]')");
    browser.scroll_to("hub");
    browser.until("document.querySelectorAll('#hub-table tbody tr').length === 12");
    browser.until("document.querySelector('#hub-rules tbody').textContent.includes('hot')");
    for scheme in ["light", "dark"] {
        browser.look(1280, 900, scheme);
        browser.until(&format!("matchMedia('(prefers-color-scheme: {scheme})').matches"));
        for section in ["hub", "topics"] {
            browser.scroll_to(section);
            for client in &mut clients {
                publish(client, "plant/4/temp", "21", false);
            }
            thread::sleep(Duration::from_millis(2500));
            assert_eq!(look::too_faint(browser), Vec::<String>::new(), "{scheme}");
            browser.shot(&format!("{section}-{scheme}"));
        }
    }
    browser.scroll_to("hub");
    browser.eval("document.querySelector('#hub-table tbody button').click()");
    browser.until("document.querySelector('#client-view code')");
    assert_eq!(look::too_faint(browser), Vec::<String>::new(), "the client, dark");
    browser.shot("hub-client-dark");
    browser.click("#client-close");
    for width in [1280, 1000, 830, 700, 400, 320] {
        browser.look(width, 850, "light");
        browser.until(&format!("innerWidth === {width}"));
        let wide = browser.eval("document.documentElement.scrollWidth - innerWidth").as_i64().unwrap();
        assert!(wide <= 0, "{width} px: the page is {wide} px wider");
        if width == 400 || width == 830 {
            for section in ["hub", "topics"] {
                browser.scroll_to(section);
                thread::sleep(Duration::from_millis(1200));
                browser.shot(&format!("{section}-{width}"));
            }
        }
    }
    assert_eq!(browser.complaints(), [""; 0]);
}
