//! Games: their rooms, one of them, the end of a seat and of a room; and that it can be looked at.

use super::*;
use crate::game_operated::Player;

struct Watched {
    browser: Browser,
    at: String,
    _server: Server,
    _folder: crate::config::Folder,
}

/// A game, watched by a browser.
fn watched(name: &str) -> Option<Watched> {
    let mut browser = Browser::start(name)?;
    let folder = crate::config::Folder::new(name);
    let text = "[server]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n[[game]]\nname = \"arena\"\nlisten = \"127.0.0.1:0\"\n";
    let file = folder.file("windlass.toml", text);
    let mut server = Server::command(&["run", "-q", "-c", &file]);
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    browser.look(1280, 900, "light");
    browser.open(&format!("http://{admin}/"));
    browser.until(LIVE);
    Some(Watched { browser, at: server.address.clone(), _server: server, _folder: folder })
}

fn row(room: &str) -> String {
    format!(
        "[...document.querySelectorAll('#games-table tbody tr')].find((row) => row.firstChild.textContent === '{room}')"
    )
}

#[test]
fn rooms_are_shown_looked_into_and_ended() {
    let Some(mut case) = watched("games-rooms") else { return };
    let browser = &mut case.browser;
    browser.scroll_to("games");
    browser.until("document.querySelector('#games-table .empty').textContent.startsWith('There is no room')");
    let alone: Vec<Player> =
        (0..30).map(|n| Player::join(&case.at, "create", &format!("{{\"name\":\"one {n}\"}}"))).collect();
    let wish = |name: &str| format!(r#"{{"room":"{}","name":"{name}"}}"#, alone[7].room);
    // Whatever a stranger is called stays text.
    let ann = Player::join(&case.at, "join", &wish("<b>ann"));
    let room = ann.room.clone();
    browser.until("document.getElementById('games-count').textContent === '30 rooms'");
    browser.until(&format!("document.querySelector('#games-table tbody th').textContent === '{room}'"));
    browser.until(&format!("{}.querySelector('[data-name=players]').textContent === '2/16'", row(&room)));
    browser.until(&format!("/KiB|B/.test({}.querySelector('[data-name=sent]').textContent)", row(&room)));
    browser.until("document.getElementById('games-totals').textContent.includes('31 by websocket')");
    assert_eq!(browser.text("#games-page"), "page 1 of 2");
    browser.eval("document.querySelector('#games-table th button').click()");
    browser.until("document.getElementById('games-sort').value === 'name'");
    browser.click("#games-on");
    browser.until("document.querySelectorAll('#games-table tbody tr').length === 5");
    browser.eval(&format!(
        "(() => {{ const f = document.getElementById('games-filter'); f.value = '{room}'; f.dispatchEvent(new Event('input')); }})()"
    ));
    browser.until("document.getElementById('games-count').textContent === '1 of 30'");
    // One of them.
    browser.eval(&format!("{}.querySelector('button').click()", row(&room)));
    browser.until("document.getElementById('room').open && document.querySelectorAll('#room-seats tbody tr').length === 2");
    assert_eq!(browser.text("#room-h"), room);
    let said = browser.text("#room-seats");
    for wanted in ["one 7", "<b>ann", "playing", "127.0.0.1:", "websocket"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let facts = browser.text("#room-facts");
    for wanted in ["30 ticks/s", "16 players, 16 spectators", "late, 99 %", "let in"] {
        assert!(facts.contains(wanted), "{wanted}: {facts}");
    }
    // It goes on while it is looked at.
    let tick = "[...document.querySelectorAll('#room-facts dt')].find((it) => it.textContent === 'tick').nextSibling.textContent";
    let before = browser.eval(tick).as_str().unwrap().to_owned();
    browser.until(&format!("{tick} !== '{before}'"));
    browser.shot("games-room-light");
    // A question before the end of a seat; no is no.
    let kick =
        "[...document.querySelectorAll('#room-seats tbody tr')].at(-1).querySelector('button').click()";
    browser.eval(kick);
    browser.until("document.getElementById('ask').open");
    browser.click("#ask button[value=no]");
    browser.until("!document.getElementById('ask').open && document.getElementById('room').open");
    browser.eval(kick);
    browser.until("document.getElementById('ask').open");
    browser.click("#ask-yes");
    browser.until("document.getElementById('room-answer').textContent === 'Seat 1 is free.'");
    assert_eq!(ann.end(), ("the operator has ended it".into(), 4000));
    browser.until("document.querySelectorAll('#room-seats tbody tr').length === 1");
    // And of the room.
    browser.click("#room-end");
    browser.until("document.getElementById('ask').open");
    browser.click("#ask-yes");
    browser.until("document.getElementById('room-answer').textContent === 'It has ended.'");
    browser.click("#room-close");
    browser.until("document.getElementById('games-count').textContent === '0 of 29'");
    assert_eq!(browser.text("#games-table .empty"), "No room fits the filter.");
    let mut alone = alone;
    assert_eq!(alone.remove(7).end(), ("the operator has ended it".into(), 4002));
    // A room that is over while somebody looks at it.
    let other = alone.remove(3);
    let its = other.room.clone();
    browser.eval(&format!(
        "(() => {{ const f = document.getElementById('games-filter'); f.value = '{its}'; f.dispatchEvent(new Event('input')); }})()"
    ));
    browser.until("document.getElementById('games-count').textContent === '1 of 29'");
    browser.eval(&format!("{}.querySelector('button').click()", row(&its)));
    browser.until("document.querySelectorAll('#room-seats tbody tr').length === 1");
    other.leave();
    browser.until("document.querySelectorAll('#room-seats tbody tr').length === 0");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn it_looks_right_in_both_schemes_and_on_a_narrow_screen() {
    let Some(mut case) = watched("games-look") else { return };
    let browser = &mut case.browser;
    let mut players: Vec<Player> = (0..22)
        .map(|n| {
            let how = if n % 5 == 0 { "create" } else { "join-or-create" };
            Player::join(&case.at, how, &format!("{{\"name\":\"somebody with a name {n}\"}}"))
        })
        .collect();
    let wish = format!(r#"{{"room":"{}","spectate":true,"name":"who watches"}}"#, players[0].room);
    players.push(Player::join(&case.at, "join", &wish));
    let room = players[0].room.clone();
    browser.scroll_to("games");
    browser.until("document.querySelectorAll('#games-table tbody tr').length === 5");
    let inspect = |browser: &mut Browser| {
        browser.eval(&format!("{}.querySelector('button').click()", row(&room)));
        browser.until("document.querySelectorAll('#room-seats tbody tr').length > 2");
    };
    for scheme in ["light", "dark"] {
        browser.look(1280, 900, scheme);
        browser.until(&format!("matchMedia('(prefers-color-scheme: {scheme})').matches"));
        browser.scroll_to("games");
        for _ in 0..3 {
            players.iter_mut().for_each(Player::plays_on);
        }
        assert_eq!(look::too_faint(browser), Vec::<String>::new(), "{scheme}");
        browser.shot(&format!("games-{scheme}"));
        inspect(browser);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(look::too_faint(browser), Vec::<String>::new(), "a room, {scheme}");
        browser.shot(&format!("games-look-room-{scheme}"));
        browser.click("#room-close");
    }
    for width in [1280, 1000, 830, 700, 400, 320] {
        browser.look(width, 850, "light");
        browser.until(&format!("innerWidth === {width}"));
        browser.scroll_to("games");
        let wide = browser.eval("document.documentElement.scrollWidth - innerWidth").as_i64().unwrap();
        assert!(wide <= 0, "{width} px: the page is {wide} px wider");
        inspect(browser);
        let wide = browser.eval(
            "(() => { const d = document.getElementById('room'); return d.scrollWidth - d.clientWidth; })()",
        );
        assert!(wide.as_i64().unwrap() <= 0, "{width} px: what is in the dialog is {wide} px wider");
        if width == 400 || width == 830 {
            browser.shot(&format!("games-room-{width}"));
        }
        browser.click("#room-close");
        if width == 400 || width == 830 {
            thread::sleep(Duration::from_millis(500));
            browser.shot(&format!("games-{width}"));
        }
    }
    assert_eq!(browser.complaints(), [""; 0]);
}
