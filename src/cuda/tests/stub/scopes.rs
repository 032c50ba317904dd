//! When work has finished, and what belongs together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use tfjet_cuda::{Context, CudaError, DeviceBuffer, Event, KernelCache, Stream};

use crate::library::Stub;

#[test]
fn a_scope_waits_for_its_work_even_when_it_panics() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let held = Arc::new(5);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        stream.scope(|scope| {
            scope.retain(held.clone());
            assert_eq!(Arc::strong_count(&held), 2);
            panic!("on purpose");
        })
    }));
    assert!(unwound.is_err());
    assert_eq!(stub.count("cuStreamSynchronize"), 1);
    assert_eq!(Arc::strong_count(&held), 1);
    stream.scope(|_| ()).unwrap();
}

#[test]
fn a_stream_has_one_open_scope() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let stream = Stream::new(&stub.context()).unwrap();
    stream
        .scope(|_| {
            let inner = stream.scope(|_| ());
            assert!(matches!(inner, Err(CudaError::StreamBusy)), "{inner:?}");
            let inner = stream.capture(|_| Ok(()));
            assert!(matches!(inner, Err(CudaError::StreamBusy)), "{inner:?}");
        })
        .unwrap();
    stream.scope(|_| ()).unwrap();
}

#[test]
fn work_that_fails_on_the_device_is_told_when_the_scope_ends() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let cache = stub.cache();
    let crash = cache.kernel("k", "void crash()", "crash", &[]).unwrap();
    let stream = Stream::new(cache.context()).unwrap();
    let error = stream
        .scope(|scope| {
            // SAFETY: the kernel takes no arguments and uses no memory.
            unsafe { scope.launch(&crash, (1, 1, 1), (1, 1, 1), &[]) }.unwrap();
        })
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("cuStreamSynchronize failed"), "{text}");
    assert!(text.contains("CUDA_ERROR_ILLEGAL_ADDRESS (700)"), "{text}");
}

#[test]
fn objects_of_another_context_are_refused() {
    let (Some(ours), Some(theirs)) = (Stub::build(&[]), Stub::build(&[])) else {
        return;
    };
    let stream = Stream::new(&ours.context()).unwrap();
    let foreign = theirs.context();
    let region = DeviceBuffer::new(&foreign, 4).unwrap().region();
    let event = Event::new(&foreign, false).unwrap();
    let kernel = theirs
        .cache()
        .kernel("k", "void fill()", "fill", &[])
        .unwrap();
    stream
        .scope(|scope| {
            let refused = |result: Result<(), CudaError>| {
                let error = result.unwrap_err();
                assert!(matches!(error, CudaError::ForeignContext { .. }), "{error}");
            };
            refused(scope.fill_zero(&region));
            refused(scope.record(&event));
            // SAFETY: the kernel is refused before anything is launched.
            refused(unsafe { scope.launch(&kernel, (1, 1, 1), (1, 1, 1), &[]) });
        })
        .unwrap();
}

#[test]
fn events_tell_time_when_they_were_made_and_recorded_for_it() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let [start, end, never] = [(); 3].map(|()| Event::new(&context, true).unwrap());
    let plain = Event::new(&context, false).unwrap();
    stream
        .scope(|scope| {
            scope.record(&start)?;
            scope.wait(&start)?;
            scope.record(&end)
        })
        .unwrap()
        .unwrap();
    assert_eq!(end.elapsed_ms(&start).unwrap(), 1.5);
    for other in [&never, &plain] {
        let error = end.elapsed_ms(other).unwrap_err();
        assert!(matches!(error, CudaError::NoTime { .. }), "{error}");
    }
}

#[test]
fn everything_but_a_scope_moves_between_threads() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Stream>();
    sync::<Context>();
    sync::<DeviceBuffer>();
    sync::<Event>();
    sync::<KernelCache>();
    sync::<tfjet_cuda::Graph>();
    sync::<tfjet_cuda::Kernel>();
    sync::<tfjet_cuda::PinnedBuffer>();
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    thread::spawn(move || stream.scope(|_| ()).unwrap())
        .join()
        .unwrap();
    assert_eq!(stub.count("cuStreamDestroy_v2"), 1);
}
