//! "One turn, slowly": it records a turn of a real worker, and plays and steps through it.

use super::*;

/// Which moment is shown, counted from 1.
const AT: &str = "Number(document.getElementById('turn-clock').textContent.split(' ')[0])";

#[test]
fn it_plays_and_steps() {
    let Some((observed, mut browser)) = watch("turn", "") else { return };
    let _traffic = Traffic::start(&observed.server.address, 8);
    browser.until(LIVE);
    browser.look(1280, 1000, "light");
    browser.scroll_to("turn");
    browser.until("document.querySelector('.stage svg')");
    browser.click("#turn-fetch");
    browser.until("document.querySelectorAll('#turn-list li button').length > 3");
    // It plays by itself.
    browser.until(&format!("{AT} >= 2"));
    browser.shot("turn-plays-light");
    browser.click("#turn-play");
    let at = browser.eval(AT);
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(browser.eval(AT), at, "it pauses");

    // Every moment has its sentence, and the picture, the sentence and the list agree.
    browser.eval("document.querySelector('#turn-list button').click()");
    let many = browser.eval("document.querySelectorAll('#turn-list li').length").as_u64().unwrap();
    let mut said = Vec::new();
    for n in 1..=many {
        assert_eq!(browser.eval(AT), n);
        let sentence = browser.text("#turn-sentence");
        assert!(browser.text("#turn-list [aria-current] button").ends_with(&sentence), "{sentence}");
        said.push(sentence);
        if n < many {
            browser.click("#turn-step");
        }
    }
    assert!(said[0].starts_with("The worker ") && said[0].contains("system"), "{said:?}");
    assert!(said.last().unwrap().starts_with("The turn is over after "), "{said:?}");
    assert!(
        said.iter().any(|sentence| sentence.starts_with("It calls ") && sentence.contains("of the service")),
        "{said:?}"
    );
    assert!(browser.eval("document.getElementById('turn-step').disabled").as_bool().unwrap());
    browser.click("#turn-back");
    assert_eq!(browser.eval(AT), many - 1);

    // A picture for people: in the middle of it.
    let middle = said.iter().position(|sentence| sentence.starts_with("It calls ")).unwrap();
    browser.eval(&format!("document.querySelectorAll('#turn-list button')[{middle}].click()"));
    thread::sleep(Duration::from_millis(300));
    browser.shot("turn-light");
    browser.look(1280, 1000, "dark");
    thread::sleep(Duration::from_millis(300));
    browser.shot("turn-dark");
    browser.look(400, 1000, "light");
    thread::sleep(Duration::from_millis(300));
    browser.scroll_to("turn");
    browser.shot("turn-400");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn nothing_moves_for_those_who_do_not_want_it() {
    let Some((observed, mut browser)) = watch("still", "") else { return };
    let _traffic = Traffic::start(&observed.server.address, 4);
    browser.until(LIVE);
    let features = serde_json::json!([{ "name": "prefers-reduced-motion", "value": "reduce" }]);
    browser.call("Emulation.setEmulatedMedia", serde_json::json!({ "features": features }));
    browser.click("#turn-fetch");
    browser.until("document.querySelectorAll('#turn-list li button').length > 3");
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(browser.eval(AT), 1, "it waits to be told");
    for _ in 0..3 {
        browser.click("#turn-step");
        assert_eq!(browser.eval("document.getAnimations().length"), 0);
    }
}
