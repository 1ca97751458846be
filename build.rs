//! Tells the program which DPDK it was built against.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let version = std::env::var("DEP_DPDK_VERSION").unwrap_or_default();
    println!("cargo:rustc-env=FERRY_BUILT_AGAINST_DPDK={version}");
}
