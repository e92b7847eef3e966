//! Times that are wrong: those of files, and the machine's.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::bench::Fault;
use crate::case::{Case, Did};
use crate::truth::walk;

/// Ten years.
const FAR: usize = 10 * 365 * 24 * 3600;

/// Gives every file and folder of a cache, and of the data, some time in the past or in the future.
pub fn files(case: &mut Case<'_>) -> Result<Did, Fault> {
    let whole = case.chance.below(2) == 0;
    if whole {
        case.fill()?;
    } else {
        case.fill_in_part("KILL")?;
    }
    let paths = walk(&case.cache).into_iter().chain(walk(&case.bench.path("images")));
    for path in paths.filter(|path| !path.is_symlink()) {
        let by = Duration::from_secs(case.chance.below(FAR) as u64);
        let time = if case.chance.below(2) == 0 { SystemTime::now() + by } else { SystemTime::now() - by };
        File::open(&path)
            .and_then(|file| file.set_modified(time))
            .map_err(|error| format!("cannot set the time of {}: {error}", path.display()))?;
    }
    case.fault("files and folders of the cache and the data have times in the past and the future");
    let said = case.recover()?;
    if whole && !said.all().contains("ran 0,") {
        return Err(format!("times alone make steps run: {}", said.all()));
    }
    Ok(Did::Held)
}

/// Two processes whose clocks are years apart, and one of them is killed.
pub fn machine(case: &mut Case<'_>) -> Result<Did, Fault> {
    let there = Command::new("faketime").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_err() {
        return Ok(Did::Skipped("there is no faketime".to_owned()));
    }
    let days = case.chance.below(4000);
    let (past, future) = (format!("-{days}d"), format!("+{days}d"));
    // A clock that is set moves neither the time since the machine started, by which threads wait, nor that of files.
    let set = ["env", "NO_FAKE_STAT=1", "faketime", "-m", "--exclude-monotonic", "-f"];
    let [early, late] = [past, future]
        .map(|by| case.bench.start_by(&[&set[..], &[by.as_str()]].concat(), &case.cache, "run torture.toml"));
    let (early, late) = (early?, late?);
    case.fault(format!("clocks {days} days behind and before"));
    std::thread::sleep(case.chance.part_of(case.undisturbed));
    early.signal("KILL");
    early.end()?;
    let said = late.end()?;
    if said.code != Some(0) {
        return Err(format!("a run whose clock is set fails: {}", said.all()));
    }
    Ok(Did::Held)
}
