//! `doctor`: what this machine has, and whether it computes what plain Rust does.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::{Value, json};

use overinterp_kernels::checkup::{Finding, TOLERANCE, examine};
use overinterp_nn::rates::{model_of_processor, processor};

use crate::PROGRAM;
use crate::cli::args::EventFormat;
use crate::cli::screen::json;
use crate::cli::session::{Chosen, PassedOver, choose_device, use_threads};
use crate::cli::status::Status;
use crate::failure::{Failure, Kind};
use crate::text;

/// Libraries that the CUDA build loads.
const LIBRARIES: [&str; 6] =
    ["libcuda.so", "libcudart.so", "libcublas.so", "libcurand.so", "libnvrtc.so", "libcudnn.so"];
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// What is checked: `auto`, `cpu`, `cuda` or `cuda:N`.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Threads to compute with; all cores if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

pub(crate) fn run(arguments: &DoctorArguments) -> Result<Status, Failure> {
    use_threads(arguments.threads)?;
    let facts = facts();
    let human = arguments.format == EventFormat::Human;
    if human {
        for (name, fact) in &facts {
            outln!("{name:<12}{fact}");
        }
    }
    let facts: serde_json::Map<String, Value> =
        facts.into_iter().map(|(name, fact)| (name.to_owned(), json!(fact))).collect();
    let examined = choose_device(&arguments.device).and_then(|Chosen { device, passed_over }| {
        if let (true, Some(PassedOver { reason, .. })) = (human, &passed_over) {
            outln!("{:<12}the CPU: {reason}", "auto takes");
        }
        let findings = examine(&device).map_err(|error| Failure::because(Kind::Internal, error))?;
        Ok((device, findings))
    });
    let (device, findings) = match examined {
        Ok(examined) => examined,
        Err(failure) => {
            if !human {
                json::line(&json!({"machine": facts, "device": null, "kernels": [], "error": failure.to_string()}));
            }
            return Err(failure);
        }
    };
    let wrong = findings.iter().filter(|finding| !finding.agrees()).count();
    if human {
        print_human(&processor(&device), &findings);
    } else {
        let findings: Vec<Value> = findings.iter().map(as_json).collect();
        json::line(&json!({"machine": facts, "device": processor(&device), "kernels": findings}));
    }
    if wrong == 0 {
        return Ok(Status::Success);
    }
    let message =
        format!("{} on {} compute something else than plain Rust", text::count(wrong, "kernel"), processor(&device));
    let hint = "do not trust results from this machine, and please report this output";
    Err(Failure::new(Kind::Internal, message).hint(hint))
}

fn as_json(finding: &Finding) -> Value {
    json!({
        "operation": finding.operation,
        "error": finding.error,
        "tolerance": finding.tolerance,
        "agrees": finding.agrees(),
        "milliseconds": finding.milliseconds,
        "portable_milliseconds": finding.portable_milliseconds,
    })
}

fn print_human(device: &str, findings: &[Finding]) {
    outln!("\nValues and gradients on {device} against plain Rust, where an error above {TOLERANCE:.0e} is a fault");
    outln!("and one small forward pass of each, in milliseconds: `bench` tells how fast networks are");
    let width = findings.iter().map(|finding| finding.operation.len()).max().unwrap_or(0);
    for finding in findings {
        let Finding { operation, error, milliseconds, portable_milliseconds, .. } = finding;
        outln!(
            "  {operation:<width$}  {}  error {error:.1e}  {milliseconds:>8.3} ms, plain Rust {portable_milliseconds:>8.3}",
            if finding.agrees() { "agrees" } else { "WRONG " }
        );
    }
}

/// What there is to know of the machine.
fn facts() -> Vec<(&'static str, String)> {
    vec![
        ("program", PROGRAM.to_owned()),
        ("processor", model_of_processor()),
        ("kernels", processor(&candle_core::Device::Cpu)),
        ("threads", rayon::current_num_threads().to_string()),
        ("memory", memory().unwrap_or_else(|| "unknown".to_owned())),
        ("cuda build", cuda_build().to_owned()),
        ("driver", driver()),
        ("gpu", gpu()),
        ("libraries", libraries()),
    ]
}

const fn cuda_build() -> &'static str {
    if cfg!(feature = "cudnn") {
        "yes, with cuDNN"
    } else if cfg!(feature = "cuda") {
        "yes, without cuDNN"
    } else {
        "no: `cargo build --profile cuda --features cudnn` makes one"
    }
}

/// Main memory, from `/proc/meminfo`.
fn memory() -> Option<String> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let of = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(format!(
        "{}, {} of it available",
        text::bytes(of("MemTotal")? * 1024),
        text::bytes(of("MemAvailable")? * 1024)
    ))
}

/// The kernel's NVIDIA driver.
fn driver() -> String {
    let version = std::fs::read_to_string(Path::new("/proc/driver/nvidia/version")).unwrap_or_default();
    version.lines().next().map_or_else(|| "no NVIDIA driver".to_owned(), str::to_owned)
}

/// What the driver's own tool says of the GPUs.
fn gpu() -> String {
    let query = "--query-gpu=name,memory.total,memory.free,driver_version,compute_cap";
    match Command::new("nvidia-smi").args([query, "--format=csv,noheader"]).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().replace('\n', "; "),
        _ => "none found".to_owned(),
    }
}

/// Which of CUDA's libraries the loader finds, in its cache or where `LD_LIBRARY_PATH` says.
fn libraries() -> String {
    let known = Command::new("ldconfig").arg("-p").output().map(|output| output.stdout).unwrap_or_default();
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = found(&String::from_utf8_lossy(&known), &folders);
    if found.is_empty() { "none of CUDA's".to_owned() } else { found.join(", ") }
}

/// Those of the libraries that the loader's cache names, or of which some version lies in a folder.
fn found(known: &str, folders: &[PathBuf]) -> Vec<&'static str> {
    let files = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().filter_map(Result::ok);
    let names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    let lies = |library: &str| names.iter().any(|name| name.starts_with(library));
    LIBRARIES.into_iter().filter(|library| known.contains(library) || lies(library)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_the_loaders_cache_and_in_folders() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libnvrtc.so.13", "libcudnn_ops.so.9", "libcudart.so"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let known = "\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/libcuda.so.1\n";
        let folders = [folder.path().join("absent"), folder.path().to_owned()];
        assert_eq!(found(known, &folders), ["libcuda.so", "libcudart.so", "libnvrtc.so"]);
        assert_eq!(found(known, &[]), ["libcuda.so"]);
        assert!(found("", &[]).is_empty());
    }
}
