//! What a process has taken of the machine, read off the files that Linux keeps of it. A process is
//! named by its folder: `/proc/self`, `/proc/7`.

use std::fs;
use std::time::Duration;

/// Processor time of all its threads so far: in ticks of 10 ms on every Linux that Rust runs on, after
/// the name in brackets, the 12th and 13th field (`proc_pid_stat(5)`).
#[must_use]
pub fn used(process: &str) -> Option<Duration> {
    let text = fs::read_to_string(format!("{process}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

/// The most memory that it has held, in KiB.
#[must_use]
pub fn peak(process: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_takes_time_and_memory() {
        let held = vec![1_u8; 32 << 20];
        let before = used("/proc/self").expect("its file");
        while used("/proc/self").expect("its file") < before + Duration::from_millis(20) {
            std::hint::black_box(held.iter().map(|byte| u64::from(*byte)).sum::<u64>());
        }
        assert!(peak("/proc/self").expect("its file") >= 32 << 10);
        assert_eq!((used("/proc/none"), peak("/proc/none")), (None, None));
    }
}
