//! Chromium without a window, driven over its DevTools protocol.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// Longer than anything takes on the slowest machine; usually it is a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page, and its profile; both are gone in the end.
pub(crate) struct Browser {
    child: Child,
    home: PathBuf,
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    asked: u64,
    /// What it has told without being asked.
    events: Vec<Value>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.is_file())
}

impl Browser {
    /// Starts it, if there is one.
    pub(crate) fn start(name: &str) -> Option<Browser> {
        let Some(program) = program() else {
            println!("SKIPPED: no chromium: nobody has looked at the dashboard");
            return None;
        };
        let home = env::temp_dir().join(format!("windlass-dashboard-{name}-{}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        let profile = home.join("profile");
        let child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .env("HOME", &home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (port, path) = door(&profile);
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        let mut browser = Browser { child, home, socket, session: None, asked: 0, events: Vec::new() };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().into());
        for part in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{part}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Asks, and waits for the answer.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.ask(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn ask(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.asked += 1;
        let asked = self.asked;
        let mut question = json!({ "id": asked, "method": method, "params": params });
        if let Some(session) = &self.session {
            question["sessionId"] = session.as_str().into();
        }
        self.socket.send(Message::text(question.to_string())).unwrap();
        loop {
            let mut told = self.read();
            if told["id"] == asked {
                return if told.get("error").is_some() { Err(told) } else { Ok(told["result"].take()) };
            }
            self.events.push(told);
        }
    }

    fn read(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().expect("the browser goes on talking") {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
    }

    /// What this expression comes to on the page.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut result = self.call("Runtime.evaluate", params);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// The text of the first element that fits.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector({selector:?})?.textContent ?? ''"));
        text.as_str().unwrap().into()
    }

    /// Waits until this expression is true of the page, whatever the page is until then.
    pub(crate) fn until(&mut self, expression: &str) {
        let expression =
            format!("(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()");
        let deadline = Instant::now() + PATIENCE;
        // It may be on its way to another page, and then there is nobody to ask.
        let asked = json!({ "expression": expression, "returnByValue": true });
        while !self.ask("Runtime.evaluate", asked.clone()).is_ok_and(|told| told["result"]["value"] == true) {
            if Instant::now() > deadline {
                self.shot("given-up");
                panic!("never true: {expression}; the page: {}", self.text("main"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn click(&mut self, selector: &str) {
        self.until(&format!(
            "document.querySelector({selector:?}) && !document.querySelector({selector:?}).disabled"
        ));
        self.eval(&format!("document.querySelector({selector:?}).click()"));
    }

    /// Presses and releases a key, by the name that pages know it by.
    pub(crate) fn key(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "ArrowRight" => 39,
            _ => 0,
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let key =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", key);
        }
    }

    /// Does `act` on the page and answers the request that comes of it, in the server's place.
    pub(crate) fn answering(&mut self, url: &str, status: u16, body: &Value, act: &str) {
        self.call("Fetch.enable", json!({ "patterns": [{ "urlPattern": url }] }));
        self.eval(act);
        let deadline = Instant::now() + PATIENCE;
        let paused = loop {
            if let Some(paused) = self.params("Fetch.requestPaused").next() {
                break paused["requestId"].clone();
            }
            assert!(Instant::now() < deadline, "nothing was asked of {url}");
            self.eval("0");
        };
        let body = STANDARD.encode(body.to_string());
        let answer = json!({ "requestId": paused, "responseCode": status, "body": body });
        self.call("Fetch.fulfillRequest", answer);
        self.call("Fetch.disable", json!({}));
    }

    /// How wide and high the window is, and whether the system is dark.
    pub(crate) fn look(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Brings a section into view.
    pub(crate) fn scroll_to(&mut self, section: &str) {
        self.eval(&format!("document.getElementById({section:?}).scrollIntoView()"));
    }

    /// Takes a picture, for people: `target/screenshots/NAME.png`.
    pub(crate) fn shot(&mut self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        fs::create_dir_all(&folder).unwrap();
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    fn params<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |event| event["method"] == method).map(|event| &event["params"])
    }

    /// Everything that pages have asked for.
    pub(crate) fn requested(&self) -> Vec<String> {
        self.params("Network.requestWillBeSent")
            .map(|params| params["request"]["url"].as_str().unwrap().into())
            .collect()
    }

    /// What went wrong on the page: exceptions, errors written to its console, resources that were not
    /// there, what its policy forbids.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let thrown = self.params("Runtime.exceptionThrown").map(Value::to_string);
        let written = self.params("Runtime.consoleAPICalled");
        let written = written.filter(|params| params["type"] == "error").map(Value::to_string);
        let logged = self.params("Log.entryAdded");
        let logged = logged.filter(|params| params["entry"]["level"] == "error").map(Value::to_string);
        thrown.chain(written).chain(logged).collect()
    }

    /// Forgets what it has told so far.
    pub(crate) fn forget(&mut self) {
        self.events.clear();
    }
}

/// Where it listens: it writes that down once it does.
fn door(profile: &Path) -> (u16, String) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(text) = fs::read_to_string(profile.join("DevToolsActivePort"))
            && let Some((port, path)) = text.split_once('\n')
        {
            return (port.parse().unwrap(), path.trim().into());
        }
        assert!(Instant::now() < deadline, "the browser does not start");
        thread::sleep(Duration::from_millis(20));
    }
}
