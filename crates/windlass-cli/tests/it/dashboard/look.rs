//! That it loads, lives, and can be read: in both schemes, on a narrow screen, by keyboard, and through a
//! restart of the server.

use std::net::TcpStream;

use serde_json::Value;

use super::*;

#[test]
fn it_asks_nobody_else_and_lives() {
    let Some((observed, mut browser)) = watch("lives", "") else { return };
    browser.until(LIVE);
    // A server with nobody on it but the page.
    assert!(browser.text("#closes .empty").contains("No connection has ended"));
    assert!(browser.text("#stalls .empty").contains("No callback"));
    browser.shot("empty-light");
    let traffic = Traffic::start(&observed.server.address, 6);
    // The page counts along: figures change, and what is said of the worker is more than a dash.
    let messages = "document.querySelectorAll('.total .below')[1].textContent";
    let before = browser.eval(messages);
    browser.until(&format!("{messages} !== {before}"));
    browser.until("/half below [0-9]/.test(document.querySelector('.worker .turns').textContent)");
    assert_eq!(browser.text("#phase"), "serving");
    assert_eq!(browser.text("#version"), env!("CARGO_PKG_VERSION"));
    assert!(browser.text("#listener-table").contains(&observed.server.address));
    assert!(browser.text("#service-table").contains("greeter"));
    // Figures that change move nothing else.
    let moved = "new Promise((told) => { let moved = 0;\
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => { moved += entry.value; }))\
            .observe({ type: 'layout-shift' });\
        setTimeout(() => told(moved), 4000); })";
    let moved = browser.eval(moved).as_f64().unwrap();
    assert!(moved < 0.01, "{moved}");
    drop(traffic);
    browser.until("document.querySelector('#close-table').textContent.includes('eof')");
    // Nothing was asked of anybody else, and nothing on the page went wrong.
    let elsewhere: Vec<_> =
        browser.requested().into_iter().filter(|url| !url.starts_with(&observed.url())).collect();
    assert_eq!(elsewhere, [""; 0]);
    assert_eq!(browser.complaints(), [""; 0]);
    assert!(browser.requested().len() > 15);
}

#[test]
fn it_pauses_and_goes_on() {
    let Some((observed, mut browser)) = watch("pauses", "") else { return };
    let _traffic = Traffic::start(&observed.server.address, 2);
    browser.until(LIVE);
    browser.click("#pause");
    let uptime = browser.text("#uptime");
    assert!(browser.text("#live-text").starts_with("paused at "));
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(browser.text("#uptime"), uptime);
    browser.click("#pause");
    browser.until(&format!("document.getElementById('uptime').textContent !== {uptime:?}"));
}

#[test]
fn seconds_without_news_are_a_gap() {
    let Some((observed, mut browser)) = watch("gap", "") else { return };
    let _traffic = Traffic::start(&observed.server.address, 2);
    browser.until(LIVE);
    let busy = "/half below [0-9]/.test(document.querySelector('.worker .turns').textContent)";
    browser.until(busy);
    observed.server.signal(rustix::process::Signal::STOP);
    thread::sleep(Duration::from_secs(3));
    let uptime = browser.text("#uptime");
    observed.server.signal(rustix::process::Signal::CONT);
    browser.until(&format!("document.getElementById('uptime').textContent !== {uptime:?} && {busy}"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn it_looks_right_in_both_schemes_and_on_a_narrow_screen() {
    let Some((observed, mut browser)) = watch("looks", "") else { return };
    let _traffic = Traffic::start(&observed.server.address, 12);
    browser.until(LIVE);
    browser.until("document.querySelectorAll('#service-table tbody tr').length > 0");
    // Something to draw.
    thread::sleep(Duration::from_secs(4));
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.look(1280, 900, scheme);
        browser.until(&format!("matchMedia('(prefers-color-scheme: {scheme})').matches"));
        thread::sleep(Duration::from_millis(1200));
        grounds.push(browser.eval("getComputedStyle(document.body).backgroundColor"));
        assert_eq!(too_faint(&mut browser), Vec::<String>::new(), "{scheme}");
        for section in ["overview", "services", "connections", "closes", "limits", "turn", "orders"] {
            browser.scroll_to(section);
            thread::sleep(Duration::from_millis(300));
            browser.shot(&format!("{section}-{scheme}"));
        }
        browser.eval("scrollTo(0, 0)");
    }
    assert_ne!(grounds[0], grounds[1]);
    // The button goes against the system, and the strips are drawn anew.
    browser.click("#theme");
    browser.until(&format!("getComputedStyle(document.body).backgroundColor === {}", grounds[0]));
    browser.click("#theme");
    browser.until(&format!("getComputedStyle(document.body).backgroundColor === {}", grounds[1]));
    // What the system says anyway is no choice.
    browser.look(1280, 900, "light");
    browser.until(&format!("getComputedStyle(document.body).backgroundColor === {}", grounds[0]));
    // Something was drawn: the strip has more than one colour.
    let colours = "(() => { const canvas = document.querySelector('.worker canvas');\
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);\
        return new Set(new Uint32Array(data.buffer)).size; })()";
    browser.until(&format!("{colours} > 4"));

    for width in [1280, 1000, 830, 700, 400, 320] {
        browser.look(width, 850, "light");
        browser.until(&format!("innerWidth === {width}"));
        thread::sleep(Duration::from_millis(300));
        let wide = browser.eval("document.documentElement.scrollWidth - innerWidth").as_i64().unwrap();
        assert!(wide <= 0, "{width} px: the page is {wide} px wider");
        if width == 400 {
            for section in ["overview", "workers", "connections", "limits", "turn", "orders"] {
                browser.scroll_to(section);
                thread::sleep(Duration::from_millis(300));
                browser.shot(&format!("{section}-400"));
            }
        }
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Texts that are too faint for their ground (WCAG 2, AA: 4.5 to 1), whatever they are.
pub(super) fn too_faint(browser: &mut Browser) -> Vec<String> {
    let script = r"(() => {
      const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
      const rgba = (colour) => {
        pen.clearRect(0, 0, 1, 1);
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        return [...pen.getImageData(0, 0, 1, 1).data];
      };
      const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
      const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
          const colour = rgba(getComputedStyle(at).backgroundColor);
          if (colour[3] === 255) return colour;
        }
        return rgba('white');
      };
      const found = new Set();
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      for (let node = walk.nextNode(); node; node = walk.nextNode()) {
        const element = node.parentElement;
        if (!node.data.trim() || !element.checkVisibility() || element.closest(':disabled, noscript, .hidden')) continue;
        const style = getComputedStyle(element);
        const text = rgba(element instanceof SVGElement ? style.fill : style.color);
        const [a, b] = [light(text), light(ground(element))].sort((x, y) => y - x);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < 4.5) found.add(`${contrast.toFixed(2)} ${element.className.baseVal ?? element.className} ${node.data.trim().slice(0, 30)}`);
      }
      return [...found];
    })()";
    let found = browser.eval(script);
    found.as_array().unwrap().iter().map(|one| one.as_str().unwrap().into()).collect()
}

#[test]
fn the_keyboard_reaches_everything() {
    let Some((observed, mut browser)) = watch("keyboard", "") else { return };
    let _client = TcpStream::connect(&observed.server.address).unwrap();
    browser.until(LIVE);
    let mut reached = Vec::new();
    for _ in 0..60 {
        browser.key("Tab");
        let at = browser.eval(
            "(() => { const at = document.activeElement; const style = getComputedStyle(at);\
             return [at.id || at.getAttribute('href') || at.textContent.trim(), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]; })()",
        );
        if at[0] == "drain" {
            reached.push(at);
            break;
        }
        reached.push(at);
    }
    let names: Vec<&str> = reached.iter().filter_map(|at| at[0].as_str()).collect();
    for name in [
        "#main",
        "pause",
        "theme",
        "#turn",
        "connection-filter",
        "connection-sort",
        "turn-fetch",
        "reload",
        "log-level",
        "drain",
    ] {
        assert!(names.contains(&name), "{name} is not reached: {names:?}");
    }
    let unseen: Vec<&Value> = reached.iter().filter(|at| at[1] != true).collect();
    assert_eq!(unseen, [&Value::Null; 0], "focus is seen wherever it is");
    assert_eq!(names[0], "#main", "the first leads past the navigation");

    // Escape says no.
    browser.key("Enter");
    browser.until("document.getElementById('ask').open");
    browser.shot("ask-light");
    browser.key("Escape");
    browser.until("!document.getElementById('ask').open");
    assert_eq!(browser.text("#drain-answer"), "");
    assert_eq!(browser.eval("document.activeElement.id"), "drain", "it is back where it was");
    assert_eq!(browser.text("#phase"), "serving");
}

#[test]
fn it_outlives_its_server() {
    let Some((mut observed, mut browser)) = watch("outlives", "") else { return };
    browser.until(LIVE);
    let pid = browser.text("#pid");
    assert_eq!(pid, observed.server.pid().to_string());
    // It is gone: the page says so, and since when.
    observed.server.signal(rustix::process::Signal::KILL);
    browser.until("/disconnected since [0-9]/.test(document.getElementById('live-text').textContent)");
    browser.shot("disconnected-light");
    // It is back, and is another.
    observed.again();
    browser.until(&format!("{LIVE} && document.getElementById('pid').textContent !== {pid:?}"));
    assert_eq!(browser.text("#pid"), observed.server.pid().to_string());
    assert!(browser.text("#notice").contains("restarted or replaced"));
    // From there on everything is as before.
    let uptime = browser.text("#uptime");
    browser.until(&format!("document.getElementById('uptime').textContent !== {uptime:?}"));
}

#[test]
fn it_follows_the_successor() {
    let Some((mut observed, mut browser)) = watch("follows", "") else { return };
    browser.until(LIVE);
    browser.scroll_to("connections");
    // Somebody who stays with the old one, which therefore does not end.
    let mut client = observed.server.connect();
    let old = observed.again();
    let pid = observed.server.pid().to_string();
    browser.until(&format!("{LIVE} && document.getElementById('pid').textContent === '{pid}'"));
    assert_eq!(browser.text("#phase"), "serving");
    round_trip(&mut client, b"still with the old one");
    // It stays there, and alive.
    for _ in 0..2 {
        let uptime = browser.text("#uptime");
        browser.until(&format!("document.getElementById('uptime').textContent !== {uptime:?}"));
        assert_eq!(browser.text("#pid"), pid);
    }
    drop(old);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn it_asks_for_the_token() {
    let Some((_observed, mut browser)) = watch("token", "token = \"open sesame\"") else { return };
    browser.until("document.getElementById('login').open");
    assert_eq!(browser.text("#version"), "", "nothing is told before");
    browser.eval("document.getElementById('login-token').value = 'wrong'");
    browser.click("#login-form button");
    browser.until("document.getElementById('login-wrong').textContent.includes('not the token')");
    browser.shot("login-light");
    // Put away, it can be had again.
    browser.key("Escape");
    browser.until("!document.getElementById('login').open");
    browser.click("#notice button");
    browser.eval("document.getElementById('login-token').value = 'open sesame'");
    browser.click("#login-form button");
    browser.until(LIVE);
    assert_eq!(browser.text("#phase"), "serving");
    // The cookie is there for the next visit, and no script can read it.
    assert_eq!(browser.eval("document.cookie"), "");
    browser.forget();
    browser.call("Page.reload", serde_json::json!({}));
    browser.until(LIVE);
    assert_eq!(browser.complaints(), [""; 0]);
}
