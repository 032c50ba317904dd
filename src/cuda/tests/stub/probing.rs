//! Which drivers are taken, and by which of their entry points.

use std::path::Path;
use std::process::Command;

use tfjet_cuda::{Context, CudaError, DRIVER_VARIABLE, Driver, Nvrtc, Stream};

use crate::library::Stub;

#[test]
fn a_driver_that_is_not_there_is_named() {
    let error = Driver::load_from(Path::new("/nowhere/libcuda.so.1")).unwrap_err();
    assert!(matches!(error, CudaError::DriverMissing { .. }), "{error}");
    assert!(error.is_missing());
    assert!(
        error.to_string().contains("/nowhere/libcuda.so.1"),
        "{error}"
    );
}

#[test]
fn this_machine_has_a_driver_or_it_is_said_what_is_missing() {
    match Driver::load() {
        Ok(driver) => eprintln!("SKIPPED, there is a driver: {driver:?}"),
        Err(error) => {
            assert!(error.is_missing(), "{error}");
            assert!(error.to_string().contains("libcuda.so"), "{error}");
        }
    }
}

#[test]
fn the_environment_names_the_driver() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let test = "probing::this_machine_has_a_driver_or_it_is_said_what_is_missing";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(DRIVER_VARIABLE, stub.path("driver.so"))
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(messages.contains("driver.so"), "{messages}");
    assert_eq!(stub.calls(), ["cuInit"]);
}

#[test]
fn a_driver_without_a_required_entry_point_is_refused_by_its_name_and_version() {
    let Some(stub) = Stub::build(&["NO_cuMemHostAlloc", "STUB_VERSION=9000"]) else {
        return;
    };
    let text = stub.driver().unwrap_err().to_string();
    assert!(text.contains("entry point cuMemHostAlloc"), "{text}");
    assert!(text.contains("CUDA 9.0"), "{text}");
    assert!(text.contains("CUDA 10.2"), "{text}");
    assert!(
        stub.calls().is_empty(),
        "started a driver that cannot be used"
    );
}

#[test]
fn a_driver_that_can_release_no_context_is_refused() {
    let without = [
        "NO_cuDevicePrimaryCtxRelease",
        "NO_cuDevicePrimaryCtxRelease_v2",
    ];
    let Some(stub) = Stub::build(&without) else {
        return;
    };
    let text = stub.driver().unwrap_err().to_string();
    assert!(text.contains("cuDevicePrimaryCtxRelease"), "{text}");
}

#[test]
fn a_library_that_is_no_driver_is_refused() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let error = Driver::load_from(&stub.path("nvrtc.so")).unwrap_err();
    assert!(error.to_string().contains("not NVIDIA's driver"), "{error}");
    let error = Nvrtc::load(Some(&stub.path("driver.so")), &[], (12, 2)).unwrap_err();
    assert!(error.to_string().contains("nvrtcVersion"), "{error}");
}

#[test]
fn what_keeps_a_driver_from_starting_is_told() {
    let table = [
        ("STUB_INIT=100", "sees no GPU (CUDA_ERROR_NO_DEVICE)"),
        ("STUB_INIT=803", "restart the machine"),
        ("STUB_INIT=803", "(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, 803)"),
        ("STUB_INIT=34", "the toolkit's stub for linking"),
        ("STUB_INIT=4321", "cuInit failed (unknown error, 4321)"),
    ];
    for (code, expected) in table {
        let Some(stub) = Stub::build(&[code]) else {
            return;
        };
        let error = stub.driver().unwrap_err();
        assert!(error.is_missing(), "{code}: {error}");
        assert!(error.to_string().contains(expected), "{code}: {error}");
    }
}

#[test]
fn a_driver_of_cuda_10_2_is_used_by_what_it_has() {
    let without = [
        "NO_cuDevicePrimaryCtxRelease_v2",
        "NO_cuGraphInstantiateWithFlags",
        "NO_cuGraphInstantiate_v2",
        "NO_cuGetErrorName",
        "STUB_VERSION=10020",
    ];
    let Some(stub) = Stub::build(&without) else {
        return;
    };
    assert_eq!(stub.driver().unwrap().version(), (10, 2));
    let stream = Stream::new(&stub.context()).unwrap();
    stream.capture(|_| Ok(())).unwrap();
    drop(stream);
    assert_eq!(stub.count("cuGraphInstantiate"), 1);
    assert_eq!(stub.count("cuDevicePrimaryCtxRelease"), 1);
}

#[test]
fn newer_entry_points_are_taken_before_older_ones() {
    let table: [(&[&str], &str); 2] = [
        (&["NO_cuGraphInstantiateWithFlags"], "cuGraphInstantiate_v2"),
        (&[], "cuGraphInstantiateWithFlags"),
    ];
    for (without, call) in table {
        let Some(stub) = Stub::build(without) else {
            return;
        };
        let stream = Stream::new(&stub.context()).unwrap();
        stream.capture(|_| Ok(())).unwrap();
        drop(stream);
        assert_eq!(stub.count(call), 1);
        assert_eq!(stub.count("cuGraphInstantiate"), 0);
        assert_eq!(stub.count("cuDevicePrimaryCtxRelease_v2"), 1);
        assert_eq!(stub.count("cuDevicePrimaryCtxRelease"), 0);
    }
}

#[test]
fn a_driver_without_graphs_serves_all_but_graphs() {
    let Some(stub) = Stub::build(&["NO_GRAPHS", "STUB_VERSION=10000"]) else {
        return;
    };
    let stream = Stream::new(&stub.context()).unwrap();
    let error = stream.capture(|_| Ok(())).unwrap_err();
    assert!(
        error.to_string().contains("cuStreamBeginCapture_v2"),
        "{error}"
    );
    assert!(error.to_string().contains("CUDA 10.0"), "{error}");
    stream.scope(|scope| scope.is_capturing()).unwrap();
}

#[test]
fn devices_are_described_and_others_refused() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let driver = stub.driver().unwrap();
    let devices = driver.devices().unwrap();
    let [device] = devices.as_slice() else {
        panic!("{devices:?}");
    };
    assert_eq!(device.name, "Stub");
    assert_eq!(device.compute_capability, (6, 2));
    assert!(device.integrated && device.can_map_host_memory && !device.io_coherent);
    assert_eq!((device.clock_khz, device.memory_clock_khz), (1_300_000, 0));
    let error = Context::new(&driver, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no GPU 1: the CUDA driver sees 1"
    );
}
