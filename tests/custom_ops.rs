//! Every custom op has a forward pass for CUDA, with and without cuDNN, and a gradient, and nothing in the crates is left
//! to be written.

use std::fs;
use std::path::{Path, PathBuf};

/// What stands for code that is still to be written. In two parts, so that this file does not hold them.
const UNWRITTEN: [[&str; 2]; 2] = [["todo", "!"], ["unimplemented", "!"]];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("crates")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "cu") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((path, text));
            }
        }
    }
    sources.sort();
    sources
}

/// The name of each custom op that a source implements, with the body of the implementation.
fn custom_ops(text: &str) -> Vec<(&str, &str)> {
    let mut ops = Vec::new();
    for (place, _) in text.match_indices("\nimpl") {
        let rest = &text[place + 1..];
        let head = &rest[..rest.find('{').unwrap()];
        if head.contains("CustomOp") || head.contains("InplaceOp") {
            ops.push((head.trim(), &rest[..rest.find("\n}").unwrap()]));
        }
    }
    ops
}

/// The function of that name in an implementation, with the line before it.
fn function<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let start = body.find(&format!("    fn {name}("))?;
    let length = body[start..].find("\n    }").unwrap();
    let line_before = body[..start].trim_end().rfind('\n').unwrap();
    Some(&body[line_before..start + length])
}

/// What the custom ops of a source lack.
fn lacking(text: &str) -> Vec<String> {
    let mut lacking = Vec::new();
    for (head, body) in custom_ops(text) {
        let Some(pass) = function(body, "cuda_fwd") else {
            lacking.push(format!("{head} has no cuda_fwd"));
            continue;
        };
        if !pass.contains("#[cfg(feature = \"cuda\")]") {
            lacking.push(format!("{head} has a cuda_fwd for other features"));
        }
        if function(body, "bwd").is_none() && !head.contains("InplaceOp") {
            lacking.push(format!("{head} has no gradient"));
        }
    }
    lacking
}

#[test]
fn every_custom_op_has_a_cuda_pass_and_a_gradient() {
    let mut found = Vec::new();
    let mut count = 0;
    for (path, text) in sources() {
        count += custom_ops(&text).len();
        found.extend(lacking(&text).into_iter().map(|lack| format!("{}: {lack}", path.display())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(count >= 11, "there are convolution, batch norm, pooling and others, not {count} ops");
}

#[test]
fn an_op_for_cudnn_alone_is_found() {
    let lacks = |feature: &str| {
        let pass = format!("    #[cfg(feature = \"{feature}\")]\n    fn cuda_fwd(&self) {{\n    }}\n");
        let gradient = "\n    fn bwd(&self) {\n    }\n";
        lacking(&format!("\nimpl CustomOp1 for Doubled {{\n{pass}{gradient}}}\n")).len()
    };
    assert_eq!(["cuda", "cudnn", "metal"].map(lacks), [0, 1, 1]);
}

#[test]
fn every_gradient_knows_the_gpu() {
    // A gradient that reads values as the CPU holds them must have turned to the GPU before.
    let mut lacking = Vec::new();
    for (path, text) in sources() {
        for (head, body) in custom_ops(&text) {
            let gradient = function(body, "bwd").unwrap_or_default();
            let reads = gradient.find("Values::of");
            let turns = gradient.find("is_cuda()");
            if reads.is_some() && turns.is_none_or(|turns| Some(turns) > reads) {
                lacking.push(format!("{}: {head}", path.display()));
            }
        }
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

#[test]
fn nothing_is_left_to_be_written() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if UNWRITTEN.iter().any(|parts| line.contains(&parts.concat())) {
                found.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What all kernels together are called, and which of them the Rust code calls.
#[test]
fn every_kernel_is_called_and_every_call_has_a_kernel() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/kernels/src/ops/cuda");
    let (mut kernels, mut called) = (Vec::new(), Vec::new());
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with(&folder)) {
        if path.extension().is_some_and(|extension| extension == "cu") {
            let names = text.match_indices("\nKERNEL(").map(|(place, opening)| {
                let rest = &text[place + opening.len()..];
                rest[..rest.find(')').unwrap()].to_owned()
            });
            kernels.extend(names);
        } else if !path.ends_with("tests.rs") {
            let words = text.split('"').skip(1).step_by(2);
            called.extend(
                words.filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_')).map(str::to_owned),
            );
        }
    }
    assert!(kernels.len() > 20, "{kernels:?}");
    kernels.sort();
    for kernel in &kernels {
        assert!(called.contains(kernel), "no code calls the kernel {kernel}");
    }
    let run = sources().into_iter().filter(|(path, _)| path.starts_with(&folder));
    for (path, text) in run {
        for (place, opening) in text.match_indices(".run(\"") {
            let rest = &text[place + opening.len()..];
            let name = &rest[..rest.find('"').unwrap()];
            assert!(kernels.iter().any(|kernel| kernel == name), "{}: no kernel {name}", path.display());
        }
    }
}
