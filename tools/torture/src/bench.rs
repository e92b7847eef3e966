//! The folder in which all happens, with the experiment, its images and the program.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::chance::Chance;

const EXPERIMENT: &str = include_str!("experiment.toml");
/// Longer than anything here takes on the busiest machine: what takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// Side of an image: large enough for the small network.
const SIDE: u32 = 12;
const CLASSES: u32 = 3;

/// What is wrong, in words.
pub type Fault = String;

/// A folder with an experiment, and the program to run on it.
pub struct Bench {
    folder: TempDir,
    program: PathBuf,
}

/// What a command left behind.
pub struct Said {
    /// None where a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Said {
    /// Both outputs, for a report.
    pub fn all(&self) -> String {
        format!("exit {:?} after {:.1} s\n{}{}", self.code, self.took.as_secs_f64(), self.out, self.err)
    }

    /// The last line that says something.
    pub fn last_line(&self) -> &str {
        let text = if self.err.trim().is_empty() { &self.out } else { &self.err };
        text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing")
    }
}

/// A process that was started, with what it says in files.
pub struct Running {
    child: Child,
    says: PathBuf,
    began: Instant,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name. One that has ended takes none.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).stderr(Stdio::null()).status();
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Waits for its end.
    pub fn end(mut self) -> Result<Said, Fault> {
        let (began, says) = (self.began, self.says.clone());
        loop {
            match self.child.try_wait().map_err(|error| format!("cannot wait for a process: {error}"))? {
                Some(status) => {
                    let read = |ending: &str| fs::read_to_string(says.with_extension(ending)).unwrap_or_default();
                    return Ok(Said { code: status.code(), out: read("out"), err: read("err"), took: began.elapsed() });
                }
                None if began.elapsed() > PATIENCE => {
                    self.signal("KILL");
                    let _ = self.child.wait();
                    let said = fs::read_to_string(says.with_extension("err")).unwrap_or_default();
                    return Err(format!("the program did not end within {} s:\n{said}", PATIENCE.as_secs()));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

/// Nothing that was started outlives its round.
impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Bench {
    /// The experiment on images that are drawn here. The program is copied, so that others may run it and no build changes it.
    pub fn new(program: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("overinterp-torture-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let copy = folder.path().join("overinterp");
        fs::copy(program, &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        let bench = Self { folder, program: copy };
        fs::write(bench.path("torture.toml"), EXPERIMENT)?;
        fs::create_dir(bench.path("said"))?;
        bench.draw_images()?;
        Ok(bench)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Stripes of three widths under noise: soon learnt, and not at once.
    fn draw_images(&self) -> io::Result<()> {
        let mut chance = Chance::new(0);
        for (half, count) in [("train", 64), ("test", 8)] {
            for class in 0..CLASSES {
                let dir = self.path(&format!("images/{half}/class-{class}"));
                fs::create_dir_all(&dir)?;
                for number in 0..count {
                    let image = image::GrayImage::from_fn(SIDE, SIDE, |x, y| {
                        let light = if (x + 2 * y).is_multiple_of(class + 2) { 190 } else { 50 };
                        image::Luma([light + chance.below(60) as u8])
                    });
                    image.save(dir.join(format!("{number:03}.bmp"))).map_err(io::Error::other)?;
                }
            }
        }
        Ok(())
    }

    /// Starts the program on a cache, with the words of `line` as arguments, behind the words of `by`.
    pub fn start_by(&self, by: &[&str], cache: &Path, line: &str) -> Result<Running, Fault> {
        let says = self.path("said").join(format!("{}", fs::read_dir(self.path("said")).map_or(0, Iterator::count)));
        let file = |ending: &str| File::create(says.with_extension(ending));
        let cannot = |error: io::Error| format!("cannot start the program: {error}");
        let mut command = by.first().map_or_else(|| Command::new(&self.program), Command::new);
        if let [_, others @ ..] = by {
            command.args(others).arg(&self.program);
        }
        command.args(line.split_whitespace()).arg("--cache").arg(cache).current_dir(self.folder.path());
        command.env_remove("RUST_LOG").stdin(Stdio::null());
        command.stdout(file("out").map_err(cannot)?).stderr(file("err").map_err(cannot)?);
        let child = command.spawn().map_err(cannot)?;
        Ok(Running { child, says, began: Instant::now() })
    }

    pub fn start(&self, cache: &Path) -> Result<Running, Fault> {
        self.start_by(&[], cache, "run torture.toml")
    }

    /// Runs the program to its end.
    pub fn say(&self, cache: &Path, line: &str) -> Result<Said, Fault> {
        self.start_by(&[], cache, line)?.end()
    }

    /// The same of what must succeed.
    pub fn ok(&self, cache: &Path, line: &str) -> Result<Said, Fault> {
        let said = self.say(cache, line)?;
        if said.code == Some(0) { Ok(said) } else { Err(format!("`{line}` fails: {}", said.all())) }
    }
}
