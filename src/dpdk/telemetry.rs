//! Commands on DPDK's telemetry socket, which dpdk-telemetry.py and its exporters speak to.
//!
//! DPDK calls back on threads of its own, one a client. They may wait; nobody else waits for them.

use std::ffi::{CStr, CString, c_char};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::{Result, check};

/// What a command says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Names, such as those that another command takes.
    Names(Vec<String>),
    /// Numbers by name.
    Numbers(Vec<(&'static str, u64)>),
}

/// Makes the answer to a command and its parameter, which is empty where none is given; `None`: there is none.
pub type Answerer = dyn Fn(&str, &str) -> Option<Answer> + Send + Sync;

/// Commands cannot be taken back, so what answers them is found here.
static ANSWERER: Mutex<Option<Arc<Answerer>>> = Mutex::new(None);

/// What a failed command returns: an invalid argument.
const FAILED: i32 = -libc::EINVAL;

/// Commands that are answered; dropping it ends that.
pub struct Telemetry(());

impl Telemetry {
    /// Has `answerer` answer commands, given with a line of help each. EAL has started; once in a process.
    ///
    /// # Errors
    /// DPDK has no place for so many, or takes no such name.
    pub fn register(
        commands: &[(&'static CStr, &'static CStr)],
        answerer: Arc<Answerer>,
    ) -> Result<Self> {
        *ANSWERER.lock().unwrap_or_else(PoisonError::into_inner) = Some(answerer);
        let telemetry = Self(());
        for (command, help) in commands {
            // SAFETY: DPDK copies both strings, and the callback lives for ever.
            let failed = unsafe {
                dpdk_sys::rte_telemetry_register_cmd(command.as_ptr(), Some(answer), help.as_ptr())
            };
            check("rte_telemetry_register_cmd", &command.to_string_lossy(), failed)?;
        }
        Ok(telemetry)
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        *ANSWERER.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

unsafe extern "C" fn answer(
    command: *const c_char,
    parameters: *const c_char,
    data: *mut dpdk_sys::rte_tel_data,
) -> i32 {
    let text = |pointer: *const c_char| {
        if pointer.is_null() {
            return String::new();
        }
        // SAFETY: DPDK hands us C strings that live as long as this call.
        unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
    };
    // Not held while it answers: that may take a while, and others may ask meanwhile.
    let answerer = ANSWERER.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match answerer.and_then(|answerer| answerer(&text(command), &text(parameters))) {
        // SAFETY: DPDK hands us data that is ours until we return.
        Some(answer) => unsafe { write(data, &answer) },
        None => FAILED,
    }
}

/// # Safety
/// `data` is what DPDK has handed to a callback that has not returned.
unsafe fn write(data: *mut dpdk_sys::rte_tel_data, answer: &Answer) -> i32 {
    // SAFETY: as above; DPDK copies each string.
    unsafe {
        match answer {
            Answer::Names(names) => {
                dpdk_sys::rte_tel_data_start_array(data, dpdk_sys::RTE_TEL_STRING_VAL);
                for name in names {
                    let Ok(name) = CString::new(name.as_str()) else { return FAILED };
                    dpdk_sys::rte_tel_data_add_array_string(data, name.as_ptr());
                }
            }
            Answer::Numbers(numbers) => {
                dpdk_sys::rte_tel_data_start_dict(data);
                for (name, number) in numbers {
                    let Ok(name) = CString::new(*name) else { return FAILED };
                    dpdk_sys::shim_tel_add_number(data, name.as_ptr(), *number);
                }
            }
        }
    }
    0
}
