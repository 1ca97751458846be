//! How EAL starts, which core does what, how the API is reached.

use super::Kind::{Boolean, Either, List, Mapping, Number, Words};
use super::{ADDRESS_AND_PORT, CORE, Key, Keys, MANY, NAME, PATH, SIZE, SOCKET, TEXT};
use crate::config::host::WORKERS_MAX;

pub(in crate::config) static EAL: Keys = Keys::of(&[
    Key::new("hugepages", Boolean).or("false").like("true").says(
        "Memory from hugepages. Without them Ferry runs on any machine, more slowly. \
         `dpdk-dumpcap` can attach only where a hugetlbfs is mounted, which Ferry \
         itself does not need.",
    ),
    Key::new("memory", SIZE)
        .otherwise("`512MiB` without hugepages, as much as needed with them")
        .like("2GiB")
        .says("Memory for DPDK: packets, rings."),
    Key::new("mbufs", Number(1024, 268_435_456, ""))
        .otherwise("as many as queues and workers can hold at once")
        .like("262143")
        .says("Packet buffers on each NUMA node."),
    Key::new("args", List(&TEXT, 0, MANY)).or("[]").like("[\"--file-prefix=ferry2\"]").says(
        "Further EAL arguments, verbatim. Those for cores, memory size and hugepages \
         are Ferry's own: use the keys.",
    ),
]);

pub(in crate::config) static CORES: Keys = Keys::of(&[
    Key::new("control", CORE).or("0").like("1").says("Core of the control thread."),
    Key::new("workers", List(&CORE, 1, WORKERS_MAX)).required().like("[2, 3]").says(
        "One worker on each. They differ from each other (and from `control`, with \
         `idle: spin`), and are no more than the RX queues of all ports together.",
    ),
    Key::new("idle", Words(&["spin", "yield", "sleep"])).or("yield").like("spin").says(
        "What a worker does when nothing arrives: poll on (lowest latency, for cores \
         of its own), let others run, or sleep ever longer (for laptops and tests).",
    ),
]);

pub(in crate::config) static API: Keys = Keys::of(&[
    Key::new("socket", SOCKET).or("/run/ferry/ferry.sock").like("/run/ferry/b.sock").says(
        "The unix socket of the API, of mode 0660. A second process on the machine \
         needs its own.",
    ),
    Key::new("group", NAME)
        .otherwise("the process's own")
        .like("ferry")
        .says("Who may use it beside the owner."),
    Key::new("read_only", Mapping(&READ_ONLY))
        .like("{socket: /run/ferry/read.sock, group: monitoring}")
        .says("A second socket, where nothing can be changed."),
    Key::new("listen", Either(&[ADDRESS_AND_PORT, Mapping(&LISTEN)])).like("127.0.0.1:9472").says(
        "The same over TCP. On a loopback address, and without a token, everybody on \
         this machine may read, or have a configuration checked, and nobody may change \
         anything; requests name it by an address or as `localhost`. It serves the \
         console, at `/`. Any other address needs `tls` and `token`.",
    ),
    Key::new("metrics", Mapping(&METRICS))
        .like("{networks: true, peers: true}")
        .says("What `GET /metrics` tells beside what every Ferry does."),
]);

pub(in crate::config) static READ_ONLY: Keys = Keys::of(&[
    Key::new("socket", SOCKET).required().like("/run/ferry/read.sock").says("Where it is."),
    Key::new("group", NAME)
        .otherwise("the process's own")
        .like("monitoring")
        .says("Who may use it."),
]);

pub(in crate::config) static LISTEN: Keys = Keys::of(&[
    Key::new("address", ADDRESS_AND_PORT)
        .required()
        .like("\"[::]:9472\"")
        .says("Where it listens."),
    Key::new("tls", Mapping(&TLS))
        .otherwise("plain HTTP")
        .like("{certificate: /etc/ferry/certificate.pem, key: /etc/ferry/key.pem}")
        .says("How it shows who it is. Renewed files need a new start."),
    Key::new("token", PATH).like("/etc/ferry/token").says(
        "A file with a token of 16 characters at least (`openssl rand -hex 32`), which \
         others than owner and group may not read. Each request must carry it \
         (`Authorization: Bearer TOKEN`) and may then change things.",
    ),
]);

pub(in crate::config) static TLS: Keys = Keys::of(&[
    Key::new("certificate", PATH)
        .required()
        .like("/etc/ferry/certificate.pem")
        .says("The certificate, and those that lead to its root, in PEM."),
    Key::new("key", PATH).required().like("/etc/ferry/key.pem").says("Its private key, in PEM."),
]);

pub(in crate::config) static METRICS: Keys = Keys::of(&[
    Key::new("networks", Boolean)
        .or("false")
        .like("true")
        .says("Of each network, too: some fifteen rows for every one."),
    Key::new("peers", Boolean).or("false").like("true").says(
        "Of each peer, too. Where either is `true`, workers count packets and bytes of networks \
         and peers, which `ferry show`, `ferry top` and the console tell as well. It costs them \
         nothing while frames come in trains, and up to a twelfth where each is of another of \
         a thousand networks.",
    ),
]);
