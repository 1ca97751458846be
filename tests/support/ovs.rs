//! Open vSwitch as a peer.

use std::process::Command;

use tempfile::TempDir;

use super::namespace::Background;
use super::{Namespace, eventually};

/// An Open vSwitch of our own in a namespace: its own database, sockets and daemons, gone when dropped.
pub struct Ovs {
    pub namespace: Namespace,
    folder: TempDir,
    _database: Background,
    _switch: Background,
}

impl Ovs {
    pub fn new(namespace: Namespace) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().display().to_string();
        let schema = "/usr/share/openvswitch/vswitch.ovsschema";
        super::namespace::run("ovsdb-tool", &["create", &format!("{path}/conf.db"), schema]);
        let start = |program: &str, arguments: &[String]| {
            let mut command = namespace.command("env");
            command.arg(format!("OVS_RUNDIR={path}")).arg(program).args(arguments);
            command.args(["--pidfile", &format!("--log-file={path}/{program}.log")]);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            Background(command.spawn().unwrap())
        };
        let database = start(
            "ovsdb-server",
            &[format!("{path}/conf.db"), format!("--remote=punix:{path}/db.sock")],
        );
        eventually("the database", || folder.path().join("db.sock").exists());
        let switch = start("ovs-vswitchd", &[format!("unix:{path}/db.sock")]);
        Self { namespace, folder, _database: database, _switch: switch }
    }

    fn command(&self, program: &str) -> Command {
        let path = self.folder.path().display();
        let mut command = self.namespace.command("env");
        command.arg(format!("OVS_RUNDIR={path}")).arg(program).arg("--timeout=10");
        command
    }

    pub fn vsctl(&self, line: &str) {
        let mut command = self.command("ovs-vsctl");
        command.arg(format!("--db=unix:{}/db.sock", self.folder.path().display()));
        let output = command.args(line.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn appctl(&self, line: &str) -> String {
        let mut command = self.command("ovs-appctl");
        let output = command.args(line.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
