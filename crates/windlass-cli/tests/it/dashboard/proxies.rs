//! Proxies and their backends: that they are shown, can be changed, and can be read.

use std::net::TcpStream;

use super::*;

/// A proxy with a name for each way that a backend can be, watched by a browser.
struct Proxied {
    browser: Browser,
    web: String,
    /// Where a fourth backend is, of which nothing is known yet.
    more: String,
    _servers: Vec<Server>,
    folder: crate::config::Folder,
}

fn proxied(name: &str) -> Option<Proxied> {
    let mut browser = Browser::start(name)?;
    let echoes: Vec<Server> = (0..3).map(|_| Server::start(&["-q"])).collect();
    let folder = crate::config::Folder::new(name);
    // A port that nobody has: one that was given back a moment ago.
    let nobody = crate::served::free();
    let text = format!(
        "[server]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[proxy]]\nname = \"web\"\nlisten = \"127.0.0.1:0\"\ncheck_every = \"200ms\"\ncheck_timeout = \"20s\"\ncheck_fall = 1\n\
         backend = [{{ to = \"{}\", name = \"red\", connections_max = 100 }}, {{ to = \"{}\", name = \"blue\", weight = 3 }}]\n\
         to = [\"{nobody}\"]\ndiscover = \"file:nowhere\"\n",
        echoes[0].address, echoes[1].address
    );
    let file = folder.file("windlass.toml", &text);
    let mut server = Server::command(&["run", "-q", "-c", &file]);
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    browser.look(1280, 900, "light");
    browser.open(&format!("http://{admin}/"));
    browser.until(LIVE);
    let (web, more) = (server.address.clone(), echoes[2].address.clone());
    let mut servers = echoes;
    servers.push(server);
    Some(Proxied { browser, web, more, _servers: servers, folder })
}

/// The row of a backend, in the page.
fn row(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.proxy tbody tr')].find((tr) => tr.querySelector('th span').textContent === '{name}')"
    )
}

fn state(name: &str) -> String {
    format!("{}.querySelector('.chip').textContent", row(name))
}

#[test]
fn an_operator_sees_backends_and_changes_them() {
    let Some(mut case) = proxied("proxies") else { return };
    let browser = &mut case.browser;
    // The one where nobody is.
    browser.until("document.querySelector('.proxy .chip[data-backend=down]')");
    browser.until(&format!("{} === 'up' && {} === 'up'", state("red"), state("blue")));
    browser.until("/cannot read .*nowhere.* 0 backends of before stay/.test(document.querySelector('.sources .wrong').textContent)");
    let clients: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(&case.web).unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            round_trip(&mut stream, b"hello");
            stream
        })
        .collect();
    let now = |name: &str| format!("{}.querySelector('[data-name=now]').textContent", row(name));
    browser.until(&format!(
        "{} === '8' && {} === '2' && {} === '6'",
        now("clients"),
        now("red"),
        now("blue")
    ));

    // With one press, and back.
    browser.eval(&format!("{}.querySelector('button').click()", row("red")));
    browser.until(&format!("{} === 'draining*'", state("red")));
    browser.until("document.querySelector('.proxy .answer').textContent.includes('red is draining, weight 1, with 2 connections')");
    browser.shot("proxies-light");
    browser.eval(&format!("{}.querySelector('button').click()", row("red")));
    browser.until(&format!("{} === 'up'", state("red")));

    // By keyboard: the dialog, its field, Enter.
    browser.eval(&format!("{}.querySelectorAll('button')[1].focus()", row("blue")));
    browser.key("Enter");
    browser.until("document.getElementById('backend').open");
    assert_eq!(browser.text("#backend-h"), "blue of web");
    browser.eval("document.getElementById('backend-weight').value = '7'");
    browser.eval("document.getElementById('backend-weight').focus()");
    browser.shot("proxies-dialog-light");
    browser.eval("document.getElementById('backend-yes').focus()");
    browser.key("Enter");
    browser.until(&format!("{}.querySelector('[data-name=weight]').textContent === '7'", row("blue")));
    // Escape orders nothing.
    browser.eval(&format!("{}.querySelectorAll('button')[1].click()", row("blue")));
    browser.until("document.getElementById('backend').open");
    browser.eval("document.getElementById('backend-order').value = 'remove-now'");
    browser.key("Escape");
    browser.until("!document.getElementById('backend').open");

    // One more, and one that is no address.
    browser.eval("document.querySelector('.proxy details').open = true");
    let add = |address: &str| {
        format!(
            "(() => {{ document.querySelector('.proxy details input').value = '{address}';\
             document.querySelector('.proxy details button').click(); }})()"
        )
    };
    browser.eval(&add("10.0.0.1"));
    browser.until("document.querySelector('.proxy .answer.wrong').textContent.includes('no port')");
    browser.eval(&add(&case.more));
    browser.until(&format!("{} === 'up*'", state(&case.more)));
    // Back to the file: the new one is gone, and the weight is what it was.
    browser.eval("[...document.querySelectorAll('.proxy > .tools > button')][0].click()");
    browser.until(&format!("!{}", row(&case.more)));
    browser.until(&format!("{}.querySelector('[data-name=weight]').textContent === '3'", row("blue")));
    browser.until("document.querySelector('.proxy > .tools > button').hidden");
    // Nobody has lost a connection by all that.
    for mut client in clients {
        round_trip(&mut client, b"still here");
    }
    // The address that was none: the browser complains of such an answer itself.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|said| said.contains("422")) && complaints.len() <= 1, "{complaints:?}");
    drop(case.folder);
}

#[test]
fn they_look_right_in_both_schemes_and_on_a_narrow_screen() {
    let Some(mut case) = proxied("proxies-look") else { return };
    let browser = &mut case.browser;
    browser.until("document.querySelector('.proxy .chip[data-backend=down]')");
    browser.eval(&format!("{}.querySelector('button').click()", row("red")));
    browser.until(&format!("{} === 'draining*'", state("red")));
    for scheme in ["light", "dark"] {
        browser.look(1280, 900, scheme);
        browser.scroll_to("proxies");
        browser.until(&format!("matchMedia('(prefers-color-scheme: {scheme})').matches"));
        assert_eq!(look::too_faint(browser), Vec::<String>::new(), "{scheme}");
        browser.shot(&format!("proxies-look-{scheme}"));
    }
    for width in [1280, 1000, 830, 700, 400, 320] {
        browser.look(width, 850, "light");
        browser.until(&format!("innerWidth === {width}"));
        let wide = browser.eval("document.documentElement.scrollWidth - innerWidth").as_i64().unwrap();
        assert!(wide <= 0, "{width} px: the page is {wide} px wider");
        if width == 400 || width == 830 {
            browser.scroll_to("proxies");
            browser.shot(&format!("proxies-{width}"));
        }
    }
    assert_eq!(browser.complaints(), [""; 0]);
    drop(case.folder);
}
