//! Programs, one for each kernel and its types, and their launch.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::walk::MAX_DIMS;
use super::{DeviceTensor, KernelError, Kernels, Walk};
use crate::{CudaError, Kernel, KernelArgument, Scope};

/// Threads of a block.
pub(super) const THREADS: usize = 256;

/// Blocks for each multiprocessor: enough to hide latency, the rest of the work is looped over.
const BLOCKS_PER_MULTIPROCESSOR: usize = 32;

/// What the sources are compiled with besides the types: results must not depend on which products
/// and sums the compiler fuses.
const OPTIONS: [&str; 2] = ["--std=c++11", "--fmad=false"];

/// CUDA C++ of one kernel.
pub(super) struct Source {
    /// Name of the kernel.
    pub(super) name: &'static str,
    /// Prelude and kernel.
    pub(super) text: &'static str,
}

/// The source in `$file` behind the prelude.
macro_rules! source {
    ($name:literal) => {
        $crate::kernels::launch::Source {
            name: $name,
            text: concat!(
                include_str!("prelude.cu"),
                include_str!(concat!($name, ".cu"))
            ),
        }
    };
}
pub(super) use source;

/// The unsigned type in which a kernel counts elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    Narrow,
    Wide,
}

impl Index {
    /// The narrowest that addresses every element of tensors of so many elements, and to which
    /// a grid's stride can be added.
    pub(super) fn of(elements: &[usize]) -> Self {
        if elements.iter().all(|&elements| elements <= 1 << 31) {
            Self::Narrow
        } else {
            Self::Wide
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Narrow => "u32",
            Self::Wide => "u64",
        }
    }

    /// A structure whose members are all of this type. Low bits of negative numbers are what
    /// wrapping arithmetic needs.
    pub(super) fn structure(self, members: &[i64]) -> Vec<u8> {
        match self {
            Self::Narrow => members
                .iter()
                .flat_map(|member| (member.cast_unsigned() as u32).to_ne_bytes())
                .collect(),
            Self::Wide => members
                .iter()
                .flat_map(|member| member.to_ne_bytes())
                .collect(),
        }
    }

    /// A structure of sizes.
    pub(super) fn sizes(self, sizes: &[usize]) -> Vec<u8> {
        let members: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
        self.structure(&members)
    }

    /// A walk.
    pub(super) fn walk<const N: usize>(
        self,
        kernel: &'static str,
        walk: &Walk<N>,
    ) -> Result<Vec<u8>, KernelError> {
        let members = walk.members().ok_or_else(|| KernelError::Shapes {
            kernel,
            detail: format!("more than {MAX_DIMS} dimensions remain after merging"),
        })?;
        Ok(self.structure(&members))
    }
}

/// A kernel with its types and operation chosen.
pub(super) struct Program<'a> {
    pub(super) source: &'a Source,
    pub(super) index: Index,
    /// Macros and their values.
    pub(super) defines: &'a [(&'static str, &'static str)],
}

impl Program<'_> {
    /// What NVRTC compiles it with, besides the architecture.
    pub(super) fn options(&self) -> Vec<String> {
        let mut options = OPTIONS.map(str::to_owned).to_vec();
        options.push(format!("-DINDEX={}", self.index.name()));
        for (name, value) in self.defines {
            options.push(format!("-D{name}={value}"));
        }
        options
    }
}

/// Kernels that are loaded, by name and macros.
#[derive(Default)]
pub(super) struct Loaded(Mutex<HashMap<String, Kernel>>);

impl Kernels {
    /// The kernel, compiled and loaded at its first use.
    fn load(&self, scope: &Scope<'_, '_>, program: &Program<'_>) -> Result<Kernel, KernelError> {
        let options = program.options();
        let name = program.source.name;
        let key = format!("{name} {}", options[OPTIONS.len()..].join(" "));
        let mut loaded = self.loaded.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = loaded.get(&key) {
            return Ok(kernel.clone());
        }
        if scope.is_capturing() {
            return Err(CudaError::NotInCapture {
                what: "loading a kernel",
            }
            .into());
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let kernel = self
            .cache
            .kernel(name, program.source.text, name, &options)?;
        loaded.insert(key, kernel.clone());
        Ok(kernel)
    }

    /// Launches as many threads as `work` items need, at most.
    ///
    /// # Safety
    /// `arguments` are those that the source declares, in number, order and size, and with them
    /// the kernel stays within the regions.
    #[allow(unsafe_code, reason = "passes on what the caller answers for")]
    pub(super) unsafe fn launch(
        &self,
        scope: &Scope<'_, '_>,
        program: &Program<'_>,
        work: usize,
        arguments: &[KernelArgument<'_>],
    ) -> Result<(), KernelError> {
        if work == 0 {
            return Ok(());
        }
        let kernel = self.load(scope, program)?;
        let multiprocessors = scope.context().device().multiprocessors.max(1) as usize;
        let most = multiprocessors.saturating_mul(BLOCKS_PER_MULTIPROCESSOR);
        let blocks = work.div_ceil(THREADS).min(most).min(1 << 20) as u32;
        // SAFETY: the caller answers for the arguments and for where the kernel reads and writes.
        unsafe {
            scope.launch(&kernel, (blocks, 1, 1), (THREADS as u32, 1, 1), arguments)?;
        }
        Ok(())
    }
}

/// Checks the regions of `tensors` and chooses the index type for them.
pub(super) fn check(kernel: &'static str, tensors: &[&DeviceTensor]) -> Result<Index, KernelError> {
    tensors.iter().try_for_each(|tensor| tensor.check(kernel))?;
    let elements: Vec<usize> = tensors.iter().map(|tensor| tensor.elements()).collect();
    Ok(Index::of(&elements))
}

/// The error for element types that a kernel is not made for.
pub(super) fn refuse_types(kernel: &'static str, tensors: &[&DeviceTensor]) -> KernelError {
    KernelError::Types {
        kernel,
        dtypes: tensors.iter().map(|tensor| tensor.dtype).collect(),
    }
}

/// Fails where `out` does not have `shape`.
pub(super) fn expect_shape(
    kernel: &'static str,
    shape: &[usize],
    out: &DeviceTensor,
) -> Result<(), KernelError> {
    if out.shape == shape {
        return Ok(());
    }
    Err(KernelError::Shapes {
        kernel,
        detail: format!("the result has shape {shape:?}, not {:?}", out.shape),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_as_wide_as_the_largest_tensor_needs() {
        assert_eq!(Index::of(&[1, 1 << 31]), Index::Narrow);
        assert_eq!(Index::of(&[1, (1 << 31) + 1]), Index::Wide);
    }

    #[test]
    fn structures_hold_their_members_in_order() {
        let bytes = Index::Narrow.structure(&[3, -1]);
        assert_eq!(bytes, [3u32.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat());
        let bytes = Index::Wide.structure(&[3, -1]);
        assert_eq!(bytes, [3u64.to_ne_bytes(), u64::MAX.to_ne_bytes()].concat());
    }
}
