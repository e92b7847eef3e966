//! Those who have claimed steps: they die, fall silent, come back, or were never there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::bench::Fault;
use crate::case::{Case, Did, ended_by_itself};
use crate::truth::files;

/// A run that nobody holds up has taken over long before a silence counts, even on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(50);
/// Longer than any silence that is waited for.
const LONG_AGO: Duration = Duration::from_secs(900);

fn cannot(path: &Path) -> impl Fn(std::io::Error) -> Fault + '_ {
    move |error| format!("cannot change {}: {error}", path.display())
}

fn write(path: &Path, text: &str) -> Result<(), Fault> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).and_then(|()| fs::write(path, text)).map_err(cannot(path))
}

/// What the machine is known by, of a process that is or was here.
fn presence(pid: u32, boot: Option<&str>) -> Value {
    let here = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
    let processes = fs::read_link("/proc/self/ns/pid").unwrap_or_default().display().to_string();
    let machine = json!({ "boot": boot.unwrap_or(&here), "processes": processes });
    json!({
        "host": "another", "pid": pid, "machine": machine, "began": 1, "doing": "run torture.toml", "alone": false,
        "seconds": 1.0, "steps": []
    })
}

/// Has claims made in the name of a worker, on some steps.
fn claim_some(case: &mut Case<'_>, id: &str) -> Result<(), Fault> {
    for (kind, hash) in case.truth.entries() {
        if case.chance.below(2) == 0 {
            write(&case.cache.join(format!("v1/claims/{kind}-{hash}")), id)?;
        }
    }
    Ok(())
}

/// Sets the time of a file long ago.
fn silence(path: &Path) -> Result<(), Fault> {
    let file = fs::File::options().write(true).open(path);
    file.and_then(|file| file.set_modified(SystemTime::now() - LONG_AGO)).map_err(cannot(path))
}

fn workers(case: &Case<'_>) -> Vec<PathBuf> {
    files(&case.cache.join("v1/workers"))
}

/// Runs to the end, which must not take long.
fn at_once(case: &mut Case<'_>, what: &str) -> Result<(), Fault> {
    let said = case.bench.ok(&case.cache, "run torture.toml")?;
    if said.took > AT_ONCE + case.undisturbed * 2 {
        return Err(format!("{what}: nobody took over: {}", said.all()));
    }
    case.note(format!("{what}: taken over, the run took {:.1} s", said.took.as_secs_f64()));
    Ok(())
}

/// An owner is killed right after it has claimed a step; the next run does not wait for it.
pub fn killed(case: &mut Case<'_>) -> Result<Did, Fault> {
    for _ in 0..2 {
        let Some(owner) = case.start_and_claim()? else { continue };
        std::thread::sleep(case.chance.part_of(case.undisturbed / 2));
        owner.signal("KILL");
        owner.end()?;
        case.fault("an owner killed");
    }
    at_once(case, "after the deaths of owners")?;
    Ok(Did::Held)
}

/// Claims of workers that have died here, or of whom there is no presence.
pub fn dead(case: &mut Case<'_>) -> Result<Did, Fault> {
    let mut child =
        std::process::Command::new("true").spawn().map_err(|error| format!("cannot start `true`: {error}"))?;
    let pid = child.id();
    child.wait().map_err(|error| format!("cannot wait for `true`: {error}"))?;
    let id = format!("here-{pid}-0badcafe");
    write(&case.cache.join("v1/workers").join(&id), &presence(pid, None).to_string())?;
    claim_some(case, &id)?;
    claim_some(case, "nobody-1-0badcafe")?;
    case.fault("steps claimed by the dead and by nobody");
    at_once(case, "claims of the dead")?;
    Ok(Did::Held)
}

/// Claims of a worker on another machine that has been silent for long.
pub fn silent(case: &mut Case<'_>) -> Result<Did, Fault> {
    let id = "another-17-0badcafe";
    let path = case.cache.join("v1/workers").join(id);
    write(&path, &presence(17, Some("00000000-0000-0000-0000-000000000000")).to_string())?;
    silence(&path)?;
    claim_some(case, id)?;
    case.fault("steps claimed by a host that fell silent a quarter of an hour ago");
    at_once(case, "claims of a silent host")?;
    Ok(Did::Held)
}

/// Presences and claims that say nothing, while two processes work.
pub fn damaged(case: &mut Case<'_>) -> Result<Did, Fault> {
    let Some(first) = case.start_and_claim()? else { return Ok(Did::Held) };
    let second = case.bench.start(&case.cache)?;
    for path in files(&case.cache.join("v1/claims")).into_iter().chain(workers(case)) {
        let named = path.strip_prefix(&case.cache).unwrap_or(&path).display().to_string();
        match case.chance.below(4) {
            0 => drop(fs::remove_file(&path)),
            1 => drop(fs::write(&path, "")),
            2 => drop(fs::write(&path, "\u{0}\u{1} no worker")),
            _ => continue,
        }
        case.fault(format!("removed, emptied or filled with nonsense: {named}"));
    }
    for running in [first, second] {
        let said = running.end()?;
        ended_by_itself(&said)?;
        if said.code != Some(0) {
            return Err(format!("a run fails by a damaged notice: {}", said.all()));
        }
    }
    Ok(Did::Held)
}

/// A presence is copied and the claims are put in the copy's name, so that two believe that they own a step.
pub fn copied(case: &mut Case<'_>) -> Result<Did, Fault> {
    let Some(first) = case.start_and_claim()? else { return Ok(Did::Held) };
    let second = case.bench.start(&case.cache)?;
    for path in workers(case) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let copy = path.with_file_name(format!("{}c0", &name[..name.len().saturating_sub(2)]));
        // It may have gone meanwhile.
        if fs::copy(&path, &copy).is_ok() {
            let copy = copy.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for claim in files(&case.cache.join("v1/claims")) {
                drop(fs::write(&claim, &copy));
            }
            case.fault("a presence copied, and the claims in the copy's name");
        }
    }
    for running in [first, second] {
        let said = running.end()?;
        ended_by_itself(&said)?;
        if said.code != Some(0) {
            return Err(format!("a run fails by a copied presence: {}", said.all()));
        }
    }
    Ok(Did::Held)
}

/// An owner is stopped for so long that its steps are taken over; then it goes on, and two have computed the same.
pub fn stopped(case: &mut Case<'_>) -> Result<Did, Fault> {
    let Some(owner) = case.start_and_claim()? else { return Ok(Did::Held) };
    std::thread::sleep(case.chance.part_of(case.undisturbed / 2));
    owner.signal("STOP");
    for path in workers(case) {
        silence(&path)?;
    }
    case.fault("an owner stopped");
    let taken = at_once(case, "an owner that is stopped");
    owner.signal("CONT");
    taken?;
    let said = owner.end()?;
    ended_by_itself(&said)?;
    if said.code != Some(0) {
        return Err(format!("an owner that went on fails: {}", said.all()));
    }
    if said.err.contains("differ") {
        return Err(format!("two owners computed different bytes: {}", said.all()));
    }
    Ok(Did::Held)
}
