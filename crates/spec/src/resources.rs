//! What a job of a cluster is given: nothing of it reaches a step's key.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// What one worker is given, as far as somebody has said it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Resources {
    /// Processors, which are its threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u16>,
    /// Memory of the whole job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<Memory>,
    /// GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u16>,
    /// How long it may last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<JobTime>,
    /// The queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Features that a node must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Further flags as the scheduler takes them: `--account=vision`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

impl Resources {
    /// These, and where they say nothing those of `base`. Flags are added behind those of `base`.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        let mut flags = base.flags.clone();
        flags.extend(self.flags.iter().filter(|flag| !base.flags.contains(flag)).cloned());
        Self {
            cpus: self.cpus.or(base.cpus),
            mem: self.mem.or(base.mem),
            gpus: self.gpus.or(base.gpus),
            time: self.time.or(base.time),
            partition: self.partition.clone().or_else(|| base.partition.clone()),
            constraint: self.constraint.clone().or_else(|| base.constraint.clone()),
            flags,
        }
    }
}

/// An amount of memory, in mebibytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Memory(pub u64);

impl FromStr for Memory {
    type Err = NoMemory;

    fn from_str(text: &str) -> Result<Self, NoMemory> {
        let unit = text.chars().last().ok_or(NoMemory)?;
        let mebibytes: u64 = match unit {
            'M' => 1,
            'G' => 1 << 10,
            'T' => 1 << 20,
            _ => return Err(NoMemory),
        };
        let count: u64 = text[..text.len() - 1].parse().map_err(|_| NoMemory)?;
        let whole = count.checked_mul(mebibytes).filter(|&whole| whole > 0);
        whole.map(Self).ok_or(NoMemory)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1 << 10) { write!(f, "{}G", self.0 >> 10) } else { write!(f, "{}M", self.0) }
    }
}

impl From<Memory> for String {
    fn from(memory: Memory) -> Self {
        memory.to_string()
    }
}

/// A text that is no amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a whole number with M, G or T behind it, such as `8G`")]
pub struct NoMemory;

/// How long a job may last, in seconds; at least a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct JobTime(u64);

impl JobTime {
    /// The seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for JobTime {
    type Err = NoJobTime;

    fn from_str(text: &str) -> Result<Self, NoJobTime> {
        let (mut rest, mut seconds, mut last) = (text, 0_u64, u64::MAX);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(NoJobTime)?;
            let unit = match rest.as_bytes()[digits] {
                b'd' => 86_400,
                b'h' => 3600,
                b'm' => 60,
                b's' => 1,
                _ => return Err(NoJobTime),
            };
            if unit >= last {
                return Err(NoJobTime);
            }
            last = unit;
            let count: u64 = rest[..digits].parse().map_err(|_| NoJobTime)?;
            seconds = count.checked_mul(unit).and_then(|part| seconds.checked_add(part)).ok_or(NoJobTime)?;
            rest = &rest[digits + 1..];
        }
        // Schedulers count minutes.
        if seconds < 60 { Err(NoJobTime) } else { Ok(Self(seconds)) }
    }
}

impl fmt::Display for JobTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        for (unit, name) in [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')] {
            if left >= unit {
                write!(f, "{}{name}", left / unit)?;
            }
            left %= unit;
        }
        Ok(())
    }
}

impl From<JobTime> for String {
    fn from(time: JobTime) -> Self {
        time.to_string()
    }
}

/// A text that is no time of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a time of at least a minute, such as `3h50m`")]
pub struct NoJobTime;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_nearer_goes_before_what_is_said_for_all() {
        let base = Resources {
            cpus: Some(2),
            mem: "4G".parse().ok(),
            flags: vec!["--account=a".into()],
            ..Resources::default()
        };
        let own = Resources { cpus: Some(8), flags: vec!["--exclusive".into()], ..Resources::default() };
        let both = own.over(&base);
        assert_eq!((both.cpus, both.mem), (Some(8), Some(Memory(4096))));
        assert_eq!(both.flags, ["--account=a", "--exclusive"]);
    }

    #[test]
    fn amounts_and_times_are_read_as_they_are_written() {
        for text in ["200M", "8G", "3h50m", "2d1h", "1m30s"] {
            let read = text.parse::<Memory>().map(|memory| memory.to_string());
            let read = read.or_else(|_| text.parse::<JobTime>().map(|time| time.to_string()));
            assert_eq!(read.as_deref(), Ok(text));
        }
        assert_eq!("2048M".parse::<Memory>().unwrap().to_string(), "2G");
        for wrong in ["", "8", "G", "8g", "0M", "-1G", "1.5G", "99999999999999999T"] {
            assert_eq!(wrong.parse::<Memory>(), Err(NoMemory), "{wrong}");
        }
        for wrong in ["", "5", "h", "30s", "1m1h", "1m1m", "3x", "1h 5m"] {
            assert_eq!(wrong.parse::<JobTime>(), Err(NoJobTime), "{wrong}");
        }
    }
}
