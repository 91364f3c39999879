//! Waiting for a signal instead of being ended by it.

use std::io;

/// Signals by which somebody asks a process to end.
const ENDING: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Holds back, for the calling thread and the threads it starts later, the signals that ask for
/// an end, so that [`wait_for_end`] can take them.
///
/// # Errors
/// None is known.
#[expect(unsafe_code, reason = "signal masks have no safe form in our dependencies")]
pub fn hold_back_end() -> io::Result<()> {
    let set = ending();
    // SAFETY: the set was initialised by `ending`; no old mask is asked for.
    let failed =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed)) }
}

/// Waits for a signal that asks for an end; its number.
///
/// # Errors
/// None is known, after [`hold_back_end`].
#[expect(unsafe_code, reason = "sigwait has no safe form in our dependencies")]
pub fn wait_for_end() -> io::Result<i32> {
    let set = ending();
    let mut signal: libc::c_int = 0;
    // SAFETY: both point to live values of the right type.
    let failed = unsafe { libc::sigwait(&raw const set, &raw mut signal) };
    if failed == 0 { Ok(signal) } else { Err(io::Error::from_raw_os_error(failed)) }
}

/// From now on SIGTERM and its like end this process with exit code 0, even where it is the first
/// of its pid namespace, which the kernel protects from signals without a handler.
///
/// # Errors
/// No thread can be started.
pub fn exit_on_end() -> io::Result<()> {
    hold_back_end()?;
    let build = std::thread::Builder::new().name("signals".to_owned()).stack_size(64 * 1024);
    build.spawn(|| {
        if wait_for_end().is_ok() {
            std::process::exit(0);
        }
    })?;
    Ok(())
}

#[expect(unsafe_code, reason = "signal sets have no safe form in our dependencies")]
fn ending() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set, sigaddset changes an initialised one; the numbers
    // are valid signals, for which neither fails.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in ENDING {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}
