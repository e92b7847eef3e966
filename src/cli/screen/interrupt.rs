//! Signals: what stops a run, and what must not.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use overinterp_workflow::cancel::Cancel;

use crate::cli::status::Status;
use crate::failure::{Failure, Kind};

/// How long after the first Ctrl-C another is taken for the same: shells and `timeout` send some twice.
const SAME: Duration = Duration::from_secs(1);
/// What a write beyond the limit of file sizes (`ulimit -f`) sends.
const SIGXFSZ: i32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 31 } else { 25 };

/// The first Ctrl-C, request to terminate or hang-up stops the run at the next safe point; another one, a second later,
/// ends the process. What was ignored when the program started stays ignored: so `nohup` and a shell's `&` ask.
pub(crate) fn stop_on_interrupt(cancel: &Cancel) -> Result<(), Failure> {
    let cancel = cancel.clone();
    let internal = |error: std::io::Error| Failure::because(Kind::Internal, error);
    let mut signals = Signals::new(to_watch(ignored().as_deref())).map_err(internal)?;
    let first = OnceLock::new();
    let watch = move || {
        for _ in &mut signals {
            cancel.cancel();
            if first.get_or_init(Instant::now).elapsed() > SAME {
                std::process::exit(Status::Cancelled as i32);
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop).map_err(internal)
}

/// Lets a write beyond the limit of file sizes fail like one on a full disk, instead of ending the program.
pub(crate) fn survive_file_limits() {
    // Where that cannot be had, the limit ends the program as it does others.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// The text that says which signals are ignored; `None` where the system has none.
fn ignored() -> Option<String> {
    std::fs::read_to_string("/proc/self/status").ok()
}

/// The signals that stop a run, without those that are ignored. Where that cannot be told a hang-up is left alone, which
/// ends a run that nobody asked to outlive its terminal.
fn to_watch(status: Option<&str>) -> Vec<i32> {
    let mask = status.and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(line.trim(), 16).ok()
    });
    let all: &[i32] = if mask.is_some() { &[SIGINT, SIGTERM, SIGHUP] } else { &[SIGINT, SIGTERM] };
    all.iter().copied().filter(|signal| mask.unwrap_or(0) >> (signal - 1) & 1 == 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ignored_at_the_start_is_not_watched() {
        let status = |mask: &str| format!("Name:\toverinterp\nSigBlk:\t0000000000000000\nSigIgn:\t{mask}\n");
        assert_eq!(to_watch(Some(&status("0000000000001000"))), [SIGINT, SIGTERM, SIGHUP]);
        assert_eq!(to_watch(Some(&status("0000000000001001"))), [SIGINT, SIGTERM]);
        assert_eq!(to_watch(Some(&status("0000000000000002"))), [SIGTERM, SIGHUP]);
        assert_eq!(to_watch(None), [SIGINT, SIGTERM]);
    }
}
