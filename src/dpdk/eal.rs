//! The environment abstraction layer: memory, lcores, start and stop.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{Error, Result, check};
use super::hugepages::has_hugetlbfs;

/// How to start EAL.
#[derive(Clone, Debug)]
pub struct EalOptions {
    /// CPU of the main lcore, which is the control core.
    pub control_core: usize,
    /// CPUs of the worker lcores, one lcore each, numbered from 1.
    pub worker_cores: Vec<usize>,
    /// Whether packet memory lies in huge pages.
    pub hugepages: bool,
    /// Packet memory in bytes; with huge pages, `None` lets DPDK take what it needs.
    pub memory: Option<u64>,
    /// PCI devices (address and arguments, verbatim) that EAL may probe; no other is touched.
    pub pci_devices: Vec<String>,
    /// Further arguments, verbatim.
    pub extra: Vec<String>,
}

/// The running EAL. Dropping it ends DPDK in this process for good.
pub struct Eal {
    lcores: Vec<Lcore>,
}

/// A worker lcore: an EAL thread pinned to one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lcore {
    /// EAL's number.
    pub id: u32,
    /// The CPU it is pinned to.
    pub cpu: usize,
    /// The CPU's NUMA node.
    pub socket: u32,
}

/// A function running on a worker lcore.
pub struct LcoreTask {
    lcore: u32,
}

/// A PCI address that no device has.
const NO_DEVICE: &str = "ffff:ff:1f.7";

static STARTED: AtomicBool = AtomicBool::new(false);

/// DPDK's version, such as `DPDK 22.11.11`.
pub fn version() -> String {
    // SAFETY: returns a static string, before and after start.
    unsafe { CStr::from_ptr(dpdk_sys::shim_version()) }.to_string_lossy().into_owned()
}

impl Eal {
    /// Starts EAL, which pins the calling thread to the control core.
    ///
    /// # Errors
    /// What DPDK logged: a core that does not exist, no huge pages, too little memory; and a second
    /// start in one process, which DPDK does not allow.
    pub fn start(options: &EalOptions) -> Result<Self> {
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(Error::plain("rte_eal_init", "EAL", "it starts once per process"));
        }
        super::log::install();
        let hugetlbfs = has_hugetlbfs(Path::new("/proc"));
        if options.hugepages && !hugetlbfs {
            tracing::info!(
                "no hugetlbfs is mounted, so huge pages are this process's alone: dpdk-dumpcap cannot attach"
            );
        }
        let has_pci = Path::new("/sys/bus/pci/devices").exists();
        let arguments = arguments(options, hugetlbfs, has_pci);
        tracing::debug!(target: "dpdk", "EAL arguments: {}", arguments.join(" "));
        let owned = arguments
            .iter()
            .map(|argument| CString::new(argument.as_str()))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|_| Error::plain("rte_eal_init", "EAL", "an argument holds a NUL byte"))?;
        let mut pointers: Vec<*mut c_char> =
            owned.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        // SAFETY: argc/argv as main would get them. EAL keeps none of the strings, and permutes the
        // array, which is ours.
        let started =
            unsafe { dpdk_sys::rte_eal_init(pointers.len() as i32, pointers.as_mut_ptr()) };
        if started < 0 {
            let error = Error::last("rte_eal_init", "EAL");
            remove_runtime_folder();
            return Err(error);
        }
        Ok(Self { lcores: worker_lcores() })
    }

    /// The worker lcores, in the order of `worker_cores`.
    pub fn lcores(&self) -> &[Lcore] {
        &self.lcores
    }

    /// Runs `work` on a worker lcore until it returns.
    ///
    /// # Errors
    /// The lcore runs something already.
    pub fn launch(&self, lcore: Lcore, work: impl FnOnce() + Send + 'static) -> Result<LcoreTask> {
        let work: Box<Box<dyn FnOnce() + Send>> = Box::new(Box::new(work));
        let argument = Box::into_raw(work);
        // SAFETY: the trampoline takes the box over, once.
        let failed =
            unsafe { dpdk_sys::rte_eal_remote_launch(Some(trampoline), argument.cast(), lcore.id) };
        if failed != 0 {
            // SAFETY: EAL did not take it.
            drop(unsafe { Box::from_raw(argument) });
        }
        check("rte_eal_remote_launch", &format!("lcore {}", lcore.id), failed)?;
        Ok(LcoreTask { lcore: lcore.id })
    }
}

impl Drop for Eal {
    fn drop(&mut self) {
        // SAFETY: the owner of Eal has dropped every port, queue and mbuf (module rule).
        unsafe { dpdk_sys::rte_eal_cleanup() };
        remove_runtime_folder();
    }
}

/// DPDK leaves the folder of its sockets behind; its name is this process's own.
fn remove_runtime_folder() {
    // SAFETY: a static buffer that EAL fills when it starts.
    let folder = unsafe { CStr::from_ptr(dpdk_sys::rte_eal_get_runtime_dir()) };
    let folder = Path::new(folder.to_str().unwrap_or_default());
    if folder.file_name().is_some_and(|name| name.to_string_lossy() == file_prefix()) {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// A prefix of its own lets several Ferries run on one machine.
fn file_prefix() -> String {
    format!("ferry-{}", std::process::id())
}

impl LcoreTask {
    /// Waits until the function has returned.
    pub fn join(self) {
        // SAFETY: the lcore id came from EAL.
        unsafe { dpdk_sys::rte_eal_wait_lcore(self.lcore) };
    }
}

unsafe extern "C" fn trampoline(argument: *mut c_void) -> i32 {
    // SAFETY: `launch` gave this box away to exactly this call.
    let work = unsafe { Box::from_raw(argument.cast::<Box<dyn FnOnce() + Send>>()) };
    work();
    0
}

fn worker_lcores() -> Vec<Lcore> {
    let mut lcores = Vec::new();
    let mut id = u32::MAX;
    loop {
        // SAFETY: pure reads of EAL's configuration, which is complete after rte_eal_init.
        unsafe {
            id = dpdk_sys::rte_get_next_lcore(id, 1, 0);
            if id >= dpdk_sys::RTE_MAX_LCORE {
                return lcores;
            }
            let cpu = usize::try_from(dpdk_sys::rte_lcore_to_cpu_id(id as i32)).unwrap_or(0);
            lcores.push(Lcore { id, cpu, socket: dpdk_sys::rte_lcore_to_socket_id(id) });
        }
    }
}

fn arguments(options: &EalOptions, hugetlbfs: bool, has_pci: bool) -> Vec<String> {
    let mut list = vec!["ferry".to_owned(), "--lcores".to_owned()];
    let mut lcores = format!("0@{}", options.control_core);
    for (index, cpu) in options.worker_cores.iter().enumerate() {
        lcores += &format!(",{}@{cpu}", index + 1);
    }
    list.push(lcores);
    list.push(format!("--file-prefix={}", file_prefix()));
    if options.hugepages && hugetlbfs {
        list.push("--huge-unlink=always".to_owned());
    } else if options.hugepages {
        // One file for all memory, as virtio-user can hand over only a few.
        list.extend(["--in-memory", "--single-file-segments"].map(str::to_owned));
    } else {
        list.push("--no-huge".to_owned());
        list.push("--no-shconf".to_owned());
    }
    if let Some(bytes) = options.memory {
        list.extend(["-m".to_owned(), bytes.div_ceil(1 << 20).to_string()]);
    }
    if !has_pci {
        list.push("--no-pci".to_owned());
    } else if options.pci_devices.is_empty() {
        // Without a list EAL takes all that there are, and without the bus none could ever come.
        list.extend(["-a", NO_DEVICE].map(str::to_owned));
    }
    for device in &options.pci_devices {
        list.extend(["-a".to_owned(), device.clone()]);
    }
    list.extend(options.extra.iter().cloned());
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> EalOptions {
        EalOptions {
            control_core: 0,
            worker_cores: vec![1, 5],
            hugepages: false,
            memory: Some(512 << 20),
            pci_devices: vec![],
            extra: vec!["--single-file-segments".into()],
        }
    }

    #[test]
    fn lcores_are_numbered_in_order_and_pinned_one_to_one() {
        let list = arguments(&options(), true, false).join(" ");
        assert!(list.contains("--lcores 0@0,1@1,2@5"), "{list}");
        assert!(list.contains("--no-huge") && list.contains("-m 512"), "{list}");
        assert!(list.contains("--no-pci") && list.ends_with("--single-file-segments"), "{list}");
    }

    #[test]
    fn only_named_pci_devices_are_probed() {
        let pci_devices = vec!["0000:3b:00.0,rx_vec=1".to_owned()];
        let list = arguments(&EalOptions { pci_devices, ..options() }, true, true).join(" ");
        assert!(list.contains("-a 0000:3b:00.0,rx_vec=1") && !list.contains("--no-pci"), "{list}");
        assert!(!list.contains(NO_DEVICE), "{list}");
        let none = arguments(&options(), true, true).join(" ");
        assert!(none.contains("-a ffff:ff:1f.7") && !none.contains("--no-pci"), "{none}");
    }

    #[test]
    fn huge_pages_need_no_mount() {
        let options = EalOptions { hugepages: true, ..options() };
        let list = arguments(&options, true, true).join(" ");
        assert!(list.contains("--huge-unlink=always") && !list.contains("--in-memory"), "{list}");
        let list = arguments(&options, false, true);
        assert!(list.contains(&"--in-memory".to_owned()), "{list:?}");
    }
}
