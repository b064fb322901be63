//! Chromium, driven through chromedriver.

use std::{
    fs,
    future::Future,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource, KeyAction, KeyActions},
    elements::Element,
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one window, closed when dropped.
pub struct Browser {
    driver: Child,
    runtime: Runtime,
    client: Client,
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
        let address = format!("http://localhost:{}", announced_port(&mut driver));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(folder.path(), language));
        let client = runtime.block_on(builder.connect(&address)).expect("a session");
        Self { driver, runtime, client, folder }
    }

    /// Where the browser puts what it downloads.
    fn downloads(&self) -> PathBuf {
        self.folder.path().join("downloads")
    }

    pub fn open(&self, page: &Path) {
        self.wait(self.client.goto(&format!("file://{}", page.display())));
    }

    /// Types into what `selector` finds first.
    pub fn type_into(&self, selector: &str, keys: &str) {
        self.wait(self.element(selector).send_keys(keys));
    }

    /// Presses keys together, in what has the focus.
    pub fn press(&self, keys: &[char]) {
        let down = keys.iter().map(|&value| KeyAction::Down { value });
        let up = keys.iter().rev().map(|&value| KeyAction::Up { value });
        let strokes = down.chain(up).fold(KeyActions::new("keyboard".to_owned()), InputSource::then);
        self.wait(self.client.perform_actions(strokes));
    }

    pub fn click(&self, selector: &str) {
        self.wait(self.element(selector).click());
    }

    /// What the script's `return` gives.
    pub fn run(&self, script: &str) -> Value {
        self.wait(self.client.execute(script, Vec::new()))
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

    fn element(&self, selector: &str) -> Element {
        self.wait(self.client.find(Locator::Css(selector)))
    }

    /// Panics with chromedriver's message if it refuses.
    fn wait<T, E: std::fmt::Debug>(&self, command: impl Future<Output = Result<T, E>>) -> T {
        self.runtime.block_on(command).expect("chromedriver does as it is told")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser would outlive its driver. Trouble here must not hide the test's own.
        let closed = self.runtime.block_on(self.client.clone().close());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        assert!(closed.is_ok() || std::thread::panicking(), "the browser was not closed");
    }
}

/// A headless browser with its profile and its downloads in `folder`.
fn capabilities(folder: &Path, language: &str) -> fantoccini::wd::Capabilities {
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    let language_flag = format!("--lang={language}");
    let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars \
                 --disable-background-networking --disable-component-update --disable-sync";
    let flags: Vec<&str> = flags.split(' ').chain([profile.as_str(), &language_flag]).collect();
    let preferences = json!({
        "download.default_directory": folder.join("downloads"),
        "download.prompt_for_download": false,
        "intl.accept_languages": language,
    });
    let wanted = json!({
        "browserName": "chrome",
        "goog:chromeOptions": { "args": flags, "prefs": preferences },
        "unhandledPromptBehavior": "accept",
    });
    serde_json::from_value(wanted).expect("an object")
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
