//! Chromium, driven through chromedriver by the WebDriver protocol: JSON over plain HTTP.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Keys that are no characters, as WebDriver spells them.
pub const TAB: &str = "\u{E004}";
pub const SHIFT: &str = "\u{E008}";
pub const CONTROL: &str = "\u{E009}";
pub const END: &str = "\u{E010}";

/// A browser with one window, closed when dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    folder: tempfile::TempDir,
}

impl Browser {
    /// A browser with a fresh profile that speaks `language`. Fails where chromedriver or Chromium is missing.
    pub fn start(language: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("downloads")).expect("a folder for downloads");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver, which tools/test_browser.sh installs");
        let port = announced_port(&mut driver);
        let mut browser = Self { driver, port, session: String::new(), folder };
        let created = browser.request("POST", "/session", &browser.capabilities(language));
        browser.session = created["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    fn capabilities(&self, language: &str) -> Value {
        let profile = format!("--user-data-dir={}", self.folder.path().join("profile").display());
        let language_flag = format!("--lang={language}");
        let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars \
                     --disable-background-networking --disable-component-update --disable-sync";
        let flags: Vec<&str> = flags.split(' ').chain([profile.as_str(), &language_flag]).collect();
        let preferences = json!({
            "download.default_directory": self.downloads(),
            "download.prompt_for_download": false,
            "intl.accept_languages": language,
        });
        let options = json!({ "args": flags, "prefs": preferences });
        json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "unhandledPromptBehavior": "accept",
        } } })
    }

    /// Where the browser puts what it downloads.
    pub fn downloads(&self) -> PathBuf {
        self.folder.path().join("downloads")
    }

    pub fn open(&self, page: &Path) {
        self.post("/url", &json!({ "url": format!("file://{}", page.display()) }));
    }

    /// Types into what `selector` finds first; keys as the constants name them.
    pub fn type_into(&self, selector: &str, keys: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/value"), &json!({ "text": keys }));
    }

    /// Types into what has the focus.
    pub fn press(&self, keys: &[&str]) {
        let down = keys.iter().map(|key| json!({ "type": "keyDown", "value": key }));
        let up = keys.iter().rev().map(|key| json!({ "type": "keyUp", "value": key }));
        let strokes: Vec<Value> = down.chain(up).collect();
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] }));
    }

    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// What the script's `return` gives.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the file that is downloaded as `name`.
    pub fn downloaded(&self, name: &str) -> String {
        let path = self.downloads().join(name);
        let start = Instant::now();
        while !path.exists() {
            assert!(start.elapsed() < PATIENCE, "{name} was not downloaded");
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::read_to_string(path).expect("a text file")
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.request("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// Panics with chromedriver's message if it refuses.
    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.send(method, path, body).expect("chromedriver answers in time");
        let mut answer: Value = serde_json::from_slice(&answer).expect("an answer in JSON");
        assert!(answer["value"]["error"].is_null(), "{method} {path}: {}", answer["value"]);
        answer["value"].take()
    }

    /// One request, one connection.
    fn send(&self, method: &str, path: &str, body: &Value) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = body.to_string();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\n", self.port);
        let content = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all((head + &content).as_bytes())?;
        answer_body(stream)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser would outlive its driver. Trouble here must not hide the test's own.
        let closed = self.send("DELETE", &format!("/session/{}", self.session), &json!({}));
        let is_closed = closed.is_ok_and(|answer| answer.starts_with(br#"{"value":null"#));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        assert!(is_closed || std::thread::panicking(), "the browser was not closed");
    }
}

/// The port in "ChromeDriver was started successfully on port 12345."
fn announced_port(driver: &mut Child) -> u16 {
    let output = BufReader::new(driver.stdout.take().expect("its output is piped"));
    let mut lines = output.lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("successfully on port")).expect("chromedriver names its port");
    // Who writes into a closed pipe is stopped, so somebody must read on.
    std::thread::spawn(move || lines.for_each(drop));
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a port")
}

fn answer_body(stream: TcpStream) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}
