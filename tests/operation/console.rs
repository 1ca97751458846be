//! The console in a real browser.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::namespace::run;
use crate::support::{Ferry, Namespace, Page};

/// The stations of vm1 send by a kernel interface; nobody answers.
const CONFIG: &str = r#"
eal: {memory: 128MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports: [{name: up0, device: "net_null0,no-rx=1"}]
  vtep: {ipv4: 192.0.2.1}
  neighbours: [{ip: 192.0.2.2, mac: "02:00:00:00:00:02", port: up0}]
access: {ports: [{name: vm1, device: "net_tap1,iface=tap1"}]}
networks: [{vni: 101, name: tenant-a, ports: [vm1], flood: {peers: [192.0.2.2]}, macs: [{mac: "02:00:00:00:00:77", peer: 192.0.2.2}]}]
"#;
const AT: &str = "127.0.0.1:9472";
const RATE: &str = "parseFloat(document.querySelector('#tile-rx').textContent)";

fn start(host: &Namespace, api: &str) -> Ferry {
    let ferry = Ferry::start(host, &format!("{CONFIG}\napi: {{listen: {api}}}\n"));
    host.exec("ip address add 10.0.0.1/24 dev tap1");
    host.exec("ip link set tap1 up address 02:00:00:00:00:01");
    host.exec("ip neigh replace 10.0.0.2 dev tap1 lladdr 02:00:00:00:00:77");
    ferry
}

#[test]
fn it_shows_live_numbers_and_outlives_a_restart() {
    let host = Namespace::new("host");
    let ferry = start(&host, AT);
    let mut page = Page::open(&host, &format!("http://{AT}/"));
    page.expect("document.querySelector('#status').textContent === 'live'");
    page.expect("document.querySelector('#topology .peer .first').textContent === '192.0.2.2'");
    assert_eq!(page.eval("document.querySelectorAll('#topology .box').length"), 4);
    assert_eq!(page.eval("document.querySelectorAll('#topology .edge').length"), 3);

    let traffic = host.spawn("ping -q -i 0.02 10.0.0.2");
    page.expect(&format!("{RATE} > 20 && {RATE} < 100"));
    page.expect("document.querySelector('#plots .line0').getAttribute('d').includes('L')");
    page.expect("Number(document.querySelector('#tile-macs').textContent) >= 2");

    // By keys: the search, the log of events, the configuration.
    page.press("/");
    page.expect("document.activeElement.id === 'mac-text'");
    page.press("77");
    page.expect("document.querySelector('#mac-note').textContent.startsWith('1 of ')");
    assert_eq!(page.text("#mac-rows tbody td:nth-child(3)"), "192.0.2.2");
    page.eval("document.activeElement.blur()");
    page.press("5");
    page.expect("document.querySelector('#event-list .mac_learned')?.textContent.endsWith('02:00:00:00:00:01: learned at vm1')");
    page.press("3");
    page.eval("document.querySelector('#trace-to').value = '02:00:00:00:00:77'");
    page.eval("document.querySelector('#trace-to').dispatchEvent(new Event('input'))");
    page.eval("document.querySelector('#trace-form button').click()");
    page.expect("document.querySelector('#trace-result').innerText.includes('sent to 192.0.2.2')");
    assert!(
        page.text("#trace-result dd:last-child").contains("VXLAN ID 101, 192.0.2.1 → 192.0.2.2")
    );
    page.press("4");
    page.expect("document.querySelector('#config-text').value.includes('vni: 101')");
    let check = |page: &mut Page, edit: &str, wanted: &str| {
        page.eval(&format!("document.querySelector('#config-text').value = {edit}"));
        page.eval("document.querySelector('#config-check').click()");
        page.expect(&format!(
            "document.querySelector('#config-result').innerText.includes('{wanted}')"
        ));
    };
    let text = "document.querySelector('#config-text').value";
    check(&mut page, text, "It is valid, and changes nothing.");
    check(
        &mut page,
        &format!("{text}.replace('tenant-a', 'tenant-b')"),
        "network 101: name: \"tenant-a\" → \"tenant-b\"",
    );
    assert_eq!(ferry.show("networks")[0]["name"], "tenant-a");
    assert_eq!(page.errors(), [""; 0]);
    check(&mut page, &format!("{text} + '\\nwrong: 1'"), "wrong: unknown key");
    page.press("1");

    // What fails while nobody answers is in the browser's log, and nothing else.
    drop(traffic);
    ferry.stop();
    page.expect("document.querySelector('#lost').innerText.startsWith('No answer from Ferry')");
    let ferry = start(&host, AT);
    page.expect("document.querySelector('#status').textContent === 'live' && document.querySelector('#lost').hidden");
    let _traffic = host.spawn("ping -q -i 0.02 10.0.0.2");
    page.expect(&format!("{RATE} > 20 && {RATE} < 100"));
    page.press("5");
    page.expect("document.querySelector('#event-list').innerText.includes('started anew')");
    let refused = |error: &String| error.starts_with("Failed to load resource");
    assert!(page.errors().iter().all(refused), "{:?}", page.errors());
    ferry.stop();
}

#[test]
fn it_fits_any_screen_in_dark_and_light() {
    let host = Namespace::new("host");
    let ferry = start(&host, AT);
    let mut page = Page::open(&host, &format!("http://{AT}/console/"));
    page.expect("document.querySelector('#topology .box') !== null");
    for (mode, background) in [("light", "rgb(245, 246, 248)"), ("dark", "rgb(14, 18, 23)")] {
        let feature = json!([{"name": "prefers-color-scheme", "value": mode}]);
        page.call("Emulation.setEmulatedMedia", json!({"features": feature}));
        assert_eq!(page.eval("getComputedStyle(document.body).backgroundColor"), background);
        for width in [1280, 390] {
            let size =
                json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
            page.call("Emulation.setDeviceMetricsOverride", size);
            for view in ["overview", "macs", "trace", "config", "events"] {
                page.eval(&format!("location.hash = '{view}'"));
                page.expect(&format!("!document.getElementById('{view}').hidden"));
                page.expect(&format!(
                    "innerWidth === {width} && document.documentElement.scrollWidth <= {width}"
                ));
            }
            page.eval("location.hash = 'overview'");
            page.expect("(({ right }) => right <= innerWidth)(document.querySelector('#topology svg').getBoundingClientRect())");
        }
    }
    page.press("d");
    assert_eq!(page.eval("getComputedStyle(document.body).backgroundColor"), "rgb(245, 246, 248)");
    assert_eq!(page.errors(), [""; 0]);
    ferry.stop();
}

#[test]
fn it_asks_for_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (key, certificate, token) = (path("key.pem"), path("certificate.pem"), path("token"));
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let of = ["-subj", "/CN=ferry", "-keyout", &key, "-out", &certificate];
    run("openssl", &[&new[..], &of[..]].concat());
    std::fs::write(&token, "a-secret-of-this-test\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let host = Namespace::new("host");
    let tls = format!("tls: {{certificate: {certificate}, key: {key}}}, token: {token}");
    let ferry = start(&host, &format!("{{address: \"{AT}\", {tls}}}"));
    let mut page = Page::open(&host, "about:blank");
    page.call("Security.setIgnoreCertificateErrors", json!({"ignore": true}));
    page.call("Page.navigate", json!({"url": format!("https://{AT}/")}));
    let give = |page: &mut Page, token: &str| {
        page.expect("document.querySelector('#login')?.open === true");
        page.eval(&format!("document.querySelector('#login-token').value = '{token}'"));
        page.eval("document.querySelector('#login button').click()");
    };
    give(&mut page, "not-the-right-token");
    page.expect(
        "document.querySelector('#login-error').textContent === 'This token is not the right one.'",
    );
    give(&mut page, "a-secret-of-this-test");
    page.expect("document.querySelector('#status').textContent === 'live'");
    page.call("Page.reload", json!({}));
    page.expect("document.querySelector('#status')?.textContent === 'live'");
    ferry.stop();
}
