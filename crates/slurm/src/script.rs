//! The text that `sbatch` is given: a worker in the place of a shell.

use std::fmt::Write as _;
use std::path::Path;

use overinterp_spec::{JobTime, Memory, Resources};

/// The time of a job where nobody says one.
const USUAL_TIME: u64 = 3600;
/// How long before its end a worker is told to stop, at most: a checkpoint of a large network takes seconds.
const MOST_MARGIN: u64 = 120;

/// What the scripts of a campaign have in common.
#[derive(Clone, Copy, Debug)]
pub struct Common<'a> {
    /// The name of all its jobs.
    pub name: &'a str,
    /// The program.
    pub program: &'a Path,
    /// The frozen plan.
    pub plan: &'a Path,
    /// The cache.
    pub cache: &'a Path,
    /// Where jobs start.
    pub folder: &'a Path,
    /// Where their logs go.
    pub logs: &'a Path,
}

/// Workers that are given the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What it is called: the kinds of stages, joined by `+`.
    pub name: String,
    /// What each is given.
    pub resources: Resources,
    /// The kinds of steps that they take; empty for all.
    pub kinds: Vec<String>,
}

impl Group {
    /// The seconds that a job may last.
    fn seconds(&self) -> u64 {
        self.resources.time.map_or(USUAL_TIME, JobTime::seconds)
    }

    /// How long before the end of its job a worker takes nothing more and stops.
    fn margin(&self) -> u64 {
        (self.seconds() / 4).min(MOST_MARGIN)
    }

    /// The same with more memory; `None` where nobody said how much it has.
    #[must_use]
    pub fn with_memory(&self, times: u64) -> Option<Self> {
        let Memory(mem) = self.resources.mem?;
        let resources = Resources { mem: Some(Memory(mem.saturating_mul(times))), ..self.resources.clone() };
        Some(Self { resources, ..self.clone() })
    }
}

/// The script of `workers` workers of a group. `after` are the numbers of arrays that must have ended before.
#[must_use]
pub fn text(common: &Common<'_>, group: &Group, workers: usize, after: &[String]) -> String {
    let Common { name, program, plan, cache, folder, logs } = common;
    let Resources { cpus, mem, gpus, partition, constraint, flags, .. } = &group.resources;
    let (seconds, margin) = (group.seconds(), group.margin());
    let mut text = String::from("#!/bin/sh\n");
    let mut line = |flag: String| {
        let _ = writeln!(text, "#SBATCH {flag}");
    };
    line(format!("--job-name={name}"));
    line(format!("--comment={}", group.name));
    line(format!("--array=0-{}", workers.max(1) - 1));
    line(format!("--chdir={}", quoted(folder)));
    line(format!("--output={}", quoted(&logs.join("%A_%a.log"))));
    line("--open-mode=append".to_owned());
    // What is submitted again is decided by who follows, and counted.
    line("--no-requeue".to_owned());
    line(format!("--time={}", seconds.div_ceil(60)));
    // The worker stops by itself before; this is for a step that does not look at the clock.
    line(format!("--signal=B:TERM@{}", margin.div_ceil(2)));
    line("--ntasks=1".to_owned());
    line(format!("--cpus-per-task={}", cpus.unwrap_or(1)));
    if let Some(mem) = mem {
        line(format!("--mem={}M", mem.0));
    }
    if let Some(gpus) = gpus.filter(|&gpus| gpus > 0) {
        line(format!("--gpus={gpus}"));
    }
    if let Some(partition) = partition {
        line(format!("--partition={partition}"));
    }
    if let Some(constraint) = constraint {
        line(format!("--constraint={constraint}"));
    }
    if !after.is_empty() {
        line(format!("--dependency=afterany:{}", after.join(":")));
    }
    for flag in flags {
        line(flag.clone());
    }
    let limit = seconds - margin;
    let _ = write!(
        text,
        "\n# The worker takes the shell's place, so that what Slurm sends reaches it.\nexec {} work --plan {} --cache {} \
         \\\n    --until-done --idle {IDLE} --time-limit {limit}s --partly --threads {}",
        quoted(program),
        quoted(plan),
        quoted(cache),
        cpus.unwrap_or(1),
    );
    if gpus.unwrap_or(0) == 0 {
        text.push_str(" --device cpu");
    }
    for kind in &group.kinds {
        let _ = write!(text, " \\\n    --only {kind}");
    }
    text.push('\n');
    text
}

/// How long a worker stays that finds nothing to do: about what a job costs that starts later.
pub const IDLE: &str = "1m";

/// A path as a shell, and `sbatch`, read it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+%=,:@".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_asks_for_what_its_group_is_given() {
        let path = Path::new;
        let common = Common {
            name: "overinterp-0a1b",
            program: path("/opt/over interp"),
            plan: path("/c/plan.json"),
            cache: path("/c"),
            folder: path("/home/me"),
            logs: path("/c/logs"),
        };
        let resources = Resources {
            cpus: Some(4),
            mem: "8G".parse().ok(),
            gpus: Some(1),
            time: "3h50m".parse().ok(),
            partition: Some("gpu".into()),
            constraint: Some("a100|h100".into()),
            flags: vec!["--account=vision".into()],
        };
        let group = Group { name: "train".into(), resources, kinds: vec!["train".into()] };
        let expected = "#!/bin/sh
#SBATCH --job-name=overinterp-0a1b
#SBATCH --comment=train
#SBATCH --array=0-2
#SBATCH --chdir=/home/me
#SBATCH --output=/c/logs/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --no-requeue
#SBATCH --time=230
#SBATCH --signal=B:TERM@60
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=8192M
#SBATCH --gpus=1
#SBATCH --partition=gpu
#SBATCH --constraint=a100|h100
#SBATCH --dependency=afterany:7:8
#SBATCH --account=vision

# The worker takes the shell's place, so that what Slurm sends reaches it.
exec '/opt/over interp' work --plan /c/plan.json --cache /c \\
    --until-done --idle 1m --time-limit 13680s --partly --threads 4 \\
    --only train
";
        assert_eq!(text(&common, &group, 3, &["7".into(), "8".into()]), expected);
        assert!(text(&common, &group.with_memory(2).unwrap(), 1, &[]).contains("--mem=16384M"));
        let plain = Group { name: "all".into(), resources: Resources::default(), kinds: Vec::new() };
        let text = text(&common, &plain, 1, &[]);
        assert!(text.contains("--device cpu\n") && text.contains("--time=60\n") && !text.contains("--mem"), "{text}");
        assert_eq!(plain.with_memory(2), None);
    }
}
