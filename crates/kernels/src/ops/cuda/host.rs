//! Kernels on the host: the same text, made loops by the C compiler that the build needs anyway. For tests alone.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs;
use std::process::Command;
use std::ptr;
use std::sync::OnceLock;

use candle_core::{CpuStorage, DType, Result, Tensor, bail};

use super::{Machine, Operand, SOURCE, Sizes};
use crate::ops::values::Values;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Binds all symbols at once.
const RTLD_NOW: c_int = 2;

type Kernel =
    unsafe extern "C" fn(*mut c_void, *const c_void, *const c_void, *const c_void, *const c_void, sizes: Sizes);

/// The kernels as a library that stays loaded, by its address.
fn library() -> usize {
    static LIBRARY: OnceLock<usize> = OnceLock::new();
    *LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for the library");
        let (text, library) = (folder.path().join("kernels.c"), folder.path().join("kernels.so"));
        fs::write(&text, SOURCE).expect("a place for the source");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let compiled = Command::new(&compiler)
            .args(["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&library, &text])
            .arg("-lm")
            .output()
            .expect("a C compiler");
        assert!(compiled.status.success(), "{compiler}: {}", String::from_utf8_lossy(&compiled.stderr));
        let path = CString::new(library.to_string_lossy().as_bytes()).expect("a path without a null");
        // SAFETY: the path is a C string, and the library has no initialisers.
        let library = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
        assert!(!library.is_null(), "the library loads");
        library as usize
    })
}

/// The host, run by one thread.
pub(super) struct Host;

impl Machine for Host {
    type Storage = CpuStorage;

    fn run(
        &self,
        kernel: &'static str,
        operands: &[Operand<'_, CpuStorage>],
        sizes: Sizes,
        kind: DType,
        length: usize,
    ) -> Result<CpuStorage> {
        // Whatever a kernel leaves unwritten shows.
        let mut out = match kind {
            DType::F32 => CpuStorage::F32(vec![f32::NAN; length]),
            DType::F64 => CpuStorage::F64(vec![f64::NAN; length]),
            _ => bail!("have a kernel write {kind:?}: it writes f32 or f64"),
        };
        let address = |place: usize| -> *const c_void {
            let Some(Operand { storage, start, length }) = operands.get(place).copied() else { return ptr::null() };
            match storage {
                CpuStorage::F32(values) => values[start..start + length].as_ptr().cast(),
                CpuStorage::F64(values) => values[start..start + length].as_ptr().cast(),
                CpuStorage::U32(values) => values[start..start + length].as_ptr().cast(),
                other => panic!("an operand of {other:?}"),
            }
        };
        let [a, b, c, d] = std::array::from_fn(address);
        let target: *mut c_void = match &mut out {
            CpuStorage::F32(values) => values.as_mut_ptr().cast(),
            CpuStorage::F64(values) => values.as_mut_ptr().cast(),
            other => panic!("an output of {other:?}"),
        };
        let name = CString::new(kernel).expect("a name without a null");
        // SAFETY: the library is loaded for good, and the name a C string.
        let symbol = unsafe { dlsym(library() as *mut c_void, name.as_ptr()) };
        assert!(!symbol.is_null(), "there is a kernel {kernel}");
        // SAFETY: every kernel of the library has these parameters (`prelude.cu`), and it reaches no further than on a
        // GPU, where the same sizes and lengths hold.
        unsafe {
            let kernel = std::mem::transmute::<*mut c_void, Kernel>(symbol);
            kernel(target, a, b, c, d, sizes);
        }
        Ok(out)
    }
}

/// A tensor's values as a storage of their own.
pub(super) fn storage(tensor: &Tensor) -> CpuStorage {
    let tensor = tensor.contiguous().expect("a tensor");
    CpuStorage::F32(Values::of(&tensor).expect("an f32 tensor on the cpu").to_vec())
}

/// All of a storage.
pub(super) fn whole(storage: &CpuStorage) -> Operand<'_, CpuStorage> {
    let length = match storage {
        CpuStorage::F32(values) => values.len(),
        CpuStorage::F64(values) => values.len(),
        CpuStorage::U32(values) => values.len(),
        other => panic!("an operand of {other:?}"),
    };
    Operand::whole(storage, length)
}

/// Fails unless the storage holds nearly the values of the tensor.
pub(super) fn assert_near(found: &CpuStorage, expected: &Tensor, what: &str) {
    assert_within(2e-5, found, expected, what);
}

/// The same with another tolerance.
pub(super) fn assert_within(tolerance: f64, found: &CpuStorage, expected: &Tensor, what: &str) {
    let CpuStorage::F32(found) = found else { panic!("{what}: not f32") };
    let expected: Vec<f64> = Values::of(expected).expect("f32 on the cpu").iter().copied().map(f64::from).collect();
    crate::ops::testing::assert_close(found, &expected, tolerance, what);
}
