//! Buffers and regions.

use tfjet_cuda::{CudaError, DeviceBuffer, PinnedBuffer, Stream};

use crate::library::Stub;

#[test]
fn bytes_go_to_the_device_and_back_at_offsets() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let (a, b) = (
        DeviceBuffer::new(&context, 8).unwrap().region(),
        DeviceBuffer::new(&context, 8).unwrap().region(),
    );
    let mut back = [0xff; 6];
    stream
        .scope(|scope| {
            scope.fill_zero(&a)?;
            scope.upload(&a.slice(2, 4).unwrap(), &[1, 2, 3])?;
            scope.copy(&b, &a)?;
            scope.download(&mut back, &b.slice(1, 7).unwrap())
        })
        .unwrap()
        .unwrap();
    assert_eq!(back, [0, 1, 2, 3, 0, 0]);
}

#[test]
fn regions_end_where_their_buffer_does() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let region = DeviceBuffer::new(&stub.context(), 8).unwrap().region();
    let tail = region.slice(6, 2).unwrap();
    assert_eq!(tail.address(), region.address() + 6);
    assert_eq!(tail.slice(0, 2).unwrap().len_bytes(), 2);
    for (offset, len) in [(7, 2), (9, 0), (usize::MAX, 1), (1, usize::MAX)] {
        assert!(region.slice(offset, len).is_none(), "{offset} {len}");
    }
}

#[test]
fn copies_that_do_not_fit_or_overlap_are_refused() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let small = DeviceBuffer::new(&context, 4).unwrap().region();
    let large = DeviceBuffer::new(&context, 8).unwrap().region();
    let mut host = [0; 5];
    stream
        .scope(|scope| {
            let too_long = |result: Result<(), CudaError>| {
                assert!(
                    matches!(result, Err(CudaError::Length { .. })),
                    "{result:?}"
                );
            };
            too_long(scope.upload(&small, &[0; 5]));
            too_long(scope.download(&mut host, &small));
            too_long(scope.copy(&small, &large));
            let halves = [large.slice(0, 5).unwrap(), large.slice(3, 5).unwrap()];
            let overlap = scope.copy(&halves[0], &halves[1]);
            assert!(
                matches!(overlap, Err(CudaError::Region { .. })),
                "{overlap:?}"
            );
        })
        .unwrap();
    assert!(!stub.calls().iter().any(|call| call.starts_with("cuMemcpy")));
}

#[test]
fn memory_that_runs_out_is_counted() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let _first = DeviceBuffer::new(&context, 1 << 19).unwrap();
    let error = DeviceBuffer::new(&context, (1 << 19) + 1).unwrap_err();
    assert!(error.is_out_of_memory());
    let (requested, free, total) = match error {
        CudaError::OutOfMemory {
            requested,
            free,
            total,
        } => (requested, free, total),
        other => panic!("{other}"),
    };
    assert_eq!((requested, free, total), ((1 << 19) + 1, 1 << 19, 1 << 20));
    let error = PinnedBuffer::new(&context, (1 << 20) + 1, false).unwrap_err();
    assert!(error.is_out_of_memory());
    assert!(error.to_string().contains("1048577 bytes"), "{error}");
}

#[test]
fn memory_is_freed_when_nothing_uses_it() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let buffer = DeviceBuffer::new(&context, 4).unwrap();
    let region = buffer.region();
    drop(buffer);
    stream
        .scope(|scope| {
            scope.fill_zero(&region).unwrap();
            drop(region);
            assert_eq!(
                stub.count("cuMemFree_v2"),
                0,
                "freed before the work was done"
            );
        })
        .unwrap();
    let calls = stub.calls();
    let position = |name: &str| calls.iter().position(|call| call == name);
    assert!(position("cuStreamSynchronize").unwrap() < position("cuMemFree_v2").unwrap());
    assert_eq!(context.memory().unwrap(), (1 << 20, 1 << 20));
}

#[test]
fn empty_buffers_need_no_memory() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let device = DeviceBuffer::new(&context, 0).unwrap();
    let mut pinned = PinnedBuffer::new(&context, 0, false).unwrap();
    stream
        .scope(|scope| {
            scope.upload(&device.region(), &[])?;
            scope.copy(&device.region(), &device.region())?;
            scope.fill_zero(&device.region())?;
            scope.download(pinned.bytes_mut(), &device.region())
        })
        .unwrap()
        .unwrap();
    assert_eq!(
        stub.count("cuMemAlloc_v2") + stub.count("cuMemHostAlloc"),
        0
    );
}

#[test]
fn pinned_memory_starts_with_zeros_and_is_freed() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let mut pinned = PinnedBuffer::new(&context, 16, true).unwrap();
    assert_eq!(pinned.bytes(), [0; 16]);
    pinned.bytes_mut()[15] = 7;
    assert_eq!(pinned.bytes()[15], 7);
    drop(pinned);
    assert_eq!(stub.count("cuMemFreeHost"), 1);
}

#[test]
fn the_device_sees_mapped_memory_where_it_lies() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let mut pinned = PinnedBuffer::new(&context, 8, false).unwrap();
    let ordinary = [0; 8];
    stream
        .scope(|scope| {
            assert!(scope.device_region(&ordinary).is_none());
            let (low, high) = pinned.bytes_mut().split_at_mut(4);
            low.copy_from_slice(&[1, 2, 3, 4]);
            let from = scope.device_region(low).unwrap();
            let to = scope.device_region_mut(high).unwrap();
            assert_eq!(to.address(), from.address() + 4);
            scope.copy(&to, &from)
        })
        .unwrap()
        .unwrap();
    assert_eq!(pinned.bytes(), [1, 2, 3, 4, 1, 2, 3, 4]);
}

#[test]
fn views_of_host_memory_are_read_only_unless_lent_mutably_and_end_with_their_scope() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let mut pinned = PinnedBuffer::new(&context, 8, false).unwrap();
    let kept = stream
        .scope(|scope| {
            let view = scope.device_region(pinned.bytes()).unwrap();
            let error = scope.fill_zero(&view).unwrap_err();
            assert!(error.to_string().contains("would be written"), "{error}");
            view
        })
        .unwrap();
    let error = stream
        .scope(|scope| {
            scope.device_region_mut(pinned.bytes_mut()).unwrap();
            scope.fill_zero(&kept.slice(0, 4).unwrap())
        })
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("another scope"), "{error}");
    assert_eq!(stub.count("cuMemsetD8Async"), 0);
}
