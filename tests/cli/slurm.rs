//! `--executor slurm` with stand-ins for Slurm's commands. `scripts/slurm-check` tries it on a real one.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::bench::{Bench, STEPS, Said};
use crate::workers::contents;

/// Runs the tasks of an array at once, one after the other, and notes how each ended.
const SBATCH: &str = r#"#!/bin/sh
here=$(dirname "$0")
for script; do :; done
number=$(($(cat "$here/number" 2>/dev/null || echo 0) + 1))
echo $number >"$here/number"
last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$script")
log=$(sed -n 's/^#SBATCH --output=//p' "$script")
task=0
while [ $task -le "$last" ]; do
    out=$(echo "$log" | sed "s/%A/$number/; s/%a/$task/")
    sh "$script" >>"$out" 2>&1
    echo "${number}_$task|$([ $? = 0 ] && echo COMPLETED || echo FAILED)|0:0|here" >>"$here/ended"
    task=$((task + 1))
done
echo $number
"#;
const SACCT: &str = "#!/bin/sh\ncat \"$(dirname \"$0\")/ended\" 2>/dev/null\n";
const SQUEUE: &str = "#!/bin/sh\ncat \"$(dirname \"$0\")/queue\" 2>/dev/null\nexit 0\n";
const SCANCEL: &str = "#!/bin/sh\necho \"$@\" >\"$(dirname \"$0\")/cancelled\"\n";

/// A folder with the stand-ins.
fn bench() -> Bench {
    let bench = Bench::new();
    fs::create_dir(bench.path("bin")).unwrap();
    for (name, script) in [("sbatch", SBATCH), ("sacct", SACCT), ("squeue", SQUEUE), ("scancel", SCANCEL)] {
        let path = bench.path("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    bench
}

/// What the program says where these commands are found first.
fn say(bench: &Bench, line: &str) -> Said {
    let path = format!("PATH={}:{}", bench.path("bin").display(), std::env::var("PATH").unwrap());
    bench.say_by(&["env", &path, env!("CARGO_BIN_EXE_overinterp")], line)
}

#[test]
fn jobs_compute_what_a_run_computes_and_the_tables_follow() {
    let bench = bench();
    let said = say(&bench, "run tiny.toml --executor slurm --cache shared");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("full / full"), "{}", said.out);
    bench.ok("run tiny.toml --cache alone");
    assert_eq!(contents(&bench.path("shared")), contents(&bench.path("alone")));
    assert_eq!(bench.run("--cache shared").total("cached"), STEPS);
    // Nothing is submitted for what is there.
    let before = fs::read_to_string(bench.path("bin/number")).unwrap();
    assert_eq!(say(&bench, "run tiny.toml --executor slurm --cache shared").code, Some(0));
    assert_eq!(fs::read_to_string(bench.path("bin/number")).unwrap(), before);
}

#[test]
fn a_dry_run_prints_scripts_and_leaves_nothing() {
    let bench = bench();
    let said = say(&bench, "run tiny.toml --executor slurm --dry-run");
    assert_eq!(said.code, Some(0), "{}", said.err);
    for expected in ["# ARRAY1\n#!/bin/sh\n#SBATCH --job-name=overinterp-", "#SBATCH --array=0-", " work --plan "] {
        assert!(said.out.contains(expected), "{expected}\n{}", said.out);
    }
    let json = say(&bench, "run tiny.toml --executor slurm --dry-run --format json").out;
    let arrays: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        !arrays.is_empty() && arrays.iter().all(|array| array["script"].as_str().unwrap().starts_with("#!/bin/sh"))
    );
    assert!(!bench.path("cache").exists() && !bench.path("bin/number").exists());
}

#[test]
fn why_jobs_wait_is_told_and_they_can_be_cancelled() {
    let bench = bench();
    fs::write(bench.path("bin/queue"), "7|0|PENDING|Resources|0||all|0:00|\n7|1|RUNNING|None|0|node2|all|0:05|\n")
        .unwrap();
    let said = say(&bench, "why-waiting tiny.toml").out;
    assert!(said.contains("1 job of all waits for nodes to become free (Resources)"), "{said}");
    assert!(said.contains("job 7_1 (all) runs on node2") && said.contains(&format!("0 of {STEPS} steps")), "{said}");
    assert_eq!(say(&bench, "cancel tiny.toml").code, Some(0));
    assert!(fs::read_to_string(bench.path("bin/cancelled")).unwrap().starts_with("--name=overinterp-"));
}

#[test]
fn without_slurm_it_is_said_once_what_to_do() {
    let bench = Bench::new();
    for line in ["run tiny.toml --executor slurm", "why-waiting tiny.toml", "cancel tiny.toml"] {
        let said = bench.say_by(&["env", "PATH=/nowhere", env!("CARGO_BIN_EXE_overinterp")], line);
        assert_eq!(said.code, Some(2), "{line}: {}", said.err);
        assert!(said.err.contains("log in to a node of a cluster that has Slurm"), "{line}: {}", said.err);
        assert_eq!(said.err.matches("No such file or directory").count(), 1, "{line}: {}", said.err);
    }
}
