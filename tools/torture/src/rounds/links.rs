//! Links, pipes and folders in the places of a cache's folders and files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::Fault;
use crate::case::{Case, Did, ended_by_itself};
use crate::truth::walk;

fn cannot(path: &Path) -> impl Fn(std::io::Error) -> Fault + '_ {
    move |error| format!("cannot change {}: {error}", path.display())
}

/// Something of the cache is moved elsewhere, and something else has its name. What lies elsewhere stays as it is; and either
/// the program goes on, or it says where the link is, and goes on when all is put back.
pub fn links(case: &mut Case<'_>) -> Result<Did, Fault> {
    case.fill()?;
    for number in 0..3 {
        let all: Vec<_> = walk(&case.cache).into_iter().skip(1).collect();
        let path = case.chance.one(&all).clone();
        let named = path.strip_prefix(&case.cache).unwrap_or(&path).display().to_string();
        let elsewhere = case.bench.path(&format!("elsewhere-{number}"));
        let _ = fs::remove_dir_all(&elsewhere);
        let _ = fs::remove_file(&elsewhere);
        fs::rename(&path, &elsewhere).map_err(cannot(&path))?;
        let what = match case.chance.below(5) {
            0 | 1 => symlink(&elsewhere, &path).map(|()| "a link to it"),
            2 => symlink("/no/such/place", &path).map(|()| "a link to nowhere"),
            3 => Command::new("mkfifo").arg(&path).status().map(|_| "a pipe"),
            _ => fs::create_dir(&path).map(|()| "a folder"),
        };
        let what = format!("in place of {named} {}", what.map_err(cannot(&path))?);
        let before = bytes_of(&elsewhere);
        let said = case.bench.say(&case.cache, "run torture.toml")?;
        case.fault(format!("{what}: exit {:?}: {}", said.code, said.last_line()));
        ended_by_itself(&said).map_err(|fault| format!("{what}: {fault}"))?;
        if bytes_of(&elsewhere) != before {
            return Err(format!("{what}: what lies elsewhere was changed: {}", said.all()));
        }
        if said.code != Some(0) {
            if !said.err.contains(&named) {
                return Err(format!("{what}: the program fails and does not say where: {}", said.all()));
            }
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(&path);
            fs::rename(&elsewhere, &path).map_err(cannot(&path))?;
        }
        case.recover().map_err(|fault| format!("{what}: {fault}"))?;
    }
    Ok(Did::Held)
}

/// All that lies at a path.
fn bytes_of(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    walk(path).into_iter().map(|path| (path.clone(), fs::read(&path).unwrap_or_default())).collect()
}
