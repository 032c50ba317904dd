//! The crate against NVRTC, which needs no GPU. Without one every test says so and passes.
//!
//! `TFJET_NVRTC_DIRS` may list directories with NVRTC, separated as in `PATH`.
#![allow(clippy::print_stderr, reason = "helpers of tests")]

use tfjet_cuda::Nvrtc;

const SOURCE: &str = r#"
extern "C" __global__ void twice(float *x, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) x[i] *= FACTOR;
}
"#;

fn nvrtc() -> Option<Nvrtc> {
    let dirs = std::env::var_os("TFJET_NVRTC_DIRS").unwrap_or_default();
    let dirs: Vec<_> = std::env::split_paths(&dirs).collect();
    let newest = (u32::MAX, 0);
    match Nvrtc::load(None, &dirs, newest) {
        Ok(nvrtc) => {
            eprintln!("{nvrtc:?}");
            Some(nvrtc)
        }
        Err(error) => {
            assert!(error.is_missing(), "{error}");
            eprintln!("SKIPPED, this test needs NVRTC: {error}");
            None
        }
    }
}

#[test]
fn sources_are_compiled_for_gpus_that_it_knows_and_for_newer_ones() {
    let Some(nvrtc) = nvrtc() else { return };
    assert!(nvrtc.version() >= (10, 2));
    let options = ["-DFACTOR=2.0f"];
    let image = |capability| {
        nvrtc
            .compile("twice.cu", SOURCE, capability, &options)
            .unwrap()
    };
    let known = image((7, 5));
    let is_ptx = |image: &[u8]| image.ends_with(&[0]) && image.starts_with(b"//");
    assert!(known.starts_with(b"\x7fELF") || is_ptx(&known));
    let later = image((99, 0));
    assert!(is_ptx(&later));
    let text = String::from_utf8_lossy(&later);
    assert!(text.contains(".entry twice"), "{text}");
}

#[test]
fn an_error_in_a_source_is_told_by_its_line() {
    let Some(nvrtc) = nvrtc() else { return };
    let error = nvrtc.compile("twice.cu", SOURCE, (7, 5), &[]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("twice.cu(4): error"), "{text}");
    assert!(text.contains("FACTOR"), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn an_option_that_it_does_not_know_is_told() {
    let Some(nvrtc) = nvrtc() else { return };
    let error = nvrtc.compile("twice.cu", SOURCE, (7, 5), &["--sideways"]);
    let text = error.unwrap_err().to_string();
    assert!(text.contains("option"), "{text}");
}
