//! Folders in which this user may not write. To root everything is writable, so the program is run as nobody.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};

use crate::bench::Fault;
use crate::case::{Case, Did, ended_by_itself};
use crate::truth::walk;

const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// Some folders of a cache are made unwritable.
pub fn unwritable(case: &mut Case<'_>) -> Result<Did, Fault> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if is_root {
        let tried = Command::new(AS_NOBODY[0]).args(&AS_NOBODY[1..]).arg("true").stderr(Stdio::null()).status();
        if !tried.is_ok_and(|status| status.success()) {
            return Ok(Did::Skipped("root may write everywhere, and no other user can be taken (setpriv)".to_owned()));
        }
    }
    let by: &[&str] = if is_root { &AS_NOBODY } else { &[] };
    if case.chance.below(3) == 0 {
        case.fill()?;
    } else {
        case.fill_in_part("KILL")?;
    }
    let set = |mode_of_folders: u32, path: &std::path::Path| {
        let mode = if path.is_dir() { mode_of_folders } else { 0o666 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    let all = walk(&case.cache);
    for path in all.iter().filter(|path| path.exists()) {
        set(0o777, path).map_err(|error| format!("cannot change {}: {error}", path.display()))?;
    }
    let folders: Vec<_> = all.into_iter().filter(|path| path.is_dir()).collect();
    let chosen = case.chance.one(&folders).clone();
    let below = walk(&chosen).into_iter().filter(|path| path.is_dir());
    let below: Vec<_> = if case.chance.below(2) == 0 { vec![chosen.clone()] } else { below.collect() };
    for path in &below {
        set(0o555, path).map_err(|error| format!("cannot change {}: {error}", path.display()))?;
    }
    let said = case.bench.start_by(by, &case.cache, "run torture.toml")?.end()?;
    let named = chosen.strip_prefix(&case.cache).unwrap_or(&chosen).display().to_string();
    case.fault(format!("unwritable `{named}` ({} folders): exit {:?}: {}", below.len(), said.code, said.last_line()));
    ended_by_itself(&said)?;
    for path in walk(&case.cache) {
        set(0o777, &path).map_err(|error| format!("cannot change {}: {error}", path.display()))?;
    }
    Ok(Did::Held)
}
