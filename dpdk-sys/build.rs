//! Generates the bindings with bindgen, compiles the C shim, and links DPDK as `libdpdk.pc` says.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// The oldest release these bindings are written for.
const OLDEST: (u32, u32) = (22, 11);

/// Drivers and the libraries they need, linked whole into a `static-dpdk` binary, because nothing
/// refers to a driver by symbol: its constructor registers it.
const STATIC_DRIVERS: &[&str] = &[
    "mempool_ring",
    "bus_pci",
    "bus_vdev",
    "net_af_packet",
    "net_af_xdp",
    "net_bond",
    "net_e1000",
    "net_ena",
    "common_iavf",
    "net_iavf",
    "net_i40e",
    "net_ice",
    "net_ixgbe",
    "net_memif",
    "net_null",
    "net_pcap",
    "net_ring",
    "net_tap",
    "net_vhost",
    "net_virtio",
    "net_vmxnet3",
];

/// System libraries that the drivers above call; `libdpdk.pc` names many more, and not systemd.
const STATIC_SYSTEM: &[&str] =
    &["bpf", "bsd", "crypto", "elf", "jansson", "numa", "pcap", "systemd", "xdp", "z"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/shim.c");
    println!("cargo:rerun-if-changed=src/shim.h");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");

    let version = pkg_config(&["--modversion"]);
    check_version(&version);
    println!("cargo:version={version}");

    let flags: Vec<String> =
        pkg_config(&["--cflags"]).split_whitespace().map(str::to_owned).collect();
    bind(&flags);
    compile_shim(&flags);
    if env::var_os("CARGO_FEATURE_STATIC_DPDK").is_some() {
        link_static();
    } else {
        link_dynamic();
    }
}

/// Ends the build with a message that stands alone, without a panic's backtrace.
fn fail(message: &str) -> ! {
    eprintln!("\nerror: {message}\n");
    exit(1)
}

fn pkg_config(arguments: &[&str]) -> String {
    let output = match Command::new("pkg-config").args(arguments).arg("libdpdk").output() {
        Ok(output) => output,
        Err(error) => fail(&format!(
            "pkg-config does not run ({error}); on Debian: apt-get install pkg-config"
        )),
    };
    if !output.status.success() {
        fail(&format!(
            "no DPDK development files: {}\non Debian: apt-get install libdpdk-dev; a DPDK built \
             by hand: put the folder of its libdpdk.pc into PKG_CONFIG_PATH",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn check_version(version: &str) {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        fail(&format!("DPDK {version} is too old: Ferry needs {}.{} or newer", OLDEST.0, OLDEST.1));
    }
}

fn bind(flags: &[String]) {
    prefer_matching_libclang();
    check_libclang();
    let bindings = bindgen::Builder::default()
        .header("src/shim.h")
        .clang_args(flags)
        .allowlist_function("shim_.*")
        .allowlist_function("rte_eal_(init|cleanup|remote_launch|wait_lcore|get_runtime_dir)")
        .allowlist_function(
            "rte_(get_next_lcore|get_main_lcore|lcore_to_cpu_id|lcore_to_socket_id)",
        )
        .allowlist_function("rte_(strerror|log_set_global_level|log_set_level_pattern)")
        .allowlist_function("rte_telemetry_register_cmd")
        .allowlist_function("rte_tel_data_(start_array|start_dict|add_array_string)")
        .allowlist_function("rte_get_tsc_hz")
        .allowlist_function("rte_dev_(probe|remove|name)")
        .allowlist_function("rte_eth_dev_(info_get|configure|start|stop|close|count_avail)")
        .allowlist_function("rte_eth_dev_(get_port_by_name|get_name_by_port|socket_id)")
        .allowlist_function("rte_eth_dev_(set_mtu|get_mtu|set_link_up|adjust_nb_rx_tx_desc)")
        .allowlist_function("rte_eth_(rx|tx)_queue_setup")
        .allowlist_function("rte_eth_promiscuous_enable|rte_eth_allmulticast_enable")
        .allowlist_function("rte_eth_macaddr_get|rte_eth_dev_mac_addr_(add|remove)|rte_eth_dev_callback_(un)?register")
        .allowlist_function("rte_eth_vhost_get_queue_event|rte_vhost_driver_disable_features")
        .allowlist_function("rte_eth_stats_get|rte_eth_xstats_get|rte_eth_xstats_get_names")
        .allowlist_function("rte_pktmbuf_(pool_create|free_bulk|clone|copy)")
        .allowlist_function("rte_mempool_(avail_count|in_use_count|free|calc_obj_size)")
        .allowlist_function("rte_malloc_get_socket_stats")
        .allowlist_function("rte_ring_(create|free)")
        .allowlist_function("rte_eth_bond_(create|free|xmit_policy_set|primary_get|primary_set)")
        .allowlist_function("rte_ipv[46]_fragment_packet")
        .allowlist_function("rte_hash_(create|free|add_key_data|lookup_bulk_data)")
        .allowlist_var(
            "SHIM_.*|BALANCE_XMIT_POLICY_LAYER34|RTE_ETH_LINK_UP|RTE_ETH_NAME_MAX_LEN|RTE_MAX_LCORE|RTE_MAX_ETHPORTS",
        )
        .allowlist_var(
            "RTE_LOG_.*|RTE_HASH_EXTRA_FLAGS_.*|RING_F_.*|RTE_ETH_EVENT_.*|VIRTIO_NET_F_.*",
        )
        .blocklist_type("rte_mbuf")
        .opaque_type("rte_mempool|rte_ring|rte_hash")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_debug(false)
        .derive_default(true)
        .layout_tests(true)
        .generate_comments(false)
        .generate();
    let bindings = match bindings {
        Ok(bindings) => bindings,
        Err(error) => fail(&format!("bindgen cannot read DPDK's headers: {error}")),
    };
    let path = out_dir().join("bindings.rs");
    if let Err(error) = bindings.write_to_file(&path) {
        fail(&format!("cannot write {}: {error}", path.display()));
    }
}

/// bindgen loads libclang when it runs. Of several, one whose own headers are installed is taken,
/// because another's `stddef.h` makes it fail in confusing ways.
fn prefer_matching_libclang() {
    if env::var_os("LIBCLANG_PATH").is_some() {
        return;
    }
    let mut found: Vec<(bool, u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(release) = name.strip_prefix("llvm-").and_then(|text| text.parse().ok()) else {
            continue;
        };
        let lib = entry.path().join("lib");
        if lib.join("libclang.so.1").exists() || lib.join("libclang.so").exists() {
            let headers = lib.join(format!("clang/{release}/include")).exists()
                || has_versioned_headers(&lib.join("clang"), release);
            found.push((headers, release, lib));
        }
    }
    found.sort();
    if let Some((_, _, lib)) = found.pop() {
        // SAFETY: a build script has one thread.
        unsafe { env::set_var("LIBCLANG_PATH", lib) }
    }
}

/// Asks for libclang's version, where bindgen would panic for want of it.
fn check_libclang() {
    std::panic::set_hook(Box::new(|_| {}));
    let loaded = std::panic::catch_unwind(bindgen::clang_version);
    let _ = std::panic::take_hook();
    if loaded.is_err() {
        fail(&format!(
            "bindgen finds no libclang; on Debian: apt-get install libclang-dev clang; elsewhere: \
             put the folder of libclang.so into LIBCLANG_PATH (now {:?})",
            env::var("LIBCLANG_PATH").unwrap_or_default()
        ));
    }
}

fn has_versioned_headers(clang: &Path, release: u32) -> bool {
    std::fs::read_dir(clang).into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(&format!("{release}.")) && entry.path().join("include").exists()
    })
}

fn compile_shim(flags: &[String]) {
    let mut build = cc::Build::new();
    build.file("src/shim.c").opt_level(3).warnings(true);
    for flag in flags {
        build.flag(flag);
    }
    // The header's constants are for bindgen; C uses none of them.
    build.flag("-Wno-unused-variable").flag("-Wno-unused-parameter");
    build.flag("-Wno-address-of-packed-member").flag("-Wno-deprecated-declarations");
    build.compile("dpdk_shim");
}

fn link_dynamic() {
    for word in pkg_config(&["--libs"]).split_whitespace() {
        if let Some(path) = word.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={path}");
        } else if let Some(library) = word.strip_prefix("-l") {
            println!("cargo:rustc-link-lib=dylib={library}");
        }
    }
    // The drivers that we call ourselves.
    println!("cargo:rustc-link-lib=dylib=rte_net_vhost");
    println!("cargo:rustc-link-lib=dylib=rte_net_bond");
}

fn link_static() {
    let libdir = pkg_config(&["--variable=libdir"]);
    println!("cargo:rustc-link-search=native={libdir}");
    for driver in STATIC_DRIVERS {
        let archive = format!("librte_{driver}.a");
        if !Path::new(&libdir).join(&archive).exists() {
            println!("cargo:warning=this DPDK has no {driver}: the binary goes without it");
            continue;
        }
        println!("cargo:rustc-link-lib=static:+whole-archive,-bundle,+verbatim={archive}");
    }
    for word in pkg_config(&["--libs"]).split_whitespace() {
        if let Some(library) = word.strip_prefix("-lrte_") {
            let archive = format!("librte_{library}.a");
            println!("cargo:rustc-link-lib=static:-bundle,+verbatim={archive}");
        }
    }
    if !Path::new(&libdir).join("libsystemd.so").exists() {
        fail("DPDK's static drivers call libsystemd; on Debian: apt-get install libsystemd-dev");
    }
    for library in STATIC_SYSTEM {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
}

fn out_dir() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default())
}
