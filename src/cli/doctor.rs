//! `doctor`: what this machine has, and whether every kernel computes what plain Rust does.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::kernels::checkup::{Finding, TOLERANCE, examine};
use crate::nn::rates::processor;

use super::args::{DoctorArguments, EventFormat};
use super::failure::{Failure, Status};
use super::session::{choose_device, model_of_processor, use_threads};
use super::{json, text};

/// Libraries that the CUDA build loads.
const LIBRARIES: [&str; 5] = ["libcuda.so", "libcudart.so", "libcublas.so", "libcurand.so", "libcudnn.so"];

pub(super) fn run(arguments: &DoctorArguments) -> Result<Status, Failure> {
    use_threads(arguments.threads)?;
    let facts = facts();
    let human = arguments.format == EventFormat::Human;
    if human {
        for (name, fact) in &facts {
            outln!("{name:<12}{fact}");
        }
    }
    let device = choose_device(&arguments.device)?;
    let findings = examine(&device).map_err(|error| Failure::because(Status::Internal, &error))?;
    let wrong = findings.iter().filter(|finding| !finding.agrees()).count();
    if human {
        print_human(&processor(&device), &findings);
    } else {
        let facts: serde_json::Map<String, Value> =
            facts.into_iter().map(|(name, fact)| (name.to_owned(), json!(fact))).collect();
        let findings: Vec<Value> = findings.iter().map(as_json).collect();
        json::line(&json!({"machine": facts, "device": processor(&device), "kernels": findings}));
    }
    if wrong == 0 {
        return Ok(Status::Success);
    }
    Err(Failure {
        status: Status::Internal,
        message: format!(
            "{} on {} compute something else than plain Rust: do not trust results from this machine, and please \
             report this output",
            text::count(wrong, "kernel"),
            processor(&device)
        ),
    })
}

fn as_json(finding: &Finding) -> Value {
    json!({
        "operation": finding.operation,
        "error": finding.error,
        "agrees": finding.agrees(),
        "milliseconds": finding.milliseconds,
        "portable_milliseconds": finding.portable_milliseconds,
    })
}

fn print_human(device: &str, findings: &[Finding]) {
    outln!(
        "\nValues and gradients on {device} against plain Rust, where an error above {TOLERANCE:.0e} is a fault, and times forward"
    );
    let width = findings.iter().map(|finding| finding.operation.len()).max().unwrap_or(0);
    for finding in findings {
        let Finding { operation, error, milliseconds, portable_milliseconds } = finding;
        outln!(
            "  {operation:<width$}  {}  error {error:.1e}  {milliseconds:>8.2} ms, {:.1}x one thread of plain Rust",
            if finding.agrees() { "agrees" } else { "WRONG " },
            portable_milliseconds / milliseconds
        );
    }
}

/// What there is to know of the machine.
fn facts() -> Vec<(&'static str, String)> {
    vec![
        ("program", concat!("overinterp ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("processor", model_of_processor().unwrap_or_else(|| "unknown".to_owned())),
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

/// Which of CUDA's libraries the loader knows.
fn libraries() -> String {
    let Ok(output) = Command::new("ldconfig").arg("-p").output() else { return "unknown: no ldconfig".to_owned() };
    let known = String::from_utf8_lossy(&output.stdout);
    let found: Vec<&str> = LIBRARIES.into_iter().filter(|library| known.contains(library)).collect();
    if found.is_empty() { "none of CUDA's".to_owned() } else { found.join(", ") }
}
