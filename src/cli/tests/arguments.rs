//! From arguments to plans.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::error::ErrorKind;

use crate::api::client::Client;
use crate::api::model::{MacKind, NeighbourKind};
use crate::api::tests::fake::{Fake, ip, version, world};
use crate::api::{CaptureRequest, Direction, MacFilter, NeighbourFilter};
use crate::cli::log::Filter;
use crate::cli::{
    Capture, Change, Content, Exit, NetworkId, Part, Plan, Resource, Show, Wanted, check, parse,
};
use crate::wire::MacAddr;

fn plan(line: &str) -> Result<Plan, clap::Error> {
    parse(std::iter::once("ferry").chain(line.split_whitespace()), &version()).map(|(plan, _)| plan)
}

fn shown(line: &str) -> Show {
    match plan(line).unwrap() {
        Plan::Show(show) => show,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_capture_is_of_a_port_and_goes_to_a_file() {
    let captured = |line: &str| match plan(line).unwrap() {
        Plan::Capture(capture) => capture,
        other => panic!("{other:?}"),
    };
    let Capture { request, file, .. } = captured("capture -p vm1");
    let (filter, count) = (None, None);
    let all = CaptureRequest { port: "vm1".to_owned(), filter, direction: Direction::Both, count };
    assert_eq!((request, file), (all.clone(), "-".into()));
    let line = "capture --port vm1 --filter arp -w f --count 5 --direction out --socket /x";
    let Capture { request, file, socket } = captured(line);
    let (filter, count) = (Some("arp".to_owned()), Some(5));
    let some = CaptureRequest { filter, direction: Direction::Out, count, ..all };
    assert_eq!((request, file, socket), (some, "f".into(), "/x".into()));
    assert!(plan("capture -p vm1 --count 0").is_err() && plan("capture").is_err());
}

#[test]
fn each_command_makes_its_plan() {
    let config = PathBuf::from("ferry.yaml");
    assert_eq!(plan("run -c ferry.yaml").unwrap(), Plan::Run { config: config.clone() });
    assert_eq!(plan("run --config=ferry.yaml").unwrap(), Plan::Run { config: config.clone() });
    assert_eq!(plan("check ferry.yaml").unwrap(), Plan::Check { config });
    let socket = PathBuf::from("/x/s");
    let file = || PathBuf::from("new.yaml");
    let set = |part, content, is_new| Wanted::Set { part, content, is_new };
    let said = |text: &str| Content::Arguments(text.to_owned());
    let blue = || NetworkId::Name("blue".to_owned());
    let mac = |last| Part::Mac(101.into(), MacAddr([2, 0, 0, 0, 0, last]));
    for (line, wanted) in [
        ("apply new.yaml", Wanted::Config { file: file() }),
        ("apply --dry-run new.yaml", Wanted::Config { file: file() }),
        ("diff new.yaml", Wanted::Difference { file: file() }),
        ("net add 101 new.yaml", set(Part::Network(101.into()), Content::File(file()), true)),
        ("net set 101 -", set(Part::Network(101.into()), Content::File("-".into()), false)),
        ("net del 101", Wanted::Remove(vec![Part::Network(101.into())])),
        ("net del blue --dry-run", Wanted::Remove(vec![Part::Network(blue())])),
        (
            "port add vm3 net_tap3,iface=vm3 --mtu 9000 -o offloads=off",
            set(
                Part::Port("vm3".to_owned()),
                said(r#"{"device":"net_tap3,iface=vm3","mtu":9000,"offloads":"off"}"#),
                true,
            ),
        ),
        (
            "port set vm3 3b:00.0 --queues 2 -o storm_control={\"broadcast\":5}",
            set(
                Part::Port("vm3".to_owned()),
                said(r#"{"device":"3b:00.0","queues":2,"storm_control":{"broadcast":5}}"#),
                false,
            ),
        ),
        ("port del vm3", Wanted::Remove(vec![Part::Port("vm3".to_owned())])),
        (
            "mac add 101 02:00:00:00:00:05 --port t --vlan 10 --ip 10.0.0.5 --ip fd00::5",
            set(mac(5), said(r#"{"port":"t","vlan":10,"ips":["10.0.0.5","fd00::5"]}"#), true),
        ),
        (
            "mac set 101 02:00:00:00:00:05 --peer 192.0.2.2",
            set(mac(5), said(r#"{"peer":"192.0.2.2"}"#), false),
        ),
        ("mac del 101 02:00:00:00:00:05 02-00-00-00-00-06", Wanted::Remove(vec![mac(5), mac(6)])),
        ("mac flush", Wanted::Flush { network: None, port: None, peer: None }),
        (
            "mac flush --network blue --port vm1 --dry-run",
            Wanted::Flush { network: Some(blue()), port: Some("vm1".to_owned()), peer: None },
        ),
        ("peer add 101 192.0.2.9", set(Part::Peer(101.into(), ip("192.0.2.9")), said("{}"), true)),
        (
            "peer set 101 fd00::9 --encap gre --id 7 -o key=true",
            set(
                Part::Peer(101.into(), ip("fd00::9")),
                said(r#"{"encap":"gre","id":7,"key":true}"#),
                false,
            ),
        ),
        ("peer del 101 fd00::9", Wanted::Remove(vec![Part::Peer(101.into(), ip("fd00::9"))])),
        ("mac replace 101 new.yaml", Wanted::Macs { network: 101.into(), file: file() }),
    ] {
        let dry_run = line.contains("--dry-run") || line.starts_with("diff");
        let change = Change { wanted, dry_run, socket: socket.clone() };
        assert_eq!(plan(&format!("{line} --socket /x/s")).unwrap(), Plan::Change(change));
    }
    assert_eq!(plan("top --socket /x/s").unwrap(), Plan::Top { socket });
    for (name, resource) in [
        ("ports", Resource::Ports),
        ("networks", Resource::Networks),
        ("groups", Resource::Groups),
        ("peers", Resource::Peers),
        ("mirrors", Resource::Mirrors),
        ("workers", Resource::Workers),
        ("drops", Resource::Drops { all: false }),
        ("drops --all", Resource::Drops { all: true }),
        ("totals", Resource::Totals),
    ] {
        let show = shown(&format!("show {name}"));
        assert_eq!(show.resource, resource);
        assert!(!show.json);
        assert_eq!(show.socket, Path::new("/run/ferry/ferry.sock"));
    }
}

#[test]
fn options_of_show_stand_before_or_after_what_to_show() {
    let expected =
        Show { resource: Resource::Ports, json: true, watch: None, socket: PathBuf::from("/x/s") };
    assert_eq!(shown("show --json --socket /x/s ports"), expected);
    assert_eq!(shown("show ports --json --socket /x/s"), expected);
    for (line, seconds) in [("show --watch ports", 2), ("show ports --watch=5", 5)] {
        assert_eq!(shown(line).watch, Some(Duration::from_secs(seconds)));
    }
}

#[test]
fn addresses_are_filtered() {
    let fake = Fake::new(world());
    let mut client = Client::connect(&fake.socket()).unwrap();
    let mut filter = |line: &str| match shown(line).resource {
        Resource::Neighbours(neighbours) => neighbours.filter(&mut client).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(filter("show neighbours"), NeighbourFilter::default());
    let (vni, kind) = (Some(7), Some(NeighbourKind::Dhcp));
    let mac = Some("02:00:00:00:00:01".to_owned());
    let line = "show neighbours --vni 7 --kind dhcp --mac 02:00:00:00:00:01";
    assert_eq!(filter(line), NeighbourFilter { vni, mac, kind, ..Default::default() });
}

#[test]
fn macs_are_filtered() {
    let fake = Fake::new(world());
    let mut client = Client::connect(&fake.socket()).unwrap();
    let mut filter = |line: &str| match shown(line).resource {
        Resource::Macs(macs) => macs.filter(&mut client).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(filter("show macs"), MacFilter::default());
    assert_eq!(
        filter("show macs --network tenant-101 --mac 02-00-5E"),
        MacFilter { vni: Some(101), mac: "02005e".parse().ok(), ..MacFilter::default() }
    );
    assert_eq!(
        filter("show macs --vni 101 --port vm1 --json"),
        MacFilter { vni: Some(101), port: Some("vm1".to_owned()), ..MacFilter::default() }
    );
    assert_eq!(
        filter("show macs --peer 2001:db8::1"),
        MacFilter { peer: Some(ip("2001:db8::1")), ..MacFilter::default() }
    );
    let (kind, min_age, max_age) = (Some(MacKind::Learned), Some(5), Some(60));
    assert_eq!(
        filter("show macs --kind learned --min-age 5 --max-age 60"),
        MacFilter { kind, min_age, max_age, ..MacFilter::default() }
    );
}

#[test]
fn bad_usage_is_named_and_has_its_exit_code() {
    for (line, culprit) in [
        ("run", "--config <FILE>"),
        ("check", "<FILE>"),
        ("show", "ports"),
        ("sail", "'sail'"),
        ("show prots", "'ports'"),
        ("show macs --vni 0", "0 is not a network ID"),
        ("show macs --vni 16777216", "16777216 is not a network ID"),
        ("show macs --mac 02:00:5g", "write up to twelve hexadecimal digits"),
        ("show macs --peer 192.0.2", "'192.0.2'"),
        ("show macs --port vm1 --peer 192.0.2.2", "cannot be used with"),
        ("show ports --vni 1", "'--vni'"),
        ("mac replace 0 set.json", "0 is not a network ID"),
        ("mac replace 101", "<FILE>"),
        ("-l inf show ports", "'inf' is neither error, warn, info, debug, trace or off"),
        ("-l info,ferry=loud show ports", "'ferry=loud' is neither"),
    ] {
        let error = plan(line).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(Exit::Refused as u8), "{line}");
        assert!(error.use_stderr(), "{line}");
        assert!(error.to_string().contains(culprit), "{line}: {error}");
    }
}

#[test]
fn the_version_names_dpdk() {
    for line in ["--version", "-V"] {
        let error = plan(line).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DisplayVersion);
        assert_eq!(error.to_string(), "ferry 0.1.0 (DPDK 22.11.11)\n");
        assert_eq!(error.exit_code(), i32::from(Exit::Fine as u8));
    }
}

#[test]
fn help_tells_the_exit_codes() {
    let help = plan("--help").unwrap_err().to_string();
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let numbers: Vec<_> = codes.lines().map(|line| line.trim_start().chars().next()).collect();
    assert_eq!(numbers, [Some('0'), Some('1'), Some('2'), Some('3')]);
}

/// The environment of a process that runs threads cannot be changed safely, so the test runs itself once more for
/// each case.
#[test]
fn the_log_level_flag_wins_over_the_environment() {
    const CHILD: &str = "FERRY_TEST_ARGUMENTS";
    if let Ok(line) = std::env::var(CHILD) {
        match parse(line.split_whitespace(), &version()) {
            Ok((_, log)) => println!("filter: {}.", log.log_level),
            Err(error) => println!("error: {error}."),
        }
        return;
    }
    let level = |environment: Option<&str>, line: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "--nocapture",
            "cli::tests::arguments::the_log_level_flag_wins_over_the_environment",
        ]);
        command.env_remove("FERRY_LOG").env(CHILD, line);
        if let Some(value) = environment {
            command.env("FERRY_LOG", value);
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let bare = "ferry show ports";
    assert!(level(None, bare).contains("filter: info."));
    assert!(level(Some(""), bare).contains("filter: info."));
    assert!(level(Some("debug"), bare).contains("filter: debug."));
    assert!(level(Some("debug"), "ferry show ports -l warn").contains("filter: warn."));
    assert!(level(Some("loud"), bare).contains("error: error: invalid value 'loud'"));
    let modules = "ferry -l info,ferry::control=debug show ports";
    assert!(level(None, modules).contains("filter: info,ferry::control=debug."));
}

#[test]
fn the_default_filter_is_one() {
    assert_eq!(Filter::default().to_string().parse(), Ok(Filter::default()));
}

#[test]
fn checking_prints_to_the_right_stream() {
    let run = |loaded: Result<(&str, &[&str]), &str>| {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let exit = check(loaded, &mut output, &mut errors).unwrap();
        (exit, String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
    };
    let owned = str::to_owned;
    assert_eq!(
        run(Ok(("2 networks", &["one warning"]))),
        (Exit::Fine, owned("2 networks\n"), owned("one warning\n"))
    );
    assert_eq!(
        run(Err("f.yaml:3: a\nf.yaml:9: b\n")),
        (Exit::Refused, String::new(), owned("f.yaml:3: a\nf.yaml:9: b\n"))
    );
}
