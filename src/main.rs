//! Parse, dispatch, exit code.

fn main() {
    std::process::exit(overinterp::cli::main() as i32);
}
