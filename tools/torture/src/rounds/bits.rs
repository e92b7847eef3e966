//! Files that are no longer what was written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::bench::Fault;
use crate::case::{Case, Did};
use crate::truth::files;

/// Files of a cache that are tried in one round.
const FILES: usize = 16;

fn cannot(path: &Path) -> impl Fn(std::io::Error) -> Fault + '_ {
    move |error| format!("cannot change {}: {error}", path.display())
}

/// Writes other bytes into a file, and, if that is wanted, gives it the time that it had.
fn change(path: &Path, bytes: &[u8], keep_time: bool) -> Result<(), Fault> {
    let before = fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or_else(|_| SystemTime::now());
    fs::write(path, bytes).map_err(cannot(path))?;
    if keep_time {
        fs::File::options().write(true).open(path).and_then(|file| file.set_modified(before)).map_err(cannot(path))?;
    }
    Ok(())
}

/// A bit of a file, and where it is in words; none of an empty file.
fn flip(case: &mut Case<'_>, path: &Path) -> Result<Option<String>, Fault> {
    let mut bytes = fs::read(path).map_err(cannot(path))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let (byte, bit, keep_time) = (case.chance.below(bytes.len()), case.chance.below(8), case.chance.below(2) == 0);
    bytes[byte] ^= 1 << bit;
    change(path, &bytes, keep_time)?;
    let named = path.strip_prefix(&case.cache).unwrap_or(path).display();
    Ok(Some(format!("bit {bit} of byte {byte} of {named}{}", if keep_time { ", its time kept" } else { "" })))
}

/// Every file of the cache but those that were set aside.
fn stored(case: &Case<'_>) -> Vec<PathBuf> {
    let aside = case.cache.join("v1/damaged");
    files(&case.cache).into_iter().filter(|path| !path.starts_with(&aside)).collect()
}

/// One bit of one stored file after the other. The program notices each, or nothing depends on it.
pub fn results(case: &mut Case<'_>) -> Result<Did, Fault> {
    case.fill()?;
    // Over all files from round to round, in one order.
    for _ in 0..FILES {
        let all = stored(case);
        let path = all[*case.next_file % all.len()].clone();
        *case.next_file += 1;
        let Some(what) = flip(case, &path)? else { continue };
        let said = case.recover().map_err(|fault| format!("{what}: {fault}"))?;
        case.fault(format!("{what}: {}", said.last_line()));
    }
    Ok(Did::Held)
}

/// Bits of what a run has left to go on from, of every file one. One that is asked to end leaves most.
pub fn checkpoints(case: &mut Case<'_>) -> Result<Did, Fault> {
    let signal = *case.chance.one(&["INT", "TERM", "KILL"]);
    case.fill_in_part(signal)?;
    for path in files(&case.cache.join("v1/partial")).into_iter().chain(files(&case.cache.join("v1/tmp"))) {
        if let Some(what) = flip(case, &path)? {
            case.fault(what);
        }
    }
    Ok(Did::Held)
}

/// Files that end too soon, or have more than they should.
pub fn cut(case: &mut Case<'_>) -> Result<Did, Fault> {
    case.fill()?;
    for _ in 0..4 {
        let all = stored(case);
        let path = case.chance.one(&all).clone();
        let mut bytes = fs::read(&path).map_err(cannot(&path))?;
        let how = match case.chance.below(4) {
            0 => {
                bytes.clear();
                "emptied"
            }
            1 => {
                bytes.truncate(case.chance.below(bytes.len() + 1));
                "cut short"
            }
            2 => {
                bytes.push(0);
                "made longer"
            }
            _ => {
                bytes.fill(0);
                "filled with zeros"
            }
        };
        change(&path, &bytes, case.chance.below(2) == 0)?;
        let what = format!("{how}: {}", path.strip_prefix(&case.cache).unwrap_or(&path).display());
        let said = case.recover().map_err(|fault| format!("{what}: {fault}"))?;
        case.fault(format!("{what}: {}", said.last_line()));
    }
    Ok(Did::Held)
}
