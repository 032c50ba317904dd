//! The crate against a GPU. Without one every test says so and passes.
//!
//! `TFJET_NVRTC_DIRS` may list directories with NVRTC, separated as in `PATH`.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests fail and tell like tests"
)]

use std::fs;
use std::thread;

use tfjet_cuda::{
    Context, CudaError, DeviceBuffer, Driver, Event, Kernel, KernelArgument, KernelCache, Nvrtc,
    PinnedBuffer, Region, Scope, Stream,
};

const SAXPY: &str = r#"
extern "C" __global__ void saxpy(float a, const float *x, float *y, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] += a * x[i];
}
"#;

fn gpu() -> Option<Context> {
    match Driver::load().and_then(|driver| Context::new(&driver, 0)) {
        Ok(context) => Some(context),
        Err(error) if error.is_missing() => {
            eprintln!("SKIPPED, this test needs a GPU: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn nvrtc(context: &Context) -> Option<Nvrtc> {
    let dirs = std::env::var_os("TFJET_NVRTC_DIRS").unwrap_or_default();
    let dirs: Vec<_> = std::env::split_paths(&dirs).collect();
    match Nvrtc::load(None, &dirs, context.driver().version()) {
        Ok(nvrtc) => Some(nvrtc),
        Err(error) if error.is_missing() => {
            eprintln!("SKIPPED, this test needs NVRTC: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn saxpy(context: &Context) -> Option<Kernel> {
    let cache = KernelCache::new(context.clone(), Some(nvrtc(context)?), None).unwrap();
    Some(cache.kernel("saxpy.cu", SAXPY, "saxpy", &[]).unwrap())
}

fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_ne_bytes).collect()
}

/// `y += a * x`
fn add(
    scope: &Scope<'_, '_>,
    kernel: &Kernel,
    a: f32,
    x: &Region,
    y: &Region,
) -> Result<(), CudaError> {
    let count = x.len_bytes().min(y.len_bytes()) / 4;
    let arguments = [
        KernelArgument::F32(a),
        KernelArgument::Read(x),
        KernelArgument::Write(y),
        KernelArgument::I32(count as i32),
    ];
    let blocks = count.div_ceil(256) as u32;
    // SAFETY: these are the kernel's arguments, and it stays within `count` elements of both.
    unsafe { scope.launch(kernel, (blocks, 1, 1), (256, 1, 1), &arguments) }
}

#[test]
fn the_device_describes_itself() {
    let Some(context) = gpu() else { return };
    let device = context.device();
    eprintln!("{device:?}, driver {:?}", context.driver());
    assert!(!device.name.is_empty());
    assert!(device.compute_capability >= (5, 0));
    assert!(device.multiprocessors > 0);
    let (free, total) = context.memory().unwrap();
    assert!(free <= total && total <= device.total_bytes);
    assert!(context.driver().version() >= (10, 2));
    assert!(context.driver().path().starts_with('/'));
}

#[test]
fn bytes_go_to_the_device_and_back_at_offsets() {
    let Some(context) = gpu() else { return };
    let stream = Stream::new(&context).unwrap();
    let len = 1 << 20;
    let (a, b) = (
        DeviceBuffer::new(&context, len).unwrap().region(),
        DeviceBuffer::new(&context, len).unwrap().region(),
    );
    let bytes: Vec<u8> = (0..len - 6).map(|i| (i % 251) as u8).collect();
    let mut pinned = PinnedBuffer::new(&context, len, false).unwrap();
    let mut back = vec![0xff; len - 3];
    stream
        .scope(|scope| {
            scope.fill_zero(&a)?;
            scope.upload(&a.slice(5, len - 5).unwrap(), &bytes)?;
            scope.copy(&b, &a)?;
            scope.download(pinned.bytes_mut(), &a)?;
            scope.download(&mut back, &b.slice(3, len - 3).unwrap())
        })
        .unwrap()
        .unwrap();
    let expected = [&[0; 5], bytes.as_slice(), &[0]].concat();
    assert!(pinned.bytes() == expected);
    assert!(back == expected[3..]);
}

#[test]
fn events_measure_the_work_between_them() {
    let Some(context) = gpu() else { return };
    let stream = Stream::new(&context).unwrap();
    let buffer = DeviceBuffer::new(&context, 64 << 20).unwrap();
    let [start, one, all] = [(); 3].map(|()| Event::new(&context, true).unwrap());
    stream
        .scope(|scope| {
            scope.fill_zero(&buffer.region())?;
            scope.record(&start)?;
            scope.fill_zero(&buffer.region())?;
            scope.record(&one)?;
            for _ in 0..9 {
                scope.fill_zero(&buffer.region())?;
            }
            scope.record(&all)
        })
        .unwrap()
        .unwrap();
    let (one, all) = (
        one.elapsed_ms(&start).unwrap(),
        all.elapsed_ms(&start).unwrap(),
    );
    eprintln!("64 MiB of zeros: {one} ms, ten times: {all} ms");
    assert!(one > 0.0 && all > 2.0 * one);
    let never = Event::new(&context, true).unwrap();
    let error = never.elapsed_ms(&start).unwrap_err();
    assert!(matches!(error, CudaError::NoTime { .. }), "{error}");
}

#[test]
fn work_waits_for_events_of_another_stream() {
    let Some(context) = gpu() else { return };
    let (first, second) = (
        Stream::new(&context).unwrap(),
        Stream::new(&context).unwrap(),
    );
    let region = DeviceBuffer::new(&context, 64 << 20).unwrap().region();
    let done = Event::new(&context, false).unwrap();
    let ones = vec![1; region.len_bytes()];
    let mut back = vec![0; region.len_bytes()];
    first
        .scope(|scope| {
            scope.fill_zero(&region)?;
            scope.upload(&region, &ones)?;
            scope.record(&done)?;
            second.scope(|other| {
                other.wait(&done)?;
                other.download(&mut back, &region)
            })?
        })
        .unwrap()
        .unwrap();
    assert!(back == ones);
}

#[test]
fn a_kernel_is_compiled_and_computes() {
    let Some(context) = gpu() else { return };
    let Some(kernel) = saxpy(&context) else {
        return;
    };
    let stream = Stream::new(&context).unwrap();
    let count = 1000;
    let x = floats((0..count).map(|i| i as f32));
    let y = floats((0..count).map(|_| 1.0));
    let (x_region, y_region) = (
        DeviceBuffer::new(&context, x.len()).unwrap().region(),
        DeviceBuffer::new(&context, y.len()).unwrap().region(),
    );
    let mut back = vec![0; y.len()];
    stream
        .scope(|scope| {
            scope.upload(&x_region, &x)?;
            scope.upload(&y_region, &y)?;
            add(scope, &kernel, 2.0, &x_region, &y_region)?;
            scope.download(&mut back, &y_region)
        })
        .unwrap()
        .unwrap();
    assert!(back == floats((0..count).map(|i| 1.0 + 2.0 * i as f32)));
}

#[test]
fn kernels_use_mapped_memory_of_the_host_in_place() {
    let Some(context) = gpu() else { return };
    let Some(kernel) = saxpy(&context) else {
        return;
    };
    if !context.device().can_map_host_memory {
        eprintln!("SKIPPED: this GPU cannot map memory of the host");
        return;
    }
    let stream = Stream::new(&context).unwrap();
    for write_combined in [false, true] {
        let mut x = PinnedBuffer::new(&context, 4000, write_combined).unwrap();
        let mut y = PinnedBuffer::new(&context, 4000, false).unwrap();
        x.bytes_mut()
            .copy_from_slice(&floats((0..1000).map(|i| i as f32)));
        stream
            .scope(|scope| {
                let x = scope.device_region(&x.bytes()[400..]).unwrap();
                let y = scope.device_region_mut(&mut y.bytes_mut()[400..]).unwrap();
                add(scope, &kernel, 1.0, &x, &y)
            })
            .unwrap()
            .unwrap();
        let expected = floats((0..1000).map(|i| if i < 100 { 0.0 } else { i as f32 }));
        assert!(y.bytes() == expected);
    }
}

#[test]
fn a_recorded_graph_does_its_work_at_every_replay() {
    let Some(context) = gpu() else { return };
    let Some(kernel) = saxpy(&context) else {
        return;
    };
    let stream = Stream::new(&context).unwrap();
    let x = DeviceBuffer::new(&context, 400).unwrap().region();
    let y = DeviceBuffer::new(&context, 400).unwrap().region();
    let ones = floats([1.0; 100]);
    let mut before = vec![1; 400];
    stream
        .scope(|scope| {
            scope.upload(&x, &ones)?;
            scope.fill_zero(&y)
        })
        .unwrap()
        .unwrap();
    let graph = stream
        .capture(|scope| {
            add(scope, &kernel, 1.0, &x, &y)?;
            Ok(add(scope, &kernel, 2.0, &x, &y)?)
        })
        .unwrap();
    drop(kernel);
    assert_eq!(graph.node_count(), 2);
    let mut after = vec![0; 400];
    stream
        .scope(|scope| {
            scope.download(&mut before, &y)?;
            for _ in 0..5 {
                scope.replay(&graph)?;
            }
            scope.download(&mut after, &y)
        })
        .unwrap()
        .unwrap();
    assert_eq!(before, [0; 400], "recording did the work");
    assert!(after == floats([15.0; 100]));
}

#[test]
fn a_graph_over_mapped_memory_sees_what_the_host_wrote() {
    let Some(context) = gpu() else { return };
    let Some(kernel) = saxpy(&context) else {
        return;
    };
    if !context.device().can_map_host_memory {
        eprintln!("SKIPPED: this GPU cannot map memory of the host");
        return;
    }
    let stream = Stream::new(&context).unwrap();
    let mut x = PinnedBuffer::new(&context, 400, false).unwrap();
    let mut y = PinnedBuffer::new(&context, 400, false).unwrap();
    let graph = stream
        .capture(|scope| {
            let x = scope.device_region(x.bytes()).ok_or("x is not mapped")?;
            let y = scope
                .device_region_mut(y.bytes_mut())
                .ok_or("y is not mapped")?;
            Ok(add(scope, &kernel, 1.0, &x, &y)?)
        })
        .unwrap();
    for value in [1.0, 2.0] {
        x.bytes_mut().copy_from_slice(&floats([value; 100]));
        y.bytes_mut().fill(0);
        stream
            .scope(|scope| {
                scope.device_region(x.bytes()).unwrap();
                scope.device_region_mut(y.bytes_mut()).unwrap();
                scope.replay(&graph)
            })
            .unwrap()
            .unwrap();
        assert!(y.bytes() == x.bytes());
    }
}

#[test]
fn memory_may_be_freed_while_a_graph_is_recorded() {
    let Some(context) = gpu() else { return };
    let stream = Stream::new(&context).unwrap();
    let kept = DeviceBuffer::new(&context, 256).unwrap();
    let other = DeviceBuffer::new(&context, 256).unwrap();
    let graph = stream
        .capture(|scope| {
            scope.fill_zero(&kept.region())?;
            drop(other);
            Ok(scope.fill_zero(&kept.region())?)
        })
        .unwrap();
    assert_eq!(graph.node_count(), 2);
}

#[test]
fn memory_that_runs_out_is_counted_and_the_context_goes_on() {
    let Some(context) = gpu() else { return };
    let total = context.memory().unwrap().1;
    let error = DeviceBuffer::new(&context, usize::try_from(total).unwrap() + 1).unwrap_err();
    assert!(error.is_out_of_memory(), "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&format!("{} bytes requested", total + 1)),
        "{text}"
    );
    DeviceBuffer::new(&context, 256).unwrap();
}

#[test]
fn compiled_kernels_come_from_disk_unless_they_are_damaged() {
    let Some(context) = gpu() else { return };
    let Some(nvrtc) = nvrtc(&context) else { return };
    let dir = tempfile::tempdir().unwrap();
    let compile = || {
        let kept = Some(dir.path().to_owned());
        let cache = KernelCache::new(context.clone(), Some(nvrtc.clone()), kept).unwrap();
        cache.kernel("saxpy.cu", SAXPY, "saxpy", &[]).unwrap();
        let mut files = fs::read_dir(dir.path()).unwrap();
        files.next().unwrap().unwrap().path()
    };
    let path = compile();
    let whole = fs::read(&path).unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    compile();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written);
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    compile();
    assert!(fs::read(&path).unwrap() == whole);
}

#[test]
fn an_error_in_a_source_is_told_by_its_line() {
    let Some(context) = gpu() else { return };
    let Some(nvrtc) = nvrtc(&context) else { return };
    let capability = context.device().compute_capability;
    let error = nvrtc.compile(
        "bad.cu",
        "__global__ void f() { wrong(); }",
        capability,
        &[],
    );
    let text = error.unwrap_err().to_string();
    assert!(text.contains("bad.cu(1): error"), "{text}");
}

#[test]
fn threads_work_in_contexts_and_streams_of_their_own() {
    let Some(context) = gpu() else { return };
    let driver = context.driver().clone();
    let devices = driver.devices().unwrap().len() as u32;
    thread::scope(|threads| {
        for n in 0..4 {
            let driver = driver.clone();
            threads.spawn(move || {
                let context = Context::new(&driver, n % devices).unwrap();
                let stream = Stream::new(&context).unwrap();
                let buffer = DeviceBuffer::new(&context, 1 << 20).unwrap();
                let bytes = vec![n as u8 + 1; 1 << 20];
                for _ in 0..20 {
                    let mut back = vec![0; 1 << 20];
                    stream
                        .scope(|scope| {
                            scope.upload(&buffer.region(), &bytes)?;
                            scope.download(&mut back, &buffer.region())
                        })
                        .unwrap()
                        .unwrap();
                    assert!(back == bytes);
                }
            });
        }
    });
}
