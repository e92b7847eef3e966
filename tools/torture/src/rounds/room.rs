//! Disks without room: a small file system in memory, mounted for the round.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bench::Fault;
use crate::case::{Case, Did, ended_by_itself};

/// A file system that is taken down with its round.
struct Mounted(PathBuf);

impl Mounted {
    /// None where this user may not mount.
    fn new(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).ok()?;
        mount(&["-t", "tmpfs", "-o", options, "tmpfs"], at).then(|| Self(at.to_owned()))
    }

    fn make_room(&self) -> bool {
        mount(&["-o", "remount,size=256m,nr_inodes=100000"], &self.0)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).stderr(Stdio::null()).status();
    }
}

fn mount(options: &[&str], at: &Path) -> bool {
    Command::new("mount").args(options).arg(at).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Room for so many bytes.
pub fn disk(case: &mut Case<'_>) -> Result<Did, Fault> {
    let kilobytes = 8 + case.chance.below(900);
    without_room(case, &format!("size={kilobytes}k"))
}

/// Room for so many files and folders.
pub fn inodes(case: &mut Case<'_>) -> Result<Did, Fault> {
    let inodes = 4 + case.chance.below(150);
    without_room(case, &format!("size=64m,nr_inodes={inodes}"))
}

fn without_room(case: &mut Case<'_>, options: &str) -> Result<Did, Fault> {
    let Some(mounted) = Mounted::new(&case.cache, options) else {
        return Ok(Did::Skipped("only root may mount a small file system".to_owned()));
    };
    for _ in 0..2 {
        let said = case.bench.say(&case.cache, "run torture.toml")?;
        case.fault(format!("{options}: exit {:?}: {}", said.code, said.last_line()));
        ended_by_itself(&said)?;
        let told = ["room", "space", "inode", "full"].iter().any(|word| said.err.contains(word));
        if said.code != Some(0) && !told {
            return Err(format!("a run on a full disk fails and does not say why: {}", said.all()));
        }
    }
    // What is there is sound, even where nothing can be set aside.
    let verified = case.bench.say(&case.cache, "cache verify")?;
    if verified.code != Some(0) {
        return Err(format!("a full disk has left what is not sound: {}", verified.all()));
    }
    if !mounted.make_room() {
        return Ok(Did::Skipped("the small file system cannot be made larger".to_owned()));
    }
    case.recover()?;
    Ok(Did::Held)
}
