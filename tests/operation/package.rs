//! The Debian package, installed, started and removed again in a root of its own: what is installed here, under a
//! layer in memory that takes every change and is gone with the test.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::Namespace;

/// The arguments: a folder to work in, the package, and what to do in the root.
const IN_A_ROOT: &str = r#"
mount -t tmpfs none "$1"
cd "$1"
mkdir upper work root
mount -t overlay none -o lowerdir=/,upperdir=upper,workdir=work root
for folder in dev proc sys; do mount --rbind /$folder root/$folder; done
for folder in run tmp; do mount -t tmpfs none root/$folder; done
cp "$2" root/tmp/ferry.deb
exec chroot root sh -euc "$3"
"#;

/// What the unit says of a key.
fn setting<'a>(unit: &'a str, key: &str) -> &'a str {
    let lines = || unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    assert_eq!(lines().count(), 1, "{key} in {unit}");
    lines().next().unwrap()
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[test]
fn the_package_installs_starts_as_its_unit_says_and_leaves_nothing_behind() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    output(
        Command::new(source.join("configs/debian/package.sh"))
            .args([Path::new(env!("CARGO_BIN_EXE_ferry")), folder.path()])
            .env_remove("MAKEFLAGS"),
    );
    let architecture = output(Command::new("dpkg").arg("--print-architecture"));
    let package = folder.path().join(format!(
        "ferry_{}_{}.deb",
        env!("CARGO_PKG_VERSION"),
        architecture.trim()
    ));
    let depends = output(Command::new("dpkg-deb").arg("-f").arg(&package).arg("Depends"));
    for needed in ["libc6 (", "librte-eal", "librte-net-vhost", "librte-meta-net"] {
        assert!(depends.contains(needed), "{needed}: {depends}");
    }

    let unit = std::fs::read_to_string(source.join("configs/ferry.service")).unwrap();
    let capabilities = setting(&unit, "CapabilityBoundingSet").replace("CAP_", "+");
    let capabilities = capabilities.to_lowercase().replace(' ', ",");
    let start = setting(&unit, "ExecStart").replace("/usr/local", "/usr");
    let reload = setting(&unit, "ExecReload").replace("/usr/local", "/usr");
    let script = format!(
        r#"
dpkg --install /tmp/ferry.deb
test -L /etc/systemd/system/multi-user.target.wants/ferry.service
systemd-analyze verify ferry.service
test -s /usr/share/man/man1/ferry-run.1.gz
test -s /usr/share/bash-completion/completions/ferry
test -s /usr/share/ferry/ferry.schema.json
for file in /etc/ferry/ferry.yaml /usr/share/ferry/quickstart.yaml; do /usr/bin/ferry check $file; done
as_the_unit="setpriv --no-new-privs --bounding-set=-all,{capabilities}"
mkdir /run/ferry
export RUNTIME_DIRECTORY=/run/ferry
$as_the_unit {start} &
process=$!
trap 'kill $process' EXIT
for second in $(seq 30); do
    ! /usr/bin/ferry show ports || break
    kill -0 $process
    sleep 1
done
$as_the_unit {reload}
stat -c 'the socket is of %U:%G, %a' /run/ferry/ferry.sock
trap - EXIT
kill $process
wait $process
dpkg --purge ferry
test ! -e /usr/bin/ferry
test ! -e /etc/ferry
test ! -L /etc/systemd/system/multi-user.target.wants/ferry.service
"#
    );
    let host = Namespace::new("package");
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let text = output(
        host.command("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", IN_A_ROOT, "sh"])
            .args([&root, &package])
            .arg(script)
            .stdin(Stdio::null()),
    );
    for port in ["up0", "vm1", "vm2"] {
        assert!(text.lines().any(|line| line.starts_with(port)), "{port}: {text}");
    }
    assert!(text.contains("the socket is of root:ferry, 660"), "{text}");
}

/// What cannot be built without a registry of images at least agrees with what it is built from.
#[test]
fn the_container_is_given_what_the_unit_is_given() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(source.join(path)).unwrap();
    let (recipe, unit, make) =
        (read("configs/container/Containerfile"), read("configs/ferry.service"), read("Makefile"));
    let word_after = |text: &str, before: &str| {
        let (_, rest) = text.split_once(before).unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let mut given: Vec<String> =
        word_after(&recipe, "--cap-add ").split(',').map(|name| format!("CAP_{name}")).collect();
    let mut wanted: Vec<&str> =
        setting(&unit, "CapabilityBoundingSet").split_whitespace().collect();
    given.sort();
    wanted.sort();
    assert_eq!(given, wanted);
    let (_, packages) = recipe.split_once("PACKAGES=\"").unwrap();
    for package in packages.split_once('"').unwrap().0.split_whitespace() {
        assert!(make.contains(package), "{package} is none of the Makefile's packages");
    }
}
