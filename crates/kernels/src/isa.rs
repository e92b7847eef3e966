//! Which instruction set the kernels use, chosen when the program runs.

use std::cell::Cell;
use std::fmt;

/// A set of vector instructions that the kernels are written for.
///
/// The program is built for the baseline of its target; the wider sets are compiled beside it and entered only
/// on a machine that has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// 16 lanes and 32 registers (x86-64 with AVX-512F).
    Avx512,
    /// 8 lanes and 16 registers (x86-64 with AVX2 and FMA).
    Avx2,
    /// Plain Rust, on any machine; multiplies and adds in two roundings.
    Portable,
}

thread_local! {
    /// Whether [`Isa::detect`] leaves out what the machine has beyond plain Rust.
    static PORTABLE_ONLY: Cell<bool> = const { Cell::new(false) };
}

impl Isa {
    /// Every set, the widest first.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// The widest set that this machine has.
    #[must_use]
    pub fn detect() -> Self {
        if PORTABLE_ONLY.get() {
            return Self::Portable;
        }
        Self::ALL.into_iter().find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// Does `work` on a thread of its own, on which [`Isa::detect`] answers [`Isa::Portable`], so that other kernels
    /// can be compared with these.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn portable_only<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).start_handler(|_| PORTABLE_ONLY.set(true)).build()?;
        Ok(pool.install(work))
    }

    /// Whether this machine has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f") && Self::Avx2.is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }

    /// Itself where this machine has it, else [`Isa::Portable`]: what makes it safe to enter its kernels.
    pub(crate) fn or_portable(self) -> Self {
        if self.is_available() { self } else { Self::Portable }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Isa;

    #[test]
    fn the_detected_set_is_the_widest_available() {
        let detected = Isa::detect();
        assert!(detected.is_available());
        assert!(Isa::ALL.into_iter().filter(|isa| *isa < detected).all(|wider| !wider.is_available()));
    }

    #[test]
    fn one_thread_alone_can_do_without_what_the_machine_has() {
        assert_eq!(Isa::portable_only(Isa::detect).unwrap(), Isa::Portable);
        assert!(Isa::ALL.into_iter().find(|isa| isa.is_available()) == Some(Isa::detect()));
    }

    #[test]
    fn a_missing_set_falls_back_to_portable() {
        for isa in Isa::ALL {
            let expected = if isa.is_available() { isa } else { Isa::Portable };
            assert_eq!(isa.or_portable(), expected);
        }
    }
}
