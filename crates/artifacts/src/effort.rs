//! What selections took, as CSV: a note that no stage reads.

use std::fmt::{self, Write as _};
use std::fs;
use std::io::ErrorKind;
use std::iter::Sum;
use std::ops::Add;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Damage;
use overinterp_workflow::stage::ArtifactError;

/// The file, beside what was selected.
pub(super) const EFFORT: &str = "effort.csv";
const HEADER: &str = "evaluated,needed,exhaustive,steps,steps-at-ceiling";

/// How many candidates the backward selection of an image has evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Effort {
    /// Those that were.
    pub evaluated: u64,
    /// Those that decided the steps: up to the first at the ceiling, or all of a step without one.
    pub needed: u64,
    /// Those that there were: what an exhaustive selection evaluates.
    pub exhaustive: u64,
    /// How many steps it took, each of which chose one of its candidates.
    pub steps: u64,
    /// Steps that the ceiling decided.
    #[serde(rename = "steps-at-ceiling")]
    pub at_ceiling: u64,
}

impl Add for Effort {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            evaluated: self.evaluated.saturating_add(other.evaluated),
            needed: self.needed.saturating_add(other.needed),
            exhaustive: self.exhaustive.saturating_add(other.exhaustive),
            steps: self.steps.saturating_add(other.steps),
            at_ceiling: self.at_ceiling.saturating_add(other.at_ceiling),
        }
    }
}

impl Sum for Effort {
    fn sum<I: Iterator<Item = Self>>(efforts: I) -> Self {
        efforts.fold(Self::default(), Self::add)
    }
}

impl fmt::Display for Effort {
    /// `319739 of 3148800 candidates evaluated (9.85x fewer), of which 281422 decided; 5301 of 6144 steps ended at the ceiling`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { evaluated, needed, exhaustive, steps, at_ceiling } = self;
        write!(f, "{evaluated} of {exhaustive} candidates evaluated")?;
        let fewer = *exhaustive as f64 / (*evaluated).max(1) as f64;
        if evaluated < exhaustive {
            write!(
                f,
                " ({fewer:.2}x fewer), of which {needed} decided; {at_ceiling} of {steps} steps ended at the ceiling"
            )?;
        }
        Ok(())
    }
}

/// Writes the note into `dir`, a line an image; no file where nothing is known.
pub(super) fn write(dir: &Path, efforts: &[Effort]) -> Result<(), ArtifactError> {
    if efforts.is_empty() {
        return Ok(());
    }
    let mut text = format!("{HEADER}\n");
    for Effort { evaluated, needed, exhaustive, steps, at_ceiling } in efforts {
        let _ = writeln!(text, "{evaluated},{needed},{exhaustive},{steps},{at_ceiling}"); // cannot fail
    }
    let path = dir.join(EFFORT);
    fs::write(&path, text).map_err(|error| ArtifactError::writing(&path, error))
}

/// What the selections of all images of a result in `dir` took; nothing where that is not known.
#[must_use]
pub fn noted_effort(dir: &Path) -> Option<Effort> {
    let text = fs::read_to_string(dir.join(EFFORT)).ok()?;
    let images = text.lines().count().checked_sub(1)?;
    Some(parse(&text, images).ok()?.into_iter().sum())
}

/// Reads what was written of so many images; nothing where there is no file, as of what other methods rank and of results
/// that are older than the note.
pub(super) fn read(dir: &Path, images: usize) -> Result<Vec<Effort>, ArtifactError> {
    let path = dir.join(EFFORT);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| ArtifactError::reading(&path, error))?,
    };
    parse(&text, images).map_err(|damage| ArtifactError::reading(&path, damage))
}

fn parse(text: &str, images: usize) -> Result<Vec<Effort>, Damage> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err(Damage::Line(1));
    }
    let efforts: Vec<Effort> = lines
        .enumerate()
        .map(|(index, line)| line_of(line).ok_or(Damage::Line(index + 2)))
        .collect::<Result<_, _>>()?;
    if efforts.len() == images { Ok(efforts) } else { Err(Damage::value("it has not one line an image")) }
}

fn line_of(line: &str) -> Option<Effort> {
    let numbers: Vec<u64> = line.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [evaluated, needed, exhaustive, steps, at_ceiling] = numbers.try_into().ok()?;
    let sound = needed <= evaluated && evaluated <= exhaustive && at_ceiling <= steps;
    sound.then_some(Effort { evaluated, needed, exhaustive, steps, at_ceiling })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let one = Effort { evaluated: 20, needed: 18, exhaustive: 36, steps: 8, at_ceiling: 5 };
        let two = Effort { evaluated: u64::MAX, exhaustive: u64::MAX, ..Effort::default() };
        assert_eq!(read(dir.path(), 2).unwrap(), []);
        write(dir.path(), &[one, two]).unwrap();
        assert_eq!(read(dir.path(), 2).unwrap(), [one, two]);
        assert!(read(dir.path(), 3).is_err());
        write(dir.path(), &[one, one]).unwrap();
        assert_eq!(noted_effort(dir.path()), Some(one + one));
        let path = dir.path().join(EFFORT);
        let text = fs::read_to_string(&path).unwrap();
        for damaged in [
            text.replace("20,", "-20,"),
            text.replace("20,", "17,"),
            text.replace(",5", ""),
            text.replace("needed", "wanted"),
        ] {
            fs::write(&path, damaged).unwrap();
            assert!(read(dir.path(), 2).unwrap_err().to_string().contains(EFFORT));
        }
        fs::remove_file(&path).unwrap();
        write(dir.path(), &[]).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn efforts_add_up() {
        let one = Effort { evaluated: 20, needed: 18, exhaustive: 36, steps: 8, at_ceiling: 5 };
        let sum = Effort { evaluated: 40, needed: 36, exhaustive: 72, steps: 16, at_ceiling: 10 };
        assert_eq!([one, one].into_iter().sum::<Effort>(), sum);
        assert!(sum.to_string().starts_with("40 of 72 candidates evaluated (1.80x fewer), of which 36 decided"));
    }
}
