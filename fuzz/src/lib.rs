//! Targets for libFuzzer: one program each in `bin`, what holds of its input here or, where nothing
//! outside of a crate reaches the parser, in that crate's own `fuzz`.
//!
//! A target panics where a property fails; so it does where an input takes more memory than its
//! size warrants ([`memory`]). Where libFuzzer begins is in [`seeds`].

pub mod capture;
pub mod doctor;
pub mod evidence;
pub mod inject;
pub mod intake;
pub mod logs;
pub mod memory;
pub mod node;
pub mod redact;
pub mod seeds;
pub mod yaml;

pub use libfuzzer_sys;

/// The program of a target: `target!(path::of::a::function)` of bytes, or of text after `text`.
#[macro_export]
macro_rules! target {
    (text $run:path) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            $crate::memory::within(data.len(), || $run(&String::from_utf8_lossy(data)));
        });
    };
    ($run:path) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            $crate::memory::within(data.len(), || $run(data));
        });
    };
}

/// A number that differs from input to input, for choices that the input shouldn't spell out.
#[must_use]
pub fn dice(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
