//! A headless Chromium, driven by the DevTools protocol over a pair of pipes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::namespace::Namespace;

/// One page of a browser of its own.
pub struct Page {
    browser: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: Option<String>,
    calls: u64,
    /// What the browser said unasked.
    told: Vec<Value>,
    _profile: TempDir,
}

impl Page {
    /// Opens an address in a namespace.
    pub fn open(namespace: &Namespace, address: &str) -> Self {
        let profile = TempDir::new().unwrap();
        // It talks by its descriptors 3 and 4.
        let line = "exec chromium-headless-shell --no-sandbox --disable-gpu --remote-debugging-pipe --user-data-dir=\"$0\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut command = namespace.command("sh");
        command.args(["-c", line]).arg(profile.path());
        let mut browser = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = browser.stdin.take().unwrap();
        let output = BufReader::new(browser.stdout.take().unwrap());
        let (session, calls, told) = (None, 0, Vec::new());
        let mut page = Self { browser, input, output, session, calls, told, _profile: profile };
        let target = page.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = page.call("Target.attachToTarget", attach);
        page.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Runtime", "Log", "Page"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.call("Page.navigate", json!({"url": address}));
        page
    }

    /// A command of the protocol, which must succeed.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        let mut answer = self.exchange(method, parameters);
        assert_eq!(answer.get("error"), None, "{method}");
        answer["result"].take()
    }

    fn exchange(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        write!(self.input, "{message}\0").unwrap();
        loop {
            let mut text = Vec::new();
            self.output.read_until(0, &mut text).unwrap();
            let answer: Value = serde_json::from_slice(text.strip_suffix(&[0]).unwrap()).unwrap();
            if answer["id"] == self.calls {
                return answer;
            }
            self.told.push(answer);
        }
    }

    /// What an expression of the page comes to.
    pub fn eval(&mut self, expression: &str) -> Value {
        let options = json!({"expression": expression, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", options);
        assert_eq!(answer.get("exceptionDetails"), None, "{expression}");
        answer["result"]["value"].take()
    }

    /// The text of an element.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector('{selector}')?.textContent ?? ''"));
        text.as_str().unwrap().to_owned()
    }

    /// Waits until an expression is true. While a page is loaded it may fail.
    pub fn expect(&mut self, expression: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        let options = json!({"expression": expression, "returnByValue": true});
        while self.exchange("Runtime.evaluate", options.clone())["result"]["result"]["value"]
            != true
        {
            if Instant::now() > end {
                let page = self.eval("document.body.innerText");
                panic!(
                    "never {expression}; {:?}; the page:\n{}",
                    self.errors(),
                    page.as_str().unwrap()
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Presses keys: those of one character.
    pub fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            for kind in ["keyDown", "keyUp"] {
                let text = if kind == "keyDown" { key.to_string() } else { String::new() };
                let event = json!({"type": kind, "key": key.to_string(), "text": text});
                self.call("Input.dispatchKeyEvent", event);
            }
        }
    }

    /// Errors and warnings of the page so far: exceptions, the console, and the browser's log.
    pub fn errors(&self) -> Vec<String> {
        let errors = self.told.iter().filter_map(|message| match message["method"].as_str()? {
            "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" => {
                Some(message["params"].to_string())
            }
            "Log.entryAdded" => Some(message["params"]["entry"]["text"].as_str()?.to_owned()),
            _ => None,
        });
        errors.collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
