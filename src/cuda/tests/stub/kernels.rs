//! Compiling, keeping and launching kernels.

use std::fs;
use std::path::PathBuf;

use tfjet_cuda::{CudaError, DeviceBuffer, KernelArgument, KernelCache, Nvrtc, Stream};

use crate::library::Stub;

const SOURCE: &str = "extern \"C\" __global__ void fill(unsigned *out, Rule rule, unsigned count)";

fn stored(stub: &Stub) -> Vec<PathBuf> {
    let files = fs::read_dir(stub.path("kernels")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

fn compilations(stub: &Stub) -> usize {
    let calls = stub.calls();
    calls
        .iter()
        .filter(|call| call.starts_with("nvrtcCompileProgram"))
        .count()
}

#[test]
fn arguments_reach_the_kernel_in_their_places() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let cache = stub.cache();
    let fill = cache.kernel("fill", SOURCE, "fill", &[]).unwrap();
    let stream = Stream::new(cache.context()).unwrap();
    let out = DeviceBuffer::new(cache.context(), 12).unwrap().region();
    let rule = [10_u32.to_ne_bytes(), 5_u32.to_ne_bytes()].concat();
    let mut back = [0; 12];
    stream
        .scope(|scope| {
            let arguments = [
                KernelArgument::Write(&out),
                KernelArgument::Bytes(&rule),
                KernelArgument::U32(3),
            ];
            // SAFETY: these are the kernel's arguments, and `out` has room for 3 elements.
            unsafe { scope.launch(&fill, (1, 1, 1), (32, 1, 1), &arguments) }?;
            scope.download(&mut back, &out)
        })
        .unwrap()
        .unwrap();
    assert_eq!(back, [10, 0, 0, 0, 15, 0, 0, 0, 20, 0, 0, 0]);
}

#[test]
fn a_source_is_compiled_once_for_its_options() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let cache = stub.cache();
    for _ in 0..2 {
        cache.kernel("fill", SOURCE, "fill", &["-DN=1"]).unwrap();
    }
    assert_eq!(compilations(&stub), 1);
    cache.kernel("fill", SOURCE, "fill", &["-DN=2"]).unwrap();
    assert_eq!(compilations(&stub), 2);
    assert_eq!(stored(&stub).len(), 2);
    stub.cache()
        .kernel("fill", SOURCE, "fill", &["-DN=1"])
        .unwrap();
    assert_eq!(compilations(&stub), 2, "compiled what is on disk");
    let expected = "nvrtcCompileProgram --gpu-architecture=compute_62 -DN=1";
    assert_eq!(stub.count(expected), 1);
}

#[test]
fn a_damaged_file_is_compiled_again_and_replaced() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let compile = || stub.cache().kernel("fill", SOURCE, "fill", &[]).unwrap();
    compile();
    let path = stored(&stub).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let damages: [&[u8]; 4] = [&flipped, &whole[..whole.len() - 1], &whole[..20], b""];
    for (n, damaged) in damages.into_iter().enumerate() {
        fs::write(&path, damaged).unwrap();
        compile();
        assert_eq!(compilations(&stub), n + 2);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    assert_eq!(stored(&stub), [path]);
}

#[test]
fn another_compiler_has_files_of_its_own() {
    let (Some(old), Some(new)) = (Stub::build(&[]), Stub::build(&["STUB_NVRTC=11,0"])) else {
        return;
    };
    for stub in [&old, &new] {
        let dir = Some(old.path("kernels"));
        let cache = KernelCache::new(old.context(), Some(stub.nvrtc()), dir).unwrap();
        cache.kernel("fill", SOURCE, "fill", &[]).unwrap();
    }
    assert_eq!(stored(&old).len(), 2);
}

#[test]
fn an_error_in_a_source_is_told_by_its_line() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let error = stub
        .cache()
        .kernel("wrong.cu", "wrong", "f", &[])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "NVRTC 10.2 cannot compile wrong.cu for compute_62: \
         wrong.cu(2): error: identifier \"wrong\" is undefined"
    );
    assert!(stored(&stub).is_empty());
}

#[test]
fn a_source_with_a_zero_byte_is_refused() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let error = stub.cache().kernel("k", "a\0b", "f", &[]).unwrap_err();
    assert!(matches!(error, CudaError::Compile { .. }), "{error}");
}

#[test]
fn a_gpu_older_than_the_compiler_knows_is_named() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let error = stub.nvrtc().compile("k", "k", (2, 0), &[]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("sm_20") && text.contains("from sm_30 on"),
        "{text}"
    );
}

#[test]
fn without_a_compiler_there_are_no_kernels() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let cache = KernelCache::new(stub.context(), None, None).unwrap();
    let error = cache.kernel("fill", SOURCE, "fill", &[]).unwrap_err();
    assert!(
        matches!(error, CudaError::NvrtcMissing { .. }) && error.is_missing(),
        "{error}"
    );
    let missing = stub.path("libnvrtc.so.99");
    let error = Nvrtc::load(Some(&missing), &[], (12, 2)).unwrap_err();
    assert!(matches!(error, CudaError::NvrtcMissing { .. }), "{error}");
    assert!(error.to_string().contains("libnvrtc.so.99"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named_at_once() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let file = stub.path("file");
    fs::write(&file, "").unwrap();
    let dir = file.join("kernels");
    let error = KernelCache::new(stub.context(), None, Some(dir.clone())).unwrap_err();
    assert!(matches!(error, CudaError::CacheDirectory { .. }), "{error}");
    assert!(
        error.to_string().contains(&dir.display().to_string()),
        "{error}"
    );
}

#[test]
fn a_kernel_that_the_source_lacks_is_an_error() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let error = stub
        .cache()
        .kernel("fill", SOURCE, "absent", &[])
        .unwrap_err();
    assert!(
        error.to_string().starts_with("cuModuleGetFunction"),
        "{error}"
    );
}
